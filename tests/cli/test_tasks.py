"""tasks: the presets that --task takes."""

from __future__ import annotations

import json
from collections.abc import Callable

from fwsvd_export.data.tasks import TASKS

Succeed = Callable[..., str]


def test_json_holds_columns_labels_and_metric_of_every_preset(succeed: Succeed) -> None:
    rows = {row["name"]: row for row in json.loads(succeed("tasks", "--json"))["tasks"]}
    assert list(rows) == list(TASKS)
    assert rows["mnli"] == {
        "name": "mnli",
        "text": "premise",
        "text_pair": "hypothesis",
        "label": "label",
        "labels": "class",
        "metric": "accuracy",
    }
    assert (rows["text"]["label"], rows["text"]["metric"]) == (None, None)


def test_the_table_shows_what_each_preset_reads(succeed: Succeed) -> None:
    lines = succeed("tasks").splitlines()
    for name, words in {
        "stsb": ["sentence1, sentence2", "label", "one number", "pearson_spearman_mean"],
        "ner": ["tokens", "ner_tags", "one class per word", "entity_f1"],
        "squad": ["question, context", "answers", "texts of the context and where they begin, or none", "f1"],
        "text": ["text", "none"],
        "embedding": ["text", "none", "mean_cosine"],
        "retrieval": ["text", "none", "ndcg_at_10"],
        "sts": ["sentence1, sentence2", "one number, how similar the two texts are", "cosine_spearman"],
    }.items():
        (line,) = [line for line in lines if f"│ {name} " in line]
        assert all(word in line for word in words)
    assert all(any(f"│ {name} " in line for line in lines) for name in TASKS)
