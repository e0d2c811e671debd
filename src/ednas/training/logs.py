"""What a run leaves behind for reading: ``log.txt``, ``logs/steps.csv``, ``validation.csv``, TensorBoard's files."""

from __future__ import annotations

import csv
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ednas.closing import Closing
from ednas.exceptions import EdnasError
from ednas.files import csv_text, write_text
from ednas.runs import RunFolder
from ednas.training.callbacks import StepReport

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


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


def read_log(file: Path) -> list[dict[str, float]]:
    """Return the rows of a CSV file that :class:`RunLogs` wrote, by column, also of a run that goes on.

    A line that was cut off is left out; without the file there is no row.
    """
    rows = []
    for row in _read_rows(file)[1]:
        with suppress(ValueError, TypeError):
            rows.append({name: float(value) for name, value in row.items()})
    return rows


class RunLogs(Closing):
    """Writes reports of a training run to CSV and TensorBoard; a callback, and a context manager.

    A resumed run goes on in the same files: rows of steps that are done again are dropped.

    Args:
        run: The run, in whose logs the files are.

    Raises:
        EdnasError: The files cannot be written.
    """

    def __init__(self, run: RunFolder) -> None:
        self._folder = run.logs
        self._csv = run.steps
        self._validation = run.validation
        self._is_begun = False
        self._board: SummaryWriter | None = None

    def __call__(self, report: StepReport) -> None:
        """Write a report."""
        row = {"step": report.step, **report_values(report)}
        try:
            if not self._is_begun:
                write_text(self._csv, csv_text(list(row), _rows_before(self._csv, list(row), report.step)))
                self._is_begun = True
            self._open_board(report.step)
            with self._csv.open("a", newline="", encoding="utf-8") as file:
                csv.DictWriter(file, list(row), lineterminator="\n").writerow(row)
            self._write_scalars(report.step, report_values(report))
        except OSError as cause:
            raise EdnasError(f"cannot write {self._folder}: {cause.strerror or cause}; free space") from cause

    def write_metrics(self, metrics: Mapping[str, Any], step: int) -> None:
        """Write the values of a ``metrics.json`` to TensorBoard."""
        self._write_scalars(step, metric_values(metrics))

    def write_validation(self, metrics: Mapping[str, Any], step: int) -> None:
        """Write what was measured in the middle of the run, to ``validation.csv`` too: a row with the step.

        Raises:
            EdnasError: The file cannot be written.
        """
        row = {"step": step, **_by_column(metrics)}
        before = _rows_before(self._validation, list(row), step)
        write_text(self._validation, csv_text(list(row), [*before, row]))
        self._open_board(step)
        self.write_metrics(metrics, step)

    def close(self) -> None:
        """Finish the files."""
        if self._board is not None:
            self._board.close()
            self._board = None

    def _open_board(self, step: int) -> None:
        """Begin TensorBoard's files, if that has not been done; what they hold from ``step`` on is done again."""
        if self._board is None:
            from torch.utils.tensorboard import SummaryWriter

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
        **{f"weight/{task}": value for task, value in report.task_weights.items()},
        "learning_rate": report.learning_rate,
        "images_per_second": round(report.images_per_second, 2),
    }


def metric_values(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Return what is logged of a ``metrics.json``, by name."""
    return {f"val/{name}": value for name, value in _by_column(metrics).items()}


def _by_column(metrics: Mapping[str, Any]) -> dict[str, float]:
    tasks: Mapping[str, Mapping[str, float]] = metrics["tasks"]
    return {f"{task}/{name}": value for task, values in tasks.items() for name, value in values.items()}


def _rows_before(file: Path, columns: list[str], step: int) -> list[dict[str, str]]:
    """Rows of an older part of the run; a file of other columns does not count."""
    found, rows = _read_rows(file)
    return [row for row in rows if int(row["step"]) < step] if found == columns else []


def _read_rows(file: Path) -> tuple[list[str], list[dict[str, str]]]:
    """Columns and rows of a file; a last line that was cut off does not count."""
    if not file.is_file():
        return [], []
    with file.open(newline="", encoding="utf-8", errors="replace") as stream:
        reader = csv.DictReader(stream)
        columns = list(reader.fieldnames or ())
        return columns, [row for row in reader if None not in row.values() and str(row.get("step")).isdigit()]
