"""RoBERTa (Liu et al. 2019, arXiv 1907.11692) in transformers' modules, under three names.

BERT without token types, and with positions counted behind the padding token's id. XLM-RoBERTa (Conneau et al. 2020,
arXiv 1911.02116) and CamemBERT (Martin et al. 2020, arXiv 1911.03894) are the same with other vocabularies.
"""

from __future__ import annotations

from fwsvd_export.architectures.bert_shape import FUNCTION_SETTINGS, LAYER_NAMES, SIZES, WORDS, BertSettings
from fwsvd_export.architectures.encoder import Encoder
from fwsvd_export.architectures.family import Family
from fwsvd_export.architectures.inputs import IDS, MASK


def _family(model_type: str, prefix: str) -> Family:
    """The same architecture under other names, with another vocabulary."""
    return Family(
        model_type=model_type,
        prefix=prefix,
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
        word_embeddings=WORDS,
        layer="encoder.layer.{}",
        post_norm=LAYER_NAMES,
        layers_setting="num_hidden_layers",
        sizes=SIZES,
        settings=BertSettings,
        function_settings=FUNCTION_SETTINGS,
        adapter=Encoder,
        positions_after_padding=True,
    )


ROBERTA = _family("roberta", "Roberta")
XLM_ROBERTA = _family("xlm-roberta", "XLMRoberta")
CAMEMBERT = _family("camembert", "Camembert")
