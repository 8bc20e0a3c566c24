"""A family's table of heads, and its shipped code."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from fwsvd_export.architectures.family import Family
from fwsvd_export.architectures.registry import BERT, FAMILIES
from fwsvd_export.errors import UnsupportedModelError


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_shipped_code_and_the_table_of_heads_name_the_same_classes(family: Family) -> None:
    config_class = family.low_rank_config_class()
    expected = {
        head.auto_class: f"modeling_{family.low_rank_type}.{family.low_rank_name(head)}" for head in family.heads
    }
    assert config_class.complete_auto_map() == {
        "AutoConfig": f"configuration_{family.low_rank_type}.{config_class.__name__}",
        **expected,
    }
    assert config_class.export_model_type == family.model_type
    assert all(family.shipped(name).is_file() for name in family.code_files)


def test_an_unknown_head_is_refused_with_the_supported_ones() -> None:
    with pytest.raises(UnsupportedModelError, match=r"BertLMHeadModel is not supported; .*BertForMaskedLM"):
        BERT.head("BertLMHeadModel")


def test_a_head_that_the_installed_transformers_lacks_is_refused_with_the_remedy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(f"{Family.__module__}.import_module", lambda _: SimpleNamespace(__version__="4.48.3"))
    family = FAMILIES["modernbert"]
    for refusing in (family.dense_class, family.low_rank_class):
        with pytest.raises(UnsupportedModelError) as caught:
            refusing("ModernBertForMultipleChoice")
        assert str(caught.value) == (
            "ModernBertForMultipleChoice is newer than the installed transformers 4.48.3; install a "
            'newer one: pip install --upgrade "transformers<6"'
        )
