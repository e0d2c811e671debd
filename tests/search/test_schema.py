"""Rows of a study: what is written is read again, and what is damaged is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ednas.search.schema import COLUMNS, flat, known_definitions, to_row, to_trial
from ednas.search.trial import Trial, TrialState

DONE = Trial(
    number=3,
    genes=(1, 2),
    architecture="base",
    fingerprint="f",
    state=TrialState.DONE,
    asked_after=2,
    parent=1,
    cost={"latency_ms": 2.5},
    metrics={"depth": {"rel_err": 0.25}},
    accuracy=0.5,
    reward=0.75,
    done_order=2,
    seconds=4.0,
)


@pytest.mark.parametrize(
    "trial",
    [DONE, replace(DONE, state=TrialState.FAILED, accuracy=None, reward=None, metrics={}, cost={}, error="no")],
)
def test_a_row_is_read_as_it_was_written(trial: Trial) -> None:
    assert to_trial(to_row(trial)) == trial


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("cost", "{}", "trial 3, cost: latency_ms is missing"),
        ("cost", '{"latency_ms": 2, "macs": Infinity}', "cost: not finite"),
        ("reward", float("nan"), "without a finite accuracy and reward"),
        ("state", "lost", "trial 3, state: "),
        ("genes", "[", "Expecting value"),
    ],
)
def test_a_damaged_row_is_refused(column: str, value: Any, message: str) -> None:
    row = dict(zip(COLUMNS, to_row(DONE), strict=True)) | {column: value}
    with pytest.raises(ValueError, match=message):
        to_trial(tuple(row.values()))


def test_a_flat_row_holds_no_nested_values() -> None:
    row = flat(DONE)
    assert (row["genes"], row["state"]) == ("1 2", "done")
    assert (row["cost.latency_ms"], row["metrics.depth.rel_err"]) == (2.5, 0.25)
    assert not any(isinstance(value, dict | tuple) for value in row.values())


def test_the_tables_are_known() -> None:
    names = {name for _, name, _ in known_definitions()}
    assert {"identity", "trials", "judgements", "retried"} <= names
