"""Factorised layers and what every compressed architecture shares (written by fwsvd-export).

Each factorised layer computes ``up(down(x))`` with ``down.weight`` (rank, in) and ``up.weight`` (out, rank), plus the
original bias; factorised word embeddings compute ``projection(table(ids))``.

This file travels inside the checkpoint; it needs only the standard library, torch and transformers.
"""

import hashlib
import json
import os
import re
import shutil
import sys
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers.utils import cached_file

RECORD = "compression.json"  # how a checkpoint was made, and what was done to it since
_WEIGHTS = "model.safetensors"
_SHARDS = "model.safetensors.index.json"  # which of several files holds a tensor
_PLACES = ("cache_dir", "local_files_only", "revision", "subfolder", "token")  # arguments that say where files are
# Ending of a class name -> the Auto class that loads it
AUTO_CLASSES = {
    "Model": "AutoModel",
    "ForMaskedLM": "AutoModelForMaskedLM",
    "ForSequenceClassification": "AutoModelForSequenceClassification",
    "ForTokenClassification": "AutoModelForTokenClassification",
    "ForQuestionAnswering": "AutoModelForQuestionAnswering",
    "ForMultipleChoice": "AutoModelForMultipleChoice",
    "ForNextSentencePrediction": "AutoModelForNextSentencePrediction",
    "ForPreTraining": "AutoModelForPreTraining",
}


def _is_rank(rank: Any, largest: int) -> bool:
    """Whether a value, which may come from anybody's config.json, is a rank that a layer can have."""
    return isinstance(rank, int) and not isinstance(rank, bool) and 1 <= rank <= largest


class LowRankLinear(nn.Module):
    """A linear layer whose weight is the product of two thin factors: ``weight = up.weight @ down.weight``.

    Args:
        in_features: size of the last dimension that comes in.
        out_features: size of the last dimension that goes out.
        rank: inner size of the product, at most the smaller of the two.
        bias: whether ``up`` has a bias (out_features).

    Raises:
        ValueError: the rank is outside 1 … min(in_features, out_features).
    """

    def __init__(self, in_features: int, out_features: int, rank: int, bias: bool = True) -> None:
        super().__init__()
        if not _is_rank(rank, min(in_features, out_features)):
            raise ValueError(
                f"rank {rank!r:.40} of a {out_features} x {in_features} layer: 1 to its smaller side is allowed"
            )
        self.in_features = in_features
        self.out_features = out_features
        self.rank = rank
        self.down = nn.Linear(in_features, rank, bias=False)
        self.up = nn.Linear(rank, out_features, bias=bias)

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        """Maps (..., in_features) to (..., out_features)."""
        return self.up(self.down(hidden_states))

    def extra_repr(self) -> str:
        """What ``print(model)`` shows beside the two factors."""
        return f"in_features={self.in_features}, out_features={self.out_features}, rank={self.rank}"


class LowRankEmbedding(nn.Module):
    """An embedding table that is the product of two thin factors: ``weight = table.weight @ projection.weight.T``.

    Args:
        num_embeddings: size of the vocabulary.
        embedding_dim: size of the vectors that come out.
        rank: size of the vectors in the table.
        padding_idx: as in ``nn.Embedding``.

    Raises:
        ValueError: the rank is outside 1 … embedding_dim.
    """

    def __init__(self, num_embeddings: int, embedding_dim: int, rank: int, padding_idx: Any = None) -> None:
        super().__init__()
        if not _is_rank(rank, min(num_embeddings, embedding_dim)):
            raise ValueError(
                f"rank {rank!r:.40} of a {num_embeddings} x {embedding_dim} embedding: 1 to its smaller side is allowed"
            )
        self.num_embeddings = num_embeddings
        self.embedding_dim = embedding_dim
        self.rank = rank
        self.table = nn.Embedding(num_embeddings, rank, padding_idx=padding_idx)
        self.projection = nn.Linear(rank, embedding_dim, bias=False)

    def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
        """Maps (...) token ids to (..., embedding_dim)."""
        return self.projection(self.table(input_ids))

    def scores(self, hidden_states: torch.Tensor) -> torch.Tensor:
        """The product of (..., embedding_dim) with every token's vector, (..., num_embeddings)."""
        return nn.functional.linear(hidden_states @ self.projection.weight, self.table.weight)

    def extra_repr(self) -> str:
        """What ``print(model)`` shows beside the two factors."""
        return f"{self.num_embeddings}, {self.embedding_dim}, rank={self.rank}"


class TiedDecoder(nn.Module):
    """The output layer of a language model whose weight is the factorised word embeddings' own.

    Args:
        embeddings: whose factors it uses; they stay parameters of that module alone.
        bias: (num_embeddings), of the output layer it takes the place of; None where it has none.
    """

    def __init__(self, embeddings: LowRankEmbedding, bias: nn.Parameter | None) -> None:
        super().__init__()
        self._embeddings = (embeddings,)  # in a tuple: no submodule, so its weights are saved once
        self.bias = bias

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        """Maps (..., embedding_dim) to scores of all tokens, (..., num_embeddings)."""
        return self._embeddings[0].scores(hidden_states) + (0 if self.bias is None else self.bias)


def narrow(base_model: nn.Module, widths: dict[str, int], readouts: tuple[str, str]) -> None:
    """Puts (untrained) linear layers with fewer neurons in the place of those around an activation.

    Args:
        base_model: whose feed-forward parts they are.
        widths: name of the layer before the activation -> neurons.
        readouts: pattern of such names, and what it becomes for the layer behind the activation.

    Raises:
        ValueError: a name that is no such layer of this model.
    """
    modules = dict(base_model.named_modules())
    for name, width in widths.items():
        after = re.sub(readouts[0], readouts[1], name) if re.fullmatch(readouts[0], name) else ""
        first, second = modules.get(name), modules.get(after)
        if not isinstance(first, nn.Linear) or not isinstance(second, nn.Linear):
            raise ValueError(f"low_rank gives {name!s:.100} a width, which is no layer before neurons of this model")
        made = ((name, first, (first.in_features, width)), (after, second, (width, second.out_features)))
        for place, dense, sides in made:
            layer = nn.Linear(*sides, bias=dense.bias is not None)
            parent, _, attribute = place.rpartition(".")
            setattr(modules[parent], attribute, layer.to(device=dense.weight.device, dtype=dense.weight.dtype))


def factorize(base_model: nn.Module, ranks: dict[str, int]) -> None:
    """Puts (untrained) factors in the place of every linear or embedding layer of ``base_model`` that has a rank.

    Raises:
        ValueError: a name that is neither in this model.
    """
    modules = dict(base_model.named_modules())
    for name, rank in ranks.items():
        dense = modules.get(name)
        if isinstance(dense, nn.Linear):
            layer: nn.Module = LowRankLinear(dense.in_features, dense.out_features, rank, dense.bias is not None)
        elif isinstance(dense, nn.Embedding):
            layer = LowRankEmbedding(dense.num_embeddings, dense.embedding_dim, rank, dense.padding_idx)
        else:
            raise ValueError(
                f"low_rank names {name!s:.100}, which is neither a linear layer nor an embedding of this model"
            )
        parent, _, attribute = name.rpartition(".")
        setattr(modules[parent], attribute, layer.to(device=dense.weight.device, dtype=dense.weight.dtype))


class LowRankConfigMixin:
    """A configuration with the ranks of the factorised layers, which are checked when it is made.

    A family's class puts it before transformers' own and sets ``sides``, ``readouts`` and ``endings``.
    """

    # (pattern of layer names, the two settings that are the sides of their weight) of layers that may be factorised
    sides: tuple[Any, ...] = ()
    # (pattern of the names of layers before an activation, what it becomes for the layer behind it, the setting that
    # says how many neurons there are); low_rank's "widths" names the former: layer name -> neurons that are left
    readouts: tuple[str, str, str] = ("", "", "")
    # of the names of the model classes beside it
    endings: tuple[str, ...] = ()

    def __init__(self, low_rank: Any = None, **kwargs: Any) -> None:
        self.low_rank = {"ranks": {}} if low_rank is None else low_rank
        ranks = self.low_rank.get("ranks") if isinstance(self.low_rank, dict) else None
        if not isinstance(ranks, dict):
            raise ValueError('low_rank must be an object with a "ranks" object in it: layer name -> rank')
        for name, rank in ranks.items():
            if isinstance(rank, bool) or not isinstance(rank, int) or rank < 1:
                raise ValueError(f"rank {rank!r:.40} of {name!s:.100}: a whole number of at least 1 is needed")
        widths = self.low_rank.get("widths", {})
        if not isinstance(widths, dict):
            raise ValueError('"widths" of low_rank must be an object: layer name -> neurons')
        for name, width in widths.items():
            if isinstance(width, bool) or not isinstance(width, int) or width < 1:
                raise ValueError(f"width {width!r:.40} of {name!s:.100}: a whole number of at least 1 is needed")
        for setting in kwargs.keys() & {setting for _, sides in self.sides for setting in sides}:
            size = kwargs[setting]
            if isinstance(size, bool) or not isinstance(size, int) or size < 1:
                raise ValueError(f"{setting} {size!r:.40}: a whole number of at least 1 is needed")
        super().__init__(**kwargs)
        self.tie_word_embeddings = getattr(self, "tie_word_embeddings", True)  # transformers 5.0 gives CamemBERT none
        # Before a model of these sizes is made, which refuses names that it does not have
        before, behind, setting = self.readouts
        for name, width in widths.items():
            if not re.fullmatch(before, str(name)):
                raise ValueError(f"low_rank gives {name!s:.100} a width, which is no layer before neurons")
            if width > getattr(self, setting):
                raise ValueError(
                    f"width {width!r:.40} of {name}: at most {setting}, {getattr(self, setting)}, is allowed"
                )
        narrowed = {**widths, **{re.sub(before, behind, name): width for name, width in widths.items()}}
        for name, rank in ranks.items():
            for sides in (sides for pattern, sides in self.sides if re.fullmatch(pattern, str(name))):
                largest = min(*(getattr(self, setting) for setting in sides), narrowed.get(name, rank))
                if rank > largest:
                    raise ValueError(f"rank {rank!r:.40} of {name}: at most {largest}, its smaller side, is allowed")

    @classmethod
    def complete_auto_map(cls) -> dict[str, str]:
        """Every class beside this one; transformers writes only the class being saved into ``auto_map``."""
        name = cls.__name__.removesuffix("Config")
        models = {AUTO_CLASSES[ending]: f"modeling_{cls.model_type}.{name}{ending}" for ending in cls.endings}
        return {"AutoConfig": f"configuration_{cls.model_type}.{cls.__name__}", **models}

    def to_dict(self) -> dict[str, Any]:
        """The configuration as JSON-ready values, always with the complete ``auto_map``."""
        return {**super().to_dict(), "auto_map": self.complete_auto_map()}

    def to_diff_dict(self) -> dict[str, Any]:
        """What is saved: no defaults, but always ranks and ``auto_map``; never the folder it was loaded from."""
        saved = {**super().to_diff_dict(), "low_rank": self.low_rank, "auto_map": self.complete_auto_map()}
        saved.pop("_name_or_path", None)
        return saved


class LowRankModelMixin:
    """What all model classes share: the layers are swapped once the dense skeleton stands; the code saves itself.

    A family's class puts it before transformers' own and sets ``tied_layer`` where it has a language model's head.
    """

    # names of the output layer tied to the word embeddings, and of its bias where that is not the layer's own
    tied_layer: tuple[str, str] = ("", "")
    _tied_weights_keys: Any
    _compression_record: Any = None
    _recorded_as: Any = None
    _weights_before: Any = None

    def __init__(self, config: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(config, *args, **kwargs)
        base_model = getattr(self, self.base_model_prefix, self)  # plain until the outermost class swaps its layers
        narrow(base_model, config.low_rank.get("widths", {}), config.readouts[:2])
        factorize(base_model, config.low_rank["ranks"])
        embeddings, (name, bias) = self.get_input_embeddings(), self.tied_layer
        has_tied = name != "" and name in dict(self.named_modules())
        if isinstance(embeddings, LowRankEmbedding) and config.tie_word_embeddings and has_tied:
            parent, _, attribute = name.rpartition(".")
            tied_bias = self.get_parameter(bias) if bias else self.get_submodule(name).bias
            setattr(self.get_submodule(parent), attribute, TiedDecoder(embeddings, tied_bias))
            # A list in transformers 4, a mapping in 5; the decoder's weight is no longer one to be tied
            tied = self._tied_weights_keys
            kept = [key for key in tied if key not in (name, f"{name}.weight")] + [f"{name}.bias"] * (name in tied)
            self._tied_weights_keys = {key: tied[key] for key in kept} if isinstance(tied, dict) else kept
        self.post_init()

    def get_output_embeddings(self) -> Any:
        """As transformers does, but None where there is no weight that could be tied or resized."""
        found = super().get_output_embeddings()
        return None if isinstance(found, TiedDecoder) else found

    def resize_token_embeddings(self, *args: Any, **kwargs: Any) -> Any:
        """As transformers does, for a table that is not factorised.

        The projection spans only the directions that the old tokens need, so a new one could not be learned freely: it
        has to be added to the dense model.

        Raises:
            ValueError: the word embeddings are factorised.
        """
        embeddings = self.get_input_embeddings()
        if isinstance(embeddings, LowRankEmbedding):
            raise ValueError(
                f"word embeddings of rank {embeddings.rank} cannot be resized, new tokens would be confined to the old "
                "ones' directions; resize the dense model and compress it again"
            )
        return super().resize_token_embeddings(*args, **kwargs)

    def remember(self, record: dict[str, Any]) -> None:
        """Keeps the content of ``compression.json`` for ``save_pretrained``, of a model that is as it was made."""
        self._compression_record, self._recorded_as = record, self._fingerprint()

    def _fingerprint(self) -> str:
        """A digest of all parameters' values."""
        digest = hashlib.sha256()
        for parameter in self.parameters():
            digest.update(parameter.detach().float().cpu().contiguous().numpy())
        return digest.hexdigest()

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: Any, *args: Any, **kwargs: Any) -> Any:
        """As transformers does; the record beside the weights is kept for ``save_pretrained``."""
        loaded = super().from_pretrained(pretrained_model_name_or_path, *args, **kwargs)
        model = loaded[0] if isinstance(loaded, tuple) else loaded  # with output_loading_info
        model._compression_record = _record_beside(pretrained_model_name_or_path, kwargs)
        return loaded

    def save_pretrained(self, save_directory: Any, is_main_process: bool = True, *args: Any, **kwargs: Any) -> Any:
        """As transformers does, and puts code and record beside the weights, whichever way the model was loaded."""
        folder = os.fspath(save_directory)
        self._weights_before = _weights_of(Path(folder))
        saved = super().save_pretrained(folder, is_main_process, *args, **kwargs)
        if is_main_process:
            self._complete(Path(folder))
        return saved

    def _upload_modified_files(self, working_dir: Any, *args: Any, **kwargs: Any) -> Any:
        """As transformers does, which calls it inside ``save_pretrained``: so code and record go to the Hub too."""
        self._complete(Path(working_dir))
        return super()._upload_modified_files(working_dir, *args, **kwargs)

    def _complete(self, folder: Path) -> None:
        """Puts what transformers knows nothing of beside weights that were just saved; twice is as once."""
        now, before = _weights_of(folder), self._weights_before or {}
        written = [name for name in now if now[name] != before.get(name)]
        if len(now) == 2 and len(written) == 1:
            # Transformers leaves the one file of an earlier save beside several new ones, and would read that one
            (folder / next(name for name in now if name not in written)).unlink()
        family = next(base for base in type(self).__mro__ if LowRankModelMixin in base.__bases__)
        for module in (__name__, self.config_class.__module__, family.__module__):
            source = Path(sys.modules[module].__file__)
            target = folder / source.name
            if source.resolve() != target.resolve():
                shutil.copyfile(source, target)
        if self._compression_record is not None:
            changed = self._recorded_as is not None and self._recorded_as != self._fingerprint()
            _write_record(self._compression_record, folder, changed)


def _weights_of(folder: Path) -> dict[str, int]:
    """When the one file of weights in a folder, and the index of several, were written; without those not there."""
    files = (folder / name for name in (_WEIGHTS, _SHARDS))
    return {file.name: file.stat().st_mtime_ns for file in files if file.is_file()}


def _record_beside(source: Any, options: dict[str, Any]) -> Any:
    """The record of a checkpoint in a folder or on the Hub; None where there is none, or none that can be read."""
    places = {name: options[name] for name in _PLACES if options.get(name) is not None}
    quiet = {"_raise_exceptions_for_missing_entries": False, "_raise_exceptions_for_connection_errors": False}
    try:
        path = cached_file(source, RECORD, **places, **quiet)
        if path is None:
            return None
        record = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):  # also lists in lists in lists
        record = None
    if isinstance(record, dict) and _has_lists(record):
        return record
    warnings.warn(f"{RECORD} of {source} cannot be read, so a copy of the model will have none", stacklevel=3)
    return None


def _has_lists(record: dict[str, Any]) -> bool:
    """Whether what is written anew when a model is saved is what it should be, in anybody's record."""
    files, history = record.get("files") or {}, record.get("history") or []
    return isinstance(history, list) and isinstance(files, dict) and all(isinstance(at, dict) for at in files.values())


def _write_record(record: dict[str, Any], folder: Path, changed: bool) -> None:
    """The record with the digests of the weights in a folder; other weights than before are one more entry.

    Args:
        record: the content of ``compression.json`` when the model was loaded or made.
        folder: with the weights that were just saved.
        changed: whether a model that was never saved before was changed since it was made.
    """
    files = {}
    for file in sorted(folder.glob("*.safetensors")):
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        files[file.name] = {"bytes": file.stat().st_size, "sha256": digest}
    before, now = record.get("files") or {}, files.get(_WEIGHTS, {}).get("sha256")
    made = before.get(_WEIGHTS, {}).get("sha256") if before or changed else now
    history = list(record.get("history") or [{"action": "compress", "sha256": made, "details": {}}])
    if changed or (before and before != files):
        details = {**({"changed": True} if changed else {}), **({"files": len(files)} if len(files) > 1 else {})}
        history.append({"action": "save", "sha256": now, "details": details})
    text = json.dumps({**record, "files": files, "history": history}, indent=2, ensure_ascii=False)
    (folder / RECORD).write_text(text + "\n", encoding="utf-8")
