"""What is finished of the trainings and searches that tables share, and where it is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ednas.arch import load_architecture, zoo
from ednas.metrics import TaskValues
from ednas.reproduce.searches import describe_found, describe_random, load_found
from ednas.reproduce.speed import describe_speed, load_rounds
from ednas.reproduce.table import NetworkRow, Row, SearchRow
from ednas.runs import RunFolder
from ednas.training import TrainConfig
from ednas.training.config import identity


def of_seed(row: Row, config: TrainConfig, seed: int, out: Path) -> TrainConfig | None:
    """Return one of a row's trainings from a seed; None where its network has not been searched yet."""
    seeded = config.model_copy(update={"seed": seed})
    if row.search is None:
        return seeded
    found = load_found(row.search, out, seed)
    return None if found is None else seeded.with_architecture(load_architecture(found.architecture))


def training_folder(config: TrainConfig, out: Path) -> RunFolder:
    """Return where a training is, whichever table asks for it."""
    network = next((name for name in zoo.names() if name == config.architecture), "network")
    parts = (network, config.sharing, config.recipe.loss_preset, "+".join(config.tasks), identity(config))
    return RunFolder(out / "trainings" / "-".join(part for part in parts if part)).seed(config.seed)


@dataclass(frozen=True)
class Finished:
    """Finds what is finished.

    Attributes:
        out: Folder of the whole.
        runs: Seeds that are looked for.
    """

    out: Path
    runs: int

    def trainings(self, row: Row, config: TrainConfig) -> dict[int, RunFolder]:
        """Return the trainings of a part of a row, by their seeds."""
        found: dict[int, RunFolder] = {}
        for seed in range(config.seed, config.seed + self.runs):
            seeded = of_seed(row, config, seed, self.out)
            if seeded is not None and (run := training_folder(seeded, self.out)).checkpoint.metrics.is_file():
                found[seed] = run
        return found

    def searched(self, row: SearchRow) -> dict[int, TaskValues]:
        """Return what a row's searches found from each seed from which all are finished."""
        first = row.searches[0]
        values: dict[int, TaskValues] = {}
        for seed in range(first.training.seed, first.training.seed + self.runs):
            found = [own for search in row.searches if (own := load_found(search, self.out, seed)) is not None]
            if len(found) == len(row.searches):
                values[seed] = describe_random(first, found[0], seed) if row.random else describe_found(found)
        return values

    def timed(self, row: NetworkRow) -> dict[int, TaskValues]:
        """Return the latencies of a row's networks in each round."""
        rounds = load_rounds(self.out)
        return describe_speed(row, self.runs, () if rounds is None else rounds.latency_ms.get(row.key, ()))
