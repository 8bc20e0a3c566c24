"""Question answering through the public commands: a small model that has learnt to, on nested and flat data."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import Result
from transformers import AutoModelForQuestionAnswering, AutoTokenizer, BertJapaneseTokenizer

import fwsvd_export as fe
from fwsvd_export.architectures.registry import encoder_of
from fwsvd_export.data.encode import load_batches
from fwsvd_export.data.request import DataRequest
from fwsvd_export.data.tasks import TASKS
from fwsvd_export.evaluation.answers import Answers
from fwsvd_export.evaluation.forward import Forward
from fwsvd_export.fisher.files import load_statistics
from fwsvd_export.training.settings import TrainingSettings
from fwsvd_export.training.train import train as train_in_place
from tests.conftest import save_tokenizer, write_jsonl
from tests.data.asked import flat, nested, write_json
from tests.data.sentences import Rows
from tests.helpers import SPECIAL, WORDS, tiny_head

Run = Callable[..., Result]
Succeed = Callable[..., str]
Refused = Callable[..., str]

THINGS = ["film", "movie", "plot", "cast"]  # what is asked for; the other words are what it hides among
OTHERS = ["a", "the", "good", "great", "fine", "bad", "poor", "dull", "is", "was", "very", "not", "and", "but", "never"]
WINDOWS = ["--max-length", 24, "--doc-stride", 8]  # of contexts of up to 40 words


def asked(count: int, seed: int, *, without: int = 0) -> Rows:
    """Questions for the one thing in a context, spelt and set off differently; one in ``without`` has no answer."""
    generator = torch.Generator().manual_seed(seed)

    def draw(limit: int) -> int:
        return int(torch.randint(limit, (1,), generator=generator))

    rows = []
    for number in range(count):
        words = [OTHERS[draw(len(OTHERS))] for _ in range(3 + draw(38))]
        thing = [str.lower, str.title, str.upper][draw(3)](THINGS[draw(4)])
        missing = without and number % without == 0
        if not missing:
            words.insert(draw(len(words) + 1), thing)
        context = " ".join(words) + "."
        rows.append(
            flat("is the movie good?"[draw(2) :].strip(), context, *([] if missing else [thing]), id=str(number))
        )
    return rows


@pytest.fixture(scope="module")
def answering(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model that was trained on such questions, with its tokenizer. Do not write into it."""
    folder = tmp_path_factory.mktemp("models") / "answering"
    model = tiny_head("BertForQuestionAnswering", initializer_range=0.1)
    save_tokenizer(folder)
    file = write_jsonl(tmp_path_factory.mktemp("data") / "teach.jsonl", asked(160, seed=1))
    data = DataRequest(TASKS["squad"], file, max_length=24)
    batches = load_batches(data, AutoTokenizer.from_pretrained(folder), encoder_of(model))
    settings, values = TrainingSettings(epochs=3, learning_rate=3e-3, embeddings="train", evaluations=1), iter((0, 1))
    train_in_place(model, batches, settings, score=lambda trained: next(values))
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def train(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_jsonl(tmp_path_factory.mktemp("data") / "train.jsonl", asked(120, seed=3))


@pytest.fixture(scope="module")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """In the published form."""
    return write_json(tmp_path_factory.mktemp("data") / "dev.json", nested(asked(60, seed=4)))


def evaluated(succeed: Succeed, model: Path, file: Path, *options: object) -> dict[str, Any]:
    answer = succeed("evaluate", model, "--task", "squad", "--data", file, *options, "--json")
    found: dict[str, Any] = json.loads(answer)
    return found


def reference(model: Path, rows: Rows, max_length: int, stride: int) -> tuple[float, float]:
    """Exact match and F1 of one-word answers, from windows that are cut, run and searched one by one."""
    tokenizer, trained = AutoTokenizer.from_pretrained(model), fe.load(model)
    exact, f1 = [], []
    for row in rows:
        question = tokenizer(row["question"], add_special_tokens=False)["input_ids"]
        context = tokenizer(row["context"], add_special_tokens=False, return_offsets_mapping=True)
        room, start, best = max_length - len(question) - 3, 0, (-1e9, "")
        none = 1e9
        while True:
            ids = context["input_ids"][start : start + room]
            head = [tokenizer.cls_token_id, *question, tokenizer.sep_token_id]
            types = [0] * len(head) + [1] * (len(ids) + 1)
            with torch.no_grad():
                outputs = trained(
                    input_ids=torch.tensor([[*head, *ids, tokenizer.sep_token_id]]),
                    token_type_ids=torch.tensor([types]),
                )
            starts, ends = outputs.start_logits[0].tolist(), outputs.end_logits[0].tolist()
            none = min(none, starts[0] + ends[0])
            for first in range(len(ids)):
                for last in range(first, min(first + 30, len(ids))):
                    score = starts[len(head) + first] + ends[len(head) + last]
                    places = context["offset_mapping"]
                    text = row["context"][places[start + first][0] : places[start + last][1]]
                    best = max(best, (score, text))
            if start + room >= len(context["input_ids"]):
                break
            start += room - stride
        said = best[1]
        if any(not other["answers"]["text"] for other in rows) and none > best[0]:
            said = ""
        words = [word for word in said.lower().replace(".", "").split() if word not in ("a", "the")]
        right = [answer.lower() for answer in row["answers"]["text"]]
        exact.append(float(words == right))
        hit = float(bool(right) and right[0] in words)
        f1.append(2 * hit / (len(words) + 1) if right else float(not words))
    return sum(exact) / len(rows), sum(f1) / len(rows)


@pytest.fixture(scope="module")
def untaught(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with random weights, which hardly ever answers right. Do not write into it."""
    folder = tmp_path_factory.mktemp("models") / "untaught"
    tiny_head("BertForQuestionAnswering").save_pretrained(folder)
    save_tokenizer(folder)
    return folder


@pytest.fixture(scope="module")
def small(run: Run, answering: Path, train: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model, compressed on the questions. Do not write into it."""
    out = tmp_path_factory.mktemp("compressed") / "small"
    result = run("compress", answering, out, "--task", "squad", "--data", train, *WINDOWS, "--ratio", 0.3)
    assert result.exit_code == 0, result.output
    return out


@pytest.mark.parametrize("without", [0, 3])
def test_metrics_are_those_of_windows_run_one_by_one(
    without: int, answering: Path, untaught: Path, succeed: Succeed, write_rows: Callable[[Rows], Path]
) -> None:
    rows = asked(40, seed=7, without=without)
    good, bad = (evaluated(succeed, model, write_rows(rows), *WINDOWS) for model in (answering, untaught))
    assert (good["task"], good["metric"], good["examples"]) == ("squad", "f1", 40)
    assert good["value"] > 0.9 > bad["value"] > 0
    for model, found in ((answering, good), (untaught, bad)):
        exact, f1 = reference(model, rows, 24, 8)
        assert (found["exact_match"], found["value"]) == (pytest.approx(exact), pytest.approx(f1))
        assert ("no_answer_f1" in found) == bool(without)


def test_nested_and_flat_data_in_batches_of_any_size_give_the_same(
    dev: Path, untaught: Path, succeed: Succeed, write_rows: Callable[[Rows], Path]
) -> None:
    published = evaluated(succeed, untaught, dev, *WINDOWS)
    flattened = evaluated(succeed, untaught, write_rows(asked(60, seed=4)), *WINDOWS, "--batch-size", 3)
    assert [published[name] for name in ("value", "beside", "examples")] == [
        flattened[name] for name in ("value", "beside", "examples")
    ]


def test_answers_are_those_of_transformers_pipeline(answering: Path) -> None:
    pipelines = pytest.importorskip("transformers.pipelines.question_answering", reason="transformers 5 has it no more")
    tokenizer, model = AutoTokenizer.from_pretrained(answering), fe.load(answering)
    pipeline = pipelines.QuestionAnsweringPipeline(model=model, tokenizer=tokenizer, framework="pt")
    rows = asked(30, seed=8)
    file = write_jsonl(answering.parent / "piped.jsonl", rows)
    request = DataRequest(TASKS["squad"], file, max_length=24, doc_stride=8)
    answers, forward = Answers(), Forward(model, TASKS["squad"])
    for batch in load_batches(request, tokenizer, encoder_of(model)):
        answers.add(batch, *forward(batch))
    said = answers.texts()
    for number, row in enumerate(rows):
        asked_for = {"question": row["question"], "context": row["context"]}
        found = pipeline(**asked_for, max_seq_len=24, doc_stride=8, max_answer_len=30, align_to_words=False)
        assert said[number] == found["answer"]


def test_statistics_count_windows_and_do_not_depend_on_batches_or_shards(
    answering: Path, train: Path, succeed: Succeed, tmp_path: Path
) -> None:
    words = ["fisher", answering, "--task", "squad", "--data", train, *WINDOWS, "--max-samples", 24]
    for name, more in {
        "all": [],
        "single": ["--batch-size", 1],
        "first": ["--shard", "1/2"],
        "second": ["--shard", "2/2"],
        "sampled": ["--labels", "sampled"],
        "sampled-single": ["--labels", "sampled", "--batch-size", 1],
    }.items():
        succeed(*words, *more, "-o", tmp_path / f"{name}.safetensors")
    parts = [tmp_path / f"{name}.safetensors" for name in ("first", "second")]
    succeed("fisher", "--merge", *parts, "-o", tmp_path / "merged.safetensors")
    found = {file.stem: load_statistics(file) for file in tmp_path.glob("*.safetensors")}
    assert found["all"].examples > 24, "long contexts are several windows"
    for other, one in (("single", "all"), ("merged", "all"), ("sampled-single", "sampled")):
        assert (found[other].examples, found[other].tokens) == (found[one].examples, found[one].tokens)
        for layer, sums in found[one].layers.items():
            for name in ("input_gram", "gradient_gram", "row_input", "row_output"):
                mine, its = getattr(found[other].layers[layer], name), getattr(sums, name)
                torch.testing.assert_close(mine, its, rtol=1e-3, atol=1e-3 * float(its.abs().max()))


def test_a_small_model_still_answers_and_a_statistics_file_does_as_data_does(
    answering: Path, small: Path, untaught: Path, train: Path, dev: Path, succeed: Succeed, tmp_path: Path
) -> None:
    data = ["--task", "squad", "--data", train, *WINDOWS]
    succeed("fisher", answering, *data, "-o", tmp_path / "fisher.safetensors")
    table = succeed(
        "compress", answering, tmp_path / "file", "--fisher", tmp_path / "fisher.safetensors", "--ratio", 0.3
    )
    assert "sequences in the statistics file" in table, "layers are reconstructed on the windows"
    weights = [(folder / "model.safetensors").read_bytes() for folder in (tmp_path / "file", small)]
    assert weights[0] == weights[1]
    values = [evaluated(succeed, model, dev, *WINDOWS)["value"] for model in (answering, small, untaught)]
    assert values[0] >= values[1] > 0.9 > values[2]
    model = AutoModelForQuestionAnswering.from_pretrained(small, trust_remote_code=True)
    assert type(model).__name__ == "LowRankBertForQuestionAnswering"


def test_an_accuracy_target_is_measured_on_questions_about_other_contexts(
    answering: Path, run: Run, write_rows: Callable[[Rows], Path], tmp_path: Path
) -> None:
    rows = asked(60, seed=9)
    twice = [{**row, "question": question} for row in rows for question in ("is the movie good?", "the movie")]
    data = ["--task", "squad", "--data", write_rows(twice), *WINDOWS, "--max-drop", 0.2]
    result = run("compress", answering, tmp_path / "small", *data)
    assert result.exit_code == 0, result.output
    gate = json.loads((tmp_path / "small" / "compression.json").read_text())["gate"]
    assert (gate["metric"], gate["validation_examples"], gate["kept"]) == ("f1", 24, True)
    assert "24 examples of rows.jsonl" in result.stdout


def test_the_one_context_cannot_be_held_out(
    answering: Path, refused: Refused, write_rows: Callable[[Rows], Path], tmp_path: Path
) -> None:
    rows = [flat(question, "a good film.", "film") for question in ("a", "the", "is")]
    data = ["--task", "squad", "--data", write_rows(rows), "--max-drop", 0.2]
    assert refused("compress", answering, tmp_path / "small", *data) == (
        "Error: rows.jsonl has no context that calibration leaves for validation; give other data with --validation, "
        "or lower --max-samples"
    )


def test_onnx_runtimes_answer_alike_and_int8_keeps_its_target(
    answering: Path, dev: Path, succeed: Succeed, tmp_path: Path
) -> None:
    data = ["--task", "squad", "--data", dev, *WINDOWS]
    words = ["--int8", *data, "--max-drop", 0.1, "-o", tmp_path, "--json"]
    int8 = json.loads(succeed("onnx", answering, *words))["int8"]
    assert (int8["task"], int8["metric"], int8["examples"], int8["kept"]) == ("squad", "f1", 60, True)
    torch_value = evaluated(succeed, answering, dev, *WINDOWS)["value"]
    assert int8["float_value"] == pytest.approx(torch_value)
    assert int8["value"] >= torch_value - 0.1
    for runtime, expected in (("onnxruntime", torch_value), ("onnxruntime-int8", int8["value"])):
        found = evaluated(succeed, answering, dev, *WINDOWS, "--runtime", runtime, "--onnx", tmp_path)
        assert (found["value"], found["metric"]) == (pytest.approx(expected), "f1")


def test_refinement_reads_windows(answering: Path, train: Path, tmp_path: Path, succeed: Succeed) -> None:
    words = ("--task", "squad", "--data", train, *WINDOWS, "--ratio", 0.3, "--refine", "model", "--refine-minutes", 0.1)
    record = json.loads(succeed("compress", answering, tmp_path / "out", *words, "--json"))
    assert record["refinement"]["best"] <= record["refinement"]["start"]


def test_bench_and_card_carry_both_metrics(
    answering: Path, small: Path, dev: Path, succeed: Succeed, tmp_path: Path
) -> None:
    copied = tmp_path / "small"
    shutil.copytree(small, copied)
    data = ["--task", "squad", "--data", dev, *WINDOWS]
    speed = ["--runtime", "torch,onnxruntime", "--threads", 1, "--rounds", 1, "--batch-sizes", 1, "--lengths", 8]
    succeed("bench", answering, copied, *data, *speed, "--throughput", 8, "-o", tmp_path / "bench")
    dense, other = json.loads((tmp_path / "bench" / "results.json").read_text())["models"]
    assert (dense["metric"], dense["examples"]) == ("f1", 60)
    assert dense["value"] == evaluated(succeed, answering, dev, *WINDOWS)["value"]
    assert other["runtimes"]["onnxruntime"]["value"] == pytest.approx(other["value"])
    assert set(other["runtimes"]["torch"]["beside"]) == {"exact_match"}
    assert other["runtimes"]["onnxruntime"]["throughput"]["sequences"] == 8
    succeed("card", copied, "--results", tmp_path / "bench" / "results.json")
    card = (copied / "README.md").read_text()
    assert "exact_match" in card
    assert "pipeline_tag: question-answering" in card
    assert "type: f1" in card


@pytest.mark.parametrize("command", ["evaluate", "fisher", "compress", "onnx", "bench"])
def test_a_model_with_another_head_is_refused_before_the_work(
    command: str, tiny_folder: Path, answering: Path, dev: Path, data_file: Path, refused: Refused, tmp_path: Path
) -> None:
    more: list[object] = {
        "fisher": ["-o", tmp_path / "fisher.safetensors"],
        "compress": [tmp_path / "small", "--ratio", 0.5],
        "onnx": ["--int8", "-o", tmp_path],
        "bench": ["--lengths", 8],
    }.get(command, [])
    assert refused(command, tiny_folder, *more, "--task", "squad", "--data", dev) == (
        "Error: task squad has texts of the context and where they begin, or none, and this model "
        "(BertForSequenceClassification with 2 outputs) does not predict that; choose one of sst2, cola, mrpc, rte, "
        "qnli, qqp, mnli, classification, multilabel"
    )
    assert refused(command, answering, *more, "--task", "sst2", "--data", data_file) == (
        "Error: task sst2 has one class, as a number or a name, and this model (BertForQuestionAnswering) does not "
        "predict that; choose one of squad"
    )


def test_a_bare_encoder_has_statistics_of_questions_and_no_metric(
    dev: Path, succeed: Succeed, refused: Refused, tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    folder = tmp_path_factory.mktemp("models") / "bare"
    tiny_head("BertModel").save_pretrained(folder)
    save_tokenizer(folder)
    assert "does not predict that" in refused("evaluate", folder, "--task", "squad", "--data", dev)
    file = tmp_path / "fisher.safetensors"
    succeed("fisher", folder, "--task", "squad", "--data", dev, *WINDOWS, "-o", file)
    assert load_statistics(file).source.labels == "sampled"


def test_a_tokenizer_written_in_python_is_refused_in_one_sentence(
    answering: Path, dev: Path, refused: Refused, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("models") / "slow"
    folder.mkdir()
    for name in ("config.json", "model.safetensors"):
        shutil.copy(answering / name, folder)
    vocabulary = folder / "vocab.txt"
    vocabulary.write_text("\n".join([*SPECIAL, *WORDS]) + "\n")
    settings = {"word_tokenizer_type": "basic", "subword_tokenizer_type": "wordpiece"}
    BertJapaneseTokenizer(str(vocabulary), **settings).save_pretrained(folder)
    assert refused("evaluate", folder, "--task", "squad", "--data", dev) == (
        "Error: the model's tokenizer is a BertJapaneseTokenizer, which does not say where in a text its tokens stand, "
        "as task squad needs; use a model with a tokenizer of the tokenizers library (tokenizer.json)"
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--doc-stride", -1], "doc_stride -1: a whole number of at least 0 is allowed"),
        (["--doc-stride", 22], "which leaves a window of 24 room for"),
        (
            ["--text-pair-column", "passage"],
            "dev.json has no column 'passage'; it has id, context, question, answers, ",
        ),
        (["--label-names", "a,b"], "and no classes that names could be given to; leave --label-map and --label-names"),
    ],
)
def test_options_that_do_not_fit_are_refused(
    words: list[object], message: str, answering: Path, dev: Path, refused: Refused
) -> None:
    sentence = refused("evaluate", answering, "--task", "squad", "--data", dev, "--max-length", 24, *words)
    assert message in sentence


def test_a_stride_of_windows_is_refused_for_other_tasks(tiny_folder: Path, data_file: Path, refused: Refused) -> None:
    assert refused("evaluate", tiny_folder, "--task", "sst2", "--data", data_file, "--doc-stride", 8) == (
        "Error: doc_stride is how far windows of a long context overlap in question answering (task squad), and task "
        "sst2 has no windows: leave --doc-stride out"
    )


def test_an_answer_that_does_not_stand_there_is_named_with_what_does(
    answering: Path, refused: Refused, write_rows: Callable[[Rows], Path]
) -> None:
    rows = asked(9, seed=4)
    rows[6] = {**flat("film", "a good film.", "film", id="odd"), "answers": {"text": ["film"], "answer_start": [2]}}
    assert refused("evaluate", answering, "--task", "squad", "--data", write_rows(rows)) == (
        "Error: rows.jsonl, row 7 (id 'odd'): answer 'film' begins at character 2 of the context, where 'good' stands "
        "(answer_start counts from 0); correct it, or leave such rows out with --on-bad-row skip"
    )


def test_answers_cut_by_every_window_are_hinted_at(
    answering: Path, run: Run, write_rows: Callable[[Rows], Path]
) -> None:
    words = ["good"] * 15 + ["film"] * 10 + ["bad"] * 10
    rows = [flat("film", " ".join(words), " ".join(["film"] * 10))]
    data = ["--task", "squad", "--data", write_rows(rows), "--max-length", 16, "--doc-stride", 2, "--json"]
    result = run("evaluate", answering, *data)
    assert result.exit_code == 0, result.output
    assert (
        "1 of 1 answers are whole in no window, so that no window has them for its label: windows share 2 tokens, "
        "raise --doc-stride or --max-length\n"
    ) in result.stderr
    assert json.loads(result.stdout)["examples"] == 1
