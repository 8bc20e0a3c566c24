"""What compressed models do where versions of transformers differ: here made to differ, as one of them is installed.

``scripts/check_families.py`` loads every head under several real versions.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import EsmConfig
from transformers.models.esm.modeling_esm import EsmEmbeddings

from fwsvd_export.modeling.configuration_lowrank_bert import LowRankBertConfig
from fwsvd_export.modeling.lowrank_layers import LowRankConfigMixin, LowRankEmbedding
from fwsvd_export.modeling.modeling_lowrank_esm import LowRankEsmConfig, LowRankEsmModel
from fwsvd_export.modeling.modeling_lowrank_modernbert import LowRankModernBertForMaskedLM
from tests.helpers import tiny_config


class OldConfig:
    """A configuration that keeps what it is given and has no setting of its own, as transformers 5.0's CamemBERT."""

    def __init__(self, **kwargs: Any) -> None:
        self.__dict__.update({"intermediate_size": 64, **kwargs})


class OldLowRankConfig(LowRankConfigMixin, OldConfig):
    sides, readouts = LowRankBertConfig.sides, LowRankBertConfig.readouts


@pytest.mark.parametrize(("given", "tied"), [({}, True), ({"tie_word_embeddings": False}, False)])
def test_a_model_is_tied_where_its_configuration_says_nothing(given: dict[str, Any], tied: bool) -> None:
    assert OldLowRankConfig(**given).tie_word_embeddings is tied


@pytest.mark.parametrize(("kind", "kept"), [("rotary", False), ("absolute", True)])
def test_rotary_esm_has_no_table_of_positions_whichever_version_makes_one(
    kind: str, kept: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = EsmEmbeddings.__init__

    def makes_always(self: Any, config: EsmConfig) -> None:
        made(self, config)
        self.position_embeddings = torch.nn.Embedding(config.max_position_embeddings, config.hidden_size)

    monkeypatch.setattr(EsmEmbeddings, "__init__", makes_always)
    settings = {**tiny_config("esm").to_dict(), "position_embedding_type": kind, "model_type": "lowrank_esm"}
    model = LowRankEsmModel(LowRankEsmConfig(**settings))
    assert ("embeddings.position_embeddings.weight" in model.state_dict()) is kept
    model(input_ids=torch.tensor([[5, 6, 7]]), attention_mask=torch.ones(1, 3, dtype=torch.long))


def test_modernbert_initialises_no_weight_that_a_tied_decoder_lacks() -> None:
    settings = {**tiny_config("modernbert").to_dict(), "model_type": "lowrank_modernbert"}
    low_rank = {"ranks": {"embeddings.tok_embeddings": 4}}
    model = LowRankModernBertForMaskedLM(LowRankModernBertForMaskedLM.config_class(low_rank=low_rank, **settings))
    assert isinstance(model.get_input_embeddings(), LowRankEmbedding)
    assert not hasattr(model.decoder, "weight")
    assert model._is_hf_initialized, "transformers 4.48 initialises the weight of this model's decoder"
