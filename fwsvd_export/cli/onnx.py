"""``onnx``: a checkpoint as ONNX, checked against torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from fwsvd_export.cli.choices import OneOf
from fwsvd_export.cli.groups import Command, Group, option
from fwsvd_export.cli.options import (
    GATE_NOT_MET,
    PATH,
    calibration_request,
    confidence_of,
    confidence_option,
    data_options,
    data_request,
    drop_option,
    json_option,
    overwrite_option,
    trust_option,
)
from fwsvd_export.cli.targets import Missed, change_from, not_torchs
from fwsvd_export.export import OPSETS
from fwsvd_export.wording import counted, grouped

if TYPE_CHECKING:
    from fwsvd_export.export.record import RecordedInt8, RecordedSaturation
    from fwsvd_export.workflows.export import Exported


@click.command(cls=Command)
@click.argument("model")
@trust_option
@drop_option
@data_options
@option(
    Group.EXPORT,
    "--int8",
    is_flag=True,
    help="Write model_quantized.onnx too, with weights and products in 8 bits.",
)
@option(
    Group.EXPORT,
    "--openvino-int8",
    is_flag=True,
    help="Write openvino_model.xml and .bin too, OpenVINO's own format in 8 bits; needs --calibration.",
)
@option(
    Group.EXPORT,
    "--calibration",
    type=PATH,
    help="File with text of the task that --openvino-int8 takes the ranges of activations from; no label is read.",
)
@option(
    Group.EXPORT,
    "--pooled",
    is_flag=True,
    help="Write the embedding of a text as one more output, sentence_embedding: pooling and all that follows it.",
)
@option(
    Group.EXPORT,
    "--opset",
    type=OneOf(OPSETS),
    default=OPSETS[0],
    show_default=True,
    help="Version of the ONNX operators.",
)
@option(
    Group.EXPORT,
    "--atol",
    type=float,
    default=1e-4,
    show_default=True,
    help="Absolute difference from torch that any output may have.",
)
@option(
    Group.EXPORT,
    "--max-drop",
    type=float,
    metavar="X",
    help="Accuracy target of the int8 model: its metric on the data is at most X below the float model's; layers "
    "that would miss it stay in float.",
)
@confidence_option(Group.EXPORT, "that --max-drop is kept to on data like this")
@option(Group.OUTPUT, "-o", "--output", "out", type=PATH, show_default="MODEL itself", help="Folder that gets onnx/.")
@overwrite_option
@json_option
def command(model: str, as_json: bool, **options: Any) -> None:
    """Write MODEL, dense or compressed, as ONNX into its folder onnx/, and check it against torch.

    The folder has a plain config.json and the model's tokenizer: it is read without code of ours. Data measures the
    int8 model. An output that is further from torch than --atol, or an int8 model below --max-drop, ends with exit
    code 3; export.json in the folder says so.

    \b
    Example:
      fwsvd-export onnx my-model-small --int8 --task sst2 --data validation.jsonl --max-drop 0.01
    """
    options["confidence"] = confidence_of(options, "--max-drop")
    options["openvino_int8"] = calibration_request(options, "--openvino-int8" * options["openvino_int8"])
    data = data_request(options)
    if data is not None and not options["int8"]:
        raise click.UsageError("task data measures the int8 model; give --int8 with it")
    if options["max_drop"] is not None and data is None:
        raise click.UsageError("--max-drop needs --int8 and data to measure it on: give --task and --data")
    from fwsvd_export.cli.console import hint, prepare_libraries, print_json, steps
    from fwsvd_export.workflows.export import OnnxRequest, run_onnx
    from fwsvd_export.workflows.source import Source

    source = Source(model, options.pop("trust_remote_code"), "cpu", options.pop("drop_modules"))
    request = OnnxRequest(source, data=data, **options)
    prepare_libraries()
    exported = run_onnx(request, steps())
    if as_json:
        print_json({"output": str(exported.folder), **exported.record.to_json()})
    else:
        _print_summary(exported)
    if not exported.has_tokenizer:
        hint("The model has no tokenizer, so onnx/ has none either: it runs on token ids alone.")
    if not exported.within_atol:
        hint(not_torchs(exported))
    if not exported.within_drop:
        hint(_missed(exported.record.int8))
    if not (exported.within_atol and exported.within_drop):
        click.get_current_context().exit(GATE_NOT_MET)


def _print_summary(exported: Exported) -> None:
    from fwsvd_export.cli.console import hint, print_table

    record = exported.record
    check, int8 = record.check, record.int8
    rows = [[name, f"{file.bytes / 1e6:.1f} MB"] for name, file in record.files.items()]
    rows.append(["opset", str(record.opset)])
    rows.append(
        [
            "largest difference from torch",
            f"{exported.worst.max_difference:.2g} of {check.atol:g} allowed, {counted(len(check.shapes), 'shape')}",
        ]
    )
    if int8 is not None:
        rows.append(["largest difference, int8", f"{int8.max_difference:.2g}"])
        if int8.saturation is not None:
            rows.append(["largest sum of two int8 products", _bound(int8.saturation)])
        if int8.metric is not None:
            change = change_from(int8.float_value, int8.value, int8.low, int8.high)
            rows.append([f"{int8.metric}, float", f"{int8.float_value:.4f}"])
            rows.append([f"{int8.metric}, int8", f"{int8.value:.4f}"])
            rows.append([f"difference, {100 * (int8.confidence or 0):g} %", str(change)])
            rows.append(["examples", f"{int8.examples:,} of {int8.data}"])
            rows.append(["layers left in float", str(len(int8.kept_float))])
    rows.append(["seconds", ", ".join(f"{name} {value:.1f}" for name, value in record.seconds.items())])
    print_table(f"{exported.folder}", ["what", "value"], rows)
    if record.openvino_int8 is not None:
        hint(
            f"openvino_model.xml, in 8 bits by {counted(record.openvino_int8.texts, 'text')} of "
            f"{record.openvino_int8.data}, is measured by evaluate --runtime openvino-int8."
        )
    if int8 is not None and int8.kept_float:
        hint("Left in float: " + ", ".join(grouped(int8.kept_float)))


def _missed(int8: RecordedInt8 | None) -> str:
    """Why not even the mixture with the most layers in float meets the target; without one, the whole int8 model."""
    assert int8 is not None, "it has the target"
    best = int8.trials[0] if int8.trials else int8
    change = change_from(int8.float_value, best.value, best.low, best.high)
    asked = (int8.max_drop or 0, int8.confidence or 0, int8.examples or 0)
    return Missed(str(int8.metric), change, *asked).sentence("with any layer in int8")


def _bound(saturation: RecordedSaturation) -> str:
    products = counted(saturation.matrices, "product")
    return f"{saturation.largest_pair_sum:,} of {saturation.limit:,} in 16 bits, {products}"
