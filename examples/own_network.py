"""A backbone, a decoder and a loss of one's own.

Nothing in the package changes for them: this file is loaded as a plugin, and an architecture names them.

    ednas train "base backbone:plain(width=16)" --plugin examples/own_network.py --data streets --out runs/plain
    ednas train "base decoder:top_down" --plugin examples/own_network.py --data streets --out runs/top_down
    ednas latency "base backbone:plain(width=16) decoder:top_down" --plugin examples/own_network.py
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ednas import register_backbone, register_decoder, register_loss


def conv(in_channels: int, out_channels: int, stride: int = 1) -> nn.Sequential:
    """Return a 3x3 convolution, batch normalisation and ReLU6."""
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 3, stride, padding=1, bias=False), nn.BatchNorm2d(out_channels), nn.ReLU6()
    )


class Plain(nn.Module):
    """Five convolutions of stride 2.

    Args:
        width: Channels at stride 2; twice as many at each later stride.
    """

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.stem = conv(3, width, stride=2)
        self.stages = nn.ModuleList(conv(width << n, width << (n + 1), stride=2) for n in range(4))

    def forward(self, image: Tensor) -> list[Tensor]:
        """Map ``(N, 3, H, W)`` to features at strides 4, 8, 16 and 32."""
        x = self.stem(image)
        features = []
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        return features


class TopDown(nn.Module):
    """Adds each feature to the one above it, as FPN does, and predicts every task from the finest.

    Args:
        in_channels: Channels of the features at strides 4, 8, 16 and 32.
        heads: Output channels by task.
        width: Channels inside.
    """

    def __init__(self, in_channels: Sequence[int], heads: Mapping[str, int], width: int = 32) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(nn.Conv2d(channels, width, 1) for channels in in_channels)
        self.predict = nn.ModuleDict({task: nn.Conv2d(width, channels, 1) for task, channels in heads.items()})

    def forward(self, features: Sequence[Tensor]) -> dict[str, Tensor]:
        """Map features at strides 4, 8, 16 and 32 to predictions at stride 4."""
        levels = [lateral(x) for lateral, x in zip(self.lateral, features, strict=True)]
        x = levels.pop()
        while levels:
            finer = levels.pop()
            x = finer + F.interpolate(x, size=finer.shape[2:], mode="bilinear", align_corners=False)
        return {task: predict(x) for task, predict in self.predict.items()}


def log_l1(prediction: Tensor, target: Tensor, floor: float = 0.01) -> Tensor:
    """Mean absolute error of the logarithm of depth, over the pixels with a label.

    Args:
        prediction: Raw output ``(N, 1, H, W)``; below ``floor`` it counts as that, and gets no gradient.
        target: Depth ``(N, 1, H, W)``, 0 = no label.
        floor: Least depth that is distinguished, in the label's unit.
    """
    valid = target > 0
    error = torch.where(valid, prediction.float().clamp(min=floor).log() - target.clamp(min=floor).log(), 0.0).abs()
    return error.sum() / valid.sum().clamp(min=1)


register_backbone("plain", Plain)
register_decoder("top_down", TopDown)
register_loss("depth", "log_l1", log_l1)
