"""Neck and heads: from a backbone's features to the predictions of tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from ednas.arch import Architecture
from ednas.nn.bifpn import BiFPN
from ednas.nn.blocks import ConvBNAct
from ednas.nn.heads import DenseHead


class Decoder(nn.Module):
    """BiFPN, the heads' lateral and a head for each task.

    Args:
        architecture: Width and depth of the BiFPN, and whether there is a lateral.
        channels: Channels of the features at strides 4, 8, 16 and 32.
        heads: Output channels by task.

    Attributes:
        neck: The BiFPN.
        detail: The lateral; None without one.
        heads: The heads by task.
    """

    def __init__(self, architecture: Architecture, channels: Sequence[int], heads: Mapping[str, int]) -> None:
        super().__init__()
        fine, *pyramid = channels
        width = architecture.bifpn_width
        self.neck = BiFPN(pyramid, width, architecture.bifpn_depth)
        self.detail = ConvBNAct(fine, width, act=False) if architecture.head_lateral else None
        self.heads = nn.ModuleDict({task: DenseHead(width, n) for task, n in heads.items()})

    def forward(self, features: Sequence[Tensor]) -> dict[str, Tensor]:
        """Map features at strides 4, 8, 16 and 32 to predictions at stride 4, ``(N, C, H / 4, W / 4)``."""
        return decode(self.neck, self.detail, self.heads, features)


def decode(
    neck: nn.Module, detail: nn.Module | None, heads: nn.ModuleDict, features: Sequence[Tensor]
) -> dict[str, Tensor]:
    """Map features at strides 4, 8, 16 and 32 by a decoder's parts to predictions at stride 4."""
    fine, *pyramid = features
    p3 = neck(pyramid)[0]
    lateral = None if detail is None else detail(fine)
    return {task: head(p3, fine.shape[2:], lateral) for task, head in heads.items()}
