"""`ednas export`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ednas.cli.options import (
    DataOptions,
    Plugins,
    load_plugins,
    parse_data_options,
    parse_size,
    print_json,
    print_table,
)

if TYPE_CHECKING:
    from rich.table import Table

    from ednas.export.audit import Audit
    from ednas.export.check import CheckReport
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
        typer.Option(help="Of activations: full, average (clips what is rare), or auto: the better. litert only."),
    ] = "auto",
    data: Annotated[
        str | None, typer.Option(help="Data for the proof: metrics on its val split. Default: --calibration.")
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
        str | None, typer.Option(help="argmax: classes instead of logits leave the model, where the target can.")
    ] = None,
    qat_steps: Annotated[
        int, typer.Option(min=0, help="Fine-tune so many steps under simulated int8 first, on the calibration data.")
    ] = 0,
    qat_learning_rate: Annotated[float | None, typer.Option("--qat-lr", help="Its highest learning rate.")] = None,
    protocol: Annotated[str, typer.Option(help="Of the metrics: standard or adashare.")] = "standard",
    max_drop: Annotated[float, typer.Option(min=0, help="What a metric may lose, percent of its value.")] = 1.0,
    plugin: Plugins = None,
    device: Annotated[str, typer.Option(help="Where to fine-tune: auto, cpu, cuda, ...")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Convert a checkpoint to a model that runs on the device, and prove that it is the same model.

    The folder holds the model, model.json (what a program on the device needs), the labels, and check.json: the
    outputs against PyTorch, int8 against float, and the task metrics before and after on validation data. Exit code 3:
    the folder is written, but the model is not proven good; the reasons are listed.

    [bold]Examples[/bold]

    ednas export runs/found/checkpoint --int8 --data examples/nyuv2.yaml --target coral_usb --out runs/deploy

    ednas export runs/found/checkpoint --int8 --io uint8 --data streets --qat-steps 500 --target ethos_u55_256

    ednas export runs/found/checkpoint --format onnx --data streets --out runs/onnx
    """
    from ednas.cli.progress import counting
    from ednas.config import parse
    from ednas.export.run import ExportConfig, export_model
    from ednas.training import load_checkpoint

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
    load_plugins(plugin)
    config = parse(ExportConfig, {key: value for key, value in given.items() if value is not None}, "export")
    model = load_checkpoint(checkpoint)
    with counting("export:") as progress:
        result = export_model(model, out, config, name=_name(checkpoint), record=_record(checkpoint), progress=progress)
    if as_json:
        print_json(result.to_dict())
    else:
        _print(result)
    if not result.passed:
        raise typer.Exit(NOT_GOOD)


def _record(checkpoint: Path) -> dict[str, Any] | None:
    """Return what was measured in the training; None where the checkpoint does not say."""
    from ednas.exceptions import CheckpointError
    from ednas.training.checkpoint import read_metrics

    try:
        return read_metrics(checkpoint)
    except CheckpointError:
        return None


def _name(checkpoint: Path) -> str:
    """Return the run's name: most checkpoint folders are called ``checkpoint``."""
    place = checkpoint.resolve()
    return place.parent.name if place.name == "checkpoint" else place.name


def _print(result: Exported) -> None:
    for audit in result.audits:
        print_table(_audit_table(audit))
        for note in audit.notes:
            typer.echo(f"  {note}")
    print_table(_check_table(result.check))
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


def _audit_table(audit: Audit) -> Table:
    from rich.table import Table

    table = Table(title=f"{audit.target}: {audit.operators} operators, {audit.host_ops} not on the accelerator")
    for heading in ("operator", "version", "count", "where", "why"):
        table.add_column(heading, justify="right" if heading in ("version", "count") else "left")
    for row in audit.rows:
        table.add_row(row.op, str(row.version), str(row.count), row.where, row.why)
    return table


def _check_table(report: CheckReport) -> Table:
    from rich.table import Table

    from ednas.report.labels import metric_heading, show_metric

    of = "" if report.metrics is None else f", {report.metrics.samples} samples of {report.metrics.split}"
    table = Table(title=f"{report.model}: {report.precision}, {report.runtime}{of}")
    for heading in ("task", "what", "PyTorch", "exported", "worse by"):
        table.add_column(heading, justify="left" if heading in ("task", "what") else "right")
    for task, error in report.parity.items():
        table.add_row(task, "largest error of the float model, relative", "", f"{error:.1e}", "")
        if task in report.snr_db:
            table.add_row("", "int8 against float, signal to noise", "", f"{report.snr_db[task]:.1f} dB", "")
        for drop in report.metrics.drops if report.metrics else ():
            if drop.task == task:
                before, after = (show_metric(drop.metric, value) for value in (drop.before, drop.after))
                table.add_row(
                    "", metric_heading(drop.metric, unit=drop.unit), before, after, f"{drop.drop_percent:+.2f} %"
                )
    return table
