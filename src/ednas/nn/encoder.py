"""The shared backbone: stages with known channels and strides, the contract that every sharing method uses."""

from __future__ import annotations

from torch import Tensor, nn

from ednas.arch import Architecture
from ednas.nn.blocks import ConvBNAct, build_block

STAGE_STRIDES = (2, 4, 8, 16, 16, 32, 32)
"""Output stride of each of the seven stages."""


class Encoder(nn.Module):
    """EfficientNet-B0's layout with an architecture's blocks; stage 0 holds the stem and block 1.

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
            layers: list[nn.Module] = [] if stages else [ConvBNAct(3, channels, 3, stride=2)]
            for block in blocks:
                layers.append(build_block(channels, block))
                channels = block.filters
            stages.append(nn.Sequential(*layers))
            out_channels.append(channels)
        self.stages = nn.ModuleList(stages)
        self.out_channels = tuple(out_channels)
        self.strides = STAGE_STRIDES

    def forward_stage(self, index: int, x: Tensor) -> Tensor:
        """Run stage ``index`` (0-6) on the output of the stage before, or on the image ``(N, 3, H, W)`` for 0."""
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
