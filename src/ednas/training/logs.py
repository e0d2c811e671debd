"""What a run leaves behind for reading: ``log.txt``, ``logs/steps.csv`` and TensorBoard's event files."""

from __future__ import annotations

import csv
import io
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from ednas.exceptions import EdnasError
from ednas.files import write_text
from ednas.training.callbacks import StepReport

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

CSV_FILE = "steps.csv"


@contextmanager
def run_log(file: Path) -> Iterator[logging.Logger]:
    """Append what the package logs inside the block to a file, with the time; an error that ends the block too.

    Raises:
        EdnasError: The file cannot be written.
    """
    logger = logging.getLogger("ednas")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        handler = logging.FileHandler(file, encoding="utf-8")
    except OSError as cause:
        raise EdnasError(f"cannot write {file}: {cause.strerror or cause}; choose another place") from cause
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(min(logging.INFO, logger.getEffectiveLevel()))
    try:
        yield logger
    except BaseException as error:
        logger.error("stopped: %s", str(error) or type(error).__name__)
        raise
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        handler.close()


class RunLogs:
    """Writes reports of a training run to CSV and TensorBoard; a callback, and a context manager.

    A resumed run goes on in the same files: rows of steps that are done again are dropped.

    Args:
        folder: Where the files are.

    Raises:
        EdnasError: The files cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._csv = folder / CSV_FILE
        self._board: SummaryWriter | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __call__(self, report: StepReport) -> None:
        """Write a report."""
        row = {"step": report.step, **report_values(report)}
        try:
            if self._board is None:
                self._open(report.step, row)
            with self._csv.open("a", newline="", encoding="utf-8") as file:
                csv.DictWriter(file, list(row), lineterminator="\n").writerow(row)
            self._write_scalars(report.step, report_values(report))
        except OSError as cause:
            raise EdnasError(f"cannot write {self._folder}: {cause.strerror or cause}; free space") from cause

    def write_metrics(self, metrics: Mapping[str, Any], step: int) -> None:
        """Write the values of a ``metrics.json`` to TensorBoard."""
        self._write_scalars(step, metric_values(metrics))

    def close(self) -> None:
        """Finish the files."""
        if self._board is not None:
            self._board.close()
            self._board = None

    def _open(self, step: int, row: Mapping[str, float]) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._folder.mkdir(parents=True, exist_ok=True)
        text = io.StringIO()
        writer = csv.DictWriter(text, list(row), lineterminator="\n")
        writer.writeheader()
        writer.writerows(old for old in _read_rows(self._csv, list(row)) if int(old["step"]) < step)
        write_text(self._csv, text.getvalue())
        self._board = SummaryWriter(str(self._folder), purge_step=step)

    def _write_scalars(self, step: int, values: Mapping[str, float]) -> None:
        if self._board is not None:
            for name, value in values.items():
                self._board.add_scalar(name, value, step)


def report_values(report: StepReport) -> dict[str, float]:
    """Return what is logged of a report, by name."""
    return {
        "loss": report.loss,
        **{f"loss/{task}": value for task, value in report.losses.items()},
        "learning_rate": report.learning_rate,
        "images_per_second": round(report.images_per_second, 2),
    }


def metric_values(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Return what is logged of a ``metrics.json``, by name."""
    tasks: Mapping[str, Mapping[str, float]] = metrics["tasks"]
    return {f"val/{task}/{name}": value for task, row in tasks.items() for name, value in row.items()}


def _read_rows(file: Path, columns: list[str]) -> list[dict[str, str]]:
    """Rows of an older part of the run; a last line that was cut off, or a file of other columns, does not count."""
    if not file.is_file():
        return []
    with file.open(newline="", encoding="utf-8", errors="replace") as stream:
        reader = csv.DictReader(stream)
        if reader.fieldnames is None or list(reader.fieldnames) != columns:
            return []
        return [row for row in reader if None not in row.values() and str(row["step"]).isdigit()]
