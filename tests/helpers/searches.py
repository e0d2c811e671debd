"""A search without training: evaluators and cost models that are pure functions, and searches made of them."""

from __future__ import annotations

import functools
import multiprocessing
import os
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ednas.arch import Architecture, SearchSpace, SpaceConfig, load_architecture
from ednas.exceptions import DataError, EdnasError
from ednas.search.controllers import Controller, ControllerConfig, RegularizedEvolution
from ednas.search.evaluators.base import Evaluation
from ednas.search.executors import Executor, InlineExecutor
from ednas.search.loop import Search
from ednas.search.objective import Objective, RewardConfig
from ednas.search.progress import SearchCallback
from ednas.search.study import Study
from ednas.search.trial import Trial, TrialState

TARGET_MS = 26.0
BASE_TEXT = load_architecture("base").to_text()


def make_trial(number: int, **changes: Any) -> Trial:
    """Return a finished trial with made-up values."""
    values: dict[str, Any] = {
        "number": number,
        "genes": (number,),
        "architecture": BASE_TEXT,
        "fingerprint": f"{number:016x}",
        "state": TrialState.DONE,
        "asked_after": number,
        "cost": {"latency_ms": 10.0},
        "accuracy": 0.5,
        "reward": 0.5,
        "done_order": number,
    }
    return Trial(**{**values, **changes})


@functools.cache
def space(*, small: bool = False) -> SearchSpace:
    """Return the paper's space, or one of 2 x 3 networks."""
    if small:
        choices = SpaceConfig(
            kinds=("ibn",),
            kernel_sizes=(3,),
            multipliers=(1.0,),
            expand_ratios=(6,),
            bifpn_widths=(32, 64),
            bifpn_depths=(1, 2, 3),
        )
        return SearchSpace(load_architecture("base"), choices)
    return SearchSpace(load_architecture("base"))


def fake_cost(architecture: Architecture) -> Mapping[str, float]:
    """Costs that grow with every choice; latency is around 27 ms for random networks of the paper's space.

    Memory is the largest block's, so that it and the latency disagree about which network is cheaper.
    """
    work = sum(
        block.filters / 100 * block.expand_ratio / 6 * block.kernel_size / 3 * (2 if block.kind == "fused" else 1)
        for block in architecture.blocks
    )
    return {
        "latency_ms": 2.0 + work * architecture.bifpn_depth / 4,
        "macs": 1000.0 * work,
        "peak_memory_kb": float(max(block.filters * block.expand_ratio for block in architecture.blocks)),
    }


def fake_metrics(architecture: Architecture) -> dict[str, dict[str, float]]:
    """Metrics that grow with the size of the network, with diminishing returns."""
    latency = fake_cost(architecture)["latency_ms"]
    fused = sum(block.kind == "fused" for block in architecture.blocks)
    quality = 1 - 1 / (1 + latency / 20) + fused / 200
    return {
        "segmentation": {"miou": 50 * quality, "pixel_acc": 60 + 30 * quality},
        "depth": {"abs_err": 0.02 / quality, "rel_err": 0.5 / quality},
    }


@dataclass(frozen=True)
class FakeEvaluator:
    """Evaluates in no time, or misbehaves on purpose for some networks.

    Attributes:
        modes: What to do instead, by the number of fused blocks modulo 8.
        delay_s: How long it takes, seconds.
        log: A file that gets the fingerprint of every evaluated network.
    """

    modes: Mapping[int, str] = field(default_factory=dict)
    delay_s: float = 0.0
    log: Path | None = None

    def evaluate(self, architecture: Architecture, seed: int) -> Evaluation:
        time.sleep(self.delay_s)
        if self.log is not None:
            with self.log.open("a") as stream:
                stream.write(f"{architecture.fingerprint()} {seed}\n")
        mode = self.modes.get(sum(block.kind == "fused" for block in architecture.blocks) % 8, "")
        metrics = fake_metrics(architecture)
        if mode == "nan":
            metrics["depth"]["abs_err"] = float("nan")
        else:
            misbehave(mode)
        return Evaluation(metrics)


@dataclass(frozen=True)
class Misbehaving:
    """Does the same thing for every network."""

    mode: str

    def evaluate(self, architecture: Architecture, seed: int) -> Evaluation:
        misbehave(self.mode)
        if self.mode == "nonsense":
            return Evaluation({"depth": {"rel_err": "many"}})  # type: ignore[dict-item]
        return Evaluation(fake_metrics(architecture), remark=self.mode)


@dataclass(frozen=True)
class Meeting:
    """Ends when as many networks as ``count`` are being evaluated at the same time.

    Attributes:
        folder: Where each evaluation leaves a file.
        count: How many have to come.
    """

    folder: Path
    count: int

    def evaluate(self, architecture: Architecture, seed: int) -> Evaluation:
        (self.folder / str(os.getpid())).touch()
        deadline = time.monotonic() + 60
        while len(list(self.folder.iterdir())) < self.count:
            if time.monotonic() > deadline:
                raise TimeoutError("nobody else came")
            time.sleep(0.01)
        return Evaluation(fake_metrics(architecture))


class Environment:
    """Tells about the process that evaluates, in the form of metrics."""

    def evaluate(self, architecture: Architecture, seed: int) -> Evaluation:
        import torch

        return Evaluation({"process": {"pid": os.getpid(), "threads": torch.get_num_threads()}})


def misbehave(mode: str) -> None:
    if mode == "raise":
        raise ValueError("no\ngood")
    if mode == "memory":
        raise MemoryError
    if mode == "data":
        raise DataError("0.png: no such file")
    if mode == "disk":
        raise OSError(28, "No space left on device", "/tmp/x")
    if mode == "write":
        raise EdnasError("cannot write cache: No space left on device")
    if mode == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if mode == "orphan":  # whoever waits for the result is killed
        os.kill(multiprocessing.parent_process().pid, signal.SIGKILL)
        time.sleep(600)
    if mode == "segfault":
        os.kill(os.getpid(), signal.SIGSEGV)
    if mode == "exit":
        os._exit(3)
    if mode == "hang":
        time.sleep(600)


class Recorder(SearchCallback):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.resumed: list[Trial] = []
        self.events: list[Trial] = []
        self.reason = ""

    def on_start(self, trials: list[Trial], total: int, limits: Mapping[str, float]) -> None:
        self.resumed = trials

    def on_trial(self, trial: Trial) -> None:
        self.events.append(trial)

    def on_end(self, reason: str) -> None:
        self.reason = reason


def make_search(
    study: Study,
    *,
    trials: int,
    executor: Executor | None = None,
    controller: Controller | None = None,
    search_space: SearchSpace | None = None,
    prune_factor: float | None = None,
    limits: Mapping[str, float] | None = None,
    callbacks: tuple[SearchCallback, ...] = (),
) -> Search:
    """Put a search together; by default a small evolution with a fake evaluator in this process."""
    search_space = search_space or space()
    sizes = [len(decision.candidates) for decision in search_space.decisions]
    limits = {"latency_ms": TARGET_MS} if limits is None else limits
    options = {"population_size": 8, "tournament_size": 3}
    return Search(
        space=search_space,
        cost=fake_cost,
        objective=Objective(limits, RewardConfig(), prune_factor),
        study=study,
        controller=controller or ControllerConfig(name="evolution", options=options).make(sizes, 7, limits),
        executor=executor or InlineExecutor(FakeEvaluator()),
        trials=trials,
        callbacks=callbacks,
    )


IDENTITY = {"seed": 7}


SIZES = tuple(len(decision.candidates) for decision in space().decisions)


def evolution() -> RegularizedEvolution:
    return RegularizedEvolution(SIZES, seed=7, population_size=8, tournament_size=3)


def facts(trials: Sequence[Trial]) -> list[tuple[object, ...]]:
    """What must not depend on interruptions: everything but the time it took."""
    return [(t.number, t.genes, t.parent, t.state, t.asked_after, t.done_order, t.reward, t.error) for t in trials]


def uninterrupted(path: Path, trials: int, **options: object) -> list[Trial]:
    with Study(path, IDENTITY) as study:
        make_search(study, trials=trials, **options).run()  # type: ignore[arg-type]
        return study.trials()
