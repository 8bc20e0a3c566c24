"""The modules behind a transformer, run: what sentence-transformers makes of hidden states."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from fwsvd_export.checkpoints.sentence_modules import SentenceModules
from fwsvd_export.errors import CheckpointError, MissingExtraError, message_of

if TYPE_CHECKING:
    from torch import Tensor


class ModuleEmbed:
    """An ``Embed`` that runs the modules of a folder; they are loaded when the first text comes.

    Args:
        modules: of the folder.
    """

    def __init__(self, modules: SentenceModules) -> None:
        self._modules = modules

    def __call__(self, hidden: Tensor, mask: Tensor | None) -> Tensor:
        """The embeddings of some texts, (texts, size).

        Args:
            hidden: (texts, length, width).
            mask: (texts, length), 0 for padding; None for none.

        Raises:
            MissingExtraError: sentence-transformers is not installed.
            CheckpointError: a module cannot be read.
        """
        ones = hidden.new_ones(hidden.shape[:2])
        features: dict[str, Any] = {"token_embeddings": hidden, "attention_mask": ones if mask is None else mask}
        for module in self._loaded:
            features = module.to(hidden.device)(features)
        embedding: Tensor = features["sentence_embedding"]
        return embedding

    @cached_property
    def _loaded(self) -> list[Any]:
        try:
            from sentence_transformers.sentence_transformer import modules as library
        except ImportError as error:
            raise MissingExtraError("sentence-transformers", "embeddings") from error
        loaded = []
        for module in self._modules.behind:
            try:
                made = getattr(library, module.kind).load(str(self._modules.folder / module.place))
            except Exception as error:  # the library raises many kinds for settings and weights that do not fit
                raise CheckpointError(
                    f"the {module.kind} of {self._modules.folder.name} cannot be read: {message_of(error)}"
                ) from error
            loaded.append(made.eval())
        return loaded
