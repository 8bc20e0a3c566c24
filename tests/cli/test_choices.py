"""A value that is in no table is wrong usage that names the nearest; shells complete values; torch is not needed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from fwsvd_export.cli import group
from fwsvd_export.cli.choices import Device, OneOf, SomeOf, did_you_mean
from fwsvd_export.cli.compression_options import method_options
from fwsvd_export.runtime.device import DEVICES
from fwsvd_export.solvers.table import SOLVERS

Refused = Callable[..., str]
Run = Callable[..., Result]

COMPRESS = ("compress", "model", "out")
BENCH = ("bench", "model", "small")


@pytest.mark.parametrize(
    ("command", "option", "given", "allowed", "nearest"),
    [
        (COMPRESS, "--method", "kfax", ["svd", "fwsvd", "anderson", "kfac"], "kfac"),
        (COMPRESS, "--method", "KFAC", ["svd", "kfac"], "kfac"),
        (COMPRESS, "--task", "sst-2", ["sst2", "cola", "text"], "sst2"),
        (COMPRESS, "--labels", "sample", ["data", "sampled"], "sampled"),
        (COMPRESS, "--allocate", "gredy", ["greedy", "uniform"], "greedy"),
        (COMPRESS, "--cost", "flop", ["params", "flops", "latency"], "flops"),
        (COMPRESS, "--fisher-axis", "out", ["input", "output"], "output"),
        (COMPRESS, "--dtype", "float", ["auto", "float32", "float16", "bfloat16"], "float"),
        (COMPRESS, "--device", "cudo", ["auto", "cpu", "cuda", "cuda:N"], "cuda"),
        (("fisher", "model", "-o", "file"), "--collect", "rows", ["kfac", "row", "element"], "row"),
        (("fisher", "model", "-o", "file"), "--collect", "kfac,elements", ["kfac", "row", "element"], "element"),
        (("evaluate", "model"), "--runtime", "onnx", ["torch", "onnxruntime", "onnxruntime-int8"], "onnxruntime"),
        (BENCH, "--runtime", "torch,onnxruntim", ["torch", "onnxruntime", "onnxruntime-int8"], "onnxruntime"),
        (("onnx", "model"), "--opset", "170", ["17", "18", "19", "20"], "17"),
    ],
)
def test_a_misspelt_value_is_wrong_usage_and_its_nearest_neighbour_is_named(
    command: tuple[str, ...], option: str, given: str, allowed: list[str], nearest: str, refused: Refused
) -> None:
    sentence = refused(*command, option, given, code=2)
    assert option in sentence
    assert given.rsplit(",", 1)[-1] in sentence
    before, question, near = sentence.partition("; did you mean ")
    assert all(value in before for value in allowed)
    assert question
    assert near.startswith(nearest)


def test_a_value_that_is_near_to_nothing_gets_the_list_alone(refused: Refused) -> None:
    sentence = refused(*COMPRESS, "--method", "z" * 100_000, code=2)
    assert "one of svd, " in sentence
    assert "did you mean" not in sentence
    assert len(sentence) < 300


@pytest.mark.parametrize("given", ["", ",", " , "])
def test_an_empty_list_is_refused(given: str, refused: Refused) -> None:
    assert "choose one or more of torch, " in refused(*BENCH, "--runtime", given, code=2)


def test_values_keep_their_type_and_lists_their_order() -> None:
    assert OneOf(range(17, 21)).convert("18", None, None) == 18
    assert SomeOf(["kfac", "row"]).convert("row, kfac,", None, None) == ("row", "kfac")
    assert SomeOf(["kfac", "row"]).convert(("row",), None, None) == ("row",)
    with pytest.raises(click.BadParameter):
        SomeOf(["kfac", "row"]).convert(("rows",), None, None)


@pytest.mark.parametrize("name", ["auto", "cpu", "cuda", "cuda:0", "cuda:12"])
def test_names_of_devices_pass_without_a_look_at_the_machine(name: str) -> None:
    assert Device().convert(name, None, None) == name


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("compress --method a", ["anderson", "als", "activation"]),
        ("compress --task mn", ["mnli"]),
        ("compress --device c", ["cpu", "cuda"]),
        ("compress --allocate ", ["greedy", "uniform"]),
        ("compress --labels s", ["sampled"]),
        ("compress --dtype b", ["bfloat16"]),
        ("onnx --opset 1", ["17", "18", "19"]),
        ("fisher --collect ", ["kfac", "row", "element"]),
        ("fisher --collect kfac,", ["kfac,row", "kfac,element"]),
        (
            "bench --runtime torch,onnxruntime,o",
            [
                f"torch,onnxruntime,{name}"
                for name in ("onnxruntime-int8", "openvino", "openvino-bf16", "openvino-int8")
            ],
        ),
        ("comp", ["compress"]),
    ],
)
def test_shells_complete_values(words: str, found: list[str]) -> None:
    typed = f"fwsvd-export {words}"
    environment = {
        "_FWSVD_EXPORT_COMPLETE": "zsh_complete",  # bash's answers the same, after asking which bash it is
        "COMP_WORDS": typed,
        "COMP_CWORD": str(len(typed.split()) - (not typed.endswith(" "))),
    }
    result = CliRunner().invoke(group, prog_name="fwsvd-export", env=environment)
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[1::3] == found


def test_the_nearest_word_is_found_in_any_case() -> None:
    assert did_you_mean(" Compres", ["compress", "card"]) == "; did you mean compress?"
    assert did_you_mean("squeeze", ["compress", "card"]) == ""


def test_every_table_is_complete() -> None:
    @method_options
    def made_up() -> None:
        """Nothing."""

    types = {parameter.name: parameter.type for parameter in made_up.__click_params__}  # type: ignore[attr-defined]
    assert list(types["method"].values) == list(SOLVERS)
    assert "mps" not in DEVICES


def test_wrong_usage_is_answered_without_torch(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom fwsvd_export.cli import main\n"
        f"sys.argv = ['fwsvd-export', 'compress', 'model', {str(tmp_path / 'out')!r}, '--method', 'kfax']\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert end.code == 2\n"
        "assert not {'torch', 'transformers', 'numpy'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "did you mean kfac?" in done.stderr
