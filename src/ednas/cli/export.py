"""`ednas export`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ednas.cli.options import (
    AsJson,
    DataOptions,
    Plugins,
    parse_data_options,
    parse_size,
    run_plugins,
)
from ednas.cli.printing import print_json, print_table

if TYPE_CHECKING:
    from ednas.export.run import Exported

NOT_GOOD = 3
"""Exit code of an export whose model did not pass its check."""


def export(
    checkpoint: Annotated[Path, typer.Argument(help="A checkpoint folder.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The folder to write.")] = Path("runs/export"),
    format_: Annotated[
        str, typer.Option("--format", help="litert (Coral, Ethos-U, phones, CPUs), onnx, or a plugin's own.")
    ] = "litert",
    int8: Annotated[bool, typer.Option("--int8", help="Quantise to 8 bits; needs --calibration or --data.")] = False,
    calibration: Annotated[
        str | None,
        typer.Option(
            help="Data for the ranges of activations: its train split, or a plain folder of photos. Default: --data."
        ),
    ] = None,
    samples: Annotated[int, typer.Option(min=1, help="Calibration images, spread over the split.")] = 32,
    ranges: Annotated[
        str,
        typer.Option(
            help="Ranges of activations: full, average (clips rare values), or auto: the better one. litert only."
        ),
    ] = "auto",
    data: Annotated[
        str | None, typer.Option(help="Data for the check: metrics on its val split. Default: --calibration.")
    ] = None,
    data_option: DataOptions = None,
    split: Annotated[str, typer.Option(help="Split of --data that the metrics are measured on.")] = "val",
    io: Annotated[
        str | None, typer.Option("--io", help="Elements of inputs and outputs: int8, uint8 or float. litert only.")
    ] = None,
    output_stride: Annotated[
        int, typer.Option(help="Outputs at 1/1, 1/4 or 1/8 of the input's size; 4 is the network's own.")
    ] = 4,
    size: Annotated[str | None, typer.Option("--input", help="HEIGHTxWIDTH; default: the checkpoint's.")] = None,
    target: Annotated[
        list[str] | None,
        typer.Option("--target", "-t", help="Audit the operators for a device: see `ednas targets`; can be repeated."),
    ] = None,
    fuse: Annotated[
        str | None, typer.Option(help="argmax: the output is class ids instead of logits, if the target can run that.")
    ] = None,
    qat_steps: Annotated[
        int, typer.Option(min=0, help="Steps of fine-tuning under simulated int8 first, on the calibration data.")
    ] = 0,
    qat_learning_rate: Annotated[
        float | None, typer.Option("--qat-lr", help="Highest learning rate of the fine-tuning.")
    ] = None,
    protocol: Annotated[str, typer.Option(help="Protocol of the metrics: standard or adashare.")] = "standard",
    max_drop: Annotated[float, typer.Option(min=0, help="What a metric may lose, percent of its value.")] = 1.0,
    plugin: Plugins = None,
    device: Annotated[str, typer.Option(help="Where to fine-tune: auto, cpu, cuda, ...")] = "auto",
    as_json: AsJson = False,
) -> None:
    """Convert a checkpoint to a model that runs on the device, and prove that it is the same model.

    The folder holds the model, model.json (what a program on the device needs), the labels, and check.json: the
    outputs against PyTorch, int8 against float, and the task metrics before and after on validation data. Exit code 3:
    the folder is written, but the model fails its check; the reasons are listed.

    [bold]Examples[/bold]

    ednas export runs/found/checkpoint --int8 --data examples/nyuv2.yaml --target coral_usb --out runs/deploy

    ednas export runs/found/checkpoint --int8 --io uint8 --data streets --qat-steps 500 --target ethos_u55_256

    ednas export runs/found/checkpoint --format onnx --data streets --out runs/onnx
    """
    from ednas.cli.progress import counting
    from ednas.config import parse
    from ednas.export.run import ExportConfig, export_model
    from ednas.training.checkpoint import find_metrics, load_checkpoint, run_name

    given: dict[str, Any] = {
        "format": format_,
        "int8": int8,
        "io": io,
        "calibration": calibration,
        "samples": samples,
        "ranges": ranges,
        "data": data,
        "data_options": parse_data_options(data_option),
        "split": split,
        "output_stride": output_stride,
        "input_size": parse_size(size) if size else None,
        "targets": target,
        "fuse": fuse,
        "qat_steps": qat_steps,
        "qat_learning_rate": qat_learning_rate,
        "protocol": protocol,
        "max_drop_percent": max_drop,
        "device": device,
    }
    run_plugins(plugin)
    config = parse(ExportConfig, {key: value for key, value in given.items() if value is not None}, "export")
    model = load_checkpoint(checkpoint)
    with counting("export:") as progress:
        result = export_model(
            model, out, config, name=run_name(checkpoint), record=find_metrics(checkpoint), progress=progress
        )
    if as_json:
        print_json(result.to_dict())
    else:
        _print(result)
    if not result.passed:
        raise typer.Exit(NOT_GOOD)


def _print(result: Exported) -> None:
    from ednas.report.tables.export import audit_table, check_table

    for audit in result.audits:
        print_table(audit_table(audit))
        for note in audit.notes:
            typer.echo(f"  {note}")
    print_table(check_table(result.check))
    if result.ranges_db:
        tried = ", ".join(f"{name} {ratio:.1f} dB" for name, ratio in result.ranges_db.items())
        typer.echo(f"ranges of activations, worst output on the calibration images: {tried}; the better was taken")
    if result.check.not_compared:
        typer.echo(f"not compared with the training's own metrics: {result.check.not_compared}")
    typer.echo(f"wrote {result.folder}")
    for failure in result.failures:
        typer.echo(f"NOT GOOD: {failure}", err=True)
    if result.manifest.precision == "int8" and result.check.loses_too_much:
        typer.echo("try --samples 128, then --qat-steps 500 (fine-tuning under simulated int8)", err=True)
    if result.passed:
        typer.echo("the model is good: outputs, metrics and operators were checked")
