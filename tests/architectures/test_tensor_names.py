"""The table of modules beside the encoder is that of transformers' classes, and heads are recognised by it."""

from __future__ import annotations

from typing import Any

import pytest

from fwsvd_export.architectures.registry import FAMILIES, family_of_class
from fwsvd_export.architectures.tensor_names import fitting_heads, is_of_encoder
from tests.helpers import HEADS, tiny_head


def beside_the_encoder(model: Any) -> set[str]:
    family = family_of_class(type(model).__name__)
    prefix = f"{model.base_model_prefix}."
    return {name.removeprefix(prefix) for name in model.state_dict() if not is_of_encoder(name, family)}


@pytest.mark.parametrize("class_name", HEADS)
def test_the_table_names_every_module_of_a_class_and_no_other(class_name: str) -> None:
    family = family_of_class(class_name)
    modules = family.endings[family.head(class_name).ending]
    names = beside_the_encoder(tiny_head(class_name))
    assert all(any(name.startswith(f"{module}.") for module in modules) for name in names)
    assert all(any(name.startswith(f"{module}.") for name in names) for module in modules)


@pytest.mark.parametrize("class_name", HEADS)
def test_a_class_fits_its_own_tensors(class_name: str) -> None:
    family, model = family_of_class(class_name), tiny_head(class_name)
    shapes = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    assert family.head(class_name) in fitting_heads(family, shapes)


@pytest.mark.parametrize(
    ("model_type", "names", "endings"),
    [
        ("bert", {"bert.pooler.dense.weight": (8, 8), "qa_outputs.weight": (2, 8)}, ["ForQuestionAnswering"]),
        ("bert", {"classifier.weight": (1, 8)}, ["ForTokenClassification"]),
        ("bert", {"classifier.weight": (), "pooler.dense.weight": (8, 8)}, 3),
        ("bert", {"qa_outputs.weight": (2, 8), "classifier.weight": (2, 8)}, []),
        ("bert", {"mask_classifier.weight": (2, 8)}, []),
        ("bert", {}, []),
        ("distilbert", {}, ["Model"]),
        ("distilbert", {"distilbert.pooler.dense.weight": (8, 8)}, ["Model"]),
        ("distilbert", {"pre_classifier.weight": (8, 8)}, []),
    ],
)
def test_heads_that_fit(model_type: str, names: dict[str, tuple[int, ...]], endings: list[str] | int) -> None:
    family = FAMILIES[model_type]
    encoder = {f"{family.layer.format(0)}.x.weight": (8, 8), f"{family.word_embeddings}.weight": (9, 8)}
    found = [head.ending for head in fitting_heads(family, {**encoder, **names})]
    assert (len(found) if isinstance(endings, int) else found) == endings
