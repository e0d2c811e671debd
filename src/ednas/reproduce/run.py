"""Tables from their declarations: what they need is trained, and then measured and judged."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ednas.data import open_dataset
from ednas.exceptions import TrainingError
from ednas.files import exclusive
from ednas.reproduce.claims import Reading, check_tests
from ednas.reproduce.collect import collect, measure_missing
from ednas.reproduce.finished import Finished, of_seed, training_folder
from ednas.reproduce.result import TableResult, save_table
from ednas.reproduce.scales import Scale
from ednas.reproduce.searches import do_searches
from ednas.reproduce.speed import measure_here
from ednas.reproduce.table import NetworkRow, Row, Table
from ednas.reproduce.tables import TABLES
from ednas.search import SearchCallback
from ednas.training.jobs import Job, train_jobs

if TYPE_CHECKING:
    from ednas.training import Callback


def reproduce(
    names: Iterable[str],
    scale: Scale,
    out: Path,
    *,
    runs: int | None = None,
    reading: Reading | None = None,
    workers: int = 1,
    device: str = "auto",
    callbacks: Callable[[str], Sequence[Callback]] | None = None,
    search_callbacks: Sequence[SearchCallback] = (),
    announce: Callable[[str], None] | None = None,
) -> Iterator[TableResult]:
    """Make tables, one after the other; write each as a file (:func:`table_file`).

    What is finished in ``out`` is kept, also what another table has trained, and what was broken off goes on. A table
    holds all that is finished for it, whatever was asked for this time. A training that fails leaves its row without
    that seed.

    Args:
        names: Of :data:`~ednas.reproduce.tables.TABLES`.
        scale: How large.
        out: Folder of the whole.
        runs: Trainings of each row; None = as many as the table asks for. With fewer, its claims stay undecided.
        reading: Train for one reading of the paper's ambiguous points alone; None = both.
        workers: Trainings at a time, each in a process of its own.
        device: Where to train.
        callbacks: Makes the callbacks of a training from its name, where there is one worker.
        search_callbacks: Those of searches.
        announce: Called with a line for every training that is done.

    Yields:
        What came of each.

    Raises:
        ConfigError: SciPy is missing, or data that a table needs.
        DataError: A dataset is missing or damaged.
        TrainingError: Trainings failed; all tables were made without them.
        EdnasError: As the trainings; what was finished is kept.
    """
    check_tests()
    tables = [TABLES[name](scale) for name in names]
    _check_data(tables)
    do = partial(train_jobs, workers=workers, device=device, callbacks=callbacks, announce=announce)
    find = partial(do_searches, workers=workers, device=device, callbacks=search_callbacks, announce=announce)
    failures: list[str] = []
    with exclusive(out):
        for table in tables:
            wanted = table.read(reading)
            count = table.runs if runs is None else runs
            rows = [row for row in wanted.rows if isinstance(row, Row)]
            jobs = _jobs(table.name, [row for row in rows if row.search is None], out, count)
            if announce is not None and jobs:
                announce(f"{table.name}: {sum(job.is_done for job in jobs)} of {len(jobs)} trainings are done")
            with _noting(failures):
                do(jobs)
            find([search for row in wanted.rows for search in row.searches], out, count)
            with _noting(failures):
                do(_jobs(table.name, [row for row in rows if row.search is not None], out, count))
            measure_here([row for row in wanted.rows if isinstance(row, NetworkRow)], out, count, announce)
            finished = Finished(out)
            measure_missing(table, finished, device, announce)
            result = collect(table, scale, finished)
            save_table(result, table_file(out, scale, table.name))
            yield result
    if failures:
        raise TrainingError("; ".join(failures))


def look_at(names: Iterable[str], scale: Scale, out: Path) -> Iterator[TableResult]:
    """Make tables of what is finished; nothing is trained, measured or written.

    Args:
        names: Of :data:`~ednas.reproduce.tables.TABLES`.
        scale: How large.
        out: Folder of the whole.

    Yields:
        What came of each.

    Raises:
        CheckpointError: Something in ``out`` is damaged, or of other data than the rest.
        ConfigError: SciPy is missing, or data that a table needs.
    """
    check_tests()
    for name in names:
        yield collect(TABLES[name](scale), scale, Finished(out))


def table_file(out: Path, scale: Scale, name: str) -> Path:
    """Return where a table is written; tables of other scales, steps or data are beside it."""
    folder = "_".join(re.findall(r"[\w=.]+", f"{scale.name} {scale.options}"))
    return out / folder / f"{name}.json"


def _check_data(tables: Sequence[Table]) -> None:
    """Open all data once, before hours of training for the first table."""
    rows = [row for table in tables for row in table.rows]
    configs = [config for row in rows if isinstance(row, Row) for config in row.trainings]
    for data in dict.fromkeys(config.data for config in configs):
        for split in ("train", "val"):
            open_dataset(data, split)


@contextmanager
def _noting(failures: list[str]) -> Iterator[None]:
    """Note what could not be trained, and go on."""
    try:
        yield
    except TrainingError as error:
        failures.append(str(error))


def _jobs(table: str, rows: Sequence[Row], out: Path, runs: int) -> list[Job]:
    """Return the trainings of rows: all from one seed, then from the next, so that a part of them is balanced."""
    found: dict[Path, Job] = {}
    for index in range(runs):
        for row in rows:
            for config in row.trainings:
                seeded = of_seed(row, config, config.seed + index, out)
                if seeded is not None:
                    folder = training_folder(seeded, out).seed(seeded.seed).path
                    title = row.title if len(row.trainings) == 1 else f"{row.title} ({'+'.join(config.tasks)})"
                    found.setdefault(folder, Job(f"{table}, {title}, seed {seeded.seed}", seeded, folder))
    return list(found.values())
