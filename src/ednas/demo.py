"""The configuration of the demo: small enough for two CPU cores, real in every part."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from ednas.arch import SpaceConfig
from ednas.data.reader import Progress
from ednas.data.readers.synthetic import SyntheticDataset
from ednas.data.writing import write_folder
from ednas.exceptions import ConfigError, EdnasError
from ednas.pipeline import StudyConfig
from ednas.runs import RunFolder
from ednas.search.config import SearchConfig, load_search_config
from ednas.search.controllers import ControllerConfig
from ednas.training import TrainConfig, recipe

SIZE = (64, 128)
"""Height and width of the scenes, which networks learn in minutes."""

DEPLOYED_SIZE = (256, 512)
"""Height and width that costs are those of. At 64x128 most of a latency is the same for every network."""

STREETS = "streets"
"""Where a demo's scenes are, in its folder."""

_FILES = r"report\.html|(config|study)\.yaml|(best|pareto|noise|trivial|comparison)\.json"
_WRITTEN = re.compile(
    rf"{STREETS}|checkpoints|predictions|{_FILES}|study\.db(-wal|-shm|\.lock)?|\.({_FILES})\.[^.]+-\d+\.\w+"
)
"""Names of what a demo writes into its folder; with a dot before, of what a killed process did not complete."""

TRAIN, VAL = 768, 128
JARED = {"depth": {"loss": "jared", "abs_weight": 0.95, "rel_weight": 0.05}}
"""Options of the tasks: Table 8's weights."""


def make_streets(folder: Path, seed: int = 0, progress: Progress | None = None) -> Path:
    """Write the demo's street scenes as a folder dataset, unless they are there already.

    Raises:
        EdnasError: The folder cannot be written.
    """
    if not (folder / "dataset.yaml").exists():
        splits = {
            split: SyntheticDataset(scene="streets", split=split, count=count, size=SIZE, seed=seed)
            for split, count in (("train", TRAIN), ("val", VAL))
        }
        write_folder(splits, folder, progress)
    return folder


def remove_demo(folder: Path) -> None:
    """Remove what an earlier demo wrote; its scenes stay, if it came no further.

    Raises:
        ConfigError: The folder is not a demo's, or holds something else, too; nothing is removed.
        EdnasError: It cannot be removed.
    """
    if not folder.exists():
        return
    if not folder.is_dir():
        raise ConfigError(f"{folder}: is a file; choose another folder")
    found = sorted(path.name for path in folder.iterdir())
    foreign = [name for name in found if not _WRITTEN.fullmatch(name)]
    if foreign:
        raise ConfigError(
            f"{folder}: holds {foreign[0]}, which no demo writes, so that it is not removed; choose another folder, or "
            "remove it yourself"
        )
    if found in ([], [STREETS]):
        return
    _check_demo(folder)
    try:
        shutil.rmtree(folder)
    except OSError as error:
        raise EdnasError(f"{folder}: cannot be removed ({error.strerror or error})") from error


def _check_demo(folder: Path) -> None:
    """Refuse a folder whose configuration is not that of a search on the scenes beside it."""
    try:
        data = load_search_config(RunFolder(folder).config).training.data
    except EdnasError as error:
        raise ConfigError(f"{folder}: is no demo's folder ({error}); choose another one") from None
    if Path(data).resolve() != (folder / STREETS).resolve():
        raise ConfigError(f"{folder}: holds a search on {data}, no demo; choose another folder")


def demo_config(data: Path, *, trials: int = 32, workers: int = 2, runs: int = 1, seed: int = 0) -> StudyConfig:
    """Return the demo's whole configuration."""
    proxy = recipe("mini", steps=320, input_size=SIZE, task_options=JARED)
    # Few trials: variants of the base, several changes at a time, instead of random networks, which are all worse.
    steps = {"population_size": 10, "tournament_size": 4, "mutations": 3, "initial_mutations": 8}
    search = SearchConfig(
        training=TrainConfig(data=str(data), tasks=("segmentation", "depth"), recipe=proxy, seed=seed),
        space=SpaceConfig(bifpn_widths=(64, 96), bifpn_depths=(1, 2, 4)),
        initial=("baseline",),
        target="ethos_u65_512",
        latency_input_size=DEPLOYED_SIZE,
        prune_factor=1.0,
        controller=ControllerConfig(options=steps),
        trials=trials,
        finalists=4,
        repeats=4,
        workers=workers,
    )
    return StudyConfig(search=search, recipe=recipe("mini", input_size=SIZE, task_options=JARED), runs=runs)
