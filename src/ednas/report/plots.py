"""The report's interactive plots, as figure descriptions for plotly.js: ``{"data": [...], "layout": {...}}``.

Plain data, so that building them needs no plotly; :mod:`ednas.report.html` puts plotly.js into the page.
Everything that comes from outside is escaped, since plotly reads a little HTML in texts.
"""

from __future__ import annotations

import html
import math
from collections.abc import Collection, Iterable, Sequence
from itertools import accumulate, count, pairwise
from typing import Any

from ednas.arch import Architecture, InvertedBottleneck
from ednas.exceptions import ArchitectureError
from ednas.metrics import scored_metrics
from ednas.report.content import ReportData
from ednas.report.labels import metric_label, show_latency, show_metric
from ednas.report.svg import FAINT, FONT, INK, MUTED
from ednas.search.objective import Objective
from ednas.search.trial import Trial, TrialState

Figure = dict[str, Any]
"""A figure for plotly.js."""

MAX_DRAWN = 10_000
"""Above so many trials a plot shows the Pareto front, the best ones, and others at even distances: a browser draws no
more in reasonable time."""

MAX_DETAILED = 1200
"""Above so many trials, only the Pareto front and the best ones, so many at most, show their architecture: the file
stays small."""

_BEST_DETAILED = 500

FRONT, CANDIDATE, SLOW, BASELINE = "#b3421b", "#3d78b5", "#98a3ae", "#2b2f36"
_MONOSPACE = "ui-monospace, 'Cascadia Mono', Menlo, Consolas, 'DejaVu Sans Mono', monospace"
_DIVERGING = ((0.0, "#2a66a8"), (0.25, "#9dbfdd"), (0.5, "#f7f7f5"), (0.75, "#ecb08c"), (1.0, "#bd5316"))


def pareto_figure(report: ReportData) -> Figure:
    """Accuracy against latency of every scored trial, with the Pareto front, the baseline and the target.

    Trials above the target latency are hollow; trials that were not trained are ticks on the axis. Failed
    ones are left out. Hovering shows the architecture, stage by stage, and the metrics.
    """
    front = set(report.pareto)
    scored = [trial for trial in report.trials if trial.scored]
    detailed = _detailed(scored, front)
    limit = report.target_latency_ms
    others = [trial for trial in _drawn(scored, front | detailed) if trial.number not in front]
    within = [trial for trial in others if not _is_slow(trial, limit)]
    slow = [trial for trial in others if _is_slow(trial, limit)]
    best = sorted((trial for trial in scored if trial.number in front), key=_latency)
    symbols = ["circle-open" if _is_slow(trial, limit) else "circle" for trial in best]
    groups = [
        _points(within, detailed, "candidate", {"color": CANDIDATE, "size": 8, "opacity": 0.75}),
        _points(slow, detailed, "slower than the target", {"color": SLOW, "size": 8, "symbol": "circle-open"}),
        _points(best, detailed, "Pareto front", {"color": FRONT, "size": 11, "symbol": symbols}),
    ]
    # Of more objectives than the two axes the front is no line.
    line = [_front_line(best)] if set(report.objectives) == set(Objective.objectives) else []
    data = [*line, *(group for group in groups if group["x"])]
    pruned = [trial for trial in report.trials if trial.state is TrialState.PRUNED and trial.latency_ms is not None]
    accuracies = [_accuracy(trial) for trial in scored]
    if pruned and accuracies:
        data.append(_pruned_ticks(_drawn(pruned), min(accuracies) - 0.04 * (max(accuracies) - min(accuracies) or 1)))
    layout = _layout("latency (ms)", "accuracy")
    if pruned and scored:
        # Hopelessly slow candidates may lie 30 times as far out; zooming out (double click) shows them.
        shown = [*map(_latency, scored), *(value for value in (limit, report.baseline_latency_ms) if value is not None)]
        span = max(max(shown) - min(shown), 0.1 * max(shown))
        layout["xaxis"]["range"] = [min(shown) - 0.3 * span, max(shown) + 0.5 * span]
    shapes, notes = [], []
    if limit is not None:
        shapes.append(_vertical(limit, FRONT, "dash"))
        notes.append(_note(limit, 1.06, f"target {show_latency(limit)} ms", FRONT))
    base = report.baseline_latency_ms
    if base is not None and report.baseline_accuracy is not None:
        marker = {"color": BASELINE, "size": 13, "symbol": "star"}
        hover = "<b>baseline</b><br>latency %{x:.3r} ms · accuracy %{y:.4f}<extra></extra>"
        data.append({**_trace([base], [report.baseline_accuracy], "baseline", marker), "hovertemplate": hover})
    elif base is not None:
        shapes.append(_vertical(base, BASELINE, "dot"))
        notes.append(_note(base, 0.99, f"baseline {show_latency(base)} ms", BASELINE))
    layout.update(shapes=shapes, annotations=notes)
    return {"data": data, "layout": layout}


def reward_figure(report: ReportData) -> Figure:
    """Reward of the trials in the order in which they finished, with the best so far."""
    scored = [trial for trial in report.trials if trial.scored]
    scored.sort(key=lambda trial: trial.number if trial.done_order is None else trial.done_order)
    places = {trial.number: place for place, trial in enumerate(scored, start=1)}
    best = list(enumerate(accumulate(map(_reward, scored), max), start=1))
    rises = best[:1] + [after for before, after in pairwise(best) if after[1] > before[1]]
    drawn = _drawn(scored, {scored[place - 1].number for place, _ in rises})
    marker = {"color": CANDIDATE, "size": 6, "opacity": 0.7}
    points = {
        **_trace([places[trial.number] for trial in drawn], map(_reward, drawn), "trial", marker),
        "customdata": [trial.number for trial in drawn],
        "hovertemplate": "<b>trial %{customdata}</b><br>reward %{y:.4f}<extra></extra>",
    }
    steps = [*rises, *best[-1:]]
    line = {
        "type": "scatter",
        "mode": "lines",
        "name": "best so far",
        "x": [place for place, _ in steps],
        "y": [_rounded(reward) for _, reward in steps],
        "line": {"color": FRONT, "width": 2, "shape": "hv"},
        "hovertemplate": "best so far %{y:.4f}<extra></extra>",
    }
    return {"data": [points, line], "layout": _layout("finished trials", "reward")}


def choices_figure(report: ReportData) -> Figure:
    """Heat map: how much more often (orange) or seldom (blue) the winners chose a value for a block than all did."""
    rows = list(dict.fromkeys((share.field, share.value) for share in report.choices))
    fields = list(dict.fromkeys(field for field, _ in rows))
    order = [*(field for field in fields if field != "filters"), "filters"]
    rows.sort(key=lambda row: order.index(row[0]))  # stable: the values stay in their order
    stages = report.stage_depths
    count = sum(stages)
    places = {row: index for index, row in enumerate(rows)}
    z: list[list[float | None]] = [[None] * count for _ in rows]
    text = [[""] * count for _ in rows]
    hover = [[""] * count for _ in rows]
    for share in report.choices:
        row, column = places[share.field, share.value], share.block - 1
        z[row][column] = round(100 * (share.winners - share.everyone), 1)
        text[row][column] = f"{100 * share.winners:.0f}"
        hover[row][column] = (
            f"<b>block {share.block}: {html.escape(_row_name(share.field, share.value))}</b><br>"
            f"{share.winners:.0%} of the winners, {share.everyone:.0%} of all trials"
        )
    heat = {
        "type": "heatmap",
        "x": [str(block) for block in range(1, count + 1)],
        "y": [html.escape(_row_name(*row)) for row in rows],
        "z": z,
        "zmin": -60,
        "zmax": 60,
        "text": text,
        "texttemplate": "%{text}",
        "textfont": {"size": 11},
        "customdata": hover,
        "hovertemplate": "%{customdata}<extra></extra>",
        "hoverongaps": False,
        "xgap": 2,
        "ygap": 2,
        "colorscale": [list(stop) for stop in _DIVERGING],
        "colorbar": {
            "title": {"text": "winners − all<br>(points)", "font": {"size": 11}},
            "thickness": 10,
            "outlinewidth": 0,
            "tickfont": {"size": 11},
        },
    }
    layout = _layout("block", "")
    layout["xaxis"].update(type="category", side="top", showgrid=False, ticks="")
    layout["yaxis"].update(type="category", autorange="reversed", showgrid=False, ticks="", title={"text": ""})
    layout.update(height=110 + 27 * len(rows), margin={"l": 120, "r": 10, "t": 60, "b": 20}, hovermode="closest")
    ends = [end - 0.5 for end in accumulate(stages[:-1])]
    layout["shapes"] = [_vertical(end, "#b9c3cc", "solid") for end in ends] + [
        {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": y, "y1": y, "line": {"color": "#b9c3cc", "width": 1}}
        for y in (index - 0.5 for index in range(1, len(rows)) if rows[index][0] != rows[index - 1][0])
    ]
    return {"data": [heat], "layout": layout}


def details(trial: Trial) -> str:
    """Return what hovering a trial shows below its numbers, in plotly's HTML: metrics, and the blocks by stages."""
    lines = [] if trial.reward is None else [f"reward {trial.reward:.4f}"]
    for task, metrics in trial.metrics.items():
        values = (
            f"{metric_label(metric).title} {show_metric(metric, metrics[metric])}{metric_label(metric).unit}"
            for metric in scored_metrics(metrics)
        )
        lines.append(html.escape(f"{task}: {' · '.join(values)}"))
    return "".join(f"<br>{line}" for line in [*lines, *_architecture_lines(trial.architecture)])


def _architecture_lines(text: str) -> list[str]:
    """Return the text form with one stage a line; blocks other than plain inverted bottlenecks are bold."""
    try:
        stages = Architecture.from_text(text).stages()
    except ArchitectureError:
        stages = ()
    if not stages:
        return [html.escape(text)] if text else []
    blocks = {block.text for stage in stages for block in stage}
    rest = [part for part in text.split() if part != "|" and part not in blocks]
    lines = [f"<br>{html.escape(' '.join(rest))}"]
    for number, stage in enumerate(stages, start=1):
        shown = (b.text if isinstance(b, InvertedBottleneck) else f"<b>{b.text}</b>" for b in stage)
        lines.append(f"{number}  " + " ".join(shown))
    return lines


def _drawn(trials: Sequence[Trial], kept: Collection[int] = ()) -> list[Trial]:
    """Return the trials that are drawn: those of certain numbers, and as many others as there is room for."""
    if len(trials) <= MAX_DRAWN:
        return list(trials)
    others = sum(trial.number not in kept for trial in trials)
    step = math.ceil(others / max(1, MAX_DRAWN - len(kept)))
    places = count()
    return [trial for trial in trials if trial.number in kept or next(places) % step == 0]


def _detailed(scored: Sequence[Trial], front: set[int]) -> set[int]:
    """Return the numbers of the trials that show their architecture."""
    if len(scored) <= MAX_DETAILED:
        return {trial.number for trial in scored}
    ranked = sorted(scored, key=lambda trial: -_reward(trial))
    best = {trial.number for trial in ranked[:_BEST_DETAILED]}
    chosen = [trial.number for trial in ranked if trial.number in front | best]
    return set(chosen[:MAX_DETAILED])


def _points(trials: Sequence[Trial], detailed: set[int], name: str, marker: dict[str, Any]) -> dict[str, Any]:
    return {
        **_trace(map(_latency, trials), map(_accuracy, trials), name, marker),
        "text": [str(trial.number) for trial in trials],
        "customdata": [details(trial) if trial.number in detailed else "" for trial in trials],
        "hovertemplate": f"<b>trial %{{text}}</b> · {name}<br>latency %{{x:.3r}} ms · accuracy %{{y:.4f}}"
        "%{customdata}<extra></extra>",
    }


def _trace(x: Iterable[float], y: Iterable[float], name: str, marker: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "x": [_rounded(value) for value in x],
        "y": [_rounded(value) for value in y],
        "marker": marker,
    }


def _front_line(best: Sequence[Trial]) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "lines",
        "x": [_latency(trial) for trial in best],
        "y": [_accuracy(trial) for trial in best],
        "line": {"color": FRONT, "width": 1.5, "shape": "hv"},
        "hoverinfo": "skip",
        "showlegend": False,
    }


def _pruned_ticks(pruned: Sequence[Trial], y: float) -> dict[str, Any]:
    marker = {"color": SLOW, "size": 9, "symbol": "line-ns-open"}
    return {
        **_trace(map(_latency, pruned), [y] * len(pruned), "not trained", marker),
        "text": [str(trial.number) for trial in pruned],
        "hovertemplate": "<b>trial %{text}</b><br>latency %{x:.3r} ms: not trained<extra></extra>",
    }


def _vertical(x: float, colour: str, dash: str) -> dict[str, Any]:
    line = {"color": colour, "width": 1.2, "dash": dash}
    return {"type": "line", "yref": "paper", "x0": x, "x1": x, "y0": 0, "y1": 1, "line": line}


def _note(x: float, y: float, text: str, colour: str) -> dict[str, Any]:
    """A label to the left of a vertical line, its top at the share ``y`` of the plot's height."""
    return {
        "x": x,
        "y": y,
        "yref": "paper",
        "text": text,
        "showarrow": False,
        "xanchor": "right",
        "yanchor": "top",
        "font": {"color": colour, "size": 12},
    }


def _layout(x_title: str, y_title: str) -> dict[str, Any]:
    axis = {
        "gridcolor": FAINT,
        "zeroline": False,
        "linecolor": "#aab5bf",
        "showline": True,
        "ticks": "outside",
        "tickcolor": "#aab5bf",
        "automargin": True,
    }
    return {
        "font": {"family": FONT, "size": 13, "color": INK},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "#ffffff",
        "margin": {"l": 60, "r": 20, "t": 30, "b": 50},
        "height": 460,
        "hovermode": "closest",
        "modebar": {"bgcolor": "rgba(0,0,0,0)", "color": "#b9c3cc", "activecolor": MUTED},
        "hoverlabel": {
            "bgcolor": "#ffffff",
            "bordercolor": "#aab5bf",
            "align": "left",
            "namelength": -1,
            "font": {"family": _MONOSPACE, "size": 11.5, "color": INK},
        },
        "legend": {
            "orientation": "h",
            "yref": "container",
            "y": 0,
            "yanchor": "bottom",
            "x": 0,
            "font": {"size": 12, "color": MUTED},
        },
        "xaxis": {**axis, "title": {"text": x_title}},
        "yaxis": {**axis, "title": {"text": y_title}},
    }


def _row_name(field: str, value: str) -> str:
    return value if field == "kind" else f"{field} {value}"


def _is_slow(trial: Trial, limit: float | None) -> bool:
    return limit is not None and _latency(trial) > limit


def _latency(trial: Trial) -> float:
    return trial.latency_ms or 0.0


def _accuracy(trial: Trial) -> float:
    return trial.accuracy or 0.0


def _reward(trial: Trial) -> float:
    return trial.reward or 0.0


def _rounded(value: float) -> float:
    """Return a number with six digits, which take less room in a page."""
    return float(f"{value:.6g}")
