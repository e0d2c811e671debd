"""The report as one self-contained HTML file: no network access, works from disk, prints."""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from ednas.durations import show_seconds
from ednas.exceptions import ConfigError
from ednas.files import write_text
from ednas.hw.quantities import QUANTITIES
from ednas.metrics import NO_NETWORK, TaskValues, scored_metrics
from ednas.report import labels, plots
from ednas.report.content import BestModel, BlockRow, ComparisonTable, Picture, ReportData
from ednas.report.cost import draw_cost
from ednas.report.drawing import draw_architecture
from ednas.search.trial import Trial, TrialState

if TYPE_CHECKING:
    from ednas.hw import LayerCost


_SLOWEST = 12
"""Layers in the table of the slowest."""

_BEST = 10
"""Trials in the table of the best."""


@dataclass(frozen=True)
class Plot:
    """A plot as the template needs it.

    Attributes:
        name: Part of the element's id.
        description: What it shows, for screen readers.
        json: The figure, safe inside a ``<script>`` element.
    """

    name: str
    description: str
    json: Markup


@dataclass(frozen=True)
class Tile:
    """One of the facts at the top: a large text with a caption."""

    text: str
    caption: str


@dataclass(frozen=True)
class Cell:
    """A number in the comparison, with its relative gain in percent."""

    text: str
    delta: float | None = None


@dataclass(frozen=True)
class Row:
    """A row of the comparison, a cell for each model."""

    heading: str
    cells: tuple[Cell, ...]
    emphasis: bool = False


@dataclass(frozen=True)
class Group:
    """Rows of the comparison that belong together: a task's, or what holds for all."""

    name: str
    rows: tuple[Row, ...]


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


def render(report: ReportData) -> str:
    """Return the report as an HTML page; sections without content are left out.

    Raises:
        ConfigError: plotly, which brings the plots' script, is not installed.
    """
    page_plots = _plots(report)
    best = report.best
    trials = {trial.number: trial for trial in report.trials}
    return template("search.html").render(
        report=report,
        tiles=_tiles(report),
        plots={"pareto": None, "reward": None, "choices": None} | {plot.name: plot for plot in page_plots},
        plotly=plotly_script() if page_plots else "",
        front=[trials[number] for number in report.pareto if number in trials],
        headings=[labels.metric_heading(metric) for _, metric in _judged_metrics(report)],
        tasks=_spans(_judged_metrics(report)),
        standings=_standings(report),
        scored=sum(trial.scored for trial in report.trials),
        failed_count=sum(trial.state is TrialState.FAILED for trial in report.trials),
        pruned=sum(trial.state is TrialState.PRUNED for trial in report.trials),
        pruned_by=[f"{count} by {QUANTITIES[name].title.lower()}" for name, count in report.pruned_by.items()],
        failed=[
            trial
            for trial in report.trials
            if trial.state is TrialState.FAILED or (trial.state is TrialState.DONE and trial.error)
        ],
        drawing=Markup(draw_architecture(best.architecture, tasks=best.tasks)) if best else "",
        cost_drawing=Markup(draw_cost(best.cost, best.target, title=best.architecture.name))
        if best and best.cost
        else "",
        slowest=_slowest(best) if best else [],
        bars=_bars(best.rows) if best else {},
        groups=_groups(report.comparison) if report.comparison else [],
        galleries=_galleries(report.pictures),
        version=version("ednas"),
    )


def write_report(report: ReportData, path: Path | str) -> Path:
    """Write the report to ``path`` atomically and return the path.

    Raises:
        ConfigError: plotly is not installed.
        EdnasError: The file cannot be written.
    """
    write_text(path, render(report))
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
    )
    return environment.get_template(name)


def _plots(report: ReportData) -> list[Plot]:
    scored = sum(trial.scored for trial in report.trials)
    found: list[tuple[str, str, plots.Figure]] = []
    if scored:
        description = f"Scatter plot of accuracy against latency of {scored} trials; {len(report.pareto)} on the front"
        found.append(("pareto", description, plots.pareto_figure(report)))
        description = f"Reward of {scored} trials in the order in which they finished, with the best reward so far"
        found.append(("reward", description, plots.reward_figure(report)))
    if report.choices:
        description = f"Heat map of what the {report.winners} best trials chose for each block, against all trials"
        found.append(("choices", description, plots.choices_figure(report)))
    return [Plot(name, text, _script_json(figure)) for name, text, figure in found]


def _script_json(value: Any) -> Markup:
    """Return JSON that cannot end the ``<script>`` element it stands in."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return Markup(text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e"))


def _tiles(report: ReportData) -> list[Tile]:
    tiles: list[Tile] = []
    scored = [trial for trial in report.trials if trial.scored]
    if report.trials:
        finished = sum(trial.state in (TrialState.DONE, TrialState.FAILED) for trial in report.trials)
        planned = report.planned_trials
        text = f"{finished}" if planned is None or planned == finished else f"{finished} / {planned}"
        tiles.append(Tile(text, "trials evaluated"))
    if scored:
        chosen = next((trial for trial in scored if report.best and trial.number == report.best.number), None)
        best = chosen or max(scored, key=lambda trial: trial.reward or 0.0)
        tiles.append(Tile(f"{best.reward:.4f}", f"reward of the {'chosen' if chosen else 'best'} trial, {best.number}"))
        tiles.append(Tile(f"{labels.show_latency(best.latency_ms)} ms", "its latency"))
    if report.gain is not None:
        seeds = "one seed" if report.gain.seeds == 1 else "two seeds"
        tiles.append(Tile(f"{labels.show_delta(report.gain.percent)} %", f"accuracy over the base network's ({seeds})"))
    if report.baseline_latency_ms is not None:
        tiles.append(Tile(f"{labels.show_latency(report.baseline_latency_ms)} ms", "baseline latency"))
    if report.target_latency_ms is not None:
        tiles.append(Tile(f"{labels.show_latency(report.target_latency_ms)} ms", "target latency"))
    deltas = [model.delta for model in report.comparison.models if model.delta is not None] if report.comparison else []
    if deltas:
        tiles.append(Tile(f"{labels.show_delta(max(deltas))} %", "best gain Δ over the baseline"))
    seconds = [trial.seconds for trial in report.trials if trial.seconds is not None]
    if seconds:
        tiles.append(Tile(show_seconds(sum(seconds)), "spent in trials"))
    return tiles


def _bars(rows: Sequence[BlockRow]) -> dict[str, float]:
    """Return what counts as a full bar in the block table's columns."""
    return {
        "params": max((row.params or 0 for row in rows), default=0) or 1,
        "macs": max((row.macs or 0 for row in rows), default=0) or 1,
    }


def _slowest(best: BestModel) -> list[LayerCost]:
    """Return the layers that take longest."""
    layers = best.cost.layers if best.cost else ()
    return sorted(layers, key=lambda layer: -layer.latency_ms)[:_SLOWEST]


def _groups(table: ComparisonTable) -> list[Group]:
    """Return the comparison's rows: of each task the metrics, Δ, and metrics beside it, then overall Δ and costs."""
    groups = []
    for task, metrics in table.metrics.items():
        scored = scored_metrics(metrics)
        others = [metric for metric in metrics if metric not in scored]
        above, below = ([_metric_row(table, task, metric) for metric in part] for part in (scored, others))
        deltas = Row("Δ", tuple(Cell("", model.task_deltas.get(task)) for model in table.models), emphasis=True)
        groups.append(Group(task, (*above, deltas, *below)))
    rows = [Row("Δ", tuple(Cell("", model.delta) for model in table.models), emphasis=True)]
    costs = {
        "Latency ms": [labels.show_latency(model.latency_ms) for model in table.models],
        "Parameters": [labels.show_count(model.params) for model in table.models],
        "MACs": [labels.show_count(model.macs) for model in table.models],
    }
    rows += [
        Row(heading, tuple(map(Cell, texts))) for heading, texts in costs.items() if set(texts) != {labels.MISSING}
    ]
    return [*groups, Group("All", tuple(rows))]


def _metric_row(table: ComparisonTable, task: str, metric: str) -> Row:
    cells = []
    for model in table.models:
        value, spread = (values.get(task, {}).get(metric) for values in (model.values, model.spread))
        cells.append(Cell(labels.show_metric(metric, value, spread), model.metric_deltas.get(task, {}).get(metric)))
    unit = table.units.get(task, {}).get(metric, "")
    return Row(labels.metric_heading(metric, table.higher_is_better, unit), tuple(cells))


def _judged_metrics(report: ReportData) -> list[tuple[str, str]]:
    """Return the tasks and metrics that make the trials' accuracies."""
    found = (trial.metrics for trial in report.trials if trial.scored)
    return [(task, name) for task, metrics in next(found, {}).items() for name in scored_metrics(metrics)]


def _spans(metrics: Iterable[tuple[str, str]]) -> dict[str, int]:
    """Return the tasks with their numbers of metrics."""
    return dict(Counter(task for task, _ in metrics))


def _standings(report: ReportData) -> list[Standing]:
    """Return the best trials by reward, the base network, and what no network at all scores."""
    ranked = sorted((t for t in report.trials if t.scored), key=lambda t: (-(t.reward or 0.0), t.number))
    chosen = None if report.best is None else report.best.number
    kept = {trial.number for trial in ranked[:_BEST]} | {chosen, report.baseline_trial}
    remarks = {report.baseline_trial: "base network", chosen: "chosen"}
    if chosen == report.baseline_trial:
        remarks[chosen] = "chosen: the base network"
    metrics = _judged_metrics(report)

    def cells(values: TaskValues) -> tuple[str, ...]:
        return tuple(labels.show_metric(name, values.get(task, {}).get(name)) for task, name in metrics)

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
