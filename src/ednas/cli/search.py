"""`ednas search`."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ednas.cli.options import (
    AllowPlugins,
    AsJson,
    DataOptions,
    Plugins,
    parse_data_options,
    parse_limits,
    parse_size,
    parse_tasks,
    parse_values,
    run_plugins,
)
from ednas.cli.printing import print_json
from ednas.hw.quantities import QUANTITIES
from ednas.plugins import all_plugins, configured_plugins, teacher_plugins
from ednas.runs import RunFolder

if TYPE_CHECKING:
    from ednas.search.config import SearchConfig
    from ednas.search.results import SearchResult


def search(
    data: Annotated[
        str | None, typer.Option(help="A dataset.yaml, a folder of a known format, streets or rooms.")
    ] = None,
    data_option: DataOptions = None,
    tasks: Annotated[str | None, typer.Option(help="Tasks to learn together, like segmentation,depth.")] = None,
    final_tasks: Annotated[
        str | None, typer.Option(help="Tasks that the found network will learn, where candidates learn others.")
    ] = None,
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
    varied: Annotated[
        int | None, typer.Option(min=0, help="Networks to train next that differ as wholes, within the limits.")
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
    evaluator: Annotated[
        str | None,
        typer.Option(
            help="What judges candidates: proxy (a short training of each), supernet, predictor, stack, zero_cost, or "
            "one of a plugin; docs/search.md says how far each can be trusted. Default: proxy."
        ),
    ] = None,
    evaluator_option: Annotated[
        list[str] | None,
        typer.Option(help="NAME=VALUE: an option of the evaluator, like anchors=32; can be repeated."),
    ] = None,
    filtered_by: Annotated[
        str | None,
        typer.Option(
            "--filter",
            help="An evaluator whose opinion keeps candidates from being trained by the proxy: zero_cost, supernet, "
            "predictor, or one of a plugin.",
        ),
    ] = None,
    filter_option: Annotated[
        list[str] | None,
        typer.Option(help="NAME=VALUE: an option of that evaluator, like calibration=128; can be repeated."),
    ] = None,
    filter_share: Annotated[
        float | None, typer.Option(help="Which share of networks the filter leaves out, the worst. Default: 0.2.")
    ] = None,
    bank: Annotated[
        Path | None,
        typer.Option(help="A file of trainings that searches share: what is there is not trained again."),
    ] = None,
    check_proxy: Annotated[
        bool,
        typer.Option("--check-proxy", help="Do not search: say how far each evaluator can be trusted on these data."),
    ] = False,
    check_option: Annotated[
        list[str] | None,
        typer.Option(help="NAME=VALUE: an option of the check: networks=32, doubles=8, longer=4; can be repeated."),
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
        typer.Option("--latency-input", help="HEIGHTxWIDTH on the device; default: that of the finalists' training."),
    ] = None,
    finalists: Annotated[
        int | None, typer.Option(min=0, help="Train this many of the best again from another seed, then choose.")
    ] = None,
    finalists_longer: Annotated[
        float | None, typer.Option(min=1, help="Train finalists this many times as long as candidates.")
    ] = None,
    finalists_size: Annotated[
        str | None,
        typer.Option("--finalists-input", help="HEIGHTxWIDTH of the finalists' training; default: as candidates'."),
    ] = None,
    reward_by: Annotated[
        str | None,
        typer.Option(help="What candidates are compared by: metrics, or training_loss, for trainings cut short."),
    ] = None,
    executor: Annotated[
        str | None,
        typer.Option(help="Where candidates are trained: process (on this machine), ray (on a cluster) or inline."),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="Candidates at a time. Default: 1; with ray, as many as the machines have room for."),
    ] = None,
    threads: Annotated[int | None, typer.Option(min=1, max=1024, help="CPU threads of each worker.")] = None,
    ray_address: Annotated[
        str | None,
        typer.Option(help="HOST:PORT of a Ray cluster's head, or auto. Default: a Ray of its own on this machine."),
    ] = None,
    gpus_per_trial: Annotated[
        float | None, typer.Option(min=0, help="With ray: GPUs that each candidate holds; 0.25: four share one.")
    ] = None,
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

    ednas search --data streets --initial baseline --varied 29 --controller evolution
    --controller-option population_size=30 --recipe mini --trials 50 --finalists 4 --out runs/varied

    ednas search --data streets --recipe mini --steps 200 --input 32x64 --finalists-input 64x128 --finalists-longer 4
    --initial baseline --trials 50 --out runs/half

    ednas search --data streets --recipe mini --steps 200 --check-proxy --check-option networks=32 --out runs/check

    ednas search --data streets --recipe mini --evaluator stack --evaluator-option anchors=24 --bank runs/bank.jsonl
    --trials 300 --out runs/stack

    ednas train runs/nyuv2/best.json --data examples/nyuv2.yaml --tasks segmentation,depth,normals
    """
    from ednas.cli.progress import decoding
    from ednas.cli.report import write_page
    from ednas.config import parse, read_yaml
    from ednas.exceptions import ConfigError
    from ednas.search.config import SearchConfig, canonical, training_of, with_chosen, with_given
    from ednas.search.progress import SearchProgress
    from ednas.search.results import next_command
    from ednas.search.run import run_search
    from ednas.training.config import with_data_options
    from ednas.training.recipe import with_recipe

    if check_option and not check_proxy:
        raise ConfigError("--check-option: is about a check of the evaluators; add --check-proxy")
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
        "final_tasks": parse_tasks(final_tasks) if final_tasks else None,
        "target": target,
        "target_latency_ms": latency,
        "latency_input_size": parse_size(latency_size) if latency_size else None,
        "limits": parse_limits(limit) if limit else None,
        "prune_factor": prune_factor,
        "objectives": [name.strip() for name in objectives.split(",")] if objectives else None,
        "initial": initial or None,
        "varied": varied,
        "trials": trials,
        "reward": {"by": reward_by} if reward_by else None,
        "finalists": finalists,
        "finalists_longer": finalists_longer,
        "finalists_input_size": parse_size(finalists_size) if finalists_size else None,
        "filter": None if filter_share is None else {"share": filter_share},
        "bank": None if bank is None else str(bank),
        "executor": executor,
        "workers": workers,
        "threads": threads,
        "ray_address": ray_address,
        "gpus_per_trial": gpus_per_trial,
        "device": device,
    }
    values = with_given(values, given)
    options = parse_values(controller_option, "controller option", "population_size=20")
    values = with_chosen(values, "controller", controller, options)
    options = parse_values(evaluator_option, "evaluator option", "anchors=24")
    values = with_chosen(values, "evaluator", evaluator, options)
    options = parse_values(filter_option, "filter option", "calibration=128")
    values = with_chosen(values, "filter", filtered_by, options)
    settings = parse(SearchConfig, values, str(config or "search"))
    if check_proxy:
        _check(settings, out, parse_values(check_option, "check option", "networks=32"), as_json)
        return
    # Ray tells of its machines on standard output, which is the result's.
    with redirect_stdout(sys.stderr), decoding() as decode, SearchProgress() as progress:
        result = run_search(
            settings, out, resume=resume, retry_failed=retry_failed, callbacks=[progress], decode_progress=decode
        )
    page = write_page(out, RunFolder(out).report)
    if as_json:
        print_json({**result.to_dict(), "report": str(page)})
        return
    _print(result, settings)
    typer.echo(f"wrote {out / 'best.json'} and {page}\nnext: {next_command(out, settings)}")


def _check(settings: SearchConfig, out: Path, options: Mapping[str, Any], as_json: bool) -> None:
    """Check the evaluators, and print the table of what they are worth."""
    from ednas.cli.printing import print_table
    from ednas.cli.progress import decoding
    from ednas.config import parse
    from ednas.report.check_page import CheckReport, write_check_report
    from ednas.report.tables.check import check_remarks, check_tables
    from ednas.search.check import CheckOptions, check_evaluators
    from ednas.search.progress import SearchProgress

    chosen = parse(CheckOptions, options, "check option")
    with redirect_stdout(sys.stderr), decoding() as decode, SearchProgress() as progress:
        check = check_evaluators(settings, out, chosen, callbacks=[progress], decode_progress=decode)
    folder = RunFolder(out)
    title = f"Check of evaluators in {folder.path.resolve().name}"
    page = write_check_report(CheckReport(title, check, folder.config.read_text(encoding="utf-8")), folder.report)
    if as_json:
        print_json({**check.to_json(), "report": str(page)})
        return
    for table in check_tables(check):
        print_table(table)
    for line in check_remarks(check):
        typer.echo(line)
    typer.echo(f"wrote {folder.check} and {page}")


def _print(result: SearchResult, config: SearchConfig) -> None:
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
    seeds = ""
    if result.judged_twice:  # a judgement without that training counts no longer
        seeds = " (mean of two seeds)" if config.judged_alike else " (as it was trained in the end)"
    typer.echo(
        f"best: trial {best.number}, {costs}, reward {best.reward:.4f}{seeds}"
        f"{'' if result.feasible else ', OVER A LIMIT'}\n{result.architecture.to_text()}"
    )
