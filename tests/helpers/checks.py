"""A check of evaluators, made up."""

from __future__ import annotations

import numpy as np

from ednas.search.check import Check, Floor, Judged
from ednas.search.verdict import Scores, judge, measure_reference

NAME = "proxy [bold]x[/bold] <b>"
"""What has to be escaped, in a terminal and on a page."""


def small_check() -> Check:
    """Return a check of 32 networks, half of them in the band: an evaluator that is right, and a cost that is not."""
    rng = np.random.default_rng(0)
    quality = rng.normal(size=32)
    trainings = [[value + 0.1 * rng.normal(), value + 0.1 * rng.normal()] for value in quality]
    reference = measure_reference(trainings, {"depth": quality.tolist()}, [i % 2 == 0 for i in range(32)])
    scores = [
        Scores(NAME, quality + 0.2 * rng.normal(size=32), seconds=75.0, once=4000.0, options="--evaluator mine"),
        Scores("MACs", rng.normal(size=32), is_cost=True),
    ]
    judged = [
        Judged(f"network {number}", accuracy, in_band)
        for number, (accuracy, in_band) in enumerate(
            zip(reference.accuracy.tolist(), reference.in_band.tolist(), strict=True)
        )
    ]
    return Check(
        judge(scores, reference),
        judged,
        doubles=32,
        steps=200,
        reference_steps=800,
        reliability=reference.reliability,
        noise=reference.noise,
        reference_seconds=300.0,
        floors=[Floor("depth", "abs_err", 0.5, short=0.9, reference=1.0)],
    )
