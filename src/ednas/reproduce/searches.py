"""The searches that tables stand on: each is done once, and what it found is kept as numbers and texts."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from pydantic import Field

from ednas.arch import Architecture, SearchSpace, load_architecture
from ednas.config import StrictModel, parse
from ednas.exceptions import CheckpointError
from ednas.files import read_json, write_json
from ednas.hw.sources import load_source
from ednas.metrics import TaskValues
from ednas.runs import RunFolder
from ednas.search import SearchCallback, SearchConfig, SearchResult, run_search
from ednas.search.beginning import DeviceCost
from ednas.search.sampling import draw
from ednas.search.study import StudyReader
from ednas.search.trial import TrialState
from ednas.seeding import derive_seed
from ednas.training.jobs import add_seconds, training_seconds

BEST = 5
"""How many of a search's best networks are looked at, as in the paper."""

RANDOM = 200
"""Networks that cost no more than is allowed, drawn at random, with which they are compared."""

BACKBONE, SEARCH = "backbone", "search"
"""What stands in the place of tasks where backbones and searches are measured."""


class Found(StrictModel):
    """What a search found.

    Attributes:
        architecture: The network that it chose, as text.
        best: The best networks within the limits, as texts.
        seconds: Processor seconds of the whole search.
        heads: Output channels by task.
        input_size: ``(H, W)`` on the device.
        limits: What no network may exceed, by quantity.
    """

    architecture: str
    best: tuple[str, ...] = Field(min_length=1)
    seconds: float
    heads: dict[str, int]
    input_size: tuple[int, int]
    limits: dict[str, float]


def search_folder(config: SearchConfig, out: Path) -> RunFolder:
    """Return where the searches of a configuration are, a folder for each seed."""
    values = {**config.standalone().identity(), "trials": config.trials, "seed": 0}
    digest = hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:12]
    return RunFolder(out / "searches" / f"{'+'.join(config.training.tasks)}-{digest}")


def seeded(config: SearchConfig, seed: int) -> SearchConfig:
    """Return the same search from another seed."""
    return config.model_copy(update={"training": config.training.model_copy(update={"seed": seed})})


def do_searches(
    configs: Iterable[SearchConfig],
    out: Path,
    runs: int,
    *,
    workers: int = 1,
    device: str = "auto",
    callbacks: Sequence[SearchCallback] = (),
    announce: Callable[[str], None] | None = None,
) -> None:
    """Search from every seed what was not searched yet; what was is checked to be of the same data.

    Args:
        configs: The searches, from the first seed.
        out: Folder of the whole.
        runs: Seeds.
        workers: Candidates at a time.
        device: Where to train them.
        callbacks: Those of the searches.
        announce: Called with a line for each.

    Raises:
        EdnasError: As :func:`~ednas.search.run.run_search`; what was finished is kept.
    """
    distinct = {search_folder(config, out).path: config for config in configs}
    for index in range(runs):
        for path, config in distinct.items():
            seed = config.training.seed + index
            run = RunFolder(path).seed(seed)
            how = {"workers": workers, "device": device, "executor": "inline" if workers == 1 else "process"}
            own = seeded(config, seed).model_copy(update=how)
            is_finished, before = run.found.is_file(), _processor_seconds()
            try:
                result = run_search(own, run.path, resume=run.is_search, callbacks=callbacks)
            finally:
                if not is_finished and run.path.is_dir():
                    add_seconds(run, _processor_seconds() - before)
            if is_finished:
                continue
            found = _summary(result, run)
            write_json(run.found, found.model_dump(mode="json"))
            if announce is not None:
                announce(f"{path.name}, seed {seed}: searched, {found.architecture}")


def _processor_seconds() -> float:
    """Return those of this process and of the processes that it started and that have ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _summary(result: SearchResult, run: RunFolder) -> Found:
    with StudyReader(run.study) as study:
        trials = study.trials(TrialState.DONE)
    within = [(trial.reward or 0.0, trial.architecture) for trial in trials if trial.meets(result.limits)]
    costed = result.costed(result.best)
    return Found(
        architecture=result.architecture.to_text(),
        best=tuple(dict.fromkeys(text for _, text in sorted(within, reverse=True)))[:BEST],
        seconds=training_seconds(run) or 0.0,
        heads=costed["heads"],
        input_size=costed["input_size"],
        limits=dict(result.limits),
    )


def load_found(config: SearchConfig, out: Path, seed: int) -> Found | None:
    """Return what a search found; None where it is not finished.

    Raises:
        CheckpointError: The file is damaged.
    """
    file = search_folder(config, out).seed(seed).found
    if not file.is_file():
        return None
    value = read_json(file, CheckpointError)
    if not isinstance(value, dict):
        raise CheckpointError(f"{file}: holds {type(value).__name__}, expected what a search found; remove it")
    return parse(Found, value, str(file), CheckpointError)


def describe_found(found: Sequence[Found]) -> TaskValues:
    """Return what searches of one seed found and took: means over the best networks of each, and the sum of seconds."""
    networks = [load_architecture(text) for one in found for text in one.best]
    return {**describe_backbones(networks), SEARCH: {"seconds": sum(one.seconds for one in found)}}


def describe_random(config: SearchConfig, found: Found, seed: int) -> TaskValues:
    """Return the same of networks drawn at random from those that the search might have found."""
    space = SearchSpace(config.training.load_architecture(), config.space)
    cost = DeviceCost(load_source(config.target), found.heads, found.input_size)

    def accept(costs: Mapping[str, float]) -> bool:
        return all(costs[name] <= limit for name, limit in found.limits.items())

    start = space.encode(load_architecture(found.architecture))
    drawn = draw(space, cost, accept, RANDOM, start, derive_seed(seed, "random networks"), sweeps=1)
    return describe_backbones([candidate.architecture for candidate in drawn])


def describe_backbones(networks: Sequence[Architecture]) -> TaskValues:
    """Return how many blocks are Fused-IBN, and in how many networks blocks 2 and 7 are IBN, percent (Tables 6, 7)."""
    fused = [[block.kind == "fused" for block in network.blocks] for network in networks]
    shares = {
        "fused_percent": _percent([is_fused for own in fused for is_fused in own]),
        "ibn_2_percent": _percent([not own[1] for own in fused]),
        "ibn_7_percent": _percent([not own[6] for own in fused]),
    }
    return {BACKBONE: shares}


def _percent(values: Sequence[bool]) -> float:
    return 100 * sum(values) / len(values)
