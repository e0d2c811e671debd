"""`ednas targets`: the devices, and devices of the user's own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from ednas.cli.options import AsJson, Force, check_new_file
from ednas.cli.printing import print_json, print_table

if TYPE_CHECKING:
    from ednas.hw import Target
    from ednas.hw.targets.calibration import Calibration

_DEFAULT = "show"


class _NameOrCommand(TyperGroup):
    """A group whose first word may also be a device's name: then it is the default command's."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        is_ours = bool(args) and (args[0] in self.commands or args[0] in ctx.help_option_names)
        return super().parse_args(ctx, args if is_ours else [_DEFAULT, *args])


app = typer.Typer(cls=_NameOrCommand, subcommand_metavar="[NAME | COMMAND] ...", no_args_is_help=False)

_From = Annotated[str, typer.Option("--from", help="The device to start from: a name or a YAML file.")]
_Name = Annotated[str | None, typer.Option(help="The new device's name; default: the file's.")]


@app.callback()
def _targets() -> None:
    """List the devices, look at one, make one of your own and fit it to measurements.

    [bold]Examples[/bold]

    ednas targets

    ednas targets coral_usb

    ednas targets new my_device.yaml --from coral_usb

    ednas targets calibrate --measurements latencies.csv --from my_device.yaml --out fitted.yaml
    """


@app.command(_DEFAULT)
def show(
    name: Annotated[
        str | None, typer.Argument(help="A device or a YAML file; default: all devices are listed.")
    ] = None,
    as_yaml: Annotated[bool, typer.Option("--yaml", help="Print the device's file as it is.")] = False,
    as_json: AsJson = False,
) -> None:
    """List the devices, or print one: each number with its unit and where it comes from. The word show is optional.

    [bold]Examples[/bold]

    ednas targets

    ednas targets coral_usb

    ednas targets show coral_usb --yaml
    """
    from ednas.exceptions import ConfigError
    from ednas.hw import load_target, target_names
    from ednas.hw.targets.files import target_text
    from ednas.report.tables.targets import target_facts, target_table, targets_table

    if as_yaml and (name is None or as_json):
        problem = "choose --yaml or --json" if as_json else "--yaml prints one device's file: ednas targets NAME --yaml"
        raise ConfigError(f"ednas targets: {problem}")
    if name is None:
        devices = [load_target(device) for device in target_names()]
        if as_json:
            print_json({"targets": {device.name: target_facts(device) for device in devices}})
        else:
            print_table(targets_table(devices))
    elif as_yaml:
        typer.echo(target_text(name), nl=False)
    elif as_json:
        print_json(load_target(name).model_dump(mode="json"))
    else:
        print_table(target_table(load_target(name)))


@app.command("new")
def new(
    file: Annotated[Path, typer.Argument(help="The YAML file to write.")],
    start: _From,
    name: _Name = None,
    force: Force = False,
) -> None:
    """Write a device of your own: a copy of another one's file, with its comments, to edit.

    [bold]Example[/bold]

    ednas targets new my_device.yaml --from coral_usb
    """
    from ednas.files import write_text
    from ednas.hw.targets.files import target_text
    from ednas.hw.targets.rewrite import rewrite

    _check_file(file, force)
    _load_start(start)
    write_text(file, rewrite(target_text(start), name or _name_of(file)))
    typer.echo(f"wrote {file}; edit it, look at it with `ednas targets {file}`, use it with `--target {file}`")


@app.command("calibrate")
def calibrate(
    measurements: Annotated[
        Path,
        typer.Option(
            help="A CSV file with a heading: network,latency_ms[,input,tasks] of whole networks, or op,input,output"
            "[,kernel,stride,dilation,groups,name],latency_ms of layers."
        ),
    ],
    start: Annotated[
        str,
        typer.Option(
            "--from",
            help="The device to start from: a name or a YAML file; no other source (litert, vela, ...), which has no "
            "constants.",
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="The YAML file to write.")],
    name: _Name = None,
    where: Annotated[
        list[str] | None,
        typer.Option(
            help="COLUMN=TEXT: of a table of several devices, only rows that hold this text there, or what only one "
            "text there begins with; can be repeated."
        ),
    ] = None,
    column: Annotated[
        str, typer.Option("--latency-column", help="The column of the latency in milliseconds.")
    ] = "latency_ms",
    networks: Annotated[
        Path | None, typer.Option(help="The folder of the networks, if the table has their names alone.")
    ] = None,
    only: Annotated[str | None, typer.Option(help="Networks to fit to, separated by commas; default: all.")] = None,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Fit a device's free constants to latencies that you measured, and report the error on rows left out of the fit.

    Free are the numbers that the device's file marks with fit: true (`ednas targets NAME` shows them). Each row of the
    CSV file has the latency of a network (whatever `ednas latency` takes; an architecture's input like 256x256, its
    tasks like segmentation:19;depth:1), or of a layer alone. A layer's latency holds neither the link nor the dispatch
    of a call: devices whose free numbers are those, as the Coral's, need networks. A number on which no row depends
    stays as it is.

    [bold]Examples[/bold]

    ednas targets calibrate --measurements latencies.csv --from coral_usb --out fitted.yaml

    ednas targets calibrate --measurements latency.csv --where "device=Raspberry Pi 4" --where threads=1
    --latency-column min_ms --networks models --from cpu_ncnn_fp32 --out my_board.yaml
    """
    from ednas.cli.progress import counting
    from ednas.files import write_text
    from ednas.hw.sources.measurements import LATENCY, Selection, read_measurements
    from ednas.hw.targets.calibration import calibrate as fit
    from ednas.hw.targets.files import target_text
    from ednas.hw.targets.rewrite import rewrite
    from ednas.report.tables.targets import calibration_tables

    _check_file(out, force)
    new_name = name or _name_of(out)
    target, text = _load_start(start), target_text(start)
    rewrite(text, new_name)  # a wrong name is an error now, not after the fits
    selection = None
    if where or networks or only or column != LATENCY:
        names = tuple(name.strip() for name in only.split(",") if name.strip()) if only else ()
        selection = Selection(_conditions(where or []), column, networks, names)
    samples = read_measurements(
        measurements, selection, precision=target.precision, left_out=_say_left_out if selection else None
    )
    source = f"fitted to {len(samples)} measurements in {measurements.name}"
    with counting("calibration:") as progress:
        result = fit(
            target, samples, name=new_name, source=source, progress=lambda done, total: progress("fits", done, total)
        )
    figures = result.target.figures()
    errors = [result.error] if result.error else []
    write_text(out, rewrite(text, new_name, {path: figures[path] for path in result.changes}, errors))
    for warning in result.warnings:
        typer.echo(f"warning: {warning}", err=True)
    if as_json:
        print_json(_as_dict(result, out))
        return
    for table in calibration_tables(result):
        print_table(table)
    typer.echo(f"wrote {out}")


def _say_left_out(reason: str) -> None:
    typer.echo(f"warning: left out: {reason}", err=True)


def _conditions(texts: list[str]) -> dict[str, str]:
    """Return what columns must hold."""
    from ednas.exceptions import ConfigError

    for text in texts:
        if "=" not in text:
            raise ConfigError(f"--where {text}: write COLUMN=TEXT")
    conditions = dict(text.split("=", 1) for text in texts)
    if len(conditions) < len(texts):
        raise ConfigError(f"--where: several texts for one column of {', '.join(conditions)}; give one each")
    return conditions


def _as_dict(result: Calibration, out: Path) -> dict[str, Any]:
    return {
        "target": result.target.name,
        "file": str(out),
        "changes": {path: {"old": old, "new": new} for path, (old, new) in result.changes.items()},
        "rows": [vars(row) for row in result.rows],
        "fitted_mape": result.fitted_mape,
        "held_out_mape": result.held_out_mape,
        "split_mape": list(result.split_mape),
        "error": result.error and result.error.model_dump(),
        "warnings": list(result.warnings),
    }


def _check_file(path: Path, force: bool) -> None:
    """Refuse a file that cannot or must not be a device's, before anything is computed for it."""
    from ednas.exceptions import ConfigError

    if path.suffix not in (".yaml", ".yml"):
        raise ConfigError(f"{path}: a device is a YAML file, end its name with .yaml")
    check_new_file(path, force)


def _name_of(file: Path) -> str:
    """Return the name that a file gives its device."""
    from ednas.exceptions import ConfigError
    from ednas.hw.model.target import check_name

    try:
        return check_name(file.stem)
    except ValueError as error:
        raise ConfigError(f"{file}: {error}; give it one with --name") from None


def _load_start(start: str) -> Target:
    """Return the device to start from; a source of latencies that has no file is refused."""
    from ednas.exceptions import TargetError
    from ednas.hw import load_target
    from ednas.hw.sources import source_names

    if start.partition(":")[0] in source_names():
        raise TargetError(f"--from {start}: this source has no numbers to change; start from one of `ednas targets`")
    return load_target(start)
