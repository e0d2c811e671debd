"""The report of a training as one self-contained HTML file, in the look of a search's (:mod:`ednas.report.html`)."""

from __future__ import annotations

import math
from pathlib import Path
from statistics import median

import yaml
from markupsafe import Markup

from ednas.files import write_text
from ednas.metrics import NO_NETWORK, scored_metrics
from ednas.report.classes import collect_classes, confusions, draw_confusion
from ednas.report.curves import COLOURS, Line, Panel, draw_panel
from ednas.report.drawing import draw_architecture
from ednas.report.html import template
from ednas.report.labels import metric_label, show_count, show_metric, show_number
from ednas.report.metrics import measured_heading, metric_rows
from ednas.report.training import TrainingReport
from ednas.training import Recipe
from ednas.training.trivial import shortcomings

_LOSS, _RATE, _SPEED = "loss", "learning_rate", "images_per_second"
"""Columns of ``steps.csv``."""


def render_training(report: TrainingReport, reload_s: float | None = None) -> str:
    """Return the report as an HTML page; sections without content are left out.

    Args:
        report: What it says.
        reload_s: After how many seconds it reloads itself; None = it does not.
    """
    config, metrics = report.runs[0].config, report.metrics
    return template("training.html").render(
        report=report,
        reload_s=reload_s,
        tiles=_tiles(report),
        facts=_facts(report),
        warnings=[*_unfinished(report), *(shortcomings(metrics) if metrics else ())],
        results=metric_rows(metrics, report.spread) if metrics else {},
        no_network=NO_NETWORK if metrics and metrics["trivial"]["tasks"] else "",
        legend=[(run.name, COLOURS[number % len(COLOURS)]) for number, run in enumerate(report.runs)],
        losses=[Markup(draw_panel(panel)) for panel in loss_panels(report)],
        validation=[Markup(draw_panel(panel)) for panel in validation_panels(report)],
        best_steps=[f"{run.best_step:,} ({run.name})" for run in report.runs if run.best_step is not None],
        sections=[
            (classes, confusions(classes), Markup(draw_confusion(classes)) if classes.matrix else "")
            for classes in (collect_classes(report.finished) if report.finished else [])
        ],
        headings={part.task: measured_heading(metrics or {}, part.task, part.metric) for part in report.extremes},
        show_metric=show_metric,
        drawing=Markup(draw_architecture(config.load_architecture(), tasks=config.tasks)) if config else "",
        config=yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True) if config else "",
    )


def write_training_report(report: TrainingReport, path: Path | str, reload_s: float | None = None) -> Path:
    """Write the report, as :func:`render_training` returns it, to ``path`` atomically and return the path.

    Raises:
        EdnasError: The file cannot be written.
    """
    write_text(path, render_training(report, reload_s))
    return Path(path)


def loss_panels(report: TrainingReport) -> list[Panel]:
    """Return the loss of every task, their weighted sum, and the learning rate over the steps."""
    columns = _columns(report, "steps")
    tasks = [name for name in columns if name.startswith(f"{_LOSS}/")]
    shown = {name: f"loss of {name.partition('/')[2]}" for name in tasks}
    if len(tasks) > 1 and _LOSS in columns:
        shown[_LOSS] = "weighted sum"
    panels = [Panel(title, _lines(report, "steps", name), may_be_logarithmic=True) for name, title in shown.items()]
    rate = [Panel("learning rate", _lines(report, "steps", _RATE))] if _RATE in columns else []
    return _drawable([*panels, *rate])


def validation_panels(report: TrainingReport) -> list[Panel]:
    """Return the scored metrics of every task on the part that is held out, over the steps."""
    metrics: dict[str, list[str]] = {}
    for name in _columns(report, "validation"):
        task, slash, metric = name.rpartition("/")
        if slash:
            metrics.setdefault(task, []).append(metric)
    panels = []
    for task, measured in metrics.items():
        for metric in scored_metrics(measured):
            heading = measured_heading(report.metrics or {}, task, metric)
            panels.append(Panel(f"{task}: {heading}", _lines(report, "validation", f"{task}/{metric}")))
    return _drawable(panels)


def _columns(report: TrainingReport, log: str) -> list[str]:
    """Return the columns of a log of any run, in order."""
    return list(dict.fromkeys(name for run in report.runs for row in getattr(run, log)[:1] for name in row))


def _lines(report: TrainingReport, log: str, column: str) -> tuple[Line, ...]:
    """Return a line for every run, in the order of the runs, without points where it has none."""
    return tuple(
        Line(
            name=run.name,
            points=tuple((row["step"], row[column]) for row in getattr(run, log) if column in row),
            marked=run.best_step if log == "validation" else None,
        )
        for run in report.runs
    )


def _drawable(panels: list[Panel]) -> list[Panel]:
    return [panel for panel in panels if any(math.isfinite(value) for line in panel.lines for _, value in line.points)]


def _tiles(report: TrainingReport) -> dict[str, str]:
    """Return the facts at the top by their captions."""
    metrics = report.metrics
    if metrics is None:
        return {}
    tiles = {}
    for task, values in metrics["tasks"].items():
        for metric in scored_metrics(values)[:1]:
            unit = metrics["units"].get(task, {}).get(metric, "") or metric_label(metric).unit
            text = f"{show_metric(metric, values[metric])} {unit}".rstrip()
            tiles[f"{task}: {metric_label(metric).title}"] = text
    if metrics["params"] is not None:
        tiles["parameters"] = show_count(metrics["params"])
    if metrics["steps"] is not None:
        tiles["steps"] = f"{metrics['steps']:,}"
    if len(report.runs) > 1:
        tiles["seeds finished"] = f"{len(report.finished)} / {len(report.runs)}"
    return tiles


def _facts(report: TrainingReport) -> dict[str, str]:
    """Return what was trained, as far as it is known, by heading."""
    config, metrics = report.runs[0].config, report.metrics or {}
    facts = {}
    if config is not None:
        architecture = config.load_architecture()
        facts = {
            "Network": architecture.name or architecture.fingerprint(),
            "Tasks": ", ".join(config.tasks),
            "Data": " · ".join(dict.fromkeys(filter(None, (metrics.get("dataset"), config.data)))),
            "Recipe": describe_recipe(config.recipe),
            "Losses": ", ".join(f"{n} × {w:g}" for n, w in config.recipe.task_weights(config.tasks).items()),
        }
    size = metrics.get("input_size") or (config.recipe.input_size if config else None)
    if size:
        facts["Input"] = f"{size[0]}×{size[1]} pixels (height × width)"
    if metrics:
        samples = "" if metrics["samples"] is None else f"{metrics['samples']:,} samples of "
        facts["Measured on"] = f"{samples}{metrics['split'] or 'val'}, protocol {metrics['protocol']}"
    facts["Seed"] = ", ".join(run.name.removeprefix("seed ") for run in report.runs)
    if metrics.get("device"):
        facts["Device"] = metrics["device"]
    speeds = [row[_SPEED] for run in report.runs for row in run.steps if _SPEED in row]
    if speeds:
        facts["Speed"] = f"{show_number(median(speeds), 0)} images a second (median)"
    return facts


def describe_recipe(recipe: Recipe) -> str:
    """Return a recipe in one line."""
    schedule = f"{recipe.schedule} after {recipe.warmup_steps:,} steps" if recipe.warmup_steps else recipe.schedule
    return ", ".join(
        [
            f"{recipe.name}: {recipe.steps:,} steps of {recipe.batch_size} samples",
            f"{recipe.optimizer} at {recipe.learning_rate:g} ({schedule})",
            "from scratch" if recipe.init is None else f"from {recipe.init}",
            *([] if recipe.teacher is None else [f"imitating {recipe.teacher}"]),
        ]
    )


def _unfinished(report: TrainingReport) -> list[str]:
    """Return a line for every run that goes on or was broken off."""
    lines = []
    for run in report.runs:
        if run.metrics is None:
            of = "" if run.planned is None else f" of {run.planned:,}"
            lines.append(f"{run.name} is not finished: step {run.step:,}{of}")
    return lines
