"""What it saves to look at the cost first: the same search, with and without refusing candidates before training.

    python benchmarks/search_cost_first.py --trainings 200 --seeds 5
    python benchmarks/search_cost_first.py --mode hard --limit latency_ms=1 --limit peak_memory_kb=0.8
    python benchmarks/search_cost_first.py --real --trainings 8 --seeds 1

Every search has the same budget of trainings. With ``prune factor`` f, a candidate above f times a limit is refused: it
is proposed and costed, but not trained, and does not count; ``none`` trains whatever is proposed. Search, store, costs
and reward are the package's own; limits are multiples of what the base network costs. The paper's reward is soft: a
network that takes twice the target loses 5 %, so that the best reward may be that of a network that is far too slow.
What a deployment gets is the best accuracy within the limits, the best reward of ``--mode hard``. ``trainings to equal
none's``: after how many trainings that was as high as it is in the end without pruning; over the seeds that got there,
of those where there was something to equal. Processor time is that of the whole search (proposing, costing, storing,
the surrogate) over all proposals; a trained candidate takes more of it than a refused one.

By default accuracy is a SURROGATE, the made-up function of benchmarks/search_controllers.py, so that hundreds of
trainings cost nothing: the tables say where a budget of trainings goes, and nothing about which architecture is good.
``--real`` trains every candidate for a few steps on procedural street scenes instead; few and short trainings make
noisy accuracies, so that its rewards compare loosely, its counts and times exactly.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from search_controllers import BASE, HEADS, INPUT_SIZE, surrogate_accuracy

from ednas.arch import Architecture, SearchSpace
from ednas.exceptions import StudyError
from ednas.hw.sources import load_source
from ednas.scoring import REWARD_MODES, RewardMode
from ednas.search import (
    ControllerConfig,
    DeviceCost,
    Evaluation,
    InlineExecutor,
    Objective,
    RewardConfig,
    Search,
    SearchConfig,
    Study,
    StudyReader,
    Trial,
    TrialState,
    run_search,
)

FACTORS = (None, 2.0, 1.2, 1.0)
CONTROLLERS = ("random", "evolution")


class Surrogate:
    """Evaluates in no time, by the made-up accuracy."""

    def evaluate(self, architecture: Architecture, seed: int) -> Evaluation:  # noqa: ARG002
        """Return the made-up accuracy as the only metric."""
        return Evaluation({"surrogate": {"quality": surrogate_accuracy(architecture)}}, {"quality": True})


@dataclass(frozen=True)
class Outcome:
    """What one search came to.

    Attributes:
        trained: The trained candidates, in the order of their results.
        pruned: How many candidates were refused.
        limits: The limits.
        cpu_s: Processor time of the search.
        wall_s: Time of the search.
    """

    trained: tuple[Trial, ...]
    pruned: int
    limits: dict[str, float]
    cpu_s: float
    wall_s: float

    @property
    def infeasible(self) -> float:
        """Share of the trainings that were spent on candidates above a limit."""
        return 1 - sum(map(self._meets, self.trained)) / len(self.trained)

    @property
    def reward(self) -> float:
        """The best reward."""
        return max(trial.reward or 0.0 for trial in self.trained)

    @property
    def accuracy(self) -> float:
        """The best accuracy within the limits, 0 if nothing trained was."""
        return max((trial.accuracy or 0.0 for trial in self.trained if self._meets(trial)), default=0.0)

    def trainings_to(self, accuracy: float) -> int | None:
        """Return after how many trainings a candidate within the limits was as accurate as this, None if never."""
        for count, trial in enumerate(self.trained, start=1):
            if self._meets(trial) and (trial.accuracy or 0.0) >= accuracy:
                return count
        return None

    def _meets(self, trial: Trial) -> bool:
        return all(trial.cost[name] <= limit for name, limit in self.limits.items())


def measure(search: Callable[[], dict[str, float]], database: Path) -> Outcome:
    """Run a search and read its study."""
    wall, cpu = time.perf_counter(), time.process_time()
    limits = search()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    with StudyReader(database) as study:
        trained = sorted(study.trials(TrialState.DONE), key=lambda trial: trial.done_order or 0)
        return Outcome(tuple(trained), study.counts()[TrialState.PRUNED], limits, cpu, wall)


def surrogate_search(
    folder: Path,
    name: str,
    factor: float | None,
    seed: int,
    *,
    target: str,
    shares: dict[str, float],
    trainings: int,
    mode: RewardMode,
) -> Outcome:
    """Search with the surrogate; gives up quietly where nothing more is found within the limits."""
    space = SearchSpace(BASE)
    cost = DeviceCost(load_source(target), HEADS, INPUT_SIZE)
    baseline = cost(BASE)
    limits = {quantity: share * baseline[quantity] for quantity, share in shares.items()}
    sizes = [len(decision.candidates) for decision in space.decisions]

    def search() -> dict[str, float]:
        with Study(folder / "study.db", {}) as study:
            try:
                Search(
                    space=space,
                    cost=cost,
                    objective=Objective(limits, RewardConfig(mode=mode), factor),
                    study=study,
                    controller=ControllerConfig(name=name).make(sizes, seed, limits),
                    executor=InlineExecutor(Surrogate()),
                    trials=trainings,
                    seed=seed,
                ).run()
            except StudyError as error:
                print(f"{name}, prune factor {factor}, seed {seed}: {error}")
        return limits

    return measure(search, folder / "study.db")


def real_search(
    folder: Path,
    name: str,
    factor: float | None,
    seed: int,
    *,
    target: str,
    shares: dict[str, float],
    trainings: int,
    mode: RewardMode,
) -> Outcome:
    """Search with short trainings on procedural street scenes."""
    config: dict[str, Any] = {
        "data": "streets",
        "data_options": {"count": 96, "size": [64, 128]},
        "recipe": {"name": "mini", "steps": 60, "warmup_steps": 8},
        "target": target,
        "limits": {quantity: f"{share} * baseline" for quantity, share in shares.items()},
        "target_latency_ms": None,
        "prune_factor": factor,
        "reward": {"mode": mode},
        "controller": {"name": name, "options": {"population_size": 4} if name == "evolution" else {}},
        "trials": trainings,
        "executor": "inline",
        "seed": seed,
    }
    if "latency_ms" in shares:
        del config["target_latency_ms"]
    settings = SearchConfig.model_validate(config)
    return measure(lambda: dict(run_search(settings, folder).limits), folder / "study.db")


def spread(values: Sequence[float]) -> str:
    return f"{statistics.mean(values):.4f} ± {statistics.pstdev(values):.4f}"


def row(outcomes: Sequence[Outcome], references: Sequence[Outcome]) -> list[str]:
    """Return the cells of one controller and factor, one outcome a seed; ``references`` are those without pruning."""
    trained = [len(outcome.trained) for outcome in outcomes]
    proposals = [len(outcome.trained) + outcome.pruned for outcome in outcomes]
    pairs = zip(outcomes, references, strict=True)
    equal = [outcome.trainings_to(reference.accuracy) for outcome, reference in pairs if reference.accuracy]
    reached = [count for count in equal if count is not None]
    return [
        f"{statistics.mean(proposals):.0f}",
        f"{statistics.mean(outcome.pruned for outcome in outcomes):.0f}",
        f"{statistics.mean(trained):.0f}",
        f"{100 * statistics.mean(outcome.infeasible for outcome in outcomes):.0f} %",
        spread([outcome.reward for outcome in outcomes]),
        spread([outcome.accuracy for outcome in outcomes]),
        f"{statistics.mean(reached):.0f} ({len(reached)} of {len(equal)} seeds)" if reached else "-",
        f"{1000 * sum(outcome.cpu_s for outcome in outcomes) / sum(proposals):.1f}",
        f"{sum(outcome.wall_s for outcome in outcomes) / len(outcomes):.1f}",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trainings", type=int, default=200)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--target", default="coral_usb")
    parser.add_argument(
        "--limit", action="append", help="QUANTITY=SHARE of what the base network costs; default: latency_ms=1"
    )
    parser.add_argument("--mode", choices=REWARD_MODES, default="mnasnet", help="how costs enter the reward")
    parser.add_argument("--real", action="store_true", help="train for real, a few steps each")
    arguments = parser.parse_args()
    shares = {name: float(share) for name, share in (text.split("=") for text in arguments.limit or ["latency_ms=1"])}
    search = real_search if arguments.real else surrogate_search
    asked = ", ".join(f"{name} at most {share:g} x the base network's" for name, share in shares.items())
    table = Table(
        title=f"{arguments.trainings} {'real trainings' if arguments.real else 'trainings of a SURROGATE'}, "
        f"{arguments.seeds} seeds, reward {arguments.mode}, {arguments.target}: {asked}",
        title_justify="left",
    )
    headings = ("controller", "prune factor", "proposals", "not trained", "trained", "of these above a limit",
                "best reward", "best accuracy within limits", "trainings to equal none's", "CPU ms per proposal",
                "seconds per search")  # fmt: skip
    for index, heading in enumerate(headings):
        table.add_column(heading, justify="left" if index == 0 else "right")
    for name in CONTROLLERS:
        references: list[Outcome] = []
        for factor in FACTORS:
            outcomes = []
            for seed in range(arguments.seeds):
                with tempfile.TemporaryDirectory() as folder:
                    outcomes.append(
                        search(
                            Path(folder), name, factor, seed,
                            target=arguments.target, shares=shares, trainings=arguments.trainings,
                            mode=arguments.mode,
                        )
                    )  # fmt: skip
            references = references or outcomes
            table.add_row(name, "none" if factor is None else f"{factor:g}", *row(outcomes, references))
    console = Console()
    (console if console.is_terminal else Console(width=220)).print(table)


if __name__ == "__main__":
    main()
