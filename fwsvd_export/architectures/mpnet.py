"""MPNet (Song et al. 2020, arXiv 2004.09297) in transformers' modules.

RoBERTa with a bias for every distance of two tokens, which all layers share.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from fwsvd_export.architectures.bert_shape import FUNCTION_SETTINGS, LAYER_NAMES, SIZES, WORDS, BertSettings
from fwsvd_export.architectures.encoder import Encoder
from fwsvd_export.architectures.family import Family
from fwsvd_export.architectures.inputs import IDS, MASK
from fwsvd_export.storage.schema import Positive

if TYPE_CHECKING:
    from torch import Tensor

_BIAS = "encoder.relative_attention_bias"


class MPNetSettings(BertSettings, total=False):
    """Settings of an MPNet beside its sizes."""

    relative_attention_num_buckets: Positive


class MPNetEncoder(Encoder):
    """An MPNet with any head."""

    def attention_bias(self, hidden: Tensor) -> Tensor:
        """As ``Encoder``: by the distance of two tokens, in buckets that transformers counts."""
        import torch  # late: who only asks for names does not wait for it

        places = torch.arange(hidden.shape[1], device=hidden.device)
        buckets = self.module("encoder").relative_position_bucket(places[None, :] - places[:, None])
        table: Tensor = self.module(_BIAS).weight.data  # a constant to the exporter, which refuses gradients
        return table[buckets].permute(2, 0, 1).unsqueeze(0)


MPNET = Family(
    model_type="mpnet",
    prefix="MPNet",
    endings={
        "Model": ("pooler",),
        "ForMaskedLM": ("lm_head",),
        "ForSequenceClassification": ("classifier.dense", "classifier.out_proj"),
        "ForTokenClassification": ("classifier",),
        "ForQuestionAnswering": ("qa_outputs",),
        "ForMultipleChoice": ("pooler", "classifier"),
    },
    has_pooler=True,
    inputs=(IDS, MASK),
    layer="encoder.layer.{}",
    layers_setting="num_hidden_layers",
    function_settings=FUNCTION_SETTINGS,
    positions_after_padding=True,
    post_norm=replace(
        LAYER_NAMES,
        query="attention.attn.q",
        key="attention.attn.k",
        value="attention.attn.v",
        attention_output="attention.attn.o",
        attention="attention.attn",
        attention_norm="attention.LayerNorm",
    ),
    word_embeddings=WORDS,
    sizes=tuple(size for size in SIZES if size.setting != "type_vocab_size"),
    settings=MPNetSettings,
    adapter=MPNetEncoder,
    padding_id=1,
    has_attention_bias=True,
)
