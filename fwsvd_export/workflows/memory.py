"""What the commands do, for models in memory: ``fe.load``, ``refine``, ``evaluate``, ``export_onnx`` and ``bench``.

A model is written to a temporary folder where a command reads one, so that both give the same files and figures.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fwsvd_export.architectures.batches import checked_batches
from fwsvd_export.architectures.embed import Embed, mean_pooled
from fwsvd_export.architectures.registry import encoder_of
from fwsvd_export.architectures.unwrap import unwrapped
from fwsvd_export.benchmark.latency import LatencyPlan
from fwsvd_export.benchmark.result import BenchResult
from fwsvd_export.benchmark.runtimes import USUAL_RUNTIMES
from fwsvd_export.checkpoints.load import load_checkpoint
from fwsvd_export.checkpoints.record import RecordedRefinement
from fwsvd_export.data.fit import check_task
from fwsvd_export.data.tasks import task_named
from fwsvd_export.errors import DataError, ExportError, shown
from fwsvd_export.evaluation.labels import labelled
from fwsvd_export.evaluation.metrics import measured, metric_of
from fwsvd_export.export.libraries import check_libraries
from fwsvd_export.fisher.hooks import eval_mode
from fwsvd_export.records import Measurement
from fwsvd_export.runtime.progress import silent
from fwsvd_export.storage.output import atomic_output
from fwsvd_export.storage.temporary import scratch_folder
from fwsvd_export.training.refine import refine as run_refine
from fwsvd_export.training.settings import REFINE_MINUTES, REFINE_SCOPES
from fwsvd_export.workflows.bench import BenchRequest, run_bench
from fwsvd_export.workflows.export import Exported, OnnxRequest, export_into
from fwsvd_export.workflows.source import Source, Stopwatch, load_source


def load(source: str | Path, *, trust_remote_code: bool = False) -> Any:
    """A dense or compressed model, in float32, in evaluation mode, on the CPU.

    Args:
        source: a folder, or the id of a model on the Hub.
        trust_remote_code: run code that came with the checkpoint; what this installation wrote needs it not.

    Raises:
        CheckpointError, UnsupportedModelError: the model cannot be read, or is of another architecture.

    Warns:
        CheckpointWarning: its class was recognised by its tensors, or does not take all of them.

    Example:
        >>> import tempfile
        >>> from transformers import BertConfig, BertModel
        >>> import fwsvd_export as fe
        >>> config = BertConfig(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     fe.compress(BertModel(config), method="svd", rank=4).save_pretrained(folder)
        ...     type(fe.load(folder)).__name__
        'LowRankBertModel'
    """
    return load_checkpoint(str(source), trust_remote_code=trust_remote_code).model


def refine(
    model: Any,
    dense: Any,
    batches: Iterable[Mapping[str, Tensor]],
    *,
    embed: Embed = mean_pooled,
    scope: str = REFINE_SCOPES[-1],
    minutes: float = REFINE_MINUTES,
    seed: int = 0,
) -> RecordedRefinement:
    """Trains a compressed model in place to predict what its dense model does, on text alone.

    Some of the batches are held out. The learning rate is chosen on them, and the weights that are kept are those that
    are nearest to the dense model there, the start's included.

    Args:
        model: compressed, also in ``DataParallel`` or ``torch.compile``; it comes back in evaluation mode.
        dense: that it was made from; it comes back on the device of the model, in evaluation mode.
        batches: what both take by keyword, two at least, all of which are held in memory; labels are not read.
        embed: how the hidden states of bare encoders become the embeddings that are compared.
        scope: "model", or "layers" for every encoder layer on its own.
        minutes: of wall time, about.
        seed: of the order of the batches.

    Raises:
        DataError: batches that do not fit the model, or fewer than two.
        TrainingError: a dense model that it was not made from, or a scope or time that is not allowed.
        UnsupportedModelError: a model of another architecture, or one without values.
        MissingExtraError: accelerate is not installed.

    Example:
        >>> import torch
        >>> from transformers import BertConfig, BertModel
        >>> import fwsvd_export as fe
        >>> config = BertConfig(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32)
        >>> dense = BertModel(config).eval()
        >>> small = fe.compress(dense, method="svd", rank=4)
        >>> done = refine(small, dense, [{"input_ids": torch.randint(1000, (4, 8))} for _ in range(4)], minutes=0.1)
        >>> done.best <= done.start
        True
    """
    model, dense = unwrapped(model), unwrapped(dense)
    given = list(checked_batches(encoder_of(model, embed), batches))
    return run_refine(model, dense, given, embed=embed, scope=scope, minutes=minutes, seed=seed)


def evaluate(model: Any, batches: Iterable[Mapping[str, Tensor]], *, task: str = "classification") -> Measurement:
    """The task's metric of a model on labelled batches.

    Args:
        model: with a sequence or token classification head, dense or compressed, also in ``DataParallel`` or
            ``torch.compile``. What is scored by more than labels (answers of questions, rankings) needs batches of
            ``data.encode.load_batches``, which know it.
        batches: what the model takes by keyword, with labels.
        task: a preset, which names the metric.

    Raises:
        DataError: an unknown task or one without a metric, no batches or some that do not fit the model, labels that
            are missing or that the model does not know, or a model with another head.
        UnsupportedModelError: a model of another architecture, or one without values.

    Example:
        >>> import torch
        >>> from transformers import BertConfig, BertForSequenceClassification
        >>> sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
        >>> model = BertForSequenceClassification(BertConfig(**sizes))
        >>> batch = {"input_ids": torch.ones(3, 5, dtype=torch.long), "labels": torch.tensor([0, 1, 1])}
        >>> measured = evaluate(model, [batch])
        >>> measured.metric, measured.examples
        ('accuracy', 3)
    """
    model, chosen = unwrapped(model), task_named(task)
    metric_of(chosen)
    encoder = encoder_of(model)
    check_task(chosen, encoder)
    windows = chosen.labels == "span"  # which know the texts that answers are cut from, and which the metric checks
    given = batches if windows else labelled(checked_batches(encoder, batches), chosen, model.config)
    with eval_mode(model):
        return measured(model, given, chosen, batches)[0]


def export_onnx(
    model: Any,
    folder: str | Path,
    *,
    tokenizer: Any = None,
    int8: bool = False,
    opset: int = 17,
    atol: float = 1e-4,
    overwrite: bool = False,
) -> Exported:
    """Writes ``model.onnx``, a plain configuration and the record of the check against torch into a folder.

    Args:
        model: dense or compressed, also in ``DataParallel`` or ``torch.compile``.
        folder: to make; ``"out/onnx"`` beside a checkpoint in ``"out"``.
        tokenizer: of transformers, to be saved beside it; None leaves it out.
        int8: whether to write ``model_quantized.onnx`` too.
        opset: version of the ONNX operators, 17 to 20.
        atol: how far any output may be from torch's before ``within_atol`` is False.
        overwrite: replace the folder.

    Raises:
        ExportError: the model does not fit an ONNX file, or a value that is not allowed.
        UnsupportedModelError: a model of another architecture, or one without values.
        MissingExtraError: the ``onnx`` extra is not installed.
        OutputError: the folder exists, or the disk is full.

    Example:
        >>> import tempfile
        >>> from transformers import BertConfig, BertModel
        >>> config = BertConfig(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32)
        >>> with tempfile.TemporaryDirectory() as parent:
        ...     exported = export_onnx(BertModel(config), f"{parent}/onnx")
        ...     exported.within_atol, sorted(file.name for file in exported.folder.iterdir())
        (True, ['config.json', 'export.json', 'model.onnx'])
    """
    check_libraries()
    if tokenizer is not None and not hasattr(tokenizer, "save_pretrained"):
        raise ExportError(f"tokenizer {shown(tokenizer)}: a tokenizer of transformers is needed, or None")
    with _saved(model, tokenizer) as source, atomic_output(Path(folder), overwrite) as place:
        request = OnnxRequest(source, opset=opset, atol=atol, int8=int8)
        place.mkdir()
        record = export_into(place, load_source(source), request, None, Stopwatch(), silent)
    return Exported(Path(folder), record)


def bench(
    dense: Any,
    *models: Any,
    runtimes: Sequence[str] = USUAL_RUNTIMES,
    batch_sizes: Sequence[int] = (1, 8),
    lengths: Sequence[int] = (32, 128),
    threads: int | None = None,
    rounds: int = 5,
) -> BenchResult:
    """Parameters, sizes and latency side by side, on the CPU; every model is exported alike.

    Args:
        dense: what the others are compared with.
        models: compressed or other ones; all of them may be in ``DataParallel`` or ``torch.compile``.
        runtimes: any of "torch", "onnxruntime", "onnxruntime-int8", "openvino" and "openvino-bf16".
        batch_sizes: examples at once.
        lengths: tokens of each example.
        threads: for one operator; None takes as many as torch.
        rounds: turns of every model; times are pooled.

    Returns:
        Rows in the order of the arguments, named by place and class.

    Raises:
        DataError: an unknown runtime, a shape that is not positive, or a length above a model's.
        UnsupportedModelError: a model of another architecture, or one without values.
        MissingExtraError: a runtime is not installed.

    Example:
        >>> from transformers import BertConfig, BertModel
        >>> config = BertConfig(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32)
        >>> found = bench(BertModel(config), runtimes=["torch"], batch_sizes=[1], lengths=[8], rounds=1)
        >>> [(row.model, row.latency[0].speedup) for row in found.models]
        [('1 BertModel', 1.0)]
    """
    for name, values in (("runtimes", runtimes), ("batch_sizes", batch_sizes), ("lengths", lengths)):
        if isinstance(values, str) or not isinstance(values, Sequence):
            raise DataError(f"{name} {shown(values)}: a list is needed, also for one")
    plan = LatencyPlan(
        tuple(batch_sizes), tuple(lengths), torch.get_num_threads() if threads is None else threads, rounds
    )
    plain = [unwrapped(model) for model in (dense, *models)]
    with scratch_folder("bench") as scratch:
        sources = []
        for place, model in enumerate(plain, start=1):
            folder = scratch / f"{place} {type(model).__name__}"
            model.save_pretrained(folder)
            sources.append(Source(str(folder), device="cpu"))
        result = run_bench(BenchRequest(tuple(sources), tuple(runtimes), plan))
    return replace(result, models=tuple(replace(row, model=Path(row.model).name) for row in result.models))


@contextmanager
def _saved(model: Any, tokenizer: Any) -> Iterator[Source]:
    """The model in a temporary folder of its class's name."""
    model = unwrapped(model)
    with scratch_folder("export") as scratch:
        folder = scratch / type(model).__name__
        model.save_pretrained(folder)
        if tokenizer is not None:
            tokenizer.save_pretrained(folder)
        yield Source(str(folder), device="cpu")
