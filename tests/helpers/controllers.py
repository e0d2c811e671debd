"""Controllers that are driven as the loop drives them, on a known function."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from ednas.arch.space import Genes
from ednas.search.controllers import (
    Controller,
    ControllerConfig,
    Proposal,
)
from ednas.search.trial import Trial, TrialState
from helpers.searches import make_trial

SIZES = (2, 3, 4, 2, 5, 3)


OPTIONS: dict[str, dict[str, Any]] = {
    "evolution": {"population_size": 6, "tournament_size": 3},
    "nsga2": {"population_size": 6, "offspring": 2},
    "ppo": {"batch_size": 4},
    "pyglove": {"arguments": {"population_size": 6, "tournament_size": 3}},
}


LIMITS = {"latency_ms": 900.0}
"""What half of the random points of that space meet; see :func:`finished`."""


def controller(name: str, sizes: Sequence[int] = SIZES, seed: int = 0) -> Controller:
    return ControllerConfig(name=name, options=OPTIONS.get(name, {})).make(sizes, seed, LIMITS)


def ask(subject: Controller) -> Proposal:
    """Ask a controller whose space is not exhausted."""
    proposal = subject.ask()
    assert proposal is not None
    return proposal


def smooth(genes: Genes) -> float:
    """A known function: best where every gene is its decision's last candidate."""
    return sum(gene / (index + 1) for index, gene in enumerate(genes)) / 10


def finished(number: int, proposal: Proposal, order: int, asked_after: int, state: TrialState, reward: float) -> Trial:
    return make_trial(
        number,
        genes=proposal.genes,
        parent=proposal.parent,
        state=state,
        asked_after=asked_after,
        done_order=order,
        reward=reward if state is TrialState.DONE else None,
        accuracy=reward if state is TrialState.DONE else None,
        cost={"latency_ms": 100.0 * (1 + sum(proposal.genes))},
    )


def simulate(
    subject: Controller, trials: int, workers: int = 1, seed: int = 0, states: Sequence[TrialState] = (TrialState.DONE,)
) -> list[Trial]:
    """Drive a controller as the loop does, with trials that end in random order; return them in completion order."""
    rng = random.Random(seed)
    running: list[tuple[int, Proposal, int]] = []
    done: list[Trial] = []
    asked = 0
    while asked < trials or running:
        while len(running) < workers and asked < trials and (proposal := subject.ask()) is not None:
            running.append((asked, proposal, len(done)))
            asked += 1
        if not running:
            break
        number, proposal, asked_after = running.pop(rng.randrange(len(running)))
        state = rng.choice(states)
        done.append(finished(number, proposal, len(done), asked_after, state, smooth(proposal.genes)))
        subject.tell(done[-1])
    return done


ALL_STATES = (TrialState.DONE, TrialState.FAILED, TrialState.PRUNED)
