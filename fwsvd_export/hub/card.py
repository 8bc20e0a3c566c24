"""The model card of a compressed checkpoint, from its ``compression.json`` alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from huggingface_hub import ModelCard, ModelCardData

_TEMPLATE = Path(__file__).with_name("card.md.jinja")
_PIPELINES = {
    "ForSequenceClassification": "text-classification",
    "ForTokenClassification": "token-classification",
    "ForMaskedLM": "fill-mask",
    "ForQuestionAnswering": "question-answering",
}


def render_card(compression: dict[str, Any], class_name: str, auto_class: str) -> str:
    """README.md of a checkpoint; what was not measured is absent.

    Args:
        compression: the content of ``compression.json``.
        class_name: of the compressed model.
        auto_class: the Auto class that loads it.
    """
    pipeline = next((tag for ending, tag in _PIPELINES.items() if class_name.endswith(ending)), None)
    # Only an id of the Hub may stand in the metadata; a local folder's name is no id.
    base_model = compression["base_model"] if "/" in compression["base_model"] else None
    data = ModelCardData(
        library_name="transformers",
        pipeline_tag=pipeline,
        base_model=base_model,
        tags=["fwsvd-export", "low-rank", "compression", compression["method"]],
    )
    card = ModelCard.from_template(
        data, template_path=str(_TEMPLATE), compression=compression, class_name=class_name, auto_class=auto_class
    )
    return str(card)
