"""The whole multi-task network: one encoder and one neck for all tasks, one small head for each.

A backbone of the user's own takes the place of the encoder, a decoder of neck and heads. Other ways to share take the
place of the encoder, too, and have a neck for each group of tasks that read the same features.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from ednas.arch import Architecture
from ednas.arch.architecture import FEATURE_STRIDES
from ednas.exceptions import ArchitectureError
from ednas.nn.blocks import initialise
from ednas.nn.decoder import Decoder, decode
from ednas.nn.encoder import Encoder
from ednas.nn.heads import resize_bilinear
from ednas.nn.parts import check_features, check_predictions, make_backbone, make_decoder
from ednas.nn.sharing import Sharing, make_sharing

OUTPUT_STRIDE = FEATURE_STRIDES[0]
"""Stride of the heads' predictions: that of the finest features."""


class MultiTaskNetwork(nn.Module):
    """Encoder, BiFPN and per-task heads, by hard sharing (Section 3.1) unless the architecture says otherwise.

    Args:
        architecture: The architecture.
        heads: Output channels by task, for example ``{"segmentation": 19, "depth": 1, "normals": 3}``.

    Attributes:
        architecture: As given.
        channels: Output channels by task, as given.

    Raises:
        ArchitectureError: There is no head, or one has no channel; or a backbone, a decoder or a way to share is not
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
        if architecture.sharing and len(heads) > 1:
            self.encoder = sharing = make_sharing(architecture, tuple(heads))
            stages = architecture.stages()
            channels = tuple(stages[stage][-1].filters for stage in architecture.feature_stages)
            own_heads = [{task: heads[task] for task in group} for group in sharing.groups]
            self.decoders = nn.ModuleList(Decoder(architecture, channels, own) for own in own_heads).apply(initialise)
            return
        if architecture.backbone:
            self.encoder, channels = make_backbone(architecture.backbone)
        else:
            self.encoder = encoder = Encoder(architecture)
            channels = tuple(encoder.out_channels[stage] for stage in architecture.feature_stages)
        if architecture.decoder:
            self.decoder = make_decoder(architecture.decoder, channels, heads)
        else:
            decoder = Decoder(architecture, channels, heads)
            self.neck, self.detail, self.heads = decoder.neck, decoder.detail, decoder.heads
        for name, part in self.named_children():
            if name != "decoder" and not (name == "encoder" and architecture.backbone):
                part.apply(initialise)

    @property
    def sharing(self) -> Sharing | None:
        """How tasks share the backbone; None where they share all of it."""
        return self.encoder if isinstance(self.encoder, Sharing) else None

    def predict_heads(self, image: Tensor) -> dict[str, Tensor]:
        """Map a normalised image ``(N, 3, H, W)`` to predictions at stride 4, as deployed: ``(N, C, H / 4, W / 4)``."""
        features = self.encoder(image)
        if self.sharing is not None:
            found: dict[str, Tensor] = {}
            for decoder, own in zip(self.decoders, features, strict=True):
                found |= decoder(own)
            return {task: found[task] for task in self.channels}
        if self.architecture.backbone:
            features = check_features(self.architecture.backbone, features, image.shape[2:])
        else:
            features = [features[stage] for stage in self.architecture.feature_stages]
        if self.architecture.decoder:
            predictions = self.decoder(features)
            return check_predictions(self.architecture.decoder, predictions, self.channels, features[0].shape[2:])
        return decode(self.neck, self.detail, self.heads, features)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """Map a normalised image ``(N, 3, H, W)``, any size from 32 px, to predictions ``(N, C, H, W)``."""
        return {task: resize_bilinear(y, image.shape[2:]) for task, y in self.predict_heads(image).items()}
