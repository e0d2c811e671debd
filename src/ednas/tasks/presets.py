"""The loss weights that the paper trained with (Tables 8 and 9)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from ednas.exceptions import ConfigError, hint


@dataclass(frozen=True)
class LossPreset:
    """Losses that the paper trained a model with.

    Attributes:
        task_weights: Weight of each task's loss in the sum.
        task_options: Options by task: the depth loss, L1 or JAReD with the weights of the absolute (column L_1) and of
            the relative error (column L_RE).
    """

    task_weights: Mapping[str, float]
    task_options: Mapping[str, Mapping[str, Any]]


def _preset(segmentation: float, absolute: float, relative: float = 0.0, normals: float | None = None) -> LossPreset:
    weights = {"segmentation": segmentation, "depth": 1.0} | ({} if normals is None else {"normals": normals})
    jared = {"loss": "jared", "abs_weight": absolute, "rel_weight": relative}
    return LossPreset(MappingProxyType(weights), {"depth": jared if relative else {"loss": "l1"}})


LOSS_PRESETS: Mapping[str, LossPreset] = MappingProxyType(
    {
        "cityscapes_mt": _preset(0.4, 1.0),
        "cityscapes_ednas": _preset(0.4, 1.0),
        "cityscapes_jared": _preset(0.5, 0.95, 0.05),
        "nyuv2_mt": _preset(1.0, 1.0, normals=40.0),
        "nyuv2_ednas": _preset(1.0, 1.0, normals=50.0),
        "nyuv2_jared": _preset(1.0, 0.999, 0.001, normals=60.0),
        "table9_l1": _preset(0.5, 1.0),
        "table9_999_001": _preset(0.5, 0.999, 0.001),
        "table9_990_010": _preset(0.5, 0.99, 0.01),
        "table9_950_050": _preset(0.5, 0.95, 0.05),
        "table9_900_010": _preset(0.5, 0.9, 0.01),
        "table9_900_100": _preset(0.5, 0.9, 0.1),
    }
)
"""Loss weights by name: Table 8 (``cityscapes_*``, ``nyuv2_*``) and the multi-task rows of Table 9.

``table9_900_010`` is the last row as printed, (0.900, 0.010); every other row adds up to 1, so that 0.010 is probably
a slip for 0.100, which is ``table9_900_100``. Table 9's first row, ``table9_l1``, repeats the result of
``cityscapes_mt`` but prints a weight of 0.5 for segmentation where Table 8 prints 0.4.
"""


def loss_preset(name: str) -> LossPreset:
    """Return a preset of :data:`LOSS_PRESETS`.

    Raises:
        ConfigError: Unknown name, with the nearest known one.
    """
    if name not in LOSS_PRESETS:
        raise ConfigError(f"unknown loss preset '{name}'; {hint(name, LOSS_PRESETS)}")
    return LOSS_PRESETS[name]
