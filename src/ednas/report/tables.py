"""Tables for the terminal: an architecture, a comparison, the layers of a latency estimate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from ednas.arch import Architecture
from ednas.report.blocks import block_rows
from ednas.report.comparison import tabulate
from ednas.report.content import ComparisonTable, ModelRow
from ednas.report.labels import MISSING, metric_heading, show_count, show_delta, show_latency, show_metric
from ednas.scoring import Comparison, ModelMetrics

if TYPE_CHECKING:
    from ednas.hw.simulator import Cost
    from ednas.hw.summary import Summary

_KIND_STYLES = {"FusedIBN": "dark_orange3", "IBN": "blue"}


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


def comparison_table(
    baseline: ModelMetrics | ComparisonTable,
    models: Sequence[ModelMetrics] = (),
    comparison: Comparison | None = None,
) -> Table:
    """Return metrics by models: values with their relative gains in percent, and the gains Δ by task and overall.

    A model is a column, so that three tasks fit into a terminal of 80 characters. Gains (Eq. 9-12) are positive where
    the model is better than the baseline.

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
        for number, metric in enumerate(metrics):
            heading = metric_heading(metric, content.higher_is_better)
            values = [_value(model, task, metric) for model in content.models]
            table.add_row(Text(task if number == 0 else ""), Text(heading), *values)
        deltas = [_delta(model.task_deltas.get(task)) for model in content.models]
        table.add_row("", "Δ %", *deltas, end_section=True)
    table.add_row("all", "Δ %", *[_delta(model.delta) for model in content.models], style="bold", end_section=True)
    for heading, texts in _known_costs(content).items():
        table.add_row("", heading, *texts)
    return table


def latency_table(cost: Cost, largest: int | None = None) -> Table:
    """Return the layers of an estimate with their time and what bounds it, then the fixed parts and the total.

    Args:
        cost: The estimate, from :func:`ednas.hw.simulator.simulate` or ``estimate``.
        largest: Show so many of the slowest layers only; all by default.
    """
    table = _table(f"{cost.target}: {show_latency(cost.latency_ms)} ms")
    for heading in ("Part", "Layer", "Operator"):
        table.add_column(heading)
    table.add_column("On")
    table.add_column("Bound by")
    for heading in ("Time ms", "%", "Parameters B", "Streamed B"):
        table.add_column(heading, justify="right")
    layers = list(enumerate(cost.layers))
    if largest is not None:
        kept = sorted(layers, key=lambda item: -item[1].latency_ms)[:largest]
        layers = sorted(kept)
    for _, layer in layers:
        table.add_row(
            *map(Text, (layer.scope, layer.name, layer.op, layer.where, layer.bound_by)),
            *_time(layer.latency_ms, cost),
            show_count(layer.parameter_bytes),
            show_count(layer.streamed_bytes),
        )
    table.add_section()
    if len(layers) < len(cost.layers):
        shown = {index for index, _ in layers}
        rest = [layer for index, layer in enumerate(cost.layers) if index not in shown]
        table.add_row(f"{len(rest)} more layers", *[""] * 4, *_time(sum(layer.latency_ms for layer in rest), cost))
    table.add_row("Call", *[""] * 4, *_time(cost.dispatch_ms, cost))
    table.add_row("Transfer", *[""] * 4, *_time(cost.transfer_ms, cost))
    totals = (show_count(cost.parameter_bytes), show_count(cost.streamed_bytes))
    table.add_row("Total", *[""] * 4, *_time(cost.latency_ms, cost), *totals, style="bold")
    return table


def _table(title: str) -> Table:
    return Table(title=Text(title, "bold"), title_justify="left", caption_justify="left", header_style="bold")


def _integer(value: int | None) -> Text:
    return Text(MISSING if value is None else str(value))


def _value(model: ModelRow, task: str, metric: str) -> Text:
    text = Text(show_metric(metric, model.values.get(task, {}).get(metric)))
    spread = model.spread.get(task, {}).get(metric)
    if spread is not None:
        text.append(f" ± {show_metric(metric, spread)}")
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


def _time(milliseconds: float, cost: Cost) -> tuple[str, str]:
    share = 100 * milliseconds / cost.latency_ms if cost.latency_ms > 0 else 0.0
    return f"{milliseconds:.4f}", f"{share:.1f}"
