"""Parameter counts."""

from __future__ import annotations

from transformers import BertConfig, BertForMaskedLM

from fwsvd_export.architectures.counts import linear_weights, total_parameters
from fwsvd_export.architectures.registry import encoder_of


def test_tied_weights_count_once() -> None:
    sizes = {
        "vocab_size": 50,
        "hidden_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 32,
    }
    tied, untied = (BertForMaskedLM(BertConfig(**sizes, tie_word_embeddings=tie)) for tie in (True, False))
    assert total_parameters(untied) - total_parameters(tied) in (
        50 * 16,
        50 * 16 + 50,
    )  # the decoder's bias may be tied too
    assert linear_weights(encoder_of(tied)) == linear_weights(encoder_of(untied)) == 4 * 16 * 16 + 2 * 16 * 32
