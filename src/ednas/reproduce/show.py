"""Tables and verdicts for people, from what is kept of them."""

from __future__ import annotations

import statistics
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from ednas.files import csv_text
from ednas.metrics import METRICS, TaskValues, scored_metrics
from ednas.report.labels import MISSING, metric_heading, show_count, show_delta, show_latency, show_metric, show_number
from ednas.report.tables.layout import names, new_table, numbers
from ednas.reproduce.claims import DELTA, TIMES, Measured, Verdict, quantity
from ednas.reproduce.collect import ADASHARE, PROTOCOLS, STANDARD
from ednas.reproduce.paper import Printed
from ednas.reproduce.result import ClaimResult, RowResult, TableResult
from ednas.reproduce.scales import TARGET
from ednas.reproduce.speed import HERE as HERE_INT8
from ednas.tasks import EvaluationProtocol

CSV_COLUMNS = ("table", "row", "from", "seed", "task", "metric", "value")

COSTS = ("Params", "GFLOP", "Latency ms", "Speed")

MEANINGS = {
    "Δ %": "Δ: mean relative gain (Eq. 9-12), positive is better",
    "Runs": "±: standard deviation over the runs",
    "GFLOP": "GFLOP: thousand million operations at 256x256, two a multiply-accumulate",
    "Latency ms": "latency: estimated on a Coral, all networks one after another",
    "Speed": "speed: how many times as fast as the row that gains are over",
}
"""What columns hold, by their headings."""

TITLES = {
    "fused_percent": "Fused-IBN blocks %",
    "ibn_2_percent": "IBN in block 2 %",
    "ibn_7_percent": "IBN in block 7 %",
    "seconds": "processor seconds",
    "latency_ms": "ms",
    "latency_p10_ms": "p10 ms",
    "latency_p90_ms": "p90 ms",
    "streamed_mb": "streamed MB",
}
"""Headings of what is no metric."""

PLACES = {TARGET: "Coral ", HERE_INT8: "here, int8: "}
"""What stands before a heading, by where it was measured."""

PAPER, HERE = "paper", "here"
"""Where numbers come from, beside the protocols: print, and what needs no protocol."""


def rows_table(result: TableResult) -> Table:
    """Return the rows, each as the paper prints it and as it was measured under both protocols."""
    layout = _layout(result)
    metrics = [(task, metric) for task, names in layout.items() for metric in names]
    gains = ("Δ %", *(f"Δ {task} %" for task in layout))
    headings = ["Runs", *gains, *(_heading(task, metric) for task, metric in metrics), *COSTS]
    lines = [[*_printed(row, layout), *_measured(result, row, layout)] for row in result.rows]
    filled = [
        place for place in range(len(headings)) if any(line[place + 1] != MISSING for own in lines for line in own)
    ]
    title = f"{result.heading} (scale {result.scale}{_data(result)})"
    table = new_table(title, *names("Row", "From"), *numbers(*(headings[place] for place in filled)))
    for row, own in zip(result.rows, lines, strict=True):
        for number, line in enumerate(own):
            name = Text(row.title if number == 0 else "")
            table.add_row(name, line[0], *(line[place + 1] for place in filled), end_section=number == len(own) - 1)
    shown = {headings[place] for place in filled}
    table.caption = Text("; ".join(meaning for heading, meaning in MEANINGS.items() if heading in shown))
    return table


def _heading(task: str, metric: str) -> str:
    """Return a column's heading; what is no metric says what it is of."""
    return metric_heading(metric) if metric in METRICS else f"{PLACES.get(task, '')}{TITLES.get(metric, metric)}"


def _show(metric: str, value: float | None, spread: float | None) -> str:
    """Return a value with its spread over the runs."""
    if metric in METRICS:
        return show_metric(metric, value, spread)
    return show_number(value) + ("" if not spread else f" ± {show_number(spread)}")


def verdicts_table(results: Sequence[TableResult]) -> Table:
    """Return the verdicts of several tables, without how they were reached."""
    table = new_table("Verdicts", *names("Table", "Claim", "Paper", "Here", *PROTOCOLS))
    for result in results:
        for number, claim in enumerate(result.claims):
            first = claim.verdicts.get(STANDARD)
            table.add_row(
                result.name if number == 0 else "",
                _text(claim),
                claim.printed,
                MISSING if first is None else _effect(claim, first),
                *(_outcome(claim, protocol, result.wanted) for protocol in PROTOCOLS),
                end_section=number == len(result.claims) - 1,
            )
    return table


def claims_table(result: TableResult) -> Table:
    """Return the claims with their verdicts, a line for each protocol."""
    columns = (*names("Claim"), *numbers("Paper"), *names("Protocol"), *numbers("Here", "p", "Runs"))
    table = new_table(f"{result.name}: claims", *columns, *names("Test", "Verdict"))
    for claim in result.claims:
        nothing = (MISSING, MISSING, MISSING, "0", MISSING, f"undecided (0 of {result.wanted} runs)")
        lines = [_judged(claim, protocol) for protocol in claim.verdicts] or [nothing]
        for number, line in enumerate(lines):
            first = (Text(_text(claim)), claim.printed) if number == 0 else ("", "")
            table.add_row(*first, *line, end_section=number == len(lines) - 1)
    table.caption = Text("p: one-sided; a claim holds below 0.05, and does not above 0.95")
    return table


def _judged(claim: ClaimResult, protocol: EvaluationProtocol) -> tuple[str, ...]:
    verdict = claim.verdicts[protocol]
    place = protocol if ADASHARE in claim.verdicts else HERE
    p_value, runs = show_number(verdict.p_value, 3), str(verdict.runs)
    return place, _effect(claim, verdict), p_value, runs, verdict.test, show_verdict(verdict)


def values_csv(results: Iterable[TableResult]) -> str:
    """Return every training's metrics as CSV, a line each; those of the paper have no seed."""
    return csv_text(CSV_COLUMNS, (line for result in results for line in _values(result))).rstrip("\n")


def _values(result: TableResult) -> Iterator[dict[str, Any]]:
    for row in result.rows:
        sources: list[tuple[str, int | None, TaskValues]] = [(PAPER, None, row.printed.values)] if row.printed else []
        sources += [(name, seed, tasks) for name, seeds in row.measured.items() for seed, tasks in seeds.items()]
        for source, seed, tasks in sources:
            head = {"table": result.table, "row": row.key, "from": source, "seed": seed}
            for task, metrics in tasks.items():
                yield from ({**head, "task": task, "metric": name, "value": value} for name, value in metrics.items())


def show_verdict(verdict: Verdict) -> str:
    """Return a verdict in words; an undecided one says why."""
    if verdict.outcome != "undecided":
        return verdict.outcome
    if verdict.runs < verdict.wanted:
        return f"undecided ({verdict.runs} of {verdict.wanted} runs)"
    return "undecided"


def _text(claim: ClaimResult) -> str:
    return claim.text if claim.reading is None else f"{claim.text} (as {claim.reading})"


def _effect(claim: ClaimResult, verdict: Verdict) -> str:
    if verdict.effect is None:
        return MISSING
    number = show_number(verdict.effect) if claim.effect == TIMES else show_delta(verdict.effect)
    return f"{number} {claim.effect}"


def _outcome(claim: ClaimResult, protocol: EvaluationProtocol, wanted: int) -> str:
    if not claim.verdicts:
        return f"undecided (0 of {wanted} runs)"
    return show_verdict(claim.verdicts[protocol]) if protocol in claim.verdicts else MISSING


def _data(result: TableResult) -> str:
    """Return what was measured on, if anything was."""
    if not result.measured_on:
        return ""
    height, width = result.measured_on["input_size"]
    return f", {result.measured_on['dataset']} at {height}x{width}"


def _layout(result: TableResult) -> dict[str, list[str]]:
    """Return the tasks and metrics that a table is about."""
    found: dict[str, dict[str, None]] = {}
    for row in result.rows:
        everything = [row.printed.values] if row.printed else []
        everything += [values for seeds in row.measured.values() for values in seeds.values()]
        for values in everything:
            for task, metrics in values.items():
                found.setdefault(task, {}).update(dict.fromkeys(scored_metrics(metrics)))
    return {task: list(metrics) for task, metrics in found.items()}


def _printed(row: RowResult, layout: dict[str, list[str]]) -> Iterator[tuple[str, ...]]:
    """Yield the paper's line, where it has one."""
    if row.printed is None:
        return
    own: Printed = row.printed
    cost = own.cost
    yield (
        PAPER,
        str(own.runs),
        show_delta(own.delta),
        *(show_delta(own.task_deltas.get(task)) for task in layout),
        *(
            _show(metric, own.values.get(task, {}).get(metric), own.spread.get(task, {}).get(metric))
            for task, metrics in layout.items()
            for metric in metrics
        ),
        *((MISSING,) * 4 if cost is None else _costs(cost.params * 1e6, cost.gflop, None, cost.speed)),
    )


def _measured(result: TableResult, row: RowResult, layout: dict[str, list[str]]) -> Iterator[tuple[str, ...]]:
    """Yield the line of each protocol."""
    for protocol in PROTOCOLS:
        metrics = row.metrics(protocol)
        if metrics is None:
            continue
        yield (
            protocol if ADASHARE in row.measured else HERE,
            str(len(metrics.by_seed)),
            *_gains(result, row, protocol, layout),
            *(
                _show(metric, metrics.tasks.get(task, {}).get(metric), metrics.spread.get(task, {}).get(metric))
                for task, names in layout.items()
                for metric in names
            ),
            *_own_costs(result, row),
        )


def _gains(
    result: TableResult, row: RowResult, protocol: EvaluationProtocol, layout: Collection[str]
) -> tuple[str, ...]:
    """Return the gains overall and by task; the row that others are over has none."""
    own = row.metrics(protocol)
    baseline = None if row.over is None else result.row(row.over).metrics(protocol)
    if own is None or baseline is None:
        return (MISSING,) * (1 + len(layout))
    measured = Measured(own, baseline)
    gains = [list(quantity(measured, by).values()) for by in (DELTA, *(f"{DELTA}.{task}" for task in layout))]
    return tuple(map(_show_gain, gains))


def _show_gain(values: Sequence[float]) -> str:
    if not values:
        return MISSING
    return show_delta(statistics.mean(values)) + (f" ± {statistics.stdev(values):.1f}" if len(values) > 1 else "")


def _own_costs(result: TableResult, row: RowResult) -> tuple[str, ...]:
    cost = row.cost
    if cost is None:
        return (MISSING,) * 4
    over = row if row.over is None else result.row(row.over)
    first = None if over.cost is None else over.cost.latency_ms
    speed = None if first is None or cost.latency_ms is None else first / cost.latency_ms
    return _costs(cost.params, None if cost.macs is None else 2 * cost.macs / 1e9, cost.latency_ms, speed)


def _costs(
    params: float | None, gflop: float | None, latency_ms: float | None, speed: float | None
) -> tuple[str, str, str, str]:
    times = MISSING if speed is None else f"x{speed:.2f}"
    return show_count(params), show_number(gflop, 1), show_latency(latency_ms), times
