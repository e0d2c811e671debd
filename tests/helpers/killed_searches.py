"""A search that is started in a process of its own, to be killed there."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ednas.arch import Architecture, load_architecture
from ednas.search.evaluators.base import Evaluation, Evaluator
from ednas.search.executors import Executor, InlineExecutor, ProcessExecutor, RayExecutor
from ednas.search.study import Study
from helpers.searches import IDENTITY, FakeEvaluator, make_search


def _proxy() -> Evaluator:
    from ednas.search.evaluators.proxy import ProxyEvaluator
    from helpers.small_searches import small_search  # which imports PyTorch

    return ProxyEvaluator(small_search().train_config(load_architecture("base")), device="cpu")


EVALUATORS: Mapping[str, Callable[[], Evaluator]] = {
    "fake": lambda: FakeEvaluator(modes={2: "raise"}, delay_s=0.02),
    "slow": lambda: FakeEvaluator(delay_s=30.0),
    "proxy": _proxy,
}
"""What judges: each gives the same result for the same candidate in every process."""

EXECUTORS: Mapping[str, Callable[[Evaluator, int], Executor]] = {
    "inline": lambda evaluator, workers: InlineExecutor(evaluator),
    "process": lambda evaluator, workers: ProcessExecutor(evaluator, workers=workers),
    # RAY_ADDRESS says which; a driver that dies leaves it as it was.
    "ray": lambda evaluator, workers: RayExecutor(evaluator, workers=workers, address="auto"),
}


@dataclass(frozen=True)
class Logged:
    """An evaluator that leaves a line ``PROCESS FINGERPRINT`` in a file before it begins.

    Attributes:
        evaluator: Judges.
        log: The file.
    """

    evaluator: Evaluator
    log: Path

    def evaluate(self, architecture: Architecture, seed: int) -> Evaluation:
        with self.log.open("a") as stream:
            stream.write(f"{os.getpid()} {architecture.fingerprint()}\n")
        return self.evaluator.evaluate(architecture, seed)


def main(folder: str, evaluator: str, executor: str, workers: str, trials: str) -> None:
    """Go on with the search in a folder."""
    logged = Logged(EVALUATORS[evaluator](), Path(folder) / "log")
    print("begun", flush=True)
    with Study(Path(folder) / "study.db", IDENTITY, resume=True) as study:
        make_search(
            study, trials=int(trials), executor=EXECUTORS[executor](logged, int(workers)), prune_factor=1.2
        ).run()
