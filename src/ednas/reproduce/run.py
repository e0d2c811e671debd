"""Tables from their declarations: what they need is trained, and then measured and judged."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ednas.files import exclusive
from ednas.reproduce.claims import Reading, check_tests
from ednas.reproduce.collect import collect, measure_missing
from ednas.reproduce.finished import Finished, of_seed, training_folder
from ednas.reproduce.result import TableResult, save_table
from ednas.reproduce.scales import Scale
from ednas.reproduce.searches import do_searches
from ednas.reproduce.speed import measure_here
from ednas.reproduce.table import NetworkRow, Row
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
    train: bool = True,
    callbacks: Callable[[str], Sequence[Callback]] | None = None,
    search_callbacks: Sequence[SearchCallback] = (),
    announce: Callable[[str], None] | None = None,
) -> Iterator[TableResult]:
    """Make tables, one after the other; write each as ``<table>.json``.

    What is finished in ``out`` is kept, also what another table has trained, and what was broken off goes on.

    Args:
        names: Of :data:`~ednas.reproduce.tables.TABLES`.
        scale: How large.
        out: Folder of the whole.
        runs: Trainings of each row; None = as many as the table asks for. With fewer, its claims stay undecided.
        reading: One reading of the paper's ambiguous points; None = both.
        workers: Trainings at a time, each in a process of its own.
        device: Where to train.
        train: Whether to train what is missing; otherwise tables are made of what is finished.
        callbacks: Makes the callbacks of a training from its name, where there is one worker.
        search_callbacks: Those of searches.
        announce: Called with a line for every training that is done.

    Yields:
        What came of each.

    Raises:
        ConfigError: SciPy is missing.
        EdnasError: As the trainings; what was finished is kept.
    """
    check_tests()
    do = partial(train_jobs, workers=workers, device=device, callbacks=callbacks, announce=announce)
    find = partial(do_searches, workers=workers, device=device, callbacks=search_callbacks, announce=announce)
    with exclusive(out):
        for name in names:
            table = TABLES[name](scale).read(reading)
            count = table.runs if runs is None else runs
            if train:
                rows = [row for row in table.rows if isinstance(row, Row)]
                do(_jobs(table.name, [row for row in rows if row.search is None], out, count))
                find([search for row in table.rows for search in row.searches], out, count)
                do(_jobs(table.name, [row for row in rows if row.search is not None], out, count))
                measure_here([row for row in table.rows if isinstance(row, NetworkRow)], out, count, announce)
            finished = Finished(out, count)
            measure_missing(table, finished, device, announce)
            result = collect(table, scale.name, finished)
            save_table(result, out / f"{name}.json")
            yield result


def _jobs(table: str, rows: Sequence[Row], out: Path, runs: int) -> list[Job]:
    """Return the trainings of rows: all from one seed, then from the next, so that a part of them is balanced."""
    found: dict[Path, Job] = {}
    for index in range(runs):
        for row in rows:
            for config in row.trainings:
                seeded = of_seed(row, config, config.seed + index, out)
                if seeded is not None:
                    folder = training_folder(seeded, out).path
                    title = row.title if len(row.trainings) == 1 else f"{row.title} ({'+'.join(config.tasks)})"
                    found.setdefault(folder, Job(f"{table}, {title}, seed {seeded.seed}", seeded, folder))
    return list(found.values())
