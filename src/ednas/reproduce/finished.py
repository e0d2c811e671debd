"""What is finished of the trainings and searches that tables share, and where it is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ednas.arch import load_architecture, zoo
from ednas.reproduce.searches import Found, load_found
from ednas.reproduce.table import Row, SearchRow
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

    def searches(self, row: SearchRow) -> dict[int, list[Found]]:
        """Return what a row's searches found from each seed from which all are finished."""
        seeds = range(row.searches[0].training.seed, row.searches[0].training.seed + self.runs)
        found = {seed: [load_found(search, self.out, seed) for search in row.searches] for seed in seeds}
        return {seed: known for seed, own in found.items() if len(known := [one for one in own if one]) == len(own)}
