"""The store of a search: one SQLite file with one writer and any number of readers.

What makes it survive ``kill -9`` at any moment:

- a trial's row is committed, as running, before it is evaluated, and its result is committed before the controller is
  told; each is one transaction, so a row is never half written;
- everything that decides the next proposal is in the rows (:func:`ednas.search.controllers.base.replay`), so there is
  no second file that could disagree;
- running trials are found again by their state and evaluated again, under the same number.

Readers (a live report) see the last committed state at any time: the file is in write-ahead mode.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ednas.arch import Architecture
from ednas.closing import Closing
from ednas.exceptions import ConfigError, EdnasError, StudyError
from ednas.files import is_locked, locked
from ednas.metrics import TaskValues
from ednas.search.controllers.base import Proposal
from ednas.search.schema import (
    APPLICATION_ID,
    COLUMNS,
    JUDGEMENTS,
    RETRIED,
    SCHEMA_VERSION,
    TABLES,
    definitions,
    flat_rows,
    known_definitions,
    to_row,
    to_trial,
)
from ednas.search.trial import Judgement, Trial, TrialState

if TYPE_CHECKING:
    import pandas

_READER_PATIENCE_S = 30.0


class StudyReader(Closing):
    """Reads a study, also one that is being written.

    Args:
        path: The SQLite file.

    Attributes:
        path: As given.

    Raises:
        StudyError: The file is missing, damaged, no study, or of another version.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        if not self.path.is_file():
            raise StudyError(f"{self.path}: no such study")
        with self._reported():
            self._connection = _connect(f"{self.path.resolve().as_uri()}?mode=ro")
        try:
            with self._reported():
                self._check_file()
        except BaseException:
            self._connection.close()
            raise

    @property
    def identity(self) -> dict[str, Any]:
        """What makes the search this one and no other: its space, target and settings, as given to :class:`Study`."""
        with self._reading():
            (text,) = self._connection.execute("SELECT value FROM identity").fetchone()
            return dict(json.loads(text))

    def trials(self, *states: TrialState) -> list[Trial]:
        """Return the trials in the order of their numbers: all, or those in one of the ``states``.

        Raises:
            StudyError: The file is damaged.
        """
        where = f"WHERE state IN ({', '.join('?' * len(states))})" if states else ""
        with self._reading():
            query = f"SELECT {', '.join(COLUMNS)} FROM trials {where} ORDER BY number"
            return [to_trial(row) for row in self._connection.execute(query, states)]

    def rows(self) -> list[dict[str, Any]]:
        """Return the trials as flat rows, for pandas, polars or a CSV file: all have the same columns, in one order.

        These are the fields of :class:`~ednas.search.trial.Trial`, with a column for each cost (``cost.latency_ms``)
        and metric (``metrics.depth.rel_err``); None where a trial has no such value.

        Raises:
            StudyError: The file is damaged.
        """
        return flat_rows(self.trials())

    def trials_dataframe(self) -> pandas.DataFrame:
        """Return :meth:`rows` as a pandas table, a row for each trial; polars takes ``polars.DataFrame(study.rows())``.

        Raises:
            StudyError: The file is damaged.
            ConfigError: pandas is not installed.
        """
        try:
            import pandas
        except ImportError:
            raise ConfigError("trials_dataframe needs pandas; pip install pandas, or use rows()") from None
        return pandas.DataFrame(self.rows())

    def judgements(self) -> dict[int, Judgement]:
        """Return what trials were found to be worth by another seed, by number."""
        with self._reading():
            if not self._connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'judgements'").fetchone():
                return {}
            rows = self._connection.execute("SELECT number, accuracy, reward FROM judgements ORDER BY number")
            return {number: Judgement(float(accuracy), float(reward)) for number, accuracy, reward in rows}

    def retried(self) -> frozenset[int]:
        """Return the places, among all that ended, of failures that are evaluated anew (:meth:`Study.retry_failed`)."""
        with self._reading():
            if not self._connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'retried'").fetchone():
                return frozenset()
            return frozenset(int(order) for (order,) in self._connection.execute("SELECT done_order FROM retried"))

    def counts(self) -> dict[TrialState, int]:
        """Return the number of trials in each state."""
        counts = dict.fromkeys(TrialState, 0)
        with self._reported():
            for state, count in self._connection.execute("SELECT state, COUNT(*) FROM trials GROUP BY state"):
                counts[TrialState(state)] = count
        return counts

    def close(self) -> None:
        """Let go of the file; closing twice is fine."""
        self._connection.close()

    def _check_file(self) -> None:
        """Refuse what is not a sound study of this version."""
        application_id = self._pragma("application_id")
        if application_id != APPLICATION_ID:
            raise StudyError(f"{self.path}: not a study of ednas; choose another file or folder")
        if (version := self._pragma("user_version")) != SCHEMA_VERSION:
            raise StudyError(
                f"{self.path}: a study of version {version}, this version of ednas reads {SCHEMA_VERSION}; "
                "resume it with the version that made it, or start a new study"
            )
        # A view or a trigger of somebody else's could compute for ever, or change what is written.
        if not definitions(self._connection) <= known_definitions():
            raise StudyError(f"{self.path}: holds tables, views or triggers that no study has; start a new study")
        if (verdict := self._pragma("quick_check")) != "ok":
            raise StudyError(f"{self.path}: damaged ({str(verdict).splitlines()[0]}); start a new study")

    def _pragma(self, name: str) -> Any:
        return self._connection.execute(f"PRAGMA {name}").fetchone()[0]

    @contextmanager
    def _reported(self) -> Iterator[None]:
        """Turn SQLite's errors into one line."""
        try:
            yield
        except sqlite3.Error as error:
            raise _describe(self.path, error) from error

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """Turn what a row's values can be wrong in into one line, too."""
        try:
            with self._reported():
                yield
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise StudyError(f"{self.path}: damaged (a row cannot be read: {error}); start a new study") from error


class Study(StudyReader):
    """A study that is written to: made where there is none or one without a trial, else resumed.

    Only one process (and one object) can have a study open for writing; its lock ends with the process, however that
    ends.

    Args:
        path: The SQLite file; its folder is made.
        identity: What makes the search this one: JSON values, nested mappings allowed. Kept with a new study; must be
            the same when it is resumed.
        resume: Go on with the study if there is one. Otherwise one that is there already is an error, unless it has no
            trial yet: its search failed before it began, and may begin otherwise.

    Raises:
        StudyError: There is a study and ``resume`` is False; it belongs to another search (the message names the first
            key that differs); another process writes to it; or it is damaged, no study, or of another version.
        EdnasError: The file cannot be written (disk full, no permission).
    """

    def __init__(self, path: Path | str, identity: Mapping[str, Any], *, resume: bool = False) -> None:
        self.path = Path(path)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise EdnasError(f"cannot make the folder {self.path.parent}: {error.strerror}") from error
        self._lock = _lock(self.path)
        try:
            with self._reported():
                self._connection = _connect(self.path.resolve().as_uri())
            try:
                with self._reported():
                    self._prepare(identity, resume)
            except BaseException:
                self._connection.close()
                raise
        except BaseException:
            self._lock.close()
            raise

    def add(
        self,
        proposal: Proposal,
        architecture: Architecture,
        cost: Mapping[str, float],
        *,
        asked_after: int,
        state: TrialState = TrialState.RUNNING,
        error: str = "",
    ) -> Trial:
        """Store a new trial under the next number.

        Args:
            proposal: What the controller proposed.
            architecture: What its genes stand for.
            cost: Totals on the target device, ``latency_ms`` among them; empty if the cost is unknown.
            asked_after: How many trials the controller had been told.
            state: Running; or pruned or failed for a trial that will not be evaluated at all.
            error: Why it will not be.

        Raises:
            StudyError: The genotype is in the study and did not fail.
            EdnasError: The study cannot be written.
        """
        with self._transaction():
            number = self._next("number", "trials")
            trial = Trial(
                number=number,
                genes=proposal.genes,
                architecture=architecture.to_text(),
                fingerprint=architecture.fingerprint(),
                state=state,
                asked_after=asked_after,
                parent=proposal.parent,
                cost=dict(cost),
                error=error,
                done_order=None if state is TrialState.RUNNING else self._next_order(),
            )
            places = ", ".join("?" * len(COLUMNS))
            self._connection.execute(f"INSERT INTO trials ({', '.join(COLUMNS)}) VALUES ({places})", to_row(trial))
        return trial

    def finish(
        self,
        trial: Trial,
        state: TrialState,
        *,
        metrics: TaskValues | None = None,
        accuracy: float | None = None,
        reward: float | None = None,
        error: str = "",
        seconds: float | None = None,
    ) -> Trial:
        """Store the result of a running trial and return the finished trial.

        Raises:
            StudyError: The trial does not run, or a done trial has no finite reward.
            EdnasError: The study cannot be written.
        """
        with self._transaction():
            finished = replace(
                trial,
                state=state,
                metrics=metrics or {},
                accuracy=accuracy,
                reward=reward,
                error=error,
                done_order=self._next_order(),
                seconds=seconds,
            )
            if state is TrialState.RUNNING or (state is TrialState.DONE) is not finished.scored:
                raise StudyError(f"trial {trial.number} cannot end as {state} with the reward {reward}")
            assignments = ", ".join(f"{column} = ?" for column in COLUMNS)
            changed = self._connection.execute(
                f"UPDATE trials SET {assignments} WHERE number = ? AND state = 'running'",
                (*to_row(finished), trial.number),
            )
            if changed.rowcount != 1:
                raise StudyError(f"trial {trial.number} of {self.path} is not running, its result cannot be stored")
        return finished

    def retry_failed(self) -> int:
        """Let failed trials run again, but for those that the target cannot run; return how many.

        Raises:
            EdnasError: The study cannot be written.
        """
        failed = "state = 'failed' AND cost != '{}'"
        with self._transaction():
            self._connection.execute(f"INSERT INTO retried SELECT done_order FROM trials WHERE {failed}")
            changed = self._connection.execute(
                f"UPDATE trials SET state = 'running', error = '', done_order = NULL, seconds = NULL WHERE {failed}"
            )
        return changed.rowcount

    def add_judgement(self, number: int, judgement: Judgement) -> None:
        """Store what a trial was found to be worth by another seed.

        Raises:
            EdnasError: The study cannot be written.
        """
        with self._transaction():
            self._connection.execute(
                "INSERT OR REPLACE INTO judgements VALUES (?, ?, ?)", (number, judgement.accuracy, judgement.reward)
            )

    def close(self) -> None:
        """Let go of the file and its lock; what is left is one plain file, fit to be copied."""
        # Not possible while somebody reads; the file stays in write-ahead mode then, which is as good.
        with suppress(sqlite3.Error):
            self._connection.execute("PRAGMA journal_mode = DELETE")
        super().close()
        self._lock.close()

    def _prepare(self, identity: Mapping[str, Any], resume: bool) -> None:
        identity = json.loads(json.dumps(identity))  # as it will be read again
        is_new = self._connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()[0] == 0
        if not is_new:
            self._check_file()
            if not resume and self._next("number", "trials"):
                raise StudyError(f"{self.path} holds a search already; resume it (--resume), or choose another folder")
            if resume and (difference := _first_difference(self.identity, identity)):
                raise StudyError(
                    f"{self.path} belongs to another search: {difference}; change it back, or choose another folder"
                )
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = FULL")
        self._connection.execute(JUDGEMENTS)
        self._connection.execute(RETRIED)
        if is_new:
            with self._transaction():
                for statement in TABLES:
                    self._connection.execute(statement)
                self._connection.execute("INSERT INTO identity VALUES (?)", (json.dumps(identity),))
                self._connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                self._connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        elif not resume:
            with self._transaction():
                self._connection.execute("UPDATE identity SET value = ?", (json.dumps(identity),))

    def _next(self, column: str, table: str) -> int:
        value: int = self._connection.execute(f"SELECT COALESCE(MAX({column}), -1) + 1 FROM {table}").fetchone()[0]
        return value

    def _next_order(self) -> int:
        return max(self._next("done_order", "trials"), self._next("done_order", "retried"))

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._reported():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                # SQLite may have rolled back already (disk full).
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise


def is_written(path: Path | str) -> bool:
    """Whether a process writes to a study, evaluates its trials for example."""
    return is_locked(_lock_file(Path(path)))


def _connect(uri: str) -> sqlite3.Connection:
    return sqlite3.connect(uri, uri=True, timeout=_READER_PATIENCE_S, isolation_level=None)


def _lock_file(path: Path) -> Path:
    return path.with_name(f"{path.name}.lock")


def _lock(path: Path) -> ExitStack:
    """Take the writer's lock, which stands beside the study until it is closed, or its process ends."""
    file, lock = _lock_file(path), ExitStack()
    try:
        lock.enter_context(locked(file, wait=False))
    except BlockingIOError:
        raise StudyError(f"{path}: another process is writing to this study; wait for it or stop it") from None
    except OSError as error:
        raise EdnasError(
            f"cannot read or write {file}: {error.strerror or error}; check the disk and the permissions, then resume"
        ) from error
    return lock


def _code(error: sqlite3.Error) -> int:
    """Return SQLite's primary result code; 0 where Python's own checks failed."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def _describe(path: Path, error: sqlite3.Error) -> EdnasError:
    code = _code(error)
    if isinstance(error, sqlite3.ProgrammingError):
        return StudyError(f"{path}: {error}")
    if code == sqlite3.SQLITE_FULL:
        return EdnasError(f"cannot write {path}: the disk is full; free space and resume, no finished trial is lost")
    if code in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM):
        return EdnasError(f"cannot read or write {path}: {error}; check the disk and the permissions, then resume")
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return StudyError(f"{path}: locked by another program; close it and resume")
    if code == sqlite3.SQLITE_CONSTRAINT:
        return StudyError(f"{path}: a trial would break the study's rules ({error})")
    return StudyError(f"{path}: damaged, or no study at all ({error}); start a new study")


def _first_difference(stored: Any, given: Any, path: str = "") -> str:
    """Name the first key whose values differ, with both; empty if nothing does."""
    if isinstance(stored, dict) and isinstance(given, dict):
        for key in sorted({*stored, *given}):
            inner = f"{path}.{key}" if path else key
            if difference := _first_difference(stored.get(key), given.get(key), inner):
                return difference
        return ""
    return "" if stored == given else f"'{path}' was {json.dumps(stored):.80}, is {json.dumps(given):.80}"
