"""Tables for the terminal: an architecture, metrics, a comparison, what an inference costs, a target, a calibration."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from statistics import mean
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel
from rich.bar import Bar
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from ednas.arch import Architecture
from ednas.hw.figure import Figure
from ednas.metrics import NO_NETWORK, ModelMetrics, TaskValues, scored_metrics
from ednas.report.blocks import block_rows
from ednas.report.comparison import tabulate
from ednas.report.content import ComparisonTable, ModelRow
from ednas.report.labels import (
    MISSING,
    metric_heading,
    show_count,
    show_delta,
    show_figure,
    show_latency,
    show_metric,
    show_number,
    show_unit,
)
from ednas.report.metrics import metric_rows
from ednas.scoring import Comparison

if TYPE_CHECKING:
    from ednas.hw.calibration import Calibration
    from ednas.hw.cost import Cost, LayerCost
    from ednas.hw.summary import Summary
    from ednas.hw.target import Target

PROVENANCES = ("measured", "published", "assumed")
"""Where figures come from, the surest first."""

_KIND_STYLES = {"FusedIBN": "dark_orange3", "IBN": "blue"}
_PROVENANCE_STYLES = {"measured": "green", "assumed": "dark_orange3", "free": "bold blue"}
_ALWAYS_SHOWN = ("energy_mj", "area_mm2", "peak_memory_kb")
_BAR_WIDTH = 12
_LONGEST_LIST = 4
_ROUNDING = 1e-6

_Row = tuple[str, str, str, Callable[[float], str]]
"""A quantity's title and unit, the field of a cost, and how a value is written."""

_TIMES: tuple[_Row, ...] = (
    ("Latency", "ms", "latency_ms", show_latency),
    ("Call", "ms", "dispatch_ms", show_latency),
    ("Transfer", "ms", "transfer_ms", show_latency),
    ("Accelerator", "ms", "accelerator_ms", show_latency),
    ("Host", "ms", "host_ms", show_latency),
)
_SIZES: tuple[_Row, ...] = (
    ("Cycles", "", "accelerator_cycles", show_count),
    ("Energy", "mJ", "energy_mj", show_latency),
    ("Area", "mm²", "area_mm2", show_latency),
    ("Peak memory", "KiB", "peak_memory_kb", "{:,.0f}".format),
    ("Parameters", "B", "parameter_bytes", show_count),
    ("Streamed parameters", "B", "streamed_bytes", show_count),
    ("Spilled activations", "B", "spilled_bytes", show_count),
    ("Instructions", "B", "instruction_bytes", show_count),
)


def architecture_table(architecture: Architecture, summary: Summary | None = None) -> Table:
    """Return the architecture as Table 6 prints it; with a summary also what each part costs, and the totals.

    Args:
        architecture: The architecture.
        summary: Its counts, from :func:`ednas.hw.summary.summarise`.
    """
    table = _table(architecture.name or architecture.fingerprint())
    table.add_column("Index", justify="right")
    table.add_column("Layer")
    for heading in ("Stride", "Kernel", "Filters", "Expansion"):
        table.add_column(heading, justify="right")
    if summary is not None:
        for heading in ("Output (h×w×c)", "Params", "MACs", "MACs %"):
            table.add_column(heading, justify="right")
    for row in block_rows(architecture, summary):
        cells = [Text(row.index), Text(row.layer, _KIND_STYLES.get(row.layer, ""))]
        cells += [_integer(value) for value in (row.stride, row.kernel, row.filters, row.expansion)]
        if summary is not None:
            share = 100 * (row.macs or 0) / summary.macs
            output = "×".join(map(str, row.output or ()))
            cells += [Text(output), Text(show_count(row.params)), Text(show_count(row.macs)), Text(f"{share:.1f}")]
        table.add_row(*cells, end_section=row.index in ("0", "16"))
    if summary is not None:
        table.add_section()
        totals = [show_count(summary.params), show_count(summary.macs), "100.0"]
        table.add_row("", "Total", *[""] * 4, "", *totals, style="bold")
        table.caption = (
            f"input {summary.input[0]}×{summary.input[1]}, backbone {show_count(summary.params_backbone)} parameters, "
            f"{show_count(summary.flops)} FLOPs"
        )
    return table


def metrics_table(metrics: Mapping[str, Any], spread: TaskValues | None = None) -> Table:
    """Return what was measured of one model: of each task the paper's metrics, then the others.

    Beside them stands what the mean training label of each pixel scores, where it was measured.

    Args:
        metrics: Content of a ``metrics.json``, from :func:`ednas.training.evaluate`.
        spread: Standard deviations over several runs.
    """
    table = _table("Metrics")
    table.add_column("Task")
    table.add_column("Metric")
    table.add_column("Value" if spread is None else "Mean ± std", justify="right")
    has_trivial = bool(metrics.get("trivial", {}).get("tasks"))
    if has_trivial:
        table.add_column(NO_NETWORK, justify="right")
    for task, rows in groupby(metric_rows(metrics, spread), key=lambda row: row.task):
        for number, row in enumerate(rows):
            beside = [row.trivial] if has_trivial else []
            table.add_row(Text(task if number == 0 else ""), Text(row.heading), row.value, *beside)
        table.add_section()
    return table


def classes_table(task: str, classes: Mapping[str, Mapping[str, float | None]]) -> Table:
    """Return a task's metrics by class in percent; a dash where a class does not occur."""
    table = _table(f"{task} by class")
    table.add_column("Class", overflow="fold")
    for heading in ("IoU %", "Acc. %"):
        table.add_column(heading, justify="right")
    for name, values in classes.items():
        table.add_row(Text(name), show_number(values["iou"]), show_number(values["acc"]))
    return table


def comparison_table(
    baseline: ModelMetrics | ComparisonTable,
    models: Sequence[ModelMetrics] = (),
    comparison: Comparison | None = None,
) -> Table:
    """Return metrics by models: values with their relative gains in percent, and the gains Δ by task and overall.

    A model is a column, so that three tasks fit into a terminal of 80 characters. Gains (Eq. 9-12) are positive where
    the model is better than the baseline. Metrics that do not enter Δ stand below it, without a gain.

    Args:
        baseline: The baseline's metrics, or a whole table, in which case nothing else is given.
        models: The models' metrics.
        comparison: Their gains, from :func:`ednas.scoring.compare`; computed where it is missing.

    Raises:
        CheckpointError: The models cannot be compared with the baseline.
    """
    content = baseline if isinstance(baseline, ComparisonTable) else tabulate(baseline, models, comparison)
    title = f"Gains over {content.baseline}" if content.baseline else "Comparison"
    table = _table(title + (f" (protocol {content.protocol})" if content.protocol else ""))
    table.add_column("Task")
    table.add_column("Metric")
    for model in content.models:
        table.add_column(Text(model.name), justify="right", overflow="fold")
    for task, metrics in content.metrics.items():
        scored = scored_metrics(metrics)
        for number, metric in enumerate(scored):
            table.add_row(Text(task if number == 0 else ""), *_metric_row(content, task, metric))
        table.add_row("", "Δ %", *[_delta(model.task_deltas.get(task)) for model in content.models])
        for metric in metrics:
            if metric not in scored:
                table.add_row("", *_metric_row(content, task, metric), style="dim")
        table.add_section()
    table.add_row("all", "Δ %", *[_delta(model.delta) for model in content.models], style="bold", end_section=True)
    for heading, texts in _known_costs(content).items():
        table.add_row("", heading, *texts)
    return table


def chances_table(names: Sequence[str], chances: Sequence[TaskValues]) -> Table:
    """Return how probable the differences of models from the baseline are by chance, a column each.

    Args:
        names: The models.
        chances: Of each, from :func:`ednas.scoring.paired_p_values`.
    """
    table = _table("p-values")
    table.add_column("Task")
    table.add_column("Metric")
    for name in names:
        table.add_column(Text(name), justify="right", overflow="fold")
    rows = dict.fromkeys((task, metric) for model in chances for task, metrics in model.items() for metric in metrics)
    for task, metric in rows:
        values = [model.get(task, {}).get(metric) for model in chances]
        cells = [MISSING if value is None else f"{value:.3f}" for value in values]
        table.add_row(Text(task), Text(metric_heading(metric)), *cells)
    return table


def parts_table(cost: Cost, name: str = "") -> Table:
    """Return the parts of one inference with their times: call, transfer, accelerator, host.

    Args:
        cost: The cost.
        name: The network's name.
    """
    table = _table(f"{name + ' on ' if name else ''}{cost.target}: {show_latency(cost.latency_ms)} ms")
    table.add_column("Part")
    _add_time_columns(table)
    table.add_column("What it is")
    for part, value, what in (
        ("call", cost.dispatch_ms, "fixed time of a call"),
        ("transfer", cost.transfer_ms, "input, outputs, instructions"),
        ("accelerator", cost.accelerator_ms, _bounds(cost)),
        ("host", cost.host_ms, _host_reason(cost)),
    ):
        if value is not None:
            table.add_row(part, *_time(value, cost), Text(what))
    table.add_section()
    table.add_row("total", *_time(cost.latency_ms, cost), style="bold")
    if cost.notes:
        table.caption = Text("\n".join(cost.notes))
    return table


def costs_table(costs: Sequence[Cost], *, times: bool = True) -> Table:
    """Return costs side by side, one a column; a dash where a source does not tell.

    What no source tells is left out, but for energy, area and memory: that they are unknown is worth knowing.

    Args:
        costs: The costs.
        times: Whether to begin with the times.
    """
    table = _table("Costs")
    table.add_column("Quantity")
    table.add_column("Unit")
    for cost in costs:
        table.add_column(Text(cost.target), justify="right", overflow="fold")
    for title, unit, key, show in (*(_TIMES if times else ()), *_SIZES):
        values = [getattr(cost, key) for cost in costs]
        if key not in _ALWAYS_SHOWN and set(values) == {None}:
            continue
        table.add_row(title, unit, *[MISSING if value is None else show(value) for value in values])
    if len(costs) > 1:
        table.caption = Text("\n".join(f"{cost.target}: {note}" for cost in costs for note in cost.notes))
    return table


def scopes_table(cost: Cost) -> Table:
    """Return the parts of the network with their times."""
    scopes: dict[str, list[LayerCost]] = {}
    for layer in cost.layers:
        scopes.setdefault(layer.scope, []).append(layer)
    table = _table("By part of the network")
    table.add_column("Part", overflow="fold")
    _add_time_columns(table)
    for heading in ("Layers", "MACs", "Parameters B"):
        table.add_column(heading, justify="right")
    for scope, layers in scopes.items():
        table.add_row(
            Text(scope),
            *_time(sum(layer.latency_ms for layer in layers), cost),
            str(len(layers)),
            show_count(sum(layer.macs for layer in layers)),
            show_count(sum(layer.parameter_bytes or 0 for layer in layers)),
        )
    return table


def layers_table(cost: Cost, largest: int | None = None) -> Table:
    """Return the layers with their times, what limits each, and why the host runs it; then the rest and the total.

    Args:
        cost: The cost.
        largest: Show so many of the slowest layers only, the slowest first; all in the order of execution by default.
    """
    layers = list(cost.layers)
    if largest is not None:
        layers = sorted(layers, key=lambda layer: -layer.latency_ms)[:largest]
    moves = [("Streamed B", "streamed_bytes"), ("Spilled B", "spilled_bytes")]
    moves = [(heading, key) for heading, key in moves if any(getattr(layer, key) for layer in cost.layers)]
    has_scopes, has_reasons = len({layer.scope for layer in layers}) > 1, any(layer.reason for layer in layers)
    title = "Layers" if len(layers) == len(cost.layers) else f"The {len(layers)} slowest of {len(cost.layers)} layers"
    table = _table(title)
    for heading in ("Layer", *(["Part"] if has_scopes else []), "Operator"):
        table.add_column(heading, overflow="fold")
    blanks = ["", ""] if has_scopes else [""]
    _add_time_columns(table)
    table.add_column("Bound by")
    for heading in ("MACs", "Busy %", *(heading for heading, _ in moves)):
        table.add_column(heading, justify="right")
    if has_reasons:
        table.add_column("Why on the host", overflow="fold", max_width=60)
    for layer in layers:
        table.add_row(
            *map(Text, (layer.name, *([layer.scope] if has_scopes else []), layer.op)),
            *_time(layer.latency_ms, cost),
            Text(layer.bound_by or MISSING),
            show_count(layer.macs),
            f"{100 * layer.utilisation:.0f}" if layer.cycles and layer.utilisation is not None else MISSING,
            *[show_count(getattr(layer, key)) for _, key in moves],
            *([Text(layer.reason)] if has_reasons else []),
        )
    table.add_section()
    layers_ms = sum(layer.latency_ms for layer in layers)
    rest = len(cost.layers) - len(layers)
    if rest:
        rest_ms = sum(layer.latency_ms for layer in cost.layers) - layers_ms
        table.add_row(f"{rest} more", *blanks, *_time(rest_ms, cost))
    fixed_ms = cost.latency_ms - sum(layer.latency_ms for layer in cost.layers)
    if fixed_ms > _ROUNDING * cost.latency_ms:
        table.add_row("call, transfer", *blanks, *_time(fixed_ms, cost))
    table.add_row("total", *blanks, *_time(cost.latency_ms, cost), style="bold")
    return table


def targets_table(targets: Sequence[Target]) -> Table:
    """Return the targets, one a row, with how many of their figures are measured, published and assumed."""
    table = _table("Targets")
    table.add_column("Name", overflow="fold")
    table.add_column("Engine")
    for heading in ("MHz", "TOPS"):
        table.add_column(heading, justify="right")
    table.add_column("On-chip KiB")
    table.add_column("Numbers", no_wrap=True)
    for target in targets:
        facts = target_facts(target)
        activations, counts = facts["activation_kib"], facts["figures"]
        table.add_row(
            Text(target.name, "bold").append(f"\n{target.title}", "not bold"),
            facts["kind"],
            show_figure(facts["clock_mhz"]),
            f"{facts['peak_tops']:.3g}",
            f"{show_figure(facts['parameter_cache_kib'])} weights\n"
            f"{'all' if activations is None else show_figure(activations)} data",
            f"{counts['measured']} meas., {counts['published']} publ.,\n"
            f"{counts['assumed']} assumed, {counts['free']} free",
        )
    table.caption = (
        "on-chip: what is kept there, weights between inferences, data (activations) during one; "
        "numbers of the device: measured, published or assumed; of these, free for `ednas targets calibrate`"
    )
    return table


def target_facts(target: Target) -> dict[str, Any]:
    """Return what a list of targets says of one; ``peak_tops`` counts a multiplication and an addition as two."""
    engine, memory = target.engine, target.memory
    figures = target.figures().values()
    counts = {kind: sum(figure.provenance == kind for figure in figures) for kind in PROVENANCES}
    return {
        "name": target.name,
        "title": target.title,
        "kind": engine.kind,
        "clock_mhz": engine.clock_mhz.value,
        "peak_tops": 2 * engine.macs_per_cycle * engine.clock_mhz.value * 1e-6,
        "parameter_cache_kib": memory.parameter_cache_kib.value,
        "activation_kib": memory.activation_kib.value if memory.activation_kib else None,
        "figures": counts | {"free": sum(figure.fit for figure in figures)},
    }


def target_table(target: Target) -> Table:
    """Return every value of a target, with its unit and where it comes from; free ones are marked."""
    table = _table(f"{target.name}: {target.title}")
    table.add_column("Section")
    table.add_column("Key", overflow="fold")
    table.add_column("Value", justify="right", overflow="fold", max_width=24)
    for heading in ("Unit", "Provenance", "Fit"):
        table.add_column(heading)
    table.add_column("Source", overflow="fold")
    for section, values in target:
        if not isinstance(values, BaseModel):
            continue
        for number, (key, value) in enumerate(values):
            if isinstance(value, Figure):
                fact = (show_figure(value.value), show_unit(key), value.provenance, "free" if value.fit else "")
                cells = [Text(text, _PROVENANCE_STYLES.get(text, "")) for text in (*fact, value.source)]
            else:
                cells = [Text(text) for text in _setting(key, value)]
            table.add_row(section if number == 0 else "", key, *cells)
        table.add_section()
    table.caption = "free: a constant that `ednas targets calibrate` fits to measurements"
    return table


def calibration_tables(calibration: Calibration) -> list[Table]:
    """Return the changed constants, the rows with their errors, and the errors in all."""
    changes = _table(f"Constants of {calibration.target.name}")
    changes.add_column("Constant")
    for heading in ("Old", "New", "Change %"):
        changes.add_column(heading, justify="right")
    changes.add_column("Unit")
    for path, (old, new) in calibration.changes.items():
        change = show_delta(100 * (new / old - 1))
        changes.add_row(path, f"{old:.6g}", f"{new:.6g}", change, show_unit(path.rpartition(".")[2]))
    rows = _table("Measured, fitted, and predicted without the row")
    rows.add_column("Measurement", overflow="fold")
    for heading in ("Measured ms", "Fitted ms", "%", "Held out ms", "%"):
        rows.add_column(heading, justify="right")
    for row in calibration.rows:
        cells = [show_latency(row.measured_ms)]
        for value in (row.fitted_ms, row.held_out_ms):
            cells += [show_latency(value), show_delta(100 * (value / row.measured_ms - 1))]
        rows.add_row(Text(row.name), *cells)
    errors = _table("Mean absolute error")
    errors.add_column("Of")
    errors.add_column("%", justify="right")
    errors.add_row("the rows that were fitted", f"{100 * calibration.fitted_mape:.1f}")
    errors.add_row("rows that were left out, one after the other", f"{100 * calibration.held_out_mape:.1f}")
    halves = sorted(calibration.split_mape)
    spread = f" ({100 * halves[0]:.1f} to {100 * halves[-1]:.1f})"
    errors.add_row(f"the other half, {len(halves)} random halves", f"{100 * mean(halves):.1f}{spread}")
    return [changes, rows, errors]


def _add_time_columns(table: Table) -> None:
    table.add_column("Time ms", justify="right")
    table.add_column("%", justify="right")
    table.add_column("", width=_BAR_WIDTH, no_wrap=True)


def _time(milliseconds: float, cost: Cost) -> tuple[RenderableType, ...]:
    """Return a time, its share of the latency in percent, and a bar."""
    share = milliseconds / cost.latency_ms if cost.latency_ms > 0 else 0.0
    return f"{milliseconds:.4f}", f"{100 * share:.1f}", Bar(1.0, 0.0, min(share, 1.0), width=_BAR_WIDTH, color="blue")


def _bounds(cost: Cost) -> str:
    """Return how much of the accelerator's time is bound by what: ``compute 1.20, parameters 0.30``."""
    times: dict[str, float] = {}
    for layer in cost.layers:
        if layer.bound_by and layer.where == "accelerator" and layer.latency_ms > 0:
            times[layer.bound_by] = times.get(layer.bound_by, 0.0) + layer.latency_ms
    return ", ".join(f"{bound} {show_latency(value)}" for bound, value in sorted(times.items(), key=lambda t: -t[1]))


def _host_reason(cost: Cost) -> str:
    reasons = [layer.reason for layer in cost.layers if layer.reason]
    layers = f"{len(reasons)} layers, the first" if len(reasons) > 1 else "1 layer"
    return f"{layers}: {reasons[0]}" if reasons else ""


def _setting(key: str, value: object) -> tuple[str, str, str, str, str]:
    """Return the cells of a value that is no figure; a list of names goes where there is room for it."""
    if value is None or value == ():
        return MISSING, show_unit(key), "", "", ""
    if isinstance(value, tuple):
        texts = [show_figure(item) if isinstance(item, float) else str(item) for item in value]
        is_long = len(texts) > _LONGEST_LIST
        return str(len(texts)) if is_long else ", ".join(texts), show_unit(key), "", "", ", ".join(texts) * is_long
    return str(value), show_unit(key), "", "", ""


def _table(title: str) -> Table:
    return Table(title=Text(title, "bold"), title_justify="left", caption_justify="left", header_style="bold")


def _integer(value: int | None) -> Text:
    return Text(MISSING if value is None else str(value))


def _metric_row(content: ComparisonTable, task: str, metric: str) -> list[Text]:
    heading = metric_heading(metric, content.higher_is_better, content.units.get(task, {}).get(metric, ""))
    return [Text(heading), *[_value(model, task, metric) for model in content.models]]


def _value(model: ModelRow, task: str, metric: str) -> Text:
    value, spread = (values.get(task, {}).get(metric) for values in (model.values, model.spread))
    text = Text(show_metric(metric, value, spread))
    gain = model.metric_deltas.get(task, {}).get(metric)
    if gain is not None:
        text.append(" (").append_text(_delta(gain)).append(")")
    return text


def _delta(value: float | None) -> Text:
    if value is None:
        return Text("")
    text = show_delta(value)
    return Text(text, "green" if text.startswith("+") else "red" if text.startswith("−") else "")


def _known_costs(content: ComparisonTable) -> dict[str, list[str]]:
    """Return by heading what each model costs; a cost that no model has is left out."""
    rows = {
        "Latency ms": [show_latency(model.latency_ms) for model in content.models],
        "Params": [show_count(model.params) for model in content.models],
        "MACs": [show_count(model.macs) for model in content.models],
    }
    return {heading: texts for heading, texts in rows.items() if set(texts) != {MISSING}}
