"""Networks of segmentation_models_pytorch (smp) with one head a task: what many would take instead of ednas."""

from __future__ import annotations

from collections.abc import Mapping

import segmentation_models_pytorch as smp
import torch
from torch import Tensor, nn

PEERS: dict[str, tuple[str, str]] = {
    "Unet, mobilenet_v2": ("unet", "mobilenet_v2"),
    "DeepLabV3+, mobilenet_v2": ("deeplabv3plus", "mobilenet_v2"),
    "FPN, tf_efficientnet_lite0": ("fpn", "tu-tf_efficientnet_lite0"),
}
"""smp's architecture and encoder by name; ``tu-`` marks an encoder of timm. All else is smp's default."""


class PeerNetwork(nn.Module):
    """Encoder and decoder for all tasks, and smp's own head for each; initialised as smp and timm do.

    Args:
        name: One of :data:`PEERS`.
        heads: Output channels by task.
    """

    def __init__(self, name: str, heads: Mapping[str, int]) -> None:
        super().__init__()
        architecture, encoder = PEERS[name]
        models = {
            task: smp.create_model(architecture, encoder, encoder_weights=None, classes=channels)
            for task, channels in heads.items()
        }
        shared = next(iter(models.values()))
        self.encoder, self.decoder = shared.encoder, shared.decoder
        self.heads = nn.ModuleDict({task: model.segmentation_head[0] for task, model in models.items()})
        self.enlarge = shared.segmentation_head[1]

    def predict_heads(self, image: Tensor) -> dict[str, Tensor]:
        """Map a normalised image ``(N, 3, H, W)`` to predictions as deployed: before the heads enlarge them.

        Returns:
            ``(N, C, H / 4, W / 4)``; a Unet's ``(N, C, H, W)``.
        """
        features = self.decoder(self.encoder(image))
        return {task: head(features) for task, head in self.heads.items()}

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """Map a normalised image ``(N, 3, H, W)``, sides multiples of 32, to predictions ``(N, C, H, W)``."""
        return {task: self.enlarge(y) for task, y in self.predict_heads(image).items()}


def build_peer(name: str, heads: Mapping[str, int], seed: int = 0) -> PeerNetwork:
    """Make a peer with fresh weights, a pure function of the arguments; torch's own generator is not touched."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return PeerNetwork(name, heads)
