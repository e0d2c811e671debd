"""How a supernet samples networks, and what these share: ways that were thinkable, beside the one that is built.

    python benchmarks/supernet_choices.py --run built
    python benchmarks/supernet_choices.py --run turns --steps 400 --seed 1
    python benchmarks/supernet_choices.py

Each supernet learns the street scenes (64x128) for some steps of four networks, and then judges the 32 networks of
``judgements.py``, whose 800-step trainings are known. How good the networks are that are cut out of it says what it has
learned; tau says whether it can tell them apart, within 0.25 on either side. What came of it is in
``results/supernet_choices.jsonl``.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch
from judgements import HEADS, JARED, RESULTS, SCENES, SIZE, SPACE, log_accuracy, long_trainings, networks
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.func import functional_call

from ednas.arch import Architecture, SearchSpace, load_architecture
from ednas.arch.block import Block
from ednas.arch.kinds.fused import FusedInvertedBottleneck
from ednas.arch.kinds.ibn import InvertedBottleneck
from ednas.demo import DEPLOYED_SIZE, make_streets
from ednas.hw.sources import load_source
from ednas.nn import MultiTaskNetwork, supernet
from ednas.nn.supernet import Supernet
from ednas.search import Bank, DeviceCost
from ednas.search.agreement import bootstrap, kendall
from ednas.search.evaluators.supernet import SupernetEvaluator
from ednas.search.objective import RememberedCost
from ednas.search.progress import SearchProgress
from ednas.search.sampling import draw
from ednas.training import TrainConfig, recipe
from ednas.training.supernet import file, train

ROWS = Path(__file__).parent / "results" / "supernet_choices.jsonl"
RUNS = Path("runs/supernet_choices")
AT_ONCE = 4
DRAWN = 1000
MATRICES = "matrices"

Patches = Sequence[tuple[object, str, object]]


class WithMatrices(Supernet):
    """A supernet whose dense 3x3 kernels are the centres of the 5x5 ones, times a matrix for each block."""

    def __init__(self, space: SearchSpace, heads: Mapping[str, int], drawn: Sequence[str], **options: object) -> None:
        super().__init__(space, heads, drawn, **options)  # type: ignore[arg-type]
        places = {f"{stage}/{index}": nn.Parameter(torch.eye(9)) for stage in range(9) for index in range(4)}
        self.add_module(MATRICES, nn.ParameterDict(places))

    def run(self, architecture: Architecture, image: Tensor) -> dict[str, Tensor]:
        """Run one network."""
        skeleton = self._skeleton(architecture.to_text(), tuple(self.channels.items()))
        own = self._tensors()
        cut_out: Callable[..., Tensor] = supernet._Cut.apply
        tensors = {name: cut_out(whole, index) for name, whole, index in supernet._cuts(own, skeleton)}
        for name, matrix in _small_kernels(architecture, tensors, own):
            tensors[name] = _times(tensors[name], matrix)
        outputs: dict[str, Tensor] = functional_call(skeleton, tensors, (image,))
        return outputs


def cut_with_matrices(
    tensors: Mapping[str, Tensor], architecture: Architecture, heads: Mapping[str, int]
) -> MultiTaskNetwork:
    """Return a network of its own."""
    network = supernet.cut(tensors, architecture, heads)
    own = dict(network.named_parameters())
    with torch.no_grad():
        for name, matrix in _small_kernels(architecture, own, tensors):
            own[name].copy_(_times(own[name], matrix))
    return network


def _small_kernels(
    architecture: Architecture, tensors: Mapping[str, Tensor], own: Mapping[str, Tensor]
) -> Iterator[tuple[str, Tensor]]:
    """Yield a network's dense 3x3 kernels, with their matrices."""
    for name, tensor in tensors.items():
        place = supernet.place_of(name, architecture).split("/")
        if "fused" in place and name.endswith("expand.0.weight") and tensor.shape[2] == 3:
            yield name, own[f"{MATRICES}.{place[1]}/{place[2]}"]


def _times(kernels: Tensor, matrix: Tensor) -> Tensor:
    return (kernels.flatten(2) @ matrix).view_as(kernels).contiguous(memory_format=torch.channels_last)


def nested(block: FusedInvertedBottleneck, tensor: str) -> str:
    """Share dense kernels of all sizes, too."""
    return "" if tensor in ("project.0.weight", "expand.0.weight") else Block.shared_as(block, tensor)


@dataclass(frozen=True)
class Way:
    """A supernet that could have been.

    Attributes:
        title: For the table.
        every_step: Whether the smallest and the largest network are trained in every step.
        half_the_turns: Whether they have half of the turns, at random.
        changes: What of the code it changes: owner, name, and what stands there instead.
    """

    title: str
    every_step: bool = True
    half_the_turns: bool = False
    changes: Patches = ()


NESTED: Patches = ((FusedInvertedBottleneck, "shared_as", nested),)
WAYS = {
    "built": Way("as it is: the smallest and the largest network in every step, two others in turns"),
    "turns": Way("four networks in turns", every_step=False),
    "half": Way("half of all turns to the smallest and the largest, at random", every_step=False, half_the_turns=True),
    "apart": Way(
        "1x1 convolutions of each kernel size on their own",
        changes=(
            (InvertedBottleneck, "shared_as", Block.shared_as),
            (FusedInvertedBottleneck, "shared_as", Block.shared_as),
        ),
    ),
    "nested": Way("dense 3x3 kernels are the centres of 5x5 ones", changes=NESTED),
    "matrices": Way(
        "the same, times a learned 9x9 matrix",
        changes=(*NESTED, (train, "Supernet", WithMatrices), (file, "cut", cut_with_matrices)),
    ),
}


def run(name: str, steps: int, seed: int) -> dict[str, object]:
    """Train a supernet and judge by it; return its row."""
    way, base, folder = WAYS[name], load_architecture("base"), RUNS / f"{name}_{steps}_{seed}"
    space = SearchSpace(base, SPACE)
    cost = RememberedCost(DeviceCost(load_source("coral_usb"), HEADS, DEPLOYED_SIZE), 100_000)
    limit, start = cost(base)["latency_ms"], space.encode(base)
    drawn = draw(space, cost, lambda own: own["latency_ms"] <= limit, DRAWN, start, seed=0, sweeps=1)
    texts = [one.architecture.to_text() for one in sorted(drawn, key=lambda one: one.cost["macs"])]
    ends = [texts[0], texts[-1]]
    own = recipe("mini", input_size=SIZE, task_options=JARED)
    data = str(make_streets(SCENES / "seed_0").resolve())
    config = TrainConfig(data=data, tasks=tuple(HEADS), recipe=own, seed=seed)
    with ExitStack() as changed:
        for owner, attribute, new in way.changes:
            changed.enter_context(patch.object(owner, attribute, new))
        with SearchProgress() as progress:
            train.train_supernet(
                config,
                space,
                texts + ends * (len(texts) // 2 if way.half_the_turns else 0),
                folder,
                steps=steps,
                at_once=AT_ONCE,
                every_step=ends if way.every_step else (),
                device="cpu",
                callbacks=[
                    lambda own: progress.on_preparation("training the supernet", own.step, own.steps, own.eta_seconds)
                ],
            )
        before = time.process_time()
        evaluator = SupernetEvaluator(config, folder, calibration=256, device="cpu")
        found = {one.architecture.to_text(): evaluator.evaluate(one.architecture, 0) for one in networks()}
    return {
        "way": name,
        "steps": steps,
        "seed": seed,
        "seconds": file.TrainedSupernet.load(folder).notes.cpu_seconds,
        "seconds_of_judgements": time.process_time() - before,
        "networks": {text: {"metrics": one.tasks, "log_accuracy": log_accuracy(one)} for text, one in found.items()},
    }


def show() -> Table:
    """Return the table of what is known so far."""
    table = Table(title="networks that are cut out, without training", title_justify="left")
    for heading in ("", "steps", "seed", "processor s", "mIoU %", "relative error", "accuracy (Eq. 6)", "tau", "95 %"):
        table.add_column(heading, justify="left" if heading == "" else "right")
    truth = {
        text: np.mean([log_accuracy(one) for one in own])
        for text, own in long_trainings(Bank(RESULTS).anchors()).items()
    }
    rows = [json.loads(line) for line in ROWS.read_text().splitlines()] if ROWS.exists() else []
    for row in sorted(rows, key=lambda row: list(WAYS).index(row["way"])):
        own = {text: one for text, one in row["networks"].items() if text in truth}
        values, end = np.array([one["log_accuracy"] for one in own.values()]), np.array([truth[text] for text in own])
        tau = bootstrap(len(own), lambda chosen: kendall(values[chosen], end[chosen]))  # noqa: B023
        means = [
            np.mean([one["metrics"][task][metric] for one in own.values()])
            for task, metric in (("segmentation", "miou"), ("depth", "rel_err"))
        ]
        table.add_row(
            WAYS[row["way"]].title,
            str(row["steps"]),
            str(row["seed"]),
            f"{row['seconds']:.0f}",
            f"{means[0]:.2f}",
            f"{means[1]:.4f}",
            f"{np.exp(values).mean():.3f}",
            f"{tau.value:.2f}",
            f"{tau.low:.2f} to {tau.high:.2f}",
        )
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", choices=list(WAYS), help="which supernet to train")
    parser.add_argument("--steps", type=int, default=500, help="of it")
    parser.add_argument("--seed", type=int, default=0, help="of its weights and batches")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.run:
        row = run(options.run, options.steps, options.seed)
        with ROWS.open("a") as stream:
            stream.write(json.dumps(row) + "\n")
    Console(width=180).print(show())


if __name__ == "__main__":
    main()
