"""What is known of one architecture before any model of it is loaded: names of classes, modules and settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fwsvd_export.architectures.heads import HEADS, Head
from fwsvd_export.errors import UnsupportedModelError, shown

if TYPE_CHECKING:
    from fwsvd_export.architectures.encoder import Encoder
    from fwsvd_export.architectures.post_norm import PostNormNames

SHARED_CODE = "lowrank_layers.py"  # ships with every family's two files
_MODELING = "fwsvd_export.modeling"
_LOW_RANK = "LowRank"  # before the names of our classes


@dataclass(frozen=True)
class Size:
    """A setting that must agree with the weights.

    Attributes:
        setting: its name in ``config.json``.
        tensors: names, relative to the base model, of which a checkpoint has one.
        dimension: which of the tensor's dimensions the setting is.
        width_of: name of the layer that a compressed model's configuration may give fewer neurons than the setting.
    """

    setting: str
    tensors: tuple[str, ...]
    dimension: int
    width_of: str = ""


@dataclass(frozen=True)
class Family:
    """One architecture.

    Attributes:
        model_type: of the dense configuration.
        prefix: of transformers' class names ("Bert").
        endings: of the supported classes' names, the base model's first; keys of ``heads.HEADS``. Each with the modules
            that its models have beside embeddings and encoder layers, without the base model's prefix.
        has_pooler: whether the base model hands out ``pooler_output``.
        inputs: what a model takes beside the labels, in the order of an exported graph.
        word_embeddings: name of the table of word vectors, relative to the base model.
        layer: name of the n-th encoder layer, with ``{}`` for n.
        post_norm: where the parts of an encoder layer are; None for a family that is not built so.
        layers_setting: the setting that says how many there are.
        sizes: settings that must agree with the weights.
        settings: a ``TypedDict`` of settings that this family's models read, with what they may be.
        function_settings: settings that change what is computed and that the weights do not tell.
        adapter: (model, family, head, how to embed) -> the ``Encoder`` of a loaded model.
        positions: the ``position_embedding_type`` of the supported models.
        positions_after_padding: whether positions are counted from the number behind the padding token's id, and those
            up to it are no token's.
        padding_id: the padding token's id, where the models know no other; None for the configuration's.
        has_attention_bias: whether something is added to the scores of the attention (``Encoder.attention_bias``).
        beside_layers: modules of the base model, beside embeddings and encoder layers, that some models have.
        own_heads: rows in the place of those of ``heads.HEADS``.
        tokenizer: transformers' tokenizer class, where it is not named after the family.
    """

    model_type: str
    prefix: str
    endings: Mapping[str, tuple[str, ...]]
    has_pooler: bool
    inputs: tuple[str, ...]
    word_embeddings: str
    layer: str
    post_norm: PostNormNames | None
    layers_setting: str
    sizes: tuple[Size, ...]
    settings: type[Any]
    function_settings: tuple[str, ...]
    adapter: Callable[..., Encoder]
    positions: str = "absolute"
    positions_after_padding: bool = False
    padding_id: int | None = None
    has_attention_bias: bool = False
    beside_layers: tuple[str, ...] = ()
    own_heads: tuple[Head, ...] = ()
    tokenizer: str = ""

    @property
    def low_rank_type(self) -> str:
        """``model_type`` of the compressed configuration."""
        return f"lowrank_{self.model_type.replace('-', '_')}"  # also of files that Python imports

    @property
    def code_files(self) -> tuple[str, ...]:
        """The code files that ship with a checkpoint: what is imported stands before what imports it."""
        return SHARED_CODE, f"configuration_{self.low_rank_type}.py", f"modeling_{self.low_rank_type}.py"

    @property
    def tokenizer_class(self) -> str:
        """Transformers' tokenizer class, under the name that all its versions know."""
        return self.tokenizer or f"{self.prefix}Tokenizer"

    def usable_length(self, config: Any) -> int:
        """Tokens at most in one sequence of a model.

        Args:
            config: has ``max_position_embeddings`` and ``pad_token_id``.
        """
        padding = (config.pad_token_id or 0) if self.padding_id is None else self.padding_id
        return int(config.max_position_embeddings) - (padding + 1 if self.positions_after_padding else 0)

    def neurons_of(self, config: Any) -> int:
        """Neurons of every feed-forward part of the dense model."""
        setting = next(size.setting for size in self.sizes if size.width_of)
        return int(getattr(config, setting))

    @staticmethod
    def shipped(name: str) -> Path:
        """One of ``code_files`` as this installation ships it."""
        return Path(__file__).parents[1] / "modeling" / name

    def dense_name(self, head: Head) -> str:
        """Transformers' class name."""
        return f"{self.prefix}{head.ending}"

    def low_rank_name(self, head: Head) -> str:
        """Our class name."""
        return f"{_LOW_RANK}{self.prefix}{head.ending}"

    @property
    def heads(self) -> tuple[Head, ...]:
        """The supported heads, the bare encoder first."""
        own = {head.ending: head for head in self.own_heads}
        return tuple(own.get(ending) or HEADS[ending] for ending in self.endings)

    def head(self, class_name: str) -> Head:
        """The head of a dense or compressed class name.

        Raises:
            UnsupportedModelError: another class; the message lists the supported ones.
        """
        for head in self.heads:
            if class_name in (self.dense_name(head), self.low_rank_name(head)):
                return head
        supported = ", ".join(map(self.dense_name, self.heads))
        raise UnsupportedModelError(f"{shown(class_name)[1:-1]} is not supported; supported are {supported}")

    def low_rank_class(self, class_name: str) -> Any:
        """Our model class for a dense or compressed class name."""
        self.dense_class(class_name)  # refuses what the installed transformers does not have yet
        module = import_module(f"{_MODELING}.modeling_{self.low_rank_type}")
        return getattr(module, self.low_rank_name(self.head(class_name)))

    def low_rank_config_class(self) -> Any:
        """Our configuration class."""
        return self.low_rank_class(self.dense_name(self.heads[0])).config_class

    def dense_class(self, class_name: str) -> Any:
        """Transformers' model class for a dense or compressed class name."""
        name, transformers = self.dense_name(self.head(class_name)), import_module("transformers")
        if not hasattr(transformers, name):
            raise UnsupportedModelError(
                f"{name} is newer than the installed transformers {transformers.__version__}; install a newer one: pip "
                'install --upgrade "transformers<6"'
            )
        return getattr(transformers, name)

    def dense_config_class(self) -> Any:
        """Transformers' configuration class."""
        return self.dense_class(self.dense_name(self.heads[0])).config_class
