"""Fixed weights that a small search finds before a run: what any other weighting has to beat."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ednas.config import StrictModel
from ednas.exceptions import ConfigError
from ednas.mtl.weighting.base import register_weighting
from ednas.mtl.weighting.fixed import Fixed

SEARCHED = "searched"


@register_weighting(SEARCHED)
class Searched(Fixed):
    """Stands for a search, :func:`ednas.training.find_weights.find_weights`; there is none of it in a step.

    Raises:
        ConfigError: Always: what is trained by it, is trained by the weights that were found.
    """

    class Options(StrictModel):
        """Options of the weighting ``searched``.

        Attributes:
            trials: How many weights are tried, the recipe's own first.
            share: Length of such a training, as a share of the recipe's steps.
            spread: Weights are drawn from a ``spread``-th of the recipe's to ``spread`` times them, before their
                geometric mean is brought back to that of the recipe's.
        """

        trials: Annotated[int, Field(ge=2)] = 5
        share: Annotated[float, Field(gt=0, le=1)] = 0.5
        spread: Annotated[float, Field(gt=1, allow_inf_nan=False)] = 3.0

    def __init__(self, tasks: int, seed: int = 0, **options: float) -> None:
        del tasks, seed, options
        raise ConfigError(
            f"weighting '{SEARCHED}': is for whole runs (`ednas train`, `ednas compare-methods`); write loss_weights "
            "here"
        )
