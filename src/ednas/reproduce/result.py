"""What came of a table, as it is kept: numbers alone, from which every page about it is made."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from ednas.config import StrictModel, parse
from ednas.exceptions import CheckpointError
from ednas.files import read_json, write_json
from ednas.metrics import ModelMetrics, TaskValues
from ednas.report.comparison import ModelCost
from ednas.reproduce.claims import Reading, Verdict
from ednas.reproduce.paper import Printed
from ednas.tasks import EvaluationProtocol

DIRECTIONS = {"fused_percent": True, "ibn_2_percent": True, "ibn_7_percent": True, "seconds": False}
DIRECTIONS |= dict.fromkeys(("latency_ms", "latency_p10_ms", "latency_p90_ms", "streamed_mb"), False)
"""Whether higher is better, of what is no metric: for shares, it is what is claimed to be larger."""


class RowResult(StrictModel):
    """A row: what was trained, and what came of it.

    Attributes:
        key: What claims call it.
        title: For people.
        over: Key of the row that its gains are relative to; None = its own gains are 0.
        reading: The reading of the paper that it belongs to; None = to both.
        printed: What the paper has in this row.
        trainings: Settings of what was trained, as far as they are not the defaults, without data and seed.
        measured: By protocol and seed, what was measured.
        cost: What it costs at 256x256, all tasks together.
    """

    key: str
    title: str
    over: str | None
    reading: Reading | None
    printed: Printed | None
    trainings: tuple[dict[str, Any], ...]
    measured: dict[EvaluationProtocol, dict[int, TaskValues]]
    cost: ModelCost | None

    def metrics(self, protocol: EvaluationProtocol) -> ModelMetrics | None:
        """Return the means over its trainings, with the values of each; None where nothing was measured."""
        seeds = self.measured.get(protocol, {})
        if not seeds:
            return None
        found: dict[str, dict[str, list[float]]] = {}
        for values in seeds.values():  # what was not measured in all is the mean of those in which it was
            for task, metrics in values.items():
                for metric, value in metrics.items():
                    found.setdefault(task, {}).setdefault(metric, []).append(value)
        means = {
            task: {metric: statistics.mean(values) for metric, values in metrics.items()}
            for task, metrics in found.items()
        }
        return ModelMetrics(self.title, protocol, means, DIRECTIONS, by_seed=seeds)


class ClaimResult(StrictModel):
    """A claim, and what became of it.

    Attributes:
        text: In words.
        printed: What the paper has for it.
        reading: The reading of the paper that it belongs to; None = to both.
        effect: What a verdict's effect is.
        verdicts: By protocol.
    """

    text: str
    printed: str
    reading: Reading | None
    effect: str
    verdicts: dict[EvaluationProtocol, Verdict]


class TableResult(StrictModel):
    """A table.

    Attributes:
        format: Of the file.
        table: Its name.
        title: For people.
        scale: Name of the scale.
        command: What made it.
        wanted: Trainings that each row should have.
        measured_on: On what all was measured, as :data:`ednas.metrics.MEASURED_ON` names it.
        rows: The rows, in order.
        claims: What the paper concludes.
        notes: What differs from the paper.
        versions: Of what computed it.
    """

    format: Literal[1] = 1
    table: str
    title: str
    scale: str
    command: str
    wanted: int
    measured_on: dict[str, Any]
    rows: tuple[RowResult, ...]
    claims: tuple[ClaimResult, ...]
    notes: tuple[str, ...]
    versions: Mapping[str, str]

    def read(self, reading: Reading | None) -> TableResult:
        """Return what one reading of the paper comes to; None = both."""
        if reading is None:
            return self
        rows = tuple(row for row in self.rows if row.reading in (None, reading))
        claims = tuple(claim for claim in self.claims if claim.reading in (None, reading))
        return self.model_copy(update={"rows": rows, "claims": claims})

    @property
    def name(self) -> str:
        """Its name, as the paper has it."""
        return self.table.replace("table", "Table ").capitalize()

    @property
    def heading(self) -> str:
        """Name and title."""
        return f"{self.name}: {self.title}"

    def row(self, key: str) -> RowResult:
        """Return a row by its key."""
        return next(row for row in self.rows if row.key == key)


def save_table(result: TableResult, path: Path | str) -> None:
    """Write what came of a table.

    Raises:
        EdnasError: The file cannot be written.
    """
    write_json(path, result.model_dump(mode="json"))


def load_table(path: Path | str) -> TableResult:
    """Read what came of a table.

    Raises:
        CheckpointError: The file is missing, damaged or of another form.
    """
    value = read_json(path, CheckpointError)
    if not isinstance(value, dict):
        raise CheckpointError(f"{path}: holds {type(value).__name__}, expected a table that `ednas reproduce` wrote")
    return parse(TableResult, value, str(path), CheckpointError)
