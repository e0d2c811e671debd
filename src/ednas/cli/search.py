"""`ednas search`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from ednas.cli.options import (
    AllowPlugins,
    DataOptions,
    Plugins,
    all_plugins,
    load_plugins,
    load_teacher_plugin,
    parse_data_options,
    parse_size,
    parse_tasks,
    print_json,
    with_data_options,
)

_QUANTITIES = (
    "latency_ms, energy_mj, area_mm2, peak_memory_kb (KiB), accelerator_cycles, host_ms, streamed_bytes, "
    "spilled_bytes, params, macs"
)
"""Those of :data:`ednas.search.quantities.QUANTITIES`, whose import would slow down the help of every command."""


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
            f"{_QUANTITIES}."
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
    population: Annotated[int | None, typer.Option(min=1, help="Population of the evolution.")] = None,
    tournament: Annotated[int | None, typer.Option(min=1, help="Tournament of the evolution.")] = None,
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
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Search for a multi-task network that fits a device; writes best.json, pareto.json and report.html.

    Ctrl-C or a crash loses no finished trial: run the same command with --resume.

    [bold]Examples[/bold]

    ednas search --data streets --tasks segmentation,depth --target coral_usb --recipe mini --trials 50 --workers 2
    --out runs/streets

    ednas search --config examples/nyuv2_search.yaml --out runs/nyuv2

    ednas search --data streets --latency '0.9*baseline' --limit peak_memory_kb=2048 --limit params=baseline
    --prune-factor 1.2 --objectives accuracy,latency_ms,params --recipe mini --trials 50 --out runs/small

    ednas train runs/nyuv2/best.json --data examples/nyuv2.yaml --tasks segmentation,depth,normals
    """
    from ednas.cli.progress import decoding
    from ednas.cli.report import write_page
    from ednas.config import parse, read_yaml
    from ednas.exceptions import ConfigError
    from ednas.search.config import SearchConfig, canonical
    from ednas.search.progress import SearchProgress
    from ednas.search.quantities import QUANTITIES, show
    from ednas.search.results import next_command
    from ednas.search.run import run_search
    from ednas.training.recipe import merge_recipe

    if retry_failed and not resume:
        raise ConfigError("--retry-failed: is about the search in --out; add --resume")
    values = canonical(read_yaml(config)) if config else {}
    load_plugins(values.get("plugins"), allow_plugins)
    load_plugins(plugin)
    load_teacher_plugin(values, allow_plugins)
    given: dict[str, Any] = {
        "data": data,
        "tasks": parse_tasks(tasks) if tasks else None,
        "target": target,
        "target_latency_ms": latency,
        "latency_input_size": parse_size(latency_size) if latency_size else None,
        "prune_factor": prune_factor,
        "objectives": [name.strip() for name in objectives.split(",")] if objectives else None,
        "initial": initial or None,
        "plugins": all_plugins(values, plugin),
        "trials": trials,
        "finalists": finalists,
        "workers": workers,
        "threads": threads,
        "seed": seed,
        "device": device,
    }
    given = {key: value for key, value in given.items() if value is not None}
    if limit:
        given = canonical({**given, "limits": _limits(limit)})
        own = values.get("limits")
        given["limits"] = {**(own if isinstance(own, Mapping) else {}), **given["limits"]}
    values = with_data_options(values | given, parse_data_options(data_option))
    changes: dict[str, Any] = {"steps": steps, "input_size": parse_size(size) if size else None}
    changes = {key: value for key, value in changes.items() if value is not None}
    if recipe is not None:
        merge_recipe(recipe, {})  # a name that is none, with steps, would be a recipe of one's own
    if recipe is not None or changes:
        base = values.get("recipe", "proxy") if recipe is None else recipe
        values["recipe"] = ({"name": base} if isinstance(base, str) else dict(base)) | changes
    evolution = {"population_size": population, "tournament_size": tournament}
    if any(value is not None for value in evolution.values()):
        values["controller"] = _changed(values.get("controller"), evolution)
    settings = parse(SearchConfig, values, str(config or "search"))
    with decoding() as decode, SearchProgress() as progress:
        result = run_search(
            settings, out, resume=resume, retry_failed=retry_failed, callbacks=[progress], decode_progress=decode
        )
    page = write_page(out, out / "report.html")
    best = result.best
    if as_json:
        found = {
            "trial": best.number,
            "latency_ms": best.latency_ms,
            "cost": dict(best.cost),
            "reward": best.reward,
            "accuracy": best.accuracy,
            **result.costed(best),
            "architecture": result.architecture.to_dict(),
        }
        print_json({**result.head(), "feasible": result.feasible, "best": found, "report": str(page)})
        return
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
        f"{'' if result.feasible else ', OVER A LIMIT'}\n"
        f"{result.architecture.to_text()}\nwrote {out / 'best.json'} and {page}\n"
        f"next: {next_command(out, settings.data, settings.tasks, settings.data_options, settings.plugins)}"
    )


def _changed(controller: Any, evolution: Mapping[str, int | None]) -> Any:
    """Return a configuration's controller with other options; what is none is left to be refused."""
    own: Any = {"name": "evolution"} if controller is None else controller
    if not isinstance(own, Mapping) or not isinstance(own.get("options", {}), Mapping):
        return own
    given = {key: value for key, value in evolution.items() if value is not None}
    return {**own, "options": {**own.get("options", {}), **given}}


def _limits(texts: Sequence[str]) -> dict[str, str]:
    """Parse ``energy_mj=1.2`` into names and values; what they may be is the configuration's matter."""
    from ednas.exceptions import ConfigError

    limits: dict[str, str] = {}
    for text in texts:
        name, equals, value = (part.strip() for part in text.partition("="))
        if not (name and equals and value) or name in limits:
            raise ConfigError(f"limit '{text}': write each quantity once, QUANTITY=VALUE, like energy_mj=1.2")
        limits[name] = value
    return limits
