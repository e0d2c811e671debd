"""How sure an estimate is: what networks that a target was not fitted to took, over what was estimated."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from math import exp, log, sqrt
from typing import Annotated, Literal

from pydantic import Field, model_validator

from ednas.config import StrictModel

COVERAGE = 0.8
"""Share of networks that lie within an interval."""

FEWEST = 4
"""Networks from which an interval is made."""

Kind = Literal["space", "spilled", "host", "streamed", "any"]
"""Kinds of networks: of the search space; with activations that leave the chip; with operators on the host; with
parameters that do not fit on the chip; all others, or all."""

SMALLEST_RATIO, LARGEST_RATIO = 0.01, 100.0
"""What a measured over an estimated latency lies between: beyond, the two are of different things."""

_Ratio = Annotated[float, Field(gt=SMALLEST_RATIO, lt=LARGEST_RATIO, strict=True, allow_inf_nan=False)]


class ErrorConfig(StrictModel):
    """How far off the estimates of networks of one kind were, that the target was not fitted to.

    Attributes:
        kind: Which networks.
        low: A tenth of them took less than this times the estimate.
        high: A tenth of them took more than this times the estimate.
        networks: How many were compared.
        source: What was compared with what, for people.
    """

    kind: Kind = "any"
    low: _Ratio
    high: _Ratio
    networks: Annotated[int, Field(ge=FEWEST, le=10**6, strict=True)]
    source: Annotated[str, Field(min_length=1)]

    @property
    def note(self) -> str:
        """What the interval stands on, beside an estimate."""
        return f"8 of 10 such networks: by {self.networks} others; {self.source}"

    @model_validator(mode="after")
    def _is_an_interval(self) -> ErrorConfig:
        if self.low > self.high:
            raise ValueError(f"low is {self.low:g}, high {self.high:g}: low must not be above high")
        return self


def interval_of(ratios: Sequence[float]) -> tuple[float, float]:
    """Return what the next ratio of a measured to an estimated latency lies between, with a certainty of 80 %.

    The prediction interval of Student's t distribution for the ratios' logarithms, which is wide for few.

    Args:
        ratios: At least :data:`FEWEST`.
    """
    from scipy.stats import t

    logs = [log(ratio) for ratio in ratios]
    count = len(logs)
    reach = float(t.ppf((1 + COVERAGE) / 2, count - 1)) * statistics.stdev(logs) * sqrt(1 + 1 / count)
    centre = statistics.mean(logs)
    return exp(centre - reach), exp(centre + reach)
