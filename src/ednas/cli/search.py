"""`ednas search` and `ednas report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ednas.cli.options import parse_size, parse_tasks, print_json


def search(
    data: Annotated[
        str | None, typer.Option(help="A dataset.yaml, a folder of a known format, streets or rooms.")
    ] = None,
    tasks: Annotated[str | None, typer.Option(help="Tasks to learn together, like segmentation,depth.")] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="The run's folder.")] = Path("runs/search"),
    config: Annotated[Path | None, typer.Option(help="A YAML file; options given here win over it.")] = None,
    target: Annotated[str | None, typer.Option("--target", "-t", help="A device: see `ednas targets`.")] = None,
    latency: Annotated[str | None, typer.Option(help="Target in ms, or baseline (the base network's).")] = None,
    trials: Annotated[int | None, typer.Option(min=1, help="Candidates to train.")] = None,
    population: Annotated[int | None, typer.Option(min=1, help="Population of the evolution.")] = None,
    tournament: Annotated[int | None, typer.Option(min=1, help="Tournament of the evolution.")] = None,
    recipe: Annotated[str | None, typer.Option(help="The proxy training: mini, proxy (5k steps) or full.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Steps of the proxy training.")] = None,
    size: Annotated[str | None, typer.Option("--input", help="HEIGHTxWIDTH of the proxy training.")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Candidates at a time.")] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads of each worker.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Gives every random number.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the search in --out.")] = False,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Search for a multi-task network that fits a device; writes best.json, pareto.json and report.html.

    Ctrl-C or a crash loses no finished trial: run the same command with --resume.

    [bold]Examples[/bold]

    ednas search --data streets --tasks segmentation,depth --target coral_usb --recipe mini --trials 50 --workers 2
    --out runs/streets

    ednas search --config examples/nyuv2_search.yaml --out runs/nyuv2

    ednas train runs/nyuv2/best.json --data examples/nyuv2.yaml --tasks segmentation,depth,normals
    """
    from ednas.cli.progress import decoding
    from ednas.config import parse, read_yaml
    from ednas.search.config import SearchConfig
    from ednas.search.progress import SearchProgress
    from ednas.search.run import run_search

    values: dict[str, Any] = read_yaml(config) if config else {}
    given: dict[str, Any] = {
        "data": data,
        "tasks": parse_tasks(tasks) if tasks else None,
        "target": target,
        "target_latency_ms": _latency(latency),
        "trials": trials,
        "workers": workers,
        "threads": threads,
        "seed": seed,
        "device": device,
    }
    values |= {key: value for key, value in given.items() if value is not None}
    changes: dict[str, Any] = {"steps": steps, "input_size": parse_size(size) if size else None}
    changes = {key: value for key, value in changes.items() if value is not None}
    if recipe is not None or changes:
        base = values.get("recipe", "proxy") if recipe is None else recipe
        values["recipe"] = ({"name": base} if isinstance(base, str) else dict(base)) | changes
    evolution = {"population_size": population, "tournament_size": tournament}
    if any(value is not None for value in evolution.values()):
        options = {key: value for key, value in evolution.items() if value is not None}
        values["controller"] = {"name": "evolution", "options": options}
    settings = parse(SearchConfig, values, str(config or "search"))
    with decoding() as decode, SearchProgress() as progress:
        result = run_search(settings, out, resume=resume, callbacks=[progress], decode_progress=decode)
    page = _write_report(out)
    if as_json:
        best = {
            "trial": result.best.number,
            "latency_ms": result.best.latency_ms,
            "reward": result.best.reward,
            "accuracy": result.best.accuracy,
            "architecture": result.architecture.to_dict(),
        }
        print_json({"target_ms": result.target_ms, "feasible": result.feasible, "best": best, "report": str(page)})
        return
    typer.echo(
        f"best: trial {result.best.number}, {result.best.latency_ms:.2f} ms (target {result.target_ms:.2f} ms), "
        f"reward {result.best.reward:.4f}\n{result.architecture.to_text()}\nwrote {out / 'best.json'} and {page}"
    )


def report(
    run: Annotated[Path, typer.Argument(help="A run's folder, also of a search that is still running.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="The page; default: report.html in the folder.")
    ] = None,
) -> None:
    """Write a run's self-contained report.html.

    [bold]Example[/bold]

    ednas report runs/nyuv2
    """
    typer.echo(f"wrote {_write_report(run, out)}")


def _write_report(run: Path, out: Path | None = None) -> Path:
    from ednas.report.collect import collect
    from ednas.report.html import write_report

    return write_report(collect(run), out or run / "report.html")


def _latency(text: str | None) -> float | str | None:
    from ednas.exceptions import ConfigError

    if text is None or text == "baseline":
        return text
    try:
        return float(text)
    except ValueError:
        raise ConfigError(f"latency '{text}': write milliseconds, or baseline") from None
