"""The trials of a search for other programs: a CSV file, a Parquet file, or a storage of Optuna.

Each is written from the store as it stands, also while the search runs, and takes its place when it is complete.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ednas.arch import Decision, SearchSpace
from ednas.exceptions import ConfigError, EdnasError, StudyError, hint
from ednas.files import atomic_path, csv_text, write_text
from ednas.runs import RunFolder
from ednas.search.config import SearchConfig, config_of_run
from ednas.search.quantities import ACCURACY
from ednas.search.schema import flat, flat_rows
from ednas.search.study import StudyReader
from ednas.search.trial import Trial, TrialState

if TYPE_CHECKING:
    import optuna

Progress = Callable[[int, int], None]
"""Called with (trials written, trials in all)."""

REWARD = "reward"
"""The objective of a search that names none."""

_TEXTS = ("genes", "architecture", "fingerprint", "state", "error")
_WHOLE = ("number", "asked_after", "parent", "done_order")
"""Columns of texts and of whole numbers; all others are fractions."""


@dataclass(frozen=True)
class StoredSearch:
    """A search, read from its folder.

    Attributes:
        run: Its folder.
        identity: What makes it this one.
        config: Its configuration; None for a study of somebody's own program.
        trials: Its trials by their numbers; one at least.
    """

    run: RunFolder
    identity: Mapping[str, Any]
    config: SearchConfig | None
    trials: Sequence[Trial]

    @classmethod
    def read(cls, folder: Path | str) -> StoredSearch:
        """Read a search, which may be running.

        Raises:
            StudyError: The folder holds none, or it has no trial yet, or its store is damaged.
            ConfigError: Its configuration is wrong.
        """
        run = RunFolder(folder)
        if not run.is_search:
            raise StudyError(f"{run.path}: holds no search (no {run.study.name}); give the folder of one")
        with StudyReader(run.study) as study:
            identity, trials = study.identity, study.trials()
        if not trials:
            raise StudyError(f"{run.path}: the search has no trial yet; wait for its first one")
        return cls(run, identity, config_of_run(run, identity), trials)

    @property
    def objectives(self) -> tuple[str, ...]:
        """What is searched for: the objectives that the configuration names, else the reward."""
        return (self.config and self.config.objectives) or (REWARD,)

    def decisions(self) -> tuple[Decision, ...]:
        """Return what the genes choose, in their order; without a configuration they are numbers without a meaning.

        Raises:
            StudyError: The configuration is another search's.
            ArchitectureError: The base network or a part of it is not known; a plugin may bring it.
        """
        if self.config is None:
            columns = zip(*(trial.genes for trial in self.trials), strict=True)
            return tuple(
                Decision(name := f"genes[{i}]", tuple(range(max(genes) + 1)), name, 0)
                for i, genes in enumerate(columns)
            )
        space = SearchSpace(self.config.training.load_architecture(), self.config.space)
        if space.fingerprint() != self.identity.get("space fingerprint", space.fingerprint()):
            raise StudyError(f"{self.run.config}: has another space than the search; put its own configuration back")
        return space.decisions


def export_study(
    folder: Path | str, form: str, file: Path | str | None = None, progress: Progress | None = None
) -> Path:
    """Write the trials of a search to a file, which replaces one that is there.

    Args:
        folder: The search's folder.
        form: One of :data:`FORMS`.
        file: The file; default: ``trials`` with the form's ending, in the folder.
        progress: Called as trials are written, where that takes a while.

    Returns:
        The file.

    Raises:
        ConfigError: The form is unknown, or what it needs is not installed.
        StudyError: The folder holds no search, or the search has no trial yet.
        EdnasError: As the search's folder is damaged, or the file cannot be written.
    """
    if form not in FORMS:
        raise ConfigError(f"unknown form '{form}' of a study; {hint(form, FORMS)}")
    path = default_file(folder, form) if file is None else Path(file)
    FORMS[form].write(StoredSearch.read(folder), path, progress or (lambda *_: None))
    return path


def default_file(folder: Path | str, form: str) -> Path:
    """Return where a search is exported to, unless something else is said."""
    return RunFolder(folder).trials.with_suffix(FORMS[form].ending)


def _write_csv(search: StoredSearch, path: Path, _progress: Progress) -> None:
    rows = flat_rows(search.trials)
    write_text(path, csv_text(list(rows[0]), rows))


def _write_parquet(search: StoredSearch, path: Path, _progress: Progress) -> None:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise _not_installed("a Parquet file", "pyarrow", "parquet") from None
    types = dict.fromkeys(_TEXTS, pyarrow.string()) | dict.fromkeys(_WHOLE, pyarrow.int64())
    rows = flat_rows(search.trials)
    # Not guessed from the values: a column is of one type in all searches, also where no trial has a value.
    schema = pyarrow.schema([(column, types.get(column, pyarrow.float64())) for column in rows[0]])
    with atomic_path(path) as temporary:
        parquet.write_table(pyarrow.Table.from_pylist(rows, schema), temporary)


def _write_optuna(search: StoredSearch, path: Path, progress: Progress) -> None:
    """Write an SQLite storage of Optuna with one study, called as the run's folder.

    A decision is a categorical parameter. The values are the search's objectives. All else that is known of a trial is
    in its user attributes; when it ran is not, only for how long.
    """
    try:
        import optuna
    except ImportError:
        raise _not_installed("an Optuna storage", "optuna", "optuna") from None
    distributions = {
        decision.name: optuna.distributions.CategoricalDistribution([_choice(value) for value in decision.candidates])
        for decision in search.decisions()
    }
    with atomic_path(path) as temporary, _storage(temporary) as storage:
        study = optuna.create_study(
            storage=storage,
            study_name=search.run.path.resolve().name,
            directions=["maximize" if name in (REWARD, ACCURACY) else "minimize" for name in search.objectives],
        )
        study.set_user_attr("objectives", search.objectives)
        for key in ("data", "tasks", "target", "target_latency_ms", "limits"):
            if key in search.identity:
                study.set_user_attr(key, search.identity[key])
        for number, trial in enumerate(search.trials, start=1):
            study.add_trial(_optuna_trial(trial, search.objectives, distributions))
            progress(number, len(search.trials))


@contextmanager
def _storage(path: Path) -> Iterator[optuna.storages.RDBStorage]:
    """Open a new storage of Optuna, which is silent about it."""
    import optuna

    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(path)
        connection.execute("PRAGMA synchronous = OFF")  # a file that is not complete is thrown away
        return connection

    said = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        # By a function, since Optuna and SQLAlchemy give braces, ? and % in a path a meaning.
        storage = optuna.storages.RDBStorage("sqlite://", engine_kwargs={"creator": connect})
        try:
            yield storage
        finally:
            storage.remove_session()
            storage.engine.dispose()
    finally:
        optuna.logging.set_verbosity(said)


def _optuna_trial(
    trial: Trial,
    objectives: Sequence[str],
    distributions: Mapping[str, optuna.distributions.CategoricalDistribution],
) -> optuna.trial.FrozenTrial:
    from optuna.trial import TrialState as State
    from optuna.trial import create_trial

    states = {
        TrialState.DONE: State.COMPLETE,
        TrialState.FAILED: State.FAIL,
        TrialState.PRUNED: State.PRUNED,
        TrialState.RUNNING: State.RUNNING,
    }
    params = {
        name: distribution.choices[gene]
        for (name, distribution), gene in zip(distributions.items(), trial.genes, strict=True)
    }
    known = {name: value for name, value in flat(trial).items() if name not in ("number", "genes", "state")}
    created: optuna.trial.FrozenTrial = create_trial(
        state=states[trial.state],
        values=_values(trial, objectives) if trial.state is TrialState.DONE else None,
        params=params,
        distributions=dict(distributions),
        user_attrs={name: value for name, value in known.items() if _is_shown(value)},
    )
    if trial.seconds is not None and created.datetime_complete is not None:
        created.datetime_start = created.datetime_complete - timedelta(seconds=trial.seconds)
    return created


def _values(trial: Trial, objectives: Sequence[str]) -> list[float]:
    known = {REWARD: trial.reward, ACCURACY: trial.accuracy, **trial.cost}
    values = [known.get(name) for name in objectives]
    if None in values:
        raise StudyError(f"trial {trial.number} has no {objectives[values.index(None)]}, which is an objective")
    return [value for value in values if value is not None]


def _choice(value: Any) -> Any:
    """Return a candidate as Optuna stores it: a size as text, all others as they are."""
    return "x".join(map(str, value)) if isinstance(value, tuple) else value


def _is_shown(value: Any) -> bool:
    """Whether a value says something, and can be written as JSON."""
    return value not in (None, "") and not (isinstance(value, float) and not math.isfinite(value))


def _not_installed(what: str, package: str, extra: str) -> EdnasError:
    return ConfigError(f'{what} needs {package}: pip install "ednas[{extra}]"')


@dataclass(frozen=True)
class Form:
    """A form that trials are exported in.

    Attributes:
        ending: Of the file.
        write: Writes a search to a file.
    """

    ending: str
    write: Callable[[StoredSearch, Path, Progress], None] = field(repr=False)


FORMS: Mapping[str, Form] = {
    "csv": Form(".csv", _write_csv),
    "parquet": Form(".parquet", _write_parquet),
    "optuna": Form(".optuna.db", _write_optuna),
}
"""How trials can be exported, by name."""
