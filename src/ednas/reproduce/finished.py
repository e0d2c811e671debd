"""What is finished of the trainings and searches that tables share, and where it is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ednas.arch import load_architecture, zoo
from ednas.metrics import TaskValues
from ednas.reproduce.searches import describe_found, describe_random, load_found, search_folder
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
    """Return where the trainings of a configuration are, whichever table asks for them, a folder for each seed."""
    network = next((name for name in zoo.names() if name == config.architecture), "network")
    parts = (network, config.sharing, "+".join(config.tasks), identity(config))
    return RunFolder(out / "trainings" / "-".join(part for part in parts if part))


@dataclass(frozen=True)
class Finished:
    """Finds what is finished, from whatever seeds.

    Attributes:
        out: Folder of the whole; None = nothing is.
    """

    out: Path | None

    def trainings(self, row: Row, config: TrainConfig) -> dict[int, RunFolder]:
        """Return the trainings of a part of a row, by their seeds."""
        if self.out is None:
            return {}
        folder = training_folder(config, self.out) if row.search is None else search_folder(row.search, self.out)
        found: dict[int, RunFolder] = {}
        for seed in folder.seed_numbers():
            seeded = of_seed(row, config, seed, self.out)
            if (
                seeded is not None
                and (run := training_folder(seeded, self.out).seed(seed)).checkpoint.metrics.is_file()
            ):
                found[seed] = run
        return found

    def searched(self, row: SearchRow) -> dict[int, TaskValues]:
        """Return what a row's searches found from each seed from which all are finished."""
        if self.out is None:
            return {}
        first = row.searches[0]
        values: dict[int, TaskValues] = {}
        for seed in search_folder(first, self.out).seed_numbers():
            found = [own for search in row.searches if (own := load_found(search, self.out, seed)) is not None]
            if len(found) == len(row.searches):
                values[seed] = describe_random(first, found[0], seed) if row.random else describe_found(found)
        return values

    def timed(self, row: NetworkRow) -> dict[int, TaskValues]:
        """Return the latencies of a row's networks: estimated, and in each round that was measured."""
        return {} if self.out is None else describe_speed(row, load_rounds(row, self.out))
