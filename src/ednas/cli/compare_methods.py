"""`ednas compare-methods`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from ednas.cli.options import (
    AllowPlugins,
    DataOptions,
    Plugins,
    TableFormat,
    parse_data_options,
    parse_size,
    parse_tasks,
    run_plugins,
)
from ednas.cli.printing import print_json, print_table, say
from ednas.exceptions import ConfigError
from ednas.plugins import all_plugins, configured_plugins


def compare_methods(
    architecture: Annotated[
        str | None, typer.Argument(help="A built-in name, a JSON file (best.json), a checkpoint, or a text form.")
    ] = None,
    data: Annotated[
        str | None, typer.Option(help="A dataset.yaml, a folder of a known format, streets or rooms.")
    ] = None,
    data_option: DataOptions = None,
    tasks: Annotated[str | None, typer.Option(help="Tasks, like segmentation,depth.")] = None,
    sharing: Annotated[
        list[str] | None, typer.Option(help="A way to share, like mtan or branching(at=6); can be repeated.")
    ] = None,
    weighting: Annotated[
        list[str] | None, typer.Option(help="A weighting, like dwa or dwa(window=50); can be repeated.")
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of all trainings.")] = Path("runs/methods"),
    config: Annotated[
        Path | None, typer.Option(help="A YAML file; options on the command line replace its values.")
    ] = None,
    recipe: Annotated[str | None, typer.Option(help="As of `ednas train`.")] = None,
    steps: Annotated[int | None, typer.Option(help="Steps, instead of the recipe's.")] = None,
    size: Annotated[str | None, typer.Option("--input", help="HEIGHTxWIDTH, as of `ednas train`.")] = None,
    runs: Annotated[int | None, typer.Option(min=1, help="Seeds of each training. Default: 3.")] = None,
    target: Annotated[str | None, typer.Option(help="Device whose latency is shown. Default: coral_usb.")] = None,
    latency_size: Annotated[
        str | None, typer.Option("--latency-input", help="HEIGHTxWIDTH on the device, if it is another one.")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Trainings at a time, each in a process of its own.")] = 1,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")] = "auto",
    plugin: Plugins = None,
    allow_plugins: AllowPlugins = False,
    form: Annotated[TableFormat, typer.Option("--format", help="How to print the table.")] = TableFormat.TABLE,
) -> None:
    """Compare ways to share the backbone and to weigh tasks: each combination from several seeds, against single tasks.

    Gains (Eq. 9-12) are over networks that learn each task alone, whose latencies, parameters and seconds are added up.
    The same command goes on where it was ended; more methods or runs are added to what is there. `report.html` shows
    the table, and what each predicts.

    [bold]Examples[/bold]

    ednas compare-methods base --data streets --sharing hard --sharing mtan --sharing cross_stitch --workers 2

    ednas compare-methods base --data streets --weighting fixed --weighting uncertainty --weighting "dwa(window=50)"
    --runs 5 --out runs/weightings

    ednas compare-methods --config methods.yaml --format latex > table.tex
    """
    from ednas.cli.progress import training_bars
    from ednas.cli.report import write_page
    from ednas.config import parse, read_yaml
    from ednas.files import read_json
    from ednas.methods import MethodsConfig
    from ednas.methods import compare_methods as run_methods
    from ednas.report import formats
    from ednas.report.tables.methods import methods_table
    from ednas.runs import RunFolder
    from ednas.training.config import with_data_options
    from ednas.training.recipe import with_recipe

    values: dict[str, Any] = {} if config is None else read_yaml(config)
    if not isinstance(own := values.get("training", {}), Mapping):
        raise ConfigError(f"{config}: training is {own!r:.40}, must be a mapping of keys to values")
    training = dict(own)
    run_plugins(configured_plugins(training), allow_plugins)
    run_plugins(plugin)
    given = {
        "architecture": architecture,
        "data": data,
        "tasks": parse_tasks(tasks) if tasks else None,
        "plugins": all_plugins(training, plugin),
    }
    training |= {key: value for key, value in given.items() if value is not None}
    changes = {"steps": steps, "input_size": parse_size(size) if size else None}
    training = with_data_options(with_recipe(training, recipe, changes, "mini"), parse_data_options(data_option))
    chosen = {
        "sharing": sharing,
        "weighting": weighting,
        "runs": runs,
        "target": target,
        "latency_input_size": parse_size(latency_size) if latency_size else None,
    }
    values |= {"training": training, **{key: value for key, value in chosen.items() if value}}
    settings = parse(MethodsConfig, values, str(config or "compare-methods"))
    with training_bars() as begin:
        table, chances = run_methods(settings, out, workers=workers, device=device, callbacks=begin, announce=say)
    file = RunFolder(out).comparison
    match form:
        case TableFormat.JSON:
            print_json(read_json(file))
        case TableFormat.CSV:
            typer.echo(formats.comparison_csv(table, chances))
        case TableFormat.LATEX:
            typer.echo(formats.latex(methods_table(table)))
        case TableFormat.MARKDOWN:
            typer.echo(formats.markdown(methods_table(table)))
        case TableFormat.TABLE:
            print_table(methods_table(table))
    say(f"wrote {file} and {write_page(out, RunFolder(out).report)}")
