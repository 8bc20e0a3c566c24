"""BERT (Devlin et al. 2019, arXiv 1810.04805) in transformers' modules."""

from __future__ import annotations

from fwsvd_export.architectures.bert_shape import FUNCTION_SETTINGS, LAYER_NAMES, SIZES, WORDS, BertSettings
from fwsvd_export.architectures.encoder import Encoder
from fwsvd_export.architectures.family import Family
from fwsvd_export.architectures.inputs import IDS, MASK, TYPES

BERT = Family(
    model_type="bert",
    prefix="Bert",
    endings={
        "Model": ("pooler",),
        "ForMaskedLM": ("cls.predictions",),
        "ForSequenceClassification": ("pooler", "classifier"),
        "ForTokenClassification": ("classifier",),
        "ForQuestionAnswering": ("qa_outputs",),
        "ForMultipleChoice": ("pooler", "classifier"),
        "ForNextSentencePrediction": ("pooler", "cls.seq_relationship"),
        "ForPreTraining": ("pooler", "cls.predictions", "cls.seq_relationship"),
    },
    has_pooler=True,
    inputs=(IDS, MASK, TYPES),
    word_embeddings=WORDS,
    layer="encoder.layer.{}",
    post_norm=LAYER_NAMES,
    layers_setting="num_hidden_layers",
    sizes=SIZES,
    settings=BertSettings,
    function_settings=FUNCTION_SETTINGS,
    adapter=Encoder,
)
