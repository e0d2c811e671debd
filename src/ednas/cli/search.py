"""`ednas search`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ednas.cli.options import (
    AllowPlugins,
    AsJson,
    DataOptions,
    Plugins,
    parse_controller_options,
    parse_data_options,
    parse_limits,
    parse_size,
    parse_tasks,
    run_plugins,
)
from ednas.cli.printing import print_json
from ednas.hw.quantities import QUANTITIES
from ednas.plugins import all_plugins, configured_plugins, teacher_plugins
from ednas.runs import RunFolder

if TYPE_CHECKING:
    from ednas.search.results import SearchResult


def search(
    data: Annotated[
        str | None, typer.Option(help="A dataset.yaml, a folder of a known format, streets or rooms.")
    ] = None,
    data_option: DataOptions = None,
    tasks: Annotated[str | None, typer.Option(help="Tasks to learn together, like segmentation,depth.")] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="The run's folder.")] = Path("runs/search"),
    config: Annotated[
        Path | None, typer.Option(help="A YAML file; options on the command line replace its values.")
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(
            "--target",
            "-t",
            help="A device: see `ednas targets`; a YAML file; or a source as in `ednas latency`: litert (measured "
            "here), vela:ethos-u55-256, table:FILE.csv, ... Default: coral_usb.",
        ),
    ] = None,
    latency: Annotated[
        str | None, typer.Option(help="Target in ms, baseline (the base network's), 0.8*baseline, or none.")
    ] = None,
    limit: Annotated[
        list[str] | None,
        typer.Option(
            help="Another limit, QUANTITY=VALUE: energy_mj=1.2, params=0.8*baseline; can be repeated. Quantities: "
            f"{', '.join(QUANTITIES)}."
        ),
    ] = None,
    prune_factor: Annotated[
        str | None, typer.Option(help="Candidates above this multiple of a limit are not trained; or none.")
    ] = None,
    objectives: Annotated[
        str | None,
        typer.Option(help="Axes of the Pareto set: accuracy and one quantity or more, like accuracy,latency_ms,macs."),
    ] = None,
    initial: Annotated[
        list[str] | None,
        typer.Option(
            help="A network to train first: baseline (the base network), a zoo name, a best.json, ...; can be repeated."
        ),
    ] = None,
    trials: Annotated[int | None, typer.Option(min=1, help="Candidates to train.")] = None,
    controller: Annotated[
        str | None,
        typer.Option(
            help="What proposes candidates: evolution, local_search, nsga2, ppo, pyglove, random, or one of a plugin. "
            "Default: evolution."
        ),
    ] = None,
    controller_option: Annotated[
        list[str] | None,
        typer.Option(help="NAME=VALUE: an option of the controller, like population_size=20; can be repeated."),
    ] = None,
    recipe: Annotated[
        str | None, typer.Option(help="The proxy training: mini, proxy (5k steps) or full. Default: proxy.")
    ] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Steps of the proxy training.")] = None,
    size: Annotated[
        str | None,
        typer.Option(
            "--input",
            help="HEIGHTxWIDTH of the proxy training; default: the data's own, which mini shrinks to about as many "
            "pixels as 64x128 have.",
        ),
    ] = None,
    latency_size: Annotated[
        str | None,
        typer.Option("--latency-input", help="HEIGHTxWIDTH on the device; default: that of the proxy training."),
    ] = None,
    finalists: Annotated[
        int | None, typer.Option(min=0, help="Train this many of the best again from another seed, then choose.")
    ] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Candidates at a time.")] = None,
    threads: Annotated[int | None, typer.Option(min=1, max=1024, help="CPU threads of each worker.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed of all random numbers.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue the search in --out.")] = False,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="With --resume: evaluate failed candidates again.")
    ] = False,
    plugin: Plugins = None,
    allow_plugins: AllowPlugins = False,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")] = None,
    as_json: AsJson = False,
) -> None:
    """Search for a multi-task network that fits a device; writes best.json, pareto.json and report.html.

    Ctrl-C or a crash loses no finished trial: run the same command with --resume.

    [bold]Examples[/bold]

    ednas search --data streets --tasks segmentation,depth --target coral_usb --recipe mini --trials 50 --workers 2
    --out runs/streets

    ednas search --config examples/nyuv2_search.yaml --out runs/nyuv2

    ednas search --data streets --latency '0.9*baseline' --limit peak_memory_kb=2048 --limit params=baseline
    --prune-factor 1.2 --objectives accuracy,latency_ms,params --recipe mini --trials 50 --out runs/small

    ednas search --data streets --initial baseline --controller evolution --controller-option population_size=10
    --controller-option initial_mutations=8 --recipe mini --trials 50 --out runs/near

    ednas train runs/nyuv2/best.json --data examples/nyuv2.yaml --tasks segmentation,depth,normals
    """
    from ednas.cli.progress import decoding
    from ednas.cli.report import write_page
    from ednas.config import parse, read_yaml
    from ednas.exceptions import ConfigError
    from ednas.search.config import SearchConfig, canonical, training_of, with_controller, with_given
    from ednas.search.progress import SearchProgress
    from ednas.search.results import next_command
    from ednas.search.run import run_search
    from ednas.training.config import with_data_options
    from ednas.training.recipe import with_recipe

    if retry_failed and not resume:
        raise ConfigError("--retry-failed: is about the search in --out; add --resume")
    values = canonical(read_yaml(config)) if config else {}
    training = training_of(values)
    run_plugins(configured_plugins(training), allow_plugins)
    run_plugins(plugin)
    run_plugins(teacher_plugins(training), allow_plugins)
    trained = {
        "data": data,
        "tasks": parse_tasks(tasks) if tasks else None,
        "seed": seed,
        "plugins": all_plugins(training, plugin),
    }
    training |= {key: value for key, value in trained.items() if value is not None}
    training = with_data_options(training, parse_data_options(data_option))
    changes = {"steps": steps, "input_size": parse_size(size) if size else None}
    given = {
        "training": with_recipe(training, recipe, changes, default="proxy"),
        "target": target,
        "target_latency_ms": latency,
        "latency_input_size": parse_size(latency_size) if latency_size else None,
        "limits": parse_limits(limit) if limit else None,
        "prune_factor": prune_factor,
        "objectives": [name.strip() for name in objectives.split(",")] if objectives else None,
        "initial": initial or None,
        "trials": trials,
        "finalists": finalists,
        "workers": workers,
        "threads": threads,
        "device": device,
    }
    values = with_given(values, given)
    values = with_controller(values, controller, parse_controller_options(controller_option))
    settings = parse(SearchConfig, values, str(config or "search"))
    with decoding() as decode, SearchProgress() as progress:
        result = run_search(
            settings, out, resume=resume, retry_failed=retry_failed, callbacks=[progress], decode_progress=decode
        )
    page = write_page(out, RunFolder(out).report)
    if as_json:
        print_json({**result.to_dict(), "report": str(page)})
        return
    _print(result)
    typer.echo(f"wrote {out / 'best.json'} and {page}\nnext: {next_command(out, settings.training)}")


def _print(result: SearchResult) -> None:
    from ednas.hw.quantities import show

    best = result.best
    costs = ", ".join(
        show(name, best.cost[name])
        + (f" (limit {QUANTITIES[name].show(result.limits[name])})" if name in result.limits else "")
        for name in dict.fromkeys(["latency_ms", *result.limits])
    )
    if (base := result.baseline) is not None:
        remark = ": nothing better was found" if base.number == best.number else ""
        typer.echo(f"base network: trial {base.number}, {base.latency_ms:.2f} ms, reward {base.reward:.4f}{remark}")
    seeds = " (mean of two seeds)" if result.judged_twice else ""
    typer.echo(
        f"best: trial {best.number}, {costs}, reward {best.reward:.4f}{seeds}"
        f"{'' if result.feasible else ', OVER A LIMIT'}\n{result.architecture.to_text()}"
    )
