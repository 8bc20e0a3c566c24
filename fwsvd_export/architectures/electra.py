"""ELECTRA (Clark et al. 2020, arXiv 2003.10555) in transformers' modules.

BERT without a pooler, with word vectors that may be narrower than the hidden states, and a discriminator that tells of
every token whether it was replaced.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from fwsvd_export.architectures.bert_shape import FUNCTION_SETTINGS, LAYER_NAMES, SIZES, WORDS, BertSettings
from fwsvd_export.architectures.encoder import Encoder
from fwsvd_export.architectures.family import Family, Size
from fwsvd_export.architectures.heads import HEADS
from fwsvd_export.architectures.inputs import IDS, MASK, TYPES
from fwsvd_export.storage.schema import Name

if TYPE_CHECKING:
    from torch import Tensor

_PROJECTION = "embeddings_project"
_POSITIONS = "embeddings.position_embeddings.weight"


class ElectraSettings(BertSettings, total=False):
    """Settings of an ELECTRA beside its sizes."""

    summary_type: Literal["first"]
    summary_use_proj: bool
    summary_activation: Name | None


class ElectraEncoder(Encoder):
    """An ELECTRA with any head."""

    def entering(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """As ``Encoder``."""
        hidden = super().entering(inputs)
        widened: Tensor = self.module(_PROJECTION)(hidden) if hasattr(self.base, _PROJECTION) else hidden
        return widened


_others = [size for size in SIZES if size.setting not in ("vocab_size", "hidden_size")]
ELECTRA = Family(
    model_type="electra",
    prefix="Electra",
    endings={
        "Model": (),
        "ForMaskedLM": ("generator_predictions", "generator_lm_head"),
        "ForSequenceClassification": ("classifier.dense", "classifier.out_proj"),
        "ForTokenClassification": ("classifier",),
        "ForQuestionAnswering": ("qa_outputs",),
        "ForMultipleChoice": ("sequence_summary", "classifier"),
        "ForPreTraining": ("discriminator_predictions",),
    },
    has_pooler=False,
    inputs=(IDS, MASK, TYPES),
    word_embeddings=WORDS,
    layer="encoder.layer.{}",
    post_norm=LAYER_NAMES,
    layers_setting="num_hidden_layers",
    sizes=(
        Size("vocab_size", (f"{WORDS}.weight", f"{WORDS}.table.weight"), 0),
        Size("embedding_size", (_POSITIONS,), 1),
        Size("hidden_size", ("encoder.layer.0.output.LayerNorm.weight",), 0),
        *_others,
    ),
    settings=ElectraSettings,
    function_settings=FUNCTION_SETTINGS,
    adapter=ElectraEncoder,
    beside_layers=(_PROJECTION,),
    own_heads=(
        replace(
            HEADS["ForTokenClassification"],
            ending="ForPreTraining",
            predicts="detection",
            auto_class="AutoModelForPreTraining",
            pipeline=None,
            ort_class=None,
        ),
    ),
)
