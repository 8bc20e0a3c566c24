"""The front matter of a card: what the facts say, and how it goes together with what an owner wrote."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, ClassVar

import yaml
from huggingface_hub import EvalResult, ModelCardData
from huggingface_hub.repocard import REGEX_YAML_BLOCK

from fwsvd_export.architectures.heads import head_of_auto_class
from fwsvd_export.checkpoints.sentence_modules import EMBEDDER, RERANKER
from fwsvd_export.errors import CardError, message_of
from fwsvd_export.hub.card.facts import Facts
from fwsvd_export.hub.card.markdown import one_line
from fwsvd_export.hub.card.measurements import COMPRESSED, TORCH
from fwsvd_export.storage.names import hub_data

LIBRARY, RELATION = "transformers", "quantized"  # what the Hub calls a compressed rebuild
SENTENCE_LIBRARY = "sentence-transformers"
_SENTENCE_PIPELINES = {EMBEDDER: "sentence-similarity", RERANKER: "text-ranking"}
RESULTS = "model-index"
_JOINED = ("tags", "datasets", "metrics")  # lists in which the owner's and ours stand side by side
_TRUTH_TAG = "tag:yaml.org,2002:bool"
# The Hub's names of metrics that have another here
_METRICS = {"pearson": "pearsonr", "spearman": "spearmanr", "entity_f1": "f1"}

Metadata = dict[str, Any]


class _Loader(yaml.SafeLoader):  # type: ignore[misc]  # yaml comes without types
    """Reads as the Hub does, by YAML 1.2: ``language: no`` is Norwegian and not false."""

    yaml_implicit_resolvers: ClassVar = {
        first: [(tag, form) for tag, form in resolvers if tag != _TRUTH_TAG]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


_Loader.add_implicit_resolver(_TRUTH_TAG, re.compile(r"(?:true|True|TRUE|false|False|FALSE)\Z"), list("tTfF"))


def metadata_of(facts: Facts) -> Metadata:
    """The front matter that the facts give; keys without a value are left out."""
    compression, base = facts["compression"], facts["compression"].get("base_card") or {}
    results = list(_results(facts))
    named = [name for name in [(compression.get("fisher") or {}).get("data")] if name]
    named += [score["data"] for score in facts["measurements"]["scores"]]
    datasets = [found["id"] for found in map(hub_data, named) if found is not None]
    inherited = {name: _clean(value) for name, value in base.items() if name != "datasets"}
    given = base.get("datasets") or []
    hub_base, sentence_class = base_id(compression), facts["model"].get("sentence_class")
    data: Any = ModelCardData(
        **inherited,
        library_name=SENTENCE_LIBRARY if sentence_class else LIBRARY,
        pipeline_tag=pipeline_of(facts["model"]),
        base_model=hub_base,
        base_model_relation=RELATION if hub_base else None,
        tags=_tags(facts),
        datasets=_unique(_clean([given] if isinstance(given, str) else given) + datasets) or None,
        metrics=_unique([result.metric_type for result in results]) or None,
        model_name=model_name(compression) if results else None,
        eval_results=results or None,
    )
    found: Metadata = data.to_dict()
    return found


def pipeline_of(model: dict[str, Any]) -> str | None:
    """The Hub's name of what a model does; None where it has none.

    Args:
        model: of the facts; those of before know nothing of sentence-transformers.
    """
    sentence_class = model.get("sentence_class")
    return _SENTENCE_PIPELINES[sentence_class] if sentence_class else head_of_auto_class(model["auto_class"]).pipeline


def _tags(facts: Facts) -> list[str]:
    tags = ["fwsvd-export", "low-rank", "compression", facts["compression"]["method"]]
    return [
        *tags,
        *([SENTENCE_LIBRARY] if facts["model"].get("sentence_class") else []),
        *(["onnx"] if facts["onnx"] else []),
    ]


def base_id(compression: dict[str, Any]) -> str | None:
    """The base's id on the Hub; a local folder's name is none."""
    name: str = compression["base_model"]
    return (one_line(name) or None) if compression.get("base_revision") or "/" in name else None


def model_name(compression: dict[str, Any]) -> str:
    """Our entry in ``model-index``."""
    return one_line(compression["base_model"]).rpartition("/")[2] + "-compressed"


def merged(ours: Metadata, owner: Metadata, entry_name: str) -> Metadata:
    """What an owner has, with ours where it has none.

    A key that is there stays as it is. Three lists get ours behind the owner's; in ``model-index`` our own entry, which
    its name tells, follows the measurements (without any it is taken out), and others stay.

    Args:
        ours: from ``metadata_of``.
        owner: what the card has.
        entry_name: from ``model_name``.
    """
    result = {**owner, **{name: value for name, value in ours.items() if name not in owner}}
    for name in _JOINED:
        if name in ours and name in owner:
            theirs = owner[name] if isinstance(owner[name], list) else [owner[name]]
            result[name] = [*theirs, *(value for value in ours[name] if value not in theirs)]
    if isinstance(owner.get(RESULTS), list):
        own, theirs = ours.get(RESULTS, []), owner[RESULTS]
        names = [entry.get("name") if isinstance(entry, dict) else None for entry in theirs]
        place = names.index(entry_name) if entry_name in names else len(theirs)
        result[RESULTS] = [*theirs[:place], *own, *theirs[place + 1 :]]
        if not result[RESULTS]:
            del result[RESULTS]
    return result


def split_front_matter(text: str) -> tuple[str, Metadata | None, str]:
    """The front matter as it stands (with its lines ``---``), what it says, and the body.

    Without front matter the first is empty and the second None.

    Raises:
        CardError: it is not YAML, or no mapping.
    """
    found = REGEX_YAML_BLOCK.search(text)
    if found is None:
        return "", None, text
    try:
        values = yaml.load(found[2], _Loader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise CardError(f"the front matter of README.md is not YAML: {message_of(error)}; correct it") from error
    if values is not None and not isinstance(values, dict):
        raise CardError("the front matter of README.md is no mapping of names to values; correct it")
    return found[0], values or {}, text[found.end() :]


def front_matter(values: Metadata) -> str:
    """The mapping as YAML between lines ``---``."""
    return f"---\n{yaml.safe_dump(values, sort_keys=False, allow_unicode=True).strip()}\n---\n"


def _results(facts: Facts) -> Iterator[EvalResult]:
    """One result per metric, data and runtime of the compressed model."""
    for score in facts["measurements"]["scores"]:
        if score["model"] != COMPRESSED:
            continue
        # A file's split is its name without the ending, its data set the task it was measured as
        file = {"id": score["task"], "config": None, "split": one_line(score["data"].partition(".")[0]) or None}
        data = hub_data(score["data"]) or file
        runtime = "" if score["runtime"] == TORCH else f" ({score['runtime']})"
        for name, value in {score["metric"]: score["value"], **score["beside"]}.items():
            yield EvalResult(
                task_type=pipeline_of(facts["model"]) or "other",
                dataset_type=one_line(data["id"]),
                dataset_name=one_line(score["data"]),
                dataset_config=data["config"],
                dataset_split=data["split"],
                dataset_args={"examples": score["examples"]},
                metric_type=one_line(_METRICS.get(name, name)),
                metric_name=one_line(name + runtime),
                metric_value=value,
            )


def _clean(value: Any) -> Any:
    return [one_line(text) for text in value] if isinstance(value, list) else one_line(value)


def _unique(values: list[str]) -> list[str]:
    return list(dict.fromkeys(values))
