r"""An embedding model at several sizes, distilled or not: what is left of pairs, of a search, of agreement.

    python scripts/measure_embeddings.py --model MODEL --data DATA --work FOLDER [--ratios 0.5,0.25] [--taught 0.25]

MODEL is a sentence-transformers folder. DATA holds stsb (sentences of train.jsonl, whose labels are not read, and
test.jsonl), cranfield (corpus.jsonl, queries.jsonl, qrels.tsv) and the train.jsonl of snips, banking77, cola and sst2.
Every size is one ``fwsvd-export compress``, calibrated on sentences of stsb, or on documents of cranfield and as many
of their sentences; sizes of --taught are also trained by ``finetune --teacher``, without labels: on 60,000 sentences of
all tasks, or on the documents of cranfield and their sentences. Each is measured against MODEL by ``evaluate``. Texts
and models go into FOLDER, and what is there is not made again. Writes embedding_models.json and embedding_models.md
into -o, beside the rows that are there of other sizes, and prints one JSON object last.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fwsvd_export.storage.json_files import write_json

NAME = "embedding_models"
SENTENCES = 60_000  # to distil on
SENTENCES_BESIDE = 1400  # the documents that a model for search is calibrated on
LONG_PHRASE = 9  # words; most rows of sst2 are parts of sentences
SENTENCE = re.compile(r"(?<=[a-z0-9)])\s*\.\s+")
FEWEST_WORDS = 5  # of what is taken for a sentence


@dataclass(frozen=True)
class Subject:
    """What a model is for.

    Attributes:
        name: in the table.
        rows: of text that a model is calibrated on.
        texts: the file of them, in the work folder.
        taught_on: the file of all text that it is distilled on.
        length: tokens of a text at most.
        batch_size: of the distillation.
        epochs: likewise.
    """

    name: str
    rows: int
    texts: str
    taught_on: str
    length: int
    batch_size: int
    epochs: dict[str, int]

    def compress(self, arguments: argparse.Namespace, out: Path, ratio: str) -> list[str]:
        """The command that makes one size."""
        data = ["--task", "embedding", "--data", str(arguments.work / self.texts), "--max-samples", str(self.rows)]
        return ["compress", str(arguments.model), str(out), *data, "--max-length", str(self.length), "--ratio", ratio]

    def teach(self, arguments: argparse.Namespace, small: Path, out: Path, ratio: str) -> list[str]:
        """The command that distils it."""
        data = ["--task", "embedding", "--data", str(arguments.work / self.taught_on), "--max-length", str(self.length)]
        how = ["--lr", "5e-4", "--batch-size", str(self.batch_size), "--epochs", str(self.epochs[ratio])]
        words = ["finetune", str(small), str(out), "--teacher", str(arguments.model)]
        return [*words, *data, *how, "--evaluations", "4"]

    def measure(self, arguments: argparse.Namespace) -> dict[str, list[str]]:
        """What is measured -> the task and data of ``evaluate``."""
        pairs, search = arguments.data / "stsb" / "test.jsonl", arguments.data / "cranfield"
        if self.name == "search":
            files = [word for name in ("queries", "corpus") for word in (f"--{name}", str(search / f"{name}.jsonl"))]
            length = ["--max-length", str(self.length)]
            return {"nDCG@10": ["--task", "retrieval", *files, "--qrels", str(search / "qrels.tsv"), *length]}
        texts = ["--task", "embedding", "--text-column", "sentence1", "--data", str(pairs)]
        return {
            "cosine Spearman": ["--task", "sts", "--batch-size", "32", "--data", str(pairs)],
            "mean cosine with dense": texts,
        }


SUBJECTS = (
    Subject("pairs", 2048, "stsb.jsonl", "pool.jsonl", 128, 32, {"0.5": 1, "0.25": 2, "0.1": 4}),
    Subject("search", 2800, "mixed.jsonl", "documents_and_sentences.jsonl", 256, 16, {"0.5": 2, "0.25": 4, "0.1": 4}),
)


def main() -> None:
    """Makes what is missing and writes what there is."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("--model", "--data", "--work"):
        parser.add_argument(name, type=Path, required=True)
    parser.add_argument("--ratios", default="0.5,0.25,0.1")
    parser.add_argument("--taught", default="0.25,0.1", help="Sizes that are also distilled.")
    parser.add_argument("--subjects", default=",".join(subject.name for subject in SUBJECTS))
    parser.add_argument("-o", "--output", type=Path, default=Path(__file__).parent.parent / "docs" / "results")
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    write_texts(arguments.data, arguments.work)
    place = arguments.output / f"{NAME}.json"
    rows: list[dict[str, Any]] = json.loads(place.read_text(encoding="utf-8"))["rows"] if place.is_file() else []
    for subject in SUBJECTS:
        if subject.name in arguments.subjects.split(","):
            for row in rows_of(subject, arguments):
                rows = sorted([row, *(other for other in rows if key_of(other) != key_of(row))], key=key_of)
                write_json(place, {"model": arguments.model.name, "rows": rows})
                (arguments.output / f"{NAME}.md").write_text(table(rows), encoding="utf-8")
    print(json.dumps({"model": arguments.model.name, "rows": rows}))


def key_of(row: dict[str, Any]) -> tuple[str, float, bool]:
    """What tells rows apart, in the order of the table."""
    return row["subject"], -row["ratio"], row["taught"] is not None


def write_texts(data: Path, work: Path) -> None:
    """The texts of both subjects, one file each for calibration and distillation, in an order of their own."""
    pairs = [text for row in rows_in(data / "stsb" / "train.jsonl") for text in (row["sentence1"], row["sentence2"])]
    sentences = list(dict.fromkeys(pairs))
    others = [" ".join(row["tokens"]) for row in rows_in(data / "snips" / "train.jsonl")]
    others += [row["text"] for row in rows_in(data / "banking77" / "train.jsonl")]
    others += [row["sentence"] for row in rows_in(data / "cola" / "train.jsonl")]
    others = list(dict.fromkeys(others))
    phrases = [row["sentence"] for row in rows_in(data / "sst2" / "train.jsonl")]
    phrases = shuffled(text for text in phrases if len(text.split()) >= LONG_PHRASE)
    write(work / "stsb.jsonl", shuffled(sentences))
    write(work / "pool.jsonl", shuffled([*sentences, *others, *phrases[: SENTENCES - len(sentences) - len(others)]]))
    corpus = [f"{row['title']} {row['text']}".strip() for row in rows_in(data / "cranfield" / "corpus.jsonl")]
    documents = [text for text in corpus if text]
    parts = [part.strip() for text in documents for part in SENTENCE.split(text) if len(part.split()) >= FEWEST_WORDS]
    both = shuffled([*documents, *dict.fromkeys(parts)])
    write(work / "documents_and_sentences.jsonl", both)
    # Queries are as short as a sentence: calibrated on documents alone, a model would know long texts only
    order, whole = random.Random(0), set(documents)
    sentences_beside = [text for text in both if text not in whole]
    order.shuffle(sentences_beside)
    mixed = [*documents, *sentences_beside[:SENTENCES_BESIDE]]
    order.shuffle(mixed)
    write(work / "mixed.jsonl", mixed)


def rows_in(file: Path) -> Iterator[dict[str, Any]]:
    """The rows of JSON lines."""
    with file.open(encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def shuffled(texts: Iterable[str]) -> list[str]:
    """In an order that is always the same."""
    found = list(texts)
    random.Random(0).shuffle(found)
    return found


def write(file: Path, texts: Iterable[str]) -> None:
    """JSON lines with a column of text."""
    file.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), encoding="utf-8")


def rows_of(subject: Subject, arguments: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """One row per size, and one more where it is distilled."""
    for ratio in arguments.ratios.split(","):
        small = arguments.work / f"{subject.name}-{ratio}"
        taught = small.with_name(f"{small.name}-taught")
        if not small.is_dir():
            run(subject.compress(arguments, small, ratio))
        yield row_of(subject, arguments, small, ratio, None)
        if ratio in arguments.taught.split(","):
            if not taught.is_dir():
                run(subject.teach(arguments, small, taught, ratio))
            record = json.loads((taught / "training.json").read_text(encoding="utf-8"))
            facts = {"texts": record["examples"], "epochs": record["settings"]["epochs"], "seconds": record["seconds"]}
            yield row_of(subject, arguments, taught, ratio, facts)


def row_of(
    subject: Subject, arguments: argparse.Namespace, folder: Path, ratio: str, taught: dict[str, Any] | None
) -> dict[str, Any]:
    """Every metric of one model, with its difference from the dense one."""
    found = {}
    for name, words in subject.measure(arguments).items():
        answer = run(["evaluate", str(folder), "--against", str(arguments.model), *words, "--json"])
        evaluation = json.loads(answer)
        # Which model it is compared with is told by its digest; where it lay is nobody's business
        evaluation["difference"]["against"] = arguments.model.resolve().name
        found[name] = {field: evaluation[field] for field in ("value", "examples", "beside", "difference")}
    return {"subject": subject.name, "ratio": float(ratio), "taught": taught, "metrics": found}


def run(words: Sequence[str]) -> str:
    """What one command prints; raises where it fails."""
    command = [sys.executable, "-m", "fwsvd_export", "-q", *words]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def table(rows: Sequence[dict[str, Any]]) -> str:
    """One line per model: value, share of the dense model's and interval of the difference."""
    lines = []
    for name in dict.fromkeys(row["subject"] for row in rows):
        mine = [row for row in rows if row["subject"] == name]
        metrics = list(mine[0]["metrics"])
        lines += [
            f"| {name}: linear weights kept | distilled | {' | '.join(metrics)} |",
            "|---" * (2 + len(metrics)) + "|",
        ]
        for row in mine:
            taught = row["taught"]
            how = "no" if taught is None else f"{taught['epochs']:g} x {taught['texts']:,} texts"
            cells = [cell(row["metrics"][metric]) for metric in metrics]
            lines.append(f"| {100 * row['ratio']:g} % | {how} | {' | '.join(cells)} |")
        lines.append("")
    return "\n".join(lines)


def cell(found: dict[str, Any]) -> str:
    """A value, what share of the dense model's it is, and the interval of the difference."""
    difference = found["difference"]
    share, ends = 100 * found["value"] / difference["dense"], (difference["low"], difference["high"])
    return f"{found['value']:.4f}, {share:.1f} % [{ends[0]:+.3f}, {ends[1]:+.3f}]"


if __name__ == "__main__":
    main()
