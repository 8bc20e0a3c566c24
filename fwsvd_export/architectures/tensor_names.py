"""What the names of a checkpoint's tensors say: which of them the encoder needs, and which class they can be of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from fwsvd_export.architectures.family import Family
from fwsvd_export.architectures.heads import Head

Shapes = Mapping[str, tuple[int, ...]]
"""Shape of every tensor by its stored name."""

# Files of before 2021 have a pooler that their classes do not use
_POOLER = "pooler"
# Modules of this name are linear layers, unless their parts are named too
_LINEAR = ("classifier", "qa_outputs")


def is_of_encoder(name: str, family: Family) -> bool:
    """Whether a tensor belongs to the embeddings or to the encoder layers, with or without the base model's prefix."""
    return _relative(name, family).split(".")[0] in (
        family.word_embeddings.split(".")[0],
        family.layer.split(".")[0],
        *family.beside_layers,
    )


def fitting_heads(family: Family, shapes: Shapes) -> tuple[Head, ...]:
    """The heads whose models have all of the modules, and no other, that the tensors beside the encoder's are of.

    Several heads can have modules of the same names; a pooler too many rules none of them out.

    Example:
        >>> from fwsvd_export.architectures.bert import BERT
        >>> spans = {"bert.encoder.layer.0.output.dense.bias": (8,), "qa_outputs.weight": (2, 8)}
        >>> [head.ending for head in fitting_heads(BERT, spans)]
        ['ForQuestionAnswering']
    """
    others = {_relative(name, family): shape for name, shape in shapes.items() if not is_of_encoder(name, family)}
    return tuple(head for head in family.heads if _fits(head, family.endings[head.ending], others))


def _fits(head: Head, modules: tuple[str, ...], others: Shapes) -> bool:
    has_all = all(any(_within(name, (module,)) for name in others) for module in modules)
    takes_all = all(_within(name, (*modules, _POOLER)) for name in others)
    # Each choice has one score
    scored = not head.has_choices or (others.get(f"{modules[-1]}.weight") or (1,))[0] == 1
    return has_all and takes_all and scored


def _within(name: str, modules: Iterable[str]) -> bool:
    return any(name.startswith(f"{module}.") and _is_part(name, module) for module in modules)


def _is_part(name: str, module: str) -> bool:
    return module not in _LINEAR or name.removeprefix(f"{module}.") in ("weight", "bias")


def _relative(name: str, family: Family) -> str:
    prefix: str = family.dense_class(family.dense_name(family.heads[0])).base_model_prefix
    return name.removeprefix(f"{prefix}.")
