"""The whole multi-task network: one encoder and one neck for all tasks, one small head for each.

A backbone of the user's own takes the place of the encoder, a decoder of neck and heads.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from ednas.arch import Architecture
from ednas.arch.architecture import FEATURE_STRIDES
from ednas.exceptions import ArchitectureError
from ednas.nn.bifpn import BiFPN
from ednas.nn.blocks import ConvBNAct
from ednas.nn.encoder import Encoder
from ednas.nn.heads import DenseHead, resize_bilinear
from ednas.nn.parts import check_features, check_predictions, make_backbone, make_decoder

OUTPUT_STRIDE = FEATURE_STRIDES[0]
"""Stride of the heads' predictions: that of the finest features."""


class MultiTaskNetwork(nn.Module):
    """Encoder, BiFPN and per-task heads, hard parameter sharing (Section 3.1).

    Args:
        architecture: The architecture.
        heads: Output channels by task, for example ``{"segmentation": 19, "depth": 1, "normals": 3}``.

    Attributes:
        architecture: As given.
        channels: Output channels by task, as given.

    Raises:
        ArchitectureError: There is no head, or one has no channel; or a backbone or decoder of the user's own is not
            registered or does not fit.

    Example:
        >>> import torch
        >>> from ednas.arch import load_architecture
        >>> network = MultiTaskNetwork(load_architecture("base"), {"segmentation": 19, "depth": 1}).eval()
        >>> outputs = network(torch.zeros(1, 3, 64, 128))
        >>> outputs["segmentation"].shape
        torch.Size([1, 19, 64, 128])
    """

    def __init__(self, architecture: Architecture, heads: Mapping[str, int]) -> None:
        super().__init__()
        if not heads or any(channels < 1 for channels in heads.values()):
            raise ArchitectureError(
                f"network: heads are {dict(heads)}, give at least one task with at least one channel"
            )
        self.architecture = architecture
        self.channels = dict(heads)
        self.encoder: nn.Module
        if architecture.backbone:
            self.encoder, channels = make_backbone(architecture.backbone)
        else:
            self.encoder = encoder = Encoder(architecture)
            channels = tuple(encoder.out_channels[stage] for stage in architecture.feature_stages)
        if architecture.decoder:
            self.decoder = make_decoder(architecture.decoder, channels, heads)
        else:
            fine, *pyramid = channels
            width = architecture.bifpn_width
            self.neck = BiFPN(pyramid, width, architecture.bifpn_depth)
            self.detail = ConvBNAct(fine, width, act=False) if architecture.head_lateral else None
            self.heads = nn.ModuleDict({task: DenseHead(width, n) for task, n in heads.items()})
        for name, part in self.named_children():
            if name != "decoder" and not (name == "encoder" and architecture.backbone):
                part.apply(_initialise)

    def features(self, image: Tensor) -> list[Tensor]:
        """Map a normalised image ``(N, 3, H, W)`` to features at strides 4, 8, 16 and 32."""
        features = self.encoder(image)
        if self.architecture.backbone:
            return check_features(self.architecture.backbone, features, image.shape[2:])
        return [features[stage] for stage in self.architecture.feature_stages]

    def predict_heads(self, image: Tensor) -> dict[str, Tensor]:
        """Map a normalised image ``(N, 3, H, W)`` to predictions at stride 4, as deployed: ``(N, C, H / 4, W / 4)``."""
        fine, *pyramid = self.features(image)
        if self.architecture.decoder:
            predictions = self.decoder([fine, *pyramid])
            return check_predictions(self.architecture.decoder, predictions, self.channels, fine.shape[2:])
        p3 = self.neck(pyramid)[0]
        detail = None if self.detail is None else self.detail(fine)
        return {task: head(p3, fine.shape[2:], detail) for task, head in self.heads.items()}

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """Map a normalised image ``(N, 3, H, W)``, any size from 32 px, to predictions ``(N, C, H, W)``."""
        return {task: resize_bilinear(y, image.shape[2:]) for task, y in self.predict_heads(image).items()}


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d) and not module.weight.is_meta:  # one that is only described has no values
        # By what a unit reads. "fan_out" takes a depthwise convolution for a dense one, whose weights then start tens
        # of times too small, and learns far less in a short training (docs/training.md).
        nn.init.kaiming_normal_(module.weight, mode="fan_in")
        if module.bias is not None:
            nn.init.zeros_(module.bias)
