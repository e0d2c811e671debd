"""Regularised evolution against random search at equal trials, on a SURROGATE.

No network is trained here. Latency is the simulator's, of the real networks at 256x512; accuracy is a made-up smooth
function of the architecture (see ``surrogate_accuracy``), so that the table says how the controllers search, and
nothing about which architecture is good. Everything else is the real thing: the paper's space, Eq. 4 and 5, the target
"as fast as the base network".

    python benchmarks/search_controllers.py --trials 500 --seeds 5
"""

from __future__ import annotations

import argparse
import math
import random
import statistics
import time
from collections.abc import Callable

from rich.console import Console
from rich.table import Table

from ednas.arch import Architecture, SearchSpace, load_architecture
from ednas.hw import estimate, load_target
from ednas.scoring import reward
from ednas.search import Controller, RandomSearch, RegularizedEvolution, Trial, TrialState
from ednas.seeding import derive_seed

BASE = load_architecture("base")
HEADS = {"segmentation": 19, "depth": 1}
INPUT_SIZE = (256, 512)

CONTROLLERS: dict[str, Callable[[list[int], int], Controller]] = {
    "random": RandomSearch,
    "evolution": RegularizedEvolution,
}


def surrogate_accuracy(architecture: Architecture) -> float:
    """Made up: 0 to 1, growing with width, expansion, kernel and fusion, each with diminishing returns.

    The weights of blocks and fields are drawn once from a fixed seed, so that some blocks matter more than others, and
    a term of neighbouring blocks makes decisions depend on each other.
    """
    rng = random.Random(derive_seed(0, "surrogate"))
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


def run(name: str, space: SearchSpace, target_ms: float, trials: int, seed: int) -> list[float]:
    """Return the best reward after each trial."""
    device = load_target("coral_usb")
    controller = CONTROLLERS[name]([len(decision.candidates) for decision in space.decisions], seed)
    best, curve = -math.inf, []
    for number in range(trials):
        proposal = controller.ask()
        if proposal is None:
            break
        architecture = space.decode(proposal.genes)
        latency_ms = estimate(architecture, HEADS, INPUT_SIZE, device).latency_ms
        accuracy = surrogate_accuracy(architecture)
        value = reward(accuracy, latency_ms, target_ms)
        controller.tell(
            Trial(
                number=number,
                genes=proposal.genes,
                architecture="",
                fingerprint="",
                state=TrialState.DONE,
                asked_after=number,
                parent=proposal.parent,
                cost={"latency_ms": latency_ms},
                accuracy=accuracy,
                reward=value,
                done_order=number,
            )
        )
        best = max(best, value)
        curve.append(best)
    return curve


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=500)
    parser.add_argument("--seeds", type=int, default=5)
    arguments = parser.parse_args()
    space = SearchSpace(BASE)
    target_ms = estimate(BASE, HEADS, INPUT_SIZE, load_target("coral_usb")).latency_ms
    base_reward = reward(surrogate_accuracy(BASE), target_ms, target_ms)
    moments = sorted({arguments.trials // 5, arguments.trials // 2, arguments.trials})

    table = Table(
        title=f"Best reward on a surrogate, mean ± std over {arguments.seeds} seeds (target {target_ms:.2f} ms, "
        f"base network {base_reward:.4f})",
        title_justify="left",
    )
    table.add_column("controller")
    for moment in moments:
        table.add_column(f"{moment} trials", justify="right")
    table.add_column("ms per trial", justify="right")
    for name in CONTROLLERS:
        started = time.perf_counter()
        curves = [run(name, space, target_ms, arguments.trials, seed) for seed in range(arguments.seeds)]
        per_trial_ms = 1000 * (time.perf_counter() - started) / (arguments.trials * arguments.seeds)
        cells = []
        for moment in moments:
            values = [curve[moment - 1] for curve in curves]
            cells.append(f"{statistics.mean(values):.4f} ± {statistics.pstdev(values):.4f}")
        table.add_row(name, *cells, f"{per_trial_ms:.1f}")
    Console().print(table)


if __name__ == "__main__":
    main()
