"""Successive halving: candidates that do badly early in their training are not trained to its end.

A training stops on the way, at its rungs, unless the candidate is among the best there so far. Nothing is ever waited
for, which lets any number of workers go on at once (the stopping variant of ASHA, Li et al., 2020).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ednas.search.bank import Anchor, Bank
from ednas.search.evaluators.base import Evaluation
from ednas.search.objective import Objective


@dataclass(frozen=True)
class Rungs:
    """Where candidates are compared on the way.

    What was measured there is kept in a file, so that a search that was ended decides as it would have: a candidate
    that is trained once more is not compared with itself.

    Attributes:
        path: The file.
        context: What decides what candidates learn, beside architecture and seed.
        objective: By which they are compared.
        first: Steps at the first rung.
        eta: The next one is at so many times the steps, and one in so many candidates gets there.
    """

    path: Path
    context: Mapping[str, Any]
    objective: Objective
    first: int
    eta: int

    def __contains__(self, step: int) -> bool:
        """Whether candidates are compared after so many steps."""
        while step > self.first and step % self.eta == 0:
            step //= self.eta
        return step == self.first

    def goes_on(self, architecture: str, seed: int, step: int, evaluation: Evaluation) -> bool:
        """Whether a candidate is among the best at a rung, of those that got there before; keep how good it is.

        Raises:
            StudyError: The file is damaged.
            EdnasError: It cannot be read or written.
        """
        bank, context = Bank(self.path), {"rung": step, **self.context}
        others = [own for own in bank.anchors(context) if own.architecture != architecture]
        bank.add([Anchor(context, architecture, seed, evaluation)])
        own = self.objective.accuracy(evaluation)
        better = sum(self.objective.accuracy(other.evaluation) > own for other in others)
        return better < max(1, (len(others) + 1) // self.eta)
