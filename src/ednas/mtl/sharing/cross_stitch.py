"""Cross-Stitch networks (Misra et al., 2016): after each stage, every task reads a mixture of all tasks' features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field
from torch import Tensor, nn

from ednas.arch import Architecture
from ednas.config import StrictModel
from ednas.mtl.sharing.single import Single, start_weights
from ednas.nn.sharing import register_sharing


@register_sharing("cross_stitch")
class CrossStitch(Single):
    """A backbone for each task, and units that mix their features, channel by channel.

    Args:
        architecture: The stem and blocks of each.
        tasks: Names of the tasks.
        **options: Those of :class:`Options`.

    Attributes:
        units: For each stage what each task (first) reads of each task's features (second).
    """

    class Options(StrictModel):
        """Options of the sharing ``cross_stitch``.

        Attributes:
            start: How much of its own features a task reads in the beginning; of the others' as much as makes 1.
            rate: How many times as fast as the backbones the units learn.
        """

        start: Annotated[float, Field(ge=0, le=1)] = 0.9
        rate: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0

    def __init__(
        self, architecture: Architecture, tasks: Sequence[str], *, start: float = 0.9, rate: float = 1.0
    ) -> None:
        super().__init__(architecture, tasks)
        self.unit_rate = rate
        rows = start_weights(len(tasks), start)
        self.units = nn.ModuleList(
            nn.ModuleList(nn.ModuleList(_scale(channels, weight) for weight in row) for row in rows)
            for channels in self._channels
        )

    def join(self, stage: int, features: list[Tensor]) -> list[Tensor]:
        """Mix."""
        mixed = []
        for scales in self.units[stage].children():
            first, *others = (scale(x) for scale, x in zip(scales.children(), features, strict=True))
            mixed.append(sum(others, first))
        return mixed


def _scale(channels: int, weight: float) -> nn.Conv2d:
    """Return a factor for each channel, in a form that compilers know: a depthwise 1x1 convolution."""
    conv = nn.Conv2d(channels, channels, 1, groups=channels, bias=False)
    nn.init.constant_(conv.weight, weight)
    return conv
