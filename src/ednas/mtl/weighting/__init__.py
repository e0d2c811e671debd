"""How much each task's loss counts in a step. One file a method."""

from ednas.mtl.weighting.base import (
    GradientWeighting,
    LossWeighting,
    Weighting,
    WeightingConfig,
    register_weighting,
    weighting_names,
)

__all__ = [
    "GradientWeighting",
    "LossWeighting",
    "Weighting",
    "WeightingConfig",
    "register_weighting",
    "weighting_names",
]
