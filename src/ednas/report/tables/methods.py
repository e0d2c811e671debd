"""Ways to share and to weigh tasks, a row each."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

from ednas.metrics import scored_metrics
from ednas.report.content import ComparisonTable
from ednas.report.labels import MISSING, metric_heading, show_count, show_delta, show_latency, show_metric
from ednas.report.tables.layout import names, new_table, numbers


def methods_table(content: ComparisonTable) -> Table:
    """Return a comparison with many models: Δ overall and by task, the metrics that make them, and costs."""
    metrics = {
        (task, metric): metric_heading(metric, content.higher_is_better, content.units.get(task, {}).get(metric, ""))
        for task, all_metrics in content.metrics.items()
        for metric in scored_metrics(all_metrics)
    }
    gains = [f"Δ {task} %" for task in content.metrics]
    columns = numbers("Δ %", *gains, *metrics.values(), "Latency ms", "Params", "Shared", "MACs", "Runs", "Training s")
    table = new_table(f"Methods, gains over {content.baseline}", *names("Method"), *columns)
    for row in content.models:
        is_baseline = row.delta is None
        table.add_row(
            Text(row.name),
            MISSING if is_baseline else show_delta(row.delta),
            *(MISSING if is_baseline else show_delta(row.task_deltas.get(task)) for task in content.metrics),
            *(
                show_metric(metric, row.values.get(task, {}).get(metric), row.spread.get(task, {}).get(metric))
                for task, metric in metrics
            ),
            show_latency(row.latency_ms),
            show_count(row.params),
            show_count(row.params_shared),
            show_count(row.macs),
            show_count(row.runs),
            MISSING if row.training_seconds is None else f"{row.training_seconds:.0f}",
            end_section=is_baseline,
        )
    table.caption = Text(
        "Δ: mean relative gain (Eq. 9-12), positive is better; ±: standard deviation over the seeds; shared: "
        "parameters that several tasks' predictions depend on; costs are of all tasks together, in so many runs"
    )
    return table
