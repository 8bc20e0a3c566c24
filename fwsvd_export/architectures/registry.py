"""The supported architectures: model_type -> its linear layers and heads."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fwsvd_export.errors import UnsupportedModelError, shown
from fwsvd_export.records import LayerSpec

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Head:
    """One class of a family.

    Attributes:
        dense: transformers' class name.
        low_rank: our class name in the family's modeling file.
        predicts: what kind of prediction it makes (``statistics.targets`` reads it).
    """

    dense: str
    low_rank: str
    predicts: str


@dataclass(frozen=True)
class Family:
    """One architecture.

    Attributes:
        model_type: of the dense configuration.
        low_rank_type: of the compressed configuration.
        embeddings: name of the module whose output enters the first layer, relative to the base model.
        word_embeddings: name of the table of word vectors inside it.
        layer: name of the n-th encoder layer, with ``{}`` for n.
        linears: (path inside a layer, role, path that names its input).
        sizes: (setting, tensors of which a checkpoint has one, which of its dimensions the setting is).
        heads: all classes, the base model first.
    """

    model_type: str
    low_rank_type: str
    embeddings: str
    word_embeddings: str
    layer: str
    linears: tuple[tuple[str, str, str], ...]
    sizes: tuple[tuple[str, tuple[str, ...], int], ...]
    heads: tuple[Head, ...]

    @property
    def modeling_files(self) -> tuple[str, str]:
        """The two code files that ship with a checkpoint."""
        return f"configuration_{self.low_rank_type}.py", f"modeling_{self.low_rank_type}.py"

    @staticmethod
    def shipped(name: str) -> Path:
        """One of ``modeling_files`` as this installation ships it."""
        return Path(__file__).parents[1] / "modeling" / name

    def head(self, class_name: str) -> Head:
        """The head of a dense or compressed class name.

        Raises:
            UnsupportedModelError: another class; the message lists the supported ones.
        """
        for head in self.heads:
            if class_name in (head.dense, head.low_rank):
                return head
        supported = ", ".join(head.dense for head in self.heads)
        raise UnsupportedModelError(f"{shown(class_name)[1:-1]} is not supported; supported are {supported}")

    def low_rank_class(self, class_name: str) -> Any:
        """Our model class for a dense (or compressed) class name."""
        module = import_module(f"fwsvd_export.modeling.modeling_{self.low_rank_type}")
        return getattr(module, self.head(class_name).low_rank)

    def low_rank_config_class(self) -> Any:
        """Our configuration class."""
        return self.low_rank_class(self.heads[0].dense).config_class

    def dense_config_class(self) -> Any:
        """Transformers' configuration class."""
        return self.dense_class(self.heads[0].dense).config_class

    def dense_class(self, class_name: str) -> Any:
        """Transformers' model class for a dense or compressed class name."""
        return getattr(import_module("transformers"), self.head(class_name).dense)


BERT = Family(
    model_type="bert",
    low_rank_type="lowrank_bert",
    embeddings="embeddings",
    word_embeddings="embeddings.word_embeddings",
    layer="encoder.layer.{}",
    linears=(
        ("attention.self.query", "query", "attention.self"),
        ("attention.self.key", "key", "attention.self"),
        ("attention.self.value", "value", "attention.self"),
        ("attention.output.dense", "attention_output", "attention.output.dense"),
        ("intermediate.dense", "intermediate", "intermediate.dense"),
        ("output.dense", "output", "output.dense"),
    ),
    sizes=(
        (
            "vocab_size",
            ("embeddings.word_embeddings.weight", "embeddings.word_embeddings.table.weight"),
            0,
        ),
        ("hidden_size", ("embeddings.position_embeddings.weight",), 1),
        ("max_position_embeddings", ("embeddings.position_embeddings.weight",), 0),
        ("type_vocab_size", ("embeddings.token_type_embeddings.weight",), 0),
        (
            "intermediate_size",
            ("encoder.layer.0.intermediate.dense.weight", "encoder.layer.0.intermediate.dense.up.weight"),
            0,
        ),
    ),
    heads=(
        Head("BertModel", "LowRankBertModel", "embedding"),
        Head("BertForMaskedLM", "LowRankBertForMaskedLM", "tokens"),
        Head("BertForSequenceClassification", "LowRankBertForSequenceClassification", "sequence"),
        Head("BertForTokenClassification", "LowRankBertForTokenClassification", "tokens"),
        Head("BertForQuestionAnswering", "LowRankBertForQuestionAnswering", "span"),
        Head("BertForMultipleChoice", "LowRankBertForMultipleChoice", "choice"),
        Head("BertForNextSentencePrediction", "LowRankBertForNextSentencePrediction", "choice"),
        Head("BertForPreTraining", "LowRankBertForPreTraining", "pretraining"),
    ),
)

FAMILIES = {BERT.model_type: BERT}
LOW_RANK_FAMILIES = {family.low_rank_type: family for family in FAMILIES.values()}


def family_of(config: Any) -> Family:
    """The family of a dense configuration.

    Raises:
        UnsupportedModelError: an unknown architecture (the message lists the known ones), one that is already
            compressed, or a variant that newer transformers versions cannot load.
    """
    model_type = str(getattr(config, "model_type", "unknown"))
    if model_type in LOW_RANK_FAMILIES:
        raise UnsupportedModelError(
            f"this model is already compressed ({model_type}): compress the dense model it was made from again, "
            "with the size you want"
        )
    if model_type not in FAMILIES:
        known = ", ".join(FAMILIES)
        raise UnsupportedModelError(f"architecture {shown(model_type)} is not supported; supported: {known}")
    check_variant(config)
    return FAMILIES[model_type]


def check_variant(config: Any) -> None:
    """Refuses what an architecture's configuration can ask for and the supported models do not have.

    Raises:
        UnsupportedModelError: relative positions, or a decoder.
    """
    position = getattr(config, "position_embedding_type", None) or "absolute"
    if position != "absolute":
        raise UnsupportedModelError(
            f"position_embedding_type {shown(position)} is not supported (transformers 5 dropped it); "
            "only 'absolute' is"
        )
    if getattr(config, "is_decoder", False) or getattr(config, "add_cross_attention", False):
        raise UnsupportedModelError("a BERT decoder is not supported; only encoders (is_decoder false) are")


def any_family_of(config: Any) -> Family:
    """The family of a dense or a compressed configuration; raises as ``family_of``."""
    low_rank = LOW_RANK_FAMILIES.get(str(getattr(config, "model_type", None)))
    if low_rank is None:
        return family_of(config)
    check_variant(config)
    return low_rank


def base_of(model: nn.Module) -> nn.Module:
    """The encoder inside a model with a head, or the model itself."""
    return getattr(model, "base_model", model)


def compressible_layers(model: Any) -> list[LayerSpec]:
    """The linear layers of the encoder of a dense or compressed model, first to last, in their dense shapes."""
    family = any_family_of(model.config)
    modules = dict(base_of(model).named_modules())
    specs = []
    for index in range(model.config.num_hidden_layers):
        prefix = family.layer.format(index)
        for path, role, reads in family.linears:
            module: Any = modules[f"{prefix}.{path}"]
            specs.append(
                LayerSpec(f"{prefix}.{path}", module.out_features, module.in_features, role, f"{prefix}.{reads}")
            )
    return specs
