"""Latencies that were measured, against each other and against what is predicted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.table import Table
from rich.text import Text

from ednas.hw.benchmark import Benchmark, Result
from ednas.hw.per_operator import Judgement
from ednas.report.labels import MISSING, show_latency
from ednas.report.tables.layout import names, new_table, numbers

_WORST = 8
"""Layers that are shown of each model."""


def benchmark_tables(result: Benchmark) -> Iterator[Table]:
    """Yield the models' latencies, then the operators and the worst layers of those that they were measured of."""
    yield _latencies(result)
    for one in result.results:
        if one.operators:
            yield _operators(one, result.target)
        if one.layers:
            yield _layers(one, result.target)


def _latencies(result: Benchmark) -> Table:
    runtime, first = result.runtime, result.results[0]
    threads = f"{runtime.threads} thread{'s' if runtime.threads > 1 else ''}"
    figures = numbers("Latency ms", "Spread ms", "CPU ms", "Ratio", "Predicted ms", "Error %", "Memory MiB")
    table = new_table(f"{result.device}, {threads}", *names("Model"), *figures)
    for one in result.results:
        measured = one.measurement
        memory = measured.peak_memory_kb
        table.add_row(
            Text(one.entry.name),
            show_latency(measured.latency_ms),
            show_latency(measured.spread_ms) if measured.processes > 1 else MISSING,
            show_latency(measured.processor_ms),
            f"{one.ratio_to(first):.2f}",
            show_latency(one.predicted_ms),
            _percent(one.predicted_ms, measured.latency_ms),
            MISSING if memory is None else f"{memory / 1024:.1f}",
        )
    protocol = (
        f"median of {runtime.runs} runs after {runtime.warmup}, least of {runtime.processes} processes, models in "
        f"turn; spread: between processes; CPU: processor time; predicted: by {result.target}"
    )
    table.caption = Text("\n".join([protocol, *result.remarks]))
    return table


def _operators(result: Result, target: str) -> Table:
    rows = result.operators
    predicted_ms = [row.predicted_ms for row in rows if row.predicted_ms is not None and row.error_ms is not None]
    total = Judgement(
        "sum",
        sum(row.count for row in rows),
        sum(predicted_ms) if len(predicted_ms) == len(rows) else None,
        result.operators_ms,
    )
    table = _judgements(f"Operators of {result.entry.name}", "Operator", rows, result, target)
    table.add_section()
    table.add_row(*_cells(total, result), style="bold")
    share = 100 * result.operators_ms / result.measurement.processor_ms
    profiled = "; ONNX models: the runtime's own profile" if any(model.is_onnx for model in result.entry.models) else ""
    table.caption = (
        f"each distinct layer measured as a model of its own, less an empty call{profiled}\n"
        f"the sum is {share:.0f} % of the whole's processor time"
    )
    return table


def _layers(result: Result, target: str) -> Table:
    rows = result.layers[:_WORST]
    which = "slowest" if result.predicted_ms is None else "most misjudged"
    return _judgements(f"The {len(rows)} {which} layers of {result.entry.name}", "Layer", rows, result, target)


def _judgements(title: str, what: str, rows: Sequence[Judgement], result: Result, target: str) -> Table:
    figures = numbers("Times", "Measured ms", "Share %", f"{target} ms", "Error ms", "Error %")
    table = new_table(title, *names(what), *figures)
    for row in rows:
        table.add_row(*_cells(row, result))
    return table


def _cells(row: Judgement, result: Result) -> list[Text | str]:
    whole_ms = result.operators_ms
    share = MISSING if row.measured_ms is None or not whole_ms else f"{100 * row.measured_ms / whole_ms:.1f}"
    return [
        Text(row.name),
        str(row.count),
        show_latency(row.measured_ms),
        share,
        show_latency(row.predicted_ms),
        MISSING if row.error_ms is None else f"{row.error_ms:+.3f}",
        _percent(row.predicted_ms, row.measured_ms),
    ]


def _percent(predicted: float | None, measured: float | None) -> str:
    return MISSING if predicted is None or not measured else f"{100 * (predicted / measured - 1):+.0f}"
