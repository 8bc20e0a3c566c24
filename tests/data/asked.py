"""Questions about contexts, nested as SQuAD is published and flat as the Hub has it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from fwsvd_export.architectures.registry import encoder_of
from tests.data.sentences import Rows
from tests.helpers import tiny_head

CONTEXT = "The great film was never dull, and the cast is very fine."
QA_ENCODER = encoder_of(tiny_head("BertForQuestionAnswering"))


def flat(question: str, context: str, *answers: str, **others: Any) -> dict[str, Any]:
    """A row whose answers begin where they first stand in the context."""
    starts = [context.index(answer) for answer in answers]
    return {"question": question, "context": context, "answers": {"text": [*answers], "answer_start": starts}, **others}


def nested(rows: Rows) -> dict[str, Any]:
    """The same rows in the published form: an article per row."""
    articles = []
    for row in rows:
        answers = [
            {"text": text, "answer_start": start}
            for text, start in zip(row["answers"]["text"], row["answers"]["answer_start"], strict=True)
        ]
        others = {name: value for name, value in row.items() if name not in ("context", "answers")}
        articles.append(
            {"title": "T", "paragraphs": [{"context": row["context"], "qas": [{**others, "answers": answers}]}]}
        )
    return {"version": "v2.0", "data": articles}


def write_json(path: Path, value: Any, indent: int | None = None) -> Path:
    """One JSON value as a file."""
    path.write_text(json.dumps(value, indent=indent), encoding="utf-8")
    return path


ASKED: Rows = [
    flat("Which film?", CONTEXT, "great film", "The great film", id="a"),
    flat("Was the plot poor?", CONTEXT, id="b"),
    flat("How is the cast?", "The cast is very fine.", "very fine", id="c"),
]
