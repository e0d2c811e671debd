"""Models against a baseline."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from ednas.metrics import ModelMetrics, TaskValues, scored_metrics
from ednas.report.comparison import tabulate
from ednas.report.content import ComparisonTable, ModelRow
from ednas.report.labels import MISSING, metric_heading, show_count, show_delta, show_latency, show_metric
from ednas.report.tables.layout import add_columns, add_models, new_table
from ednas.scoring import Comparison


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
    table = new_table(title + (f" (protocol {content.protocol})" if content.protocol else ""))
    add_columns(table, "Task", "Metric")
    add_models(table, *[model.name for model in content.models])
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
    table = new_table("p-values")
    add_columns(table, "Task", "Metric")
    add_models(table, *names)
    rows = dict.fromkeys((task, metric) for model in chances for task, metrics in model.items() for metric in metrics)
    for task, metric in rows:
        values = [model.get(task, {}).get(metric) for model in chances]
        cells = [MISSING if value is None else f"{value:.3f}" for value in values]
        table.add_row(Text(task), Text(metric_heading(metric)), *cells)
    return table


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
