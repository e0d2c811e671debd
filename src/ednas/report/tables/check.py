"""How far evaluators can be trusted, as ``ednas search --check-proxy`` shows it."""

from __future__ import annotations

import math
from collections.abc import Iterator

from rich.table import Table
from rich.text import Text

from ednas.durations import show_seconds
from ednas.report.labels import MISSING, metric_label, show_metric
from ednas.report.tables.layout import names, new_table, numbers
from ednas.search.agreement import Interval, ceiling
from ednas.search.check import BAND, BY_LOSS, FEW, Check, Floor
from ednas.search.evaluators.setting import PROXY
from ednas.search.verdict import Row, Verdict

MOST = 0.8
"""Where a smaller share of the networks is better than the mean label, a metric is said to tell little."""

_COLOURS: dict[Verdict, str] = {"trust": "green", "filter only": "yellow", "do not trust": "red"}


def check_tables(check: Check) -> Iterator[Table]:
    """Yield what may be relied on, and the details; the best evaluator comes first, then costs and chance."""
    yield _verdicts(check)
    yield _details(check)


def _verdicts(check: Check) -> Table:
    figures = numbers("Tau [95 %]", "In the band [95 %]", "A judgement", "Before")
    title = f"{check.networks} networks, {check.in_band} in the band; reference: {check.reference_steps} steps"
    table = new_table(title, *names("Evaluator"), *figures, *names("Verdict"))
    for row in check.rows:
        times = (show_seconds(row.seconds), show_seconds(row.once) if row.once else MISSING)
        table.add_row(Text(row.name), _interval(row.tau), _interval(row.tau_in_band), *times, _verdict(row))
    table.caption = Text(
        f"tau: Kendall's, of the accuracy (Eq. 6); the band: within {BAND:.0%} of the limits; processor times, of "
        "one judgement and of what is learned before the first"
    )
    return table


def _details(check: Check) -> Table:
    tasks = sorted({task for row in check.rows for task in row.tasks})
    figures = numbers(
        *(f"Tau, {task}" for task in tasks), "Spearman", "Of ceiling", "Top quarter", "Worst half", "Regret", "> costs"
    )
    table = new_table("Details", *names("Evaluator"), *figures)
    for row in check.rows:
        table.add_row(
            Text(row.name),
            *(_number(row.tasks.get(task, math.nan)) for task in tasks),
            _number(row.spearman),
            _share(row.tau_of_ceiling),
            _share(row.top_quarter),
            _share(row.worst_half),
            _number(row.regret),
            _share(row.better_than_costs),
        )
    table.caption = Text(
        "top quarter: share of the truly best that is found in it; worst half: share of it that is truly below the "
        "median; regret: of its best network, in standard deviations between seeds; > costs: in which share of the "
        "resamples it agrees better than the best cost"
    )
    return table


def check_remarks(check: Check) -> Iterator[str]:
    """Yield what the table does not say: how far the reference itself can be trusted, and what would raise that."""
    most = ceiling(check.reliability)
    yield (
        f"reference: trainings of {show_seconds(check.reference_seconds)}; {check.doubles} networks were trained from "
        f"two seeds, whose logarithm of the accuracy differs by {check.noise:.3f} (standard deviation); "
        f"{check.reliability:.0%} of its variance is the networks' own, so that a perfect evaluator would reach a tau "
        f"of {most:.2f}"
    )
    if check.networks < FEW:
        yield f"few networks: take {FEW} or more (--check-option networks={FEW}) before you rely on this"
    yield from map(_floor, (floor for floor in check.floors if min(floor.short, floor.reference) < MOST))
    trusted = [row for row in check.rows if row.verdict == "trust"]
    if trusted:
        cheapest = min(trusted, key=lambda row: row.seconds)
        yield f"trusted: {', '.join(row.name for row in trusted)}; the cheapest judgement is {cheapest.name}'s"
        if cheapest.options:
            yield f"to search by it: {cheapest.options}; with --bank, what the check has trained is not trained again"
    else:
        yield (
            "none is to be trusted here: train longer (--steps), give the reference more seeds or steps "
            "(--check-option doubles, longer), or widen the space, so that networks differ more than seeds do"
        )

    filters = [row for row in check.rows if row.verdict == "filter only" and _filters(row)]
    if filters:
        cheapest = min(filters, key=lambda row: row.seconds)
        yield f"to leave out what {cheapest.name} thinks least of: {_filters(cheapest)}"


def _floor(floor: Floor) -> str:
    """Return what it means that most trainings say no more of a metric than the mean label does."""
    shares = f"{floor.short:.0%} of the networks after the short training, {floor.reference:.0%} after the longer one"
    advice = (
        "the reference is too early to be relied on: make it longer (--check-option longer=16), or all (--steps)"
        if floor.reference < MOST
        else f"it says little after so few steps: take more (--steps), or judge by losses ({BY_LOSS})"
    )
    return (
        f"{floor.task} {metric_label(floor.metric).title}: better than the mean training label of each pixel "
        f"({show_metric(floor.metric, floor.trivial)}) are {shares}; {advice}"
    )


def _filters(row: Row) -> str:
    """Return the options of a search that is filtered by an evaluator; empty if it cannot be."""
    if not row.options or f"--evaluator {PROXY}" in row.options or row.options.endswith(BY_LOSS):
        return ""
    return row.options.replace("--evaluator", "--filter")


def _verdict(row: Row) -> Text:
    return Text(MISSING) if row.is_cost else Text(row.verdict, _COLOURS[row.verdict])


def _interval(found: Interval) -> str:
    return f"{_number(found.value)} [{_number(found.low)}, {_number(found.high)}]"


def _number(value: float) -> str:
    return f"{value:.2f}" if math.isfinite(value) else MISSING


def _share(value: float) -> str:
    return f"{value:.0%}" if math.isfinite(value) else MISSING
