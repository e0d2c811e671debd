"""The shared backbone: stages with known channels and strides, the contract that every sharing method uses."""

from __future__ import annotations

from torch import Tensor, nn

from ednas.arch import Architecture
from ednas.arch.architecture import STEM_STRIDE
from ednas.nn.blocks import ConvBNAct


class Encoder(nn.Module):
    """An architecture's stem and blocks; stage 0 begins with the stem.

    Args:
        architecture: The architecture.

    Attributes:
        out_channels: Channels after each stage.
        strides: Output stride of each stage.
        stages: The stages' modules.
    """

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        channels = architecture.stem_filters
        stages: list[nn.Module] = []
        out_channels: list[int] = []
        for blocks in architecture.stages():
            layers: list[nn.Module] = [] if stages else [ConvBNAct(3, channels, 3, stride=STEM_STRIDE)]
            for block in blocks:
                layers.append(block.build(channels))
                channels = block.filters
            stages.append(nn.Sequential(*layers))
            out_channels.append(channels)
        self.stages = nn.ModuleList(stages)
        self.out_channels = tuple(out_channels)
        self.strides = architecture.stage_strides

    def forward_stage(self, index: int, x: Tensor) -> Tensor:
        """Run stage ``index`` (from 0) on the output of the stage before, or on the image ``(N, 3, H, W)`` for 0."""
        y: Tensor = self.stages[index](x)
        return y

    def forward(self, image: Tensor) -> list[Tensor]:
        """Map ``(N, 3, H, W)`` to all stages' outputs, ``(N, out_channels[i], H / strides[i], W / strides[i])``."""
        features: list[Tensor] = []
        x = image
        for index in range(len(self.stages)):
            x = self.forward_stage(index, x)
            features.append(x)
        return features
