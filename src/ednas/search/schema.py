"""The tables of a study, and how trials are written into their rows and read from them."""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from dataclasses import fields
from functools import cache
from typing import Any

from pydantic import TypeAdapter, ValidationError

from ednas.search.trial import Trial, TrialState

SCHEMA_VERSION = 1
"""Kept as the file's ``user_version``; other versions are refused."""

APPLICATION_ID = int.from_bytes(b"edns", "big")

TABLES = (
    "CREATE TABLE identity (value TEXT NOT NULL)",
    """CREATE TABLE trials (
        number INTEGER PRIMARY KEY,
        genes TEXT NOT NULL,
        architecture TEXT NOT NULL,
        fingerprint TEXT NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('running', 'done', 'failed', 'pruned')),
        asked_after INTEGER NOT NULL,
        parent INTEGER,
        cost TEXT NOT NULL,
        metrics TEXT NOT NULL DEFAULT '{}',
        accuracy REAL,
        reward REAL,
        error TEXT NOT NULL DEFAULT '',
        done_order INTEGER UNIQUE,
        seconds REAL,
        CHECK ((state = 'running') = (done_order IS NULL)),
        CHECK ((state = 'done') = (reward IS NOT NULL))
    )""",
    "CREATE UNIQUE INDEX one_genotype ON trials (genes) WHERE state != 'failed'",
    "CREATE INDEX by_state ON trials (state)",
)

JUDGEMENTS = (
    "CREATE TABLE IF NOT EXISTS judgements (number INTEGER PRIMARY KEY, accuracy REAL NOT NULL, reward REAL NOT NULL)"
)
"""Second judgements, by another seed; studies of earlier versions have none."""

RETRIED = "CREATE TABLE IF NOT EXISTS retried (done_order INTEGER PRIMARY KEY)"
"""When failures ended that were evaluated anew; of them a controller had learned nothing."""

COLUMNS = (
    "number", "genes", "architecture", "fingerprint", "state", "asked_after", "parent", "cost", "metrics", "accuracy",
    "reward", "error", "done_order", "seconds",
)  # fmt: skip

_TRIAL = TypeAdapter(Trial)


def definitions(connection: sqlite3.Connection) -> set[tuple[str, str, str]]:
    """Return what a file is made of: kind, name and definition; SQLite's own indexes have no definition."""
    return set(connection.execute("SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL"))


@cache
def known_definitions() -> set[tuple[str, str, str]]:
    """Return what a study of this version may be made of."""
    with closing(sqlite3.connect(":memory:")) as connection:
        for statement in (*TABLES, JUDGEMENTS, RETRIED):
            connection.execute(statement)
        return definitions(connection)


def to_row(trial: Trial) -> tuple[Any, ...]:
    """Return a trial's values in the order of :data:`COLUMNS`."""
    values = {column: getattr(trial, column) for column in COLUMNS}
    for column in ("genes", "cost", "metrics"):
        values[column] = json.dumps(values[column])
    return tuple(values.values())


def to_trial(row: tuple[Any, ...]) -> Trial:
    """Return the trial of a row, in the order of :data:`COLUMNS`.

    Raises:
        ValueError, TypeError, KeyError, RecursionError: The row is damaged.
    """
    values = dict(zip(COLUMNS, row, strict=True))
    for column in ("genes", "cost", "metrics"):
        values[column] = json.loads(values[column])
    try:
        trial = _TRIAL.validate_python(values)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise ValueError(f"trial {values['number']}, {place}: {first['msg']}") from None
    if trial.state is TrialState.DONE and not all(map(_is_finite, (trial.accuracy, trial.reward))):
        raise ValueError(f"trial {trial.number} is done without a finite accuracy and reward")
    if trial.state in (TrialState.DONE, TrialState.RUNNING):
        if trial.latency_ms is None:
            raise ValueError(f"trial {trial.number}, cost: latency_ms is missing")
        if not all(map(_is_finite, trial.cost.values())):
            raise ValueError(f"trial {trial.number}, cost: not finite")
    return trial


def _is_finite(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def flat(trial: Trial) -> dict[str, Any]:
    """Return a trial as a row without nested values."""
    row: dict[str, Any] = {field.name: getattr(trial, field.name) for field in fields(trial)}
    row |= {"state": str(trial.state), "genes": " ".join(map(str, trial.genes))}
    costs, metrics = row.pop("cost"), row.pop("metrics")
    measured = {f"metrics.{task}.{metric}": v for task, values in metrics.items() for metric, v in values.items()}
    return {**row, **{f"cost.{name}": value for name, value in costs.items()}, **measured}


def flat_rows(trials: Iterable[Trial]) -> list[dict[str, Any]]:
    """Return trials as rows without nested values, all with the same columns; None where a trial has no such value."""
    rows = [flat(trial) for trial in trials]
    columns = dict.fromkeys(column for row in rows for column in row)
    return [{column: row.get(column) for column in columns} for row in rows]
