"""docs/adapters.md to the letter: LoRA over a compressed model of every family, saved alone, used again, and merged."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner, Result
from safetensors import safe_open

from fwsvd_export.checkpoints.load import load_checkpoint
from fwsvd_export.cli import group

PAGE = (Path(__file__).parents[1] / "docs" / "adapters.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", PAGE, flags=re.DOTALL | re.MULTILINE)
FIRST = 'target_modules=["up", "down"]'
OTHERS = ['target_modules="all-linear"', 'exclude_modules=["pre_classifier"]']  # the second where there is such a layer
TOKEN_IDS = torch.tensor([[2, 5, 7, 9, 3], [2, 24, 8, 3, 0]])


@dataclass(frozen=True)
class Followed:
    """A folder in which the page was followed, the variables that each block left, and what the commands answered."""

    folder: Path
    variables: list[dict[str, Any]]
    answers: dict[str, Result]


def command(line: str) -> Result:
    """What a line of the shell block answers; its standard output goes where the line says."""
    words, _, target = line.partition(" > ")
    result = CliRunner().invoke(group, words.split()[1:], prog_name="fwsvd-export")
    if target:
        Path(target).write_text(result.stdout, encoding="utf-8")
    return result


def name_inputs(folder: Path) -> None:
    """Lets the tokenizer of a folder make what its model takes, as the tokenizers of real models of a family do."""
    settings = folder / "tokenizer_config.json"
    inputs = load_checkpoint(str(folder)).encoder.inputs
    settings.write_text(json.dumps({**json.loads(settings.read_text()), "model_input_names": list(inputs)}))


@pytest.fixture(scope="module", params=[FIRST, ", ".join(OTHERS)], ids=["factors", "all-linear"])
def followed(
    request: pytest.FixtureRequest,
    family_folder: Path,
    make_sentences: Callable[..., list[str]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Followed:
    """The page, followed beside a compressed model of a family, with either choice of layers."""
    folder, variables, answers = tmp_path_factory.mktemp("adapted"), [], {}
    rows = [{"sentence": text, "label": place % 2} for place, text in enumerate(make_sentences(16))]
    (folder / "validation.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        made = command(f"fwsvd-export compress {family_folder} my-model-small --method svd --rank 6")
        assert made.exit_code == 0, made.output
        name_inputs(folder / "my-model-small")
        torch.manual_seed(0)
        for language, text in BLOCKS:
            if language == "python":
                variables.append({})
                exec(text.replace(FIRST, request.param), variables[-1])
            for line in text.splitlines() if language == "sh" else ():
                answers[line.split()[1]] = command(line)
    return Followed(folder, variables, answers)


def test_the_page_has_the_blocks_that_are_tested_and_names_both_choices() -> None:
    assert [language for language, _ in BLOCKS] == ["python", "python", "python", "sh"]
    assert FIRST in BLOCKS[0][1]
    assert all(f"`{choice}`" in PAGE for choice in OTHERS)


def test_the_adapter_is_saved_alone_and_changes_the_factors(followed: Followed) -> None:
    adapter = followed.folder / "my-adapter"
    assert not list(adapter.glob("*.py"))
    with safe_open(adapter / "adapter_model.safetensors", "pt") as file:
        names = list(file.keys())
    assert any(".down.lora_A" in name for name in names)
    assert any(".up.lora_B" in name for name in names)
    assert all(".lora_" in name or "classifier." in name for name in names)


def test_what_was_saved_is_what_was_trained(followed: Followed) -> None:
    trained, used = (variables["model"].eval() for variables in followed.variables[:2])
    before = load_checkpoint(str(followed.folder / "my-model-small")).model
    with torch.no_grad():
        expected = trained(input_ids=TOKEN_IDS).logits
        torch.testing.assert_close(used(input_ids=TOKEN_IDS).logits, expected)
        assert not torch.allclose(before(input_ids=TOKEN_IDS).logits, expected, atol=1e-2)


def test_the_merged_folder_is_a_compressed_model_with_the_adapters_answers(followed: Followed) -> None:
    merged = load_checkpoint(str(followed.folder / "my-model-adapted"))
    small = load_checkpoint(str(followed.folder / "my-model-small"))
    assert merged.compressed
    assert merged.model.config.low_rank == small.model.config.low_rank
    assert sum(part.numel() for part in merged.model.parameters()) == sum(p.numel() for p in small.model.parameters())
    with torch.no_grad():
        expected = followed.variables[0]["model"].eval()(input_ids=TOKEN_IDS).logits
        torch.testing.assert_close(merged.model(input_ids=TOKEN_IDS).logits, expected, rtol=1e-4, atol=1e-4)


def test_every_command_of_the_page_takes_the_merged_folder(followed: Followed) -> None:
    for name in ("inspect", "evaluate", "onnx", "card"):
        assert followed.answers[name].exit_code == 0, followed.answers[name].output
    folder = followed.folder / "my-model-adapted"
    assert "saved again with save_pretrained, with other weights" in followed.answers["inspect"].stdout
    card = (folder / "README.md").read_text()
    assert "Since then: saved again with save" in card
    assert json.loads((folder / "onnx" / "export.json").read_text())["check"]["within"]
    value = json.loads((followed.folder / "adapted.json").read_text())["value"]
    assert f"{value:.4f}" in card
