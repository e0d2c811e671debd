"""The report as one self-contained HTML file: no network access, works from disk, prints."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from ednas.durations import show_seconds
from ednas.exceptions import ConfigError
from ednas.files import write_text
from ednas.hw.quantities import QUANTITIES
from ednas.metrics import NO_NETWORK, TaskValues, scored_metrics
from ednas.report import labels, plots
from ednas.report.content import ComparisonTable, Picture, ReportData
from ednas.report.cost import draw_cost
from ednas.report.drawing import draw_architecture
from ednas.report.gains import Row, overall_rows, task_rows
from ednas.search.trial import Trial, TrialState

_BEST = 10
"""Trials in the table of the best."""


@dataclass(frozen=True)
class Standing:
    """A row of the best trials.

    Attributes:
        name: ``12 (chosen)``.
        trial: The trial; None for the prediction without a network.
        again: Its accuracy by another seed.
        metrics: Its metrics, in the order of the headings.
    """

    name: str
    trial: Trial | None
    again: float | None
    metrics: tuple[str, ...]


@dataclass(frozen=True)
class Gallery:
    """The pictures of one sample: the image once, then a row for each task."""

    sample: str
    image: bytes
    models: tuple[str, ...]
    rows: tuple[Picture, ...]


def render(report: ReportData, reload_s: float | None = None) -> str:
    """Return the report as an HTML page; sections without content are left out.

    Args:
        report: What it says.
        reload_s: After how many seconds it reloads itself; None = it does not.

    Raises:
        ConfigError: plotly, which brings the plots' script, is not installed.
    """
    page_plots, judged = _plots(report), _judged_metrics(report)
    best = report.best
    trials = {trial.number: trial for trial in report.trials}
    return template("search.html").render(
        report=report,
        reload_s=reload_s,
        tiles=_tiles(report),
        plots=page_plots,
        plotly=plotly_script() if page_plots else "",
        front=[trials[number] for number in report.pareto if number in trials],
        judged=judged,
        standings=_standings(report, judged),
        most_drawn=plots.MAX_DRAWN,
        scored=sum(trial.scored for trial in report.trials),
        failed_count=sum(trial.state is TrialState.FAILED for trial in report.trials),
        pruned=sum(trial.state is TrialState.PRUNED for trial in report.trials),
        pruned_by=[
            *(f"{count} by {QUANTITIES[name].title.lower()}" for name, count in report.pruned_by.items()),
            *([f"{refused} by the filter"] if (refused := sum(trial.refused for trial in report.trials)) else []),
        ],
        failed=[
            trial
            for trial in report.trials
            if trial.state is TrialState.FAILED or (trial.state is TrialState.DONE and trial.error)
        ],
        drawing=Markup(draw_architecture(best.architecture, tasks=best.tasks)) if best else "",
        cost_drawing=Markup(draw_cost(best.cost, best.target, title=best.architecture.name))
        if best and best.cost
        else "",
        groups=_groups(report.comparison) if report.comparison else [],
        galleries=_galleries(report.pictures),
    )


def write_report(report: ReportData, path: Path | str, reload_s: float | None = None) -> Path:
    """Write the report, as :func:`render` returns it, to ``path`` atomically and return the path.

    Raises:
        ConfigError: plotly is not installed.
        EdnasError: The file cannot be written.
    """
    write_text(path, render(report, reload_s))
    return Path(path)


@lru_cache(maxsize=1)
def plotly_script() -> Markup:
    """Return plotly.js.

    Raises:
        ConfigError: plotly is not installed; the message says how to install it.
    """
    try:
        from plotly.offline import get_plotlyjs
    except ImportError:
        raise ConfigError('the report\'s plots need plotly: pip install "ednas[report]"') from None
    return Markup(get_plotlyjs())


@lru_cache(maxsize=2)
def template(name: str) -> Template:
    """Return a page's template; the filters write numbers as :mod:`ednas.report.labels` does."""
    environment = Environment(
        loader=PackageLoader("ednas", "report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        count=labels.show_count,
        delta=labels.show_delta,
        latency=labels.show_latency,
        number=labels.show_number,
        seconds=show_seconds,
        png=_data_url,
        heading=labels.metric_heading,
    )
    environment.globals["version"] = version("ednas")
    return environment.get_template(name)


def _plots(report: ReportData) -> dict[str, tuple[str, Markup]]:
    """Return the plots by name: what they show, for screen readers, and the figure."""
    scored = sum(trial.scored for trial in report.trials)
    found: dict[str, tuple[str, Markup]] = {}
    if scored:
        description = f"Scatter plot of accuracy against latency of {scored} trials; {len(report.pareto)} on the front"
        found["pareto"] = description, _script_json(plots.pareto_figure(report))
        description = f"Reward of {scored} trials in the order in which they finished, with the best reward so far"
        found["reward"] = description, _script_json(plots.reward_figure(report))
    if report.choices:
        description = f"Heat map of what the {report.winners} best trials chose for each block, against all trials"
        found["choices"] = description, _script_json(plots.choices_figure(report))
    return found


def _script_json(value: Any) -> Markup:
    """Return JSON that cannot end the ``<script>`` element it stands in."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return Markup(text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e"))


def _tiles(report: ReportData) -> dict[str, str]:
    """Return the facts at the top by their captions."""
    tiles = {}
    scored = [trial for trial in report.trials if trial.scored]
    if report.trials:
        finished = sum(trial.state in (TrialState.DONE, TrialState.FAILED) for trial in report.trials)
        planned = report.planned_trials
        text = f"{finished}" if planned is None or planned == finished else f"{finished} / {planned}"
        tiles["trials evaluated"] = text
    if scored:
        chosen = next((trial for trial in scored if report.best and trial.number == report.best.number), None)
        best = chosen or max(scored, key=lambda trial: trial.reward or 0.0)
        tiles[f"reward of the {'chosen' if chosen else 'best'} trial, {best.number}"] = f"{best.reward:.4f}"
        tiles["its latency"] = f"{labels.show_latency(best.latency_ms)} ms"
    if report.gain is not None:
        seeds = "one seed" if report.gain.seeds == 1 else "two seeds"
        tiles[f"accuracy over the base network's ({seeds})"] = f"{labels.show_delta(report.gain.percent)} %"
    if report.baseline_latency_ms is not None:
        tiles["baseline latency"] = f"{labels.show_latency(report.baseline_latency_ms)} ms"
    if report.target_latency_ms is not None:
        tiles["target latency"] = f"{labels.show_latency(report.target_latency_ms)} ms"
    deltas = [model.delta for model in report.comparison.models if model.delta is not None] if report.comparison else []
    if deltas:
        tiles["best gain Δ over the baseline"] = f"{labels.show_delta(max(deltas))} %"
    seconds = [trial.seconds for trial in report.trials if trial.seconds is not None]
    if seconds:
        tiles["spent in trials"] = show_seconds(sum(seconds))
    return tiles


def _groups(table: ComparisonTable) -> list[tuple[str, list[Row]]]:
    """Return the comparison's rows by what they are about."""
    return [*((task, task_rows(table, task)) for task in table.metrics), ("All", overall_rows(table, "Parameters"))]


def _judged_metrics(report: ReportData) -> dict[str, tuple[str, ...]]:
    """Return by task the metrics that make the trials' accuracies."""
    found = (trial.metrics for trial in report.trials if trial.scored)
    return {task: tuple(scored_metrics(metrics)) for task, metrics in next(found, {}).items() if metrics}


def _standings(report: ReportData, judged: Mapping[str, Sequence[str]]) -> list[Standing]:
    """Return the best trials by reward, the base network, and what no network at all scores."""
    ranked = sorted((t for t in report.trials if t.scored), key=lambda t: (-(t.reward or 0.0), t.number))
    chosen = None if report.best is None else report.best.number
    kept = {trial.number for trial in ranked[:_BEST]} | {chosen, report.baseline_trial}
    remarks = {report.baseline_trial: "base network", chosen: "chosen"}
    if chosen == report.baseline_trial:
        remarks[chosen] = "chosen: the base network"

    def cells(values: TaskValues) -> tuple[str, ...]:
        return tuple(
            labels.show_metric(name, values.get(task, {}).get(name)) for task, names in judged.items() for name in names
        )

    rows = [
        Standing(
            f"{trial.number} ({remarks[trial.number]})" if trial.number in remarks else str(trial.number),
            trial,
            report.judgements[trial.number].accuracy if trial.number in report.judgements else None,
            cells(trial.metrics),
        )
        for trial in ranked
        if trial.number in kept
    ]
    return rows + ([Standing(NO_NETWORK, None, None, cells(report.trivial))] if rows and report.trivial else [])


def _galleries(pictures: Iterable[Picture]) -> list[Gallery]:
    samples: dict[tuple[str, bytes], list[Picture]] = {}
    for picture in pictures:
        samples.setdefault((picture.sample, picture.image), []).append(picture)
    return [
        Gallery(sample, image, tuple(dict.fromkeys(model for row in rows for model, _ in row.predictions)), tuple(rows))
        for (sample, image), rows in samples.items()
    ]


def _data_url(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode('ascii')}"
