"""All controllers at equal numbers of evaluations, on a SURROGATE.

No network is trained here. Latency is the simulator's, of the real networks at 256x512; accuracy is a made-up smooth
function of the architecture (see ``surrogate_accuracy``), so that the table says how the controllers search, and
nothing about which architecture is good. Everything else is the real thing: the paper's space, Eq. 4 and 5, the target
"as fast as the base network", and slower candidates refused without an evaluation. With ``--bank``, accuracy is what a
predictor says that has learned from the trainings of benchmarks/judgements.py, in their space.

    python benchmarks/search_controllers.py
    python benchmarks/search_controllers.py --bank benchmarks/results/streets_bank.jsonl
    python benchmarks/search_controllers.py --initial       # the base network is evaluated first
    python benchmarks/search_controllers.py --noise 0.02    # accuracies as uncertain as those of short trainings
    python benchmarks/search_controllers.py --prune-factor 1 --controllers evolution,ppo,nsga2,local_search,random
    python benchmarks/search_controllers.py --controllers ppo,nsga2 --seeds 2 --option ppo.batch_size=8

``reward after n`` is that of the candidate among the first n evaluated which seemed the best. ``front`` is what the
Pareto set is worth up to the target: the best accuracy for a latency, averaged over all latencies from the lowest in
the space to the target. With noise, controllers are told accuracies with an error (``--noise`` is its standard
deviation), by which the candidates are chosen, too; what the table shows is without error. Both are means over the
seeds with standard deviations. ``ms`` is the processor time of an evaluation, with the refused ones before it.

Another accuracy can take the surrogate's place: :func:`paper_problem` takes any function of the architecture.
"""

from __future__ import annotations

import argparse
import math
import random
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from itertools import pairwise
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from ednas.arch import Architecture, SearchSpace, SpaceConfig, load_architecture
from ednas.hw.sources import load_source
from ednas.scoring import accuracy as score
from ednas.scoring import reward
from ednas.search import (
    Bank,
    ControllerConfig,
    CostModel,
    DeviceCost,
    Objective,
    Trial,
    TrialState,
    controller_names,
    lowest,
    pareto,
)
from ednas.search.features import describe, tabulate
from ednas.search.predictor import fit
from ednas.seeding import derive_seed

BASE = load_architecture("base")
BANK_SPACE = SpaceConfig(bifpn_widths=(64, 96), bifpn_depths=(1, 2, 4))
"""Of the networks that benchmarks/judgements.py trains."""

HEADS = {"segmentation": 19, "depth": 1}
INPUT_SIZE = (256, 512)

Accuracy = Callable[[Architecture], float]
"""How good a network is, 0 to 1."""

SHORT_SEARCH = {"evolution": {"mutations": 3, "initial_mutations": 8}, "nsga2": {"initial_mutations": 8}}
"""Options for a search that begins at the base network."""


def surrogate_accuracy(architecture: Architecture, variant: int = 0) -> float:
    """Made up: 0 to 1, growing with width, expansion, kernel and fusion, each with diminishing returns.

    The weights of blocks and fields are drawn once from a fixed seed, the variant, so that some blocks matter more than
    others, and a term of neighbouring blocks makes decisions depend on each other.
    """
    rng = random.Random(derive_seed(variant, "surrogate"))
    gain = 0.0
    previous = 0.0
    for block, base in zip(architecture.blocks, BASE.blocks, strict=True):
        size = rng.uniform(0.2, 1.0) * math.log2(1 + block.filters / base.filters)
        size += rng.uniform(0.0, 0.5) * (block.expand_ratio > base.expand_ratio / 2)
        size += rng.uniform(0.0, 0.4) * (block.kernel_size > 3)
        size += rng.uniform(-0.1, 0.5) * (block.kind == "fused")
        gain += size - 0.3 * abs(size - previous)
        previous = size
    return 1 - math.exp(-gain / 8)


def learned_accuracy(path: Path, space: SearchSpace, cost: CostModel) -> Accuracy:
    """Return what the longest trainings of a bank say of other networks, by a ridge regression and a Gaussian process.

    Args:
        path: The bank.
        space: Of its networks, and of those that are asked for.
        cost: What a network costs.
    """
    anchors = Bank(path).anchors()
    longest = max(anchors, key=lambda own: own.context["recipe"].get("steps", 0)).context
    found: dict[str, list[float]] = {}
    for anchor in anchors:
        if anchor.context == longest:
            found.setdefault(anchor.architecture, []).append(math.log(score(anchor.evaluation.tasks)))
    networks = [Architecture.from_text(text) for text in found]
    rows = [describe(own, cost(own)) for own in networks]
    names = sorted({name for row in rows for name in row})
    genes = np.array([space.encode(own) for own in networks])
    predictor = fit(tabulate(rows, names), genes, [statistics.mean(values) for values in found.values()])

    def predict(architecture: Architecture) -> float:
        table = tabulate([describe(architecture, cost(architecture))], names)
        return math.exp(predictor.predict(table, np.array([space.encode(architecture)])).means[0])

    return predict


@dataclass(frozen=True)
class Problem:
    """What is searched for.

    Attributes:
        space: Where.
        cost: What a network costs.
        accuracy: How good it is.
        noise: Standard deviation of the error with which that is known.
        objective: Limits, and what is refused.
        initial: What is evaluated first.
    """

    space: SearchSpace
    cost: CostModel
    accuracy: Accuracy
    noise: float
    objective: Objective
    initial: tuple[Architecture, ...] = ()

    @property
    def target_ms(self) -> float:
        """The target latency."""
        return self.objective.limits["latency_ms"]

    def judge(self, trial: Trial, error: float = 0.0) -> Trial:
        """Return a candidate with its accuracy, which has an error, and the reward that follows (Eq. 4)."""
        accuracy = max(0.0, self.accuracy(self.space.decode(trial.genes)) + error)
        value = reward(accuracy, trial.cost["latency_ms"], self.target_ms)
        return replace(trial, state=TrialState.DONE, accuracy=accuracy, reward=value)


def paper_problem(
    accuracy: Accuracy, prune_factor: float = 2.0, noise: float = 0.0, *, initial: bool = False
) -> Problem:
    """Return the paper's space on a Coral USB stick, with the base network's latency as the target."""
    return _problem(SearchSpace(BASE), _coral(), accuracy, prune_factor, noise, initial)


def bank_problem(path: Path, prune_factor: float = 2.0, noise: float = 0.0, *, initial: bool = False) -> Problem:
    """Return the space of a bank's networks on the same device, with the accuracies that they tell."""
    space, cost = SearchSpace(BASE, BANK_SPACE), _coral()
    return _problem(space, cost, learned_accuracy(path, space, cost), prune_factor, noise, initial)


def _coral() -> CostModel:
    return lru_cache(None)(DeviceCost(load_source("coral_usb"), HEADS, INPUT_SIZE))


def _problem(
    space: SearchSpace, cost: CostModel, accuracy: Accuracy, prune_factor: float, noise: float, initial: bool
) -> Problem:
    objective = Objective({"latency_ms": cost(BASE)["latency_ms"]}, prune_factor=prune_factor)
    return Problem(space, cost, accuracy, noise, objective, (BASE,) if initial else ())


def search(problem: Problem, config: ControllerConfig, evaluations: int, seed: int) -> list[Trial]:
    """Return the evaluated candidates of one search, in order; refused ones do not count, as in a real search."""
    space, objective = problem.space, problem.objective
    sizes = [len(decision.candidates) for decision in space.decisions]
    initial = map(space.encode, problem.initial)
    controller = config.make(sizes, seed, objective.limits, initial, objective.objectives)
    errors = random.Random(derive_seed(seed, "noise"))
    evaluated: list[Trial] = []
    while len(evaluated) < evaluations and (proposal := controller.ask()) is not None:
        number = controller.told
        trial = Trial(
            number=number,
            genes=proposal.genes,
            architecture="",
            fingerprint="",
            state=TrialState.PRUNED,
            asked_after=number,
            parent=proposal.parent,
            cost=problem.cost(space.decode(proposal.genes)),
            done_order=number,
        )
        if not objective.hopeless(trial.cost):
            trial = problem.judge(trial, errors.gauss(0, problem.noise))
            evaluated.append(trial)
        controller.tell(trial)
    return evaluated


def best_reward(problem: Problem, trials: Sequence[Trial]) -> float:
    """Return the true reward of the candidate that seems the best."""
    return problem.judge(max(trials, key=lambda trial: trial.reward or 0.0)).reward or 0.0


def front_value(problem: Problem, trials: Sequence[Trial], lowest_ms: float) -> float:
    """Return the best accuracy for a latency, averaged over the latencies from the lowest to the target."""
    front = [trial for trial in pareto(map(problem.judge, pareto(trials))) if trial.meets(problem.objective.limits)]
    latencies = [*(trial.cost["latency_ms"] for trial in front), problem.target_ms]
    steps = [after - before for before, after in pairwise(latencies)]
    area = sum((trial.accuracy or 0.0) * step for trial, step in zip(front, steps, strict=True))
    return area / (problem.target_ms - lowest_ms)


def compare(
    problem: Problem, configs: Mapping[str, ControllerConfig], evaluations: int, seeds: Sequence[int]
) -> Iterator[list[str]]:
    """Yield a row of the table for each controller, as soon as it has searched with all seeds."""
    lowest_ms = lowest(problem.space, problem.cost, itemgetter("latency_ms"))[1]["latency_ms"]
    for name, config in configs.items():
        started = time.process_time()
        found = [search(problem, config, evaluations, seed) for seed in seeds]
        per_evaluation_ms = 1000 * (time.process_time() - started) / (evaluations * len(seeds))
        rewards = [spread([best_reward(problem, trials[:count]) for trials in found]) for count in moments(evaluations)]
        front = spread([front_value(problem, trials, lowest_ms) for trials in found])
        yield [name, *rewards, front, f"{per_evaluation_ms:.1f}"]


def moments(evaluations: int) -> list[int]:
    """Return after how many evaluations the rewards are compared."""
    return sorted({max(1, evaluations // 8), max(1, evaluations // 4), max(1, evaluations // 2), evaluations})


def spread(values: Sequence[float]) -> str:
    return f"{statistics.mean(values):.4f} ± {statistics.pstdev(values):.4f}"


def read_options(texts: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Read ``ppo.batch_size=8`` into options by controller."""
    options: dict[str, dict[str, Any]] = {}
    for text in texts:
        place, _, value = text.partition("=")
        name, _, key = place.partition(".")
        options.setdefault(name, {})[key] = yaml.safe_load(value)
    return options


def print_row(cells: Sequence[str]) -> None:
    print(f"{cells[0]:<13}", *(f"{cell:>17}" for cell in cells[1:-1]), f"{cells[-1]:>7}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--evaluations", type=int, default=400)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--controllers", default=",".join(controller_names()))
    parser.add_argument("--option", action="append", default=[], help="CONTROLLER.KEY=VALUE; can be repeated")
    parser.add_argument("--initial", action="store_true", help="evaluate the base network first")
    parser.add_argument("--prune-factor", type=float, default=2.0, help="times the target; slower ones are refused")
    parser.add_argument("--noise", type=float, default=0.0, help="standard deviation of the accuracies' error")
    parser.add_argument("--variant", type=int, default=0, help="of the surrogate")
    parser.add_argument("--bank", type=Path, help="trainings that say how good networks are, instead of the surrogate")
    arguments = parser.parse_args()
    options = {"initial": arguments.initial}
    if arguments.bank:
        problem = bank_problem(arguments.bank, arguments.prune_factor, arguments.noise, **options)
    else:
        accuracy = partial(surrogate_accuracy, variant=arguments.variant)
        problem = paper_problem(accuracy, arguments.prune_factor, arguments.noise, **options)
    given, own = read_options(arguments.option), SHORT_SEARCH if arguments.initial else {}
    configs = {
        name: ControllerConfig(name=name, options={**own.get(name, {}), **given.get(name, {})})
        for name in arguments.controllers.split(",")
    }
    base_reward = reward(problem.accuracy(BASE), problem.target_ms, problem.target_ms)
    seeds = range(arguments.first_seed, arguments.first_seed + arguments.seeds)
    print(
        f"seeds {seeds[0]} to {seeds[-1]}; target {problem.target_ms:.2f} ms, base network's reward {base_reward:.4f}"
    )
    print_row(["controller", *(f"reward after {count}" for count in moments(arguments.evaluations)), "front", "ms"])
    for row in compare(problem, configs, arguments.evaluations, seeds):
        print_row(row)


if __name__ == "__main__":
    main()
