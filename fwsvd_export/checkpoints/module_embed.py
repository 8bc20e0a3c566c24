"""The modules behind a transformer, run: what sentence-transformers makes of hidden states."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from fwsvd_export.architectures.embed import DOCUMENT, QUERY
from fwsvd_export.checkpoints.sentence_modules import SentenceModules
from fwsvd_export.errors import CheckpointError, MissingExtraError, message_of, shown

if TYPE_CHECKING:
    from torch import Tensor

# Kind of text -> the names of its prompt, the first that there is
_PROMPTS = {QUERY: ("query",), DOCUMENT: ("document", "passage", "corpus")}


class ModuleEmbed:
    """An ``Embed`` that runs the modules of a folder; they are loaded when the first text comes.

    Args:
        modules: of the folder.
    """

    def __init__(self, modules: SentenceModules) -> None:
        self._modules = modules

    @property
    def similarity(self) -> str:
        """As the folder says it; raises as ``SentenceModules.similarity``, which only a search asks for."""
        return self._modules.similarity

    @property
    def described(self) -> str:
        """The modules, and a digest of their settings and weights."""
        return self._modules.described

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

    def prompt(self, kind: str | None) -> str:
        """What sentence-transformers puts before a text of a kind, by the names that it knows for it.

        Raises:
            CheckpointError: prompts that are no texts, or one that is left out of the pooling, which is not done here.
        """
        prompts, default = self._modules.prompts, self._modules.settings.get("default_prompt_name")
        name = next((name for name in (*_PROMPTS.get(kind or "", ()), str(default)) if name in prompts), None)
        text = "" if name is None else prompts[name]
        pooling = next((module for module in self._modules.behind if module.kind == "Pooling"), None)
        if text and pooling is not None and pooling.settings.get("include_prompt") is False:
            raise CheckpointError(
                f"{self._modules.folder.name} leaves the prompt {shown(text)} out of its pooling (include_prompt "
                "false), which is not done here; measure it with sentence-transformers"
            )
        return text

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
