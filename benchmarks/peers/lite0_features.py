"""Whether ``--init imagenet`` computes what timm's EfficientNet-Lite0 does with the same weights.

Ours takes them by the package's own mapping; timm's network by position, since file and network list the same tensors
in the same order. Compared are the outputs of all seven stages for street scenes: the greatest difference, absolute, or
the root mean square of the differences relative to that of timm's features.

timm's ``efficientnet_lite0`` pads as ours does and must agree. ``tf_efficientnet_lite0`` pads as the network was
trained, by TensorFlow's SAME: where the stride is 2 and the side even, one pixel less left and above. Each such layer
then reads one pixel further right and down, which over a stage of stride s adds up to s - 1 pixels of the image: fed
with an image moved by as many, ours agrees with it again, but for what reads beyond the border (the middle half is
compared, at a size where that shows from stage 4 on). ::

    python -m benchmarks.peers.lite0_features
"""

from __future__ import annotations

import timm
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ednas.arch import load_architecture
from ednas.data.readers.synthetic import SyntheticDataset
from ednas.data.sample import TargetInfo
from ednas.nn.encoder import Encoder
from ednas.training import build_model
from ednas.training.init import _imagenet_file, initialise, load_weights
from ednas.training.model import normalise

EPSILON = 1e-3
"""TensorFlow's, of batch normalisation; timm's ``efficientnet_lite0`` has 1e-5 unless told."""

SIZE = (512, 512)
LARGEST = 1e-4


def our_encoder() -> tuple[Encoder, Tensor]:
    """Return the encoder with ImageNet's weights, and normalised street scenes to feed it with."""
    weights = load_weights("imagenet", load_architecture("base"))
    model = build_model(load_architecture("base"), ("depth",), {"depth": TargetInfo("distance")}, input_size=SIZE)
    initialise(model, weights)
    scenes = SyntheticDataset(scene="streets", split="val", count=2, size=SIZE)
    image = torch.stack([torch.from_numpy(scenes[i].image).permute(2, 0, 1) / 255 for i in range(len(scenes))])
    return model.network.encoder.eval(), normalise(image, weights.normalisation)


def timm_features(name: str, image: Tensor) -> list[Tensor]:
    """Return the outputs of the stages of timm's network with the same weights."""
    network: nn.Module = timm.create_model(name, bn_eps=EPSILON).eval()
    tensors = torch.load(_imagenet_file(), weights_only=True).values()
    network.load_state_dict(dict(zip(network.state_dict(), tensors, strict=True)))
    features = [network.bn1(network.conv_stem(image))]
    for stage in network.blocks:
        features.append(stage(features[-1]))
    return features[1:]


def relative(ours: Tensor, theirs: Tensor) -> float:
    return float((ours - theirs).square().mean().sqrt() / theirs.square().mean().sqrt())


def middle(features: Tensor) -> Tensor:
    height, width = features.shape[2] // 4, features.shape[3] // 4
    return features[:, :, height:-height, width:-width]


@torch.inference_mode()
def main() -> None:
    encoder, image = our_encoder()
    ours, symmetric, same = encoder(image), *(timm_features(f"{n}efficientnet_lite0", image) for n in ("", "tf_"))
    largest = 0.0
    print("| stage | channels | efficientnet_lite0, greatest | tf_efficientnet_lite0 | its middle, image moved |")
    print("|---:|---:|---:|---:|---:|")
    for stage, stride in enumerate(encoder.strides):
        shift = stride - 1
        moved = encoder(F.pad(image[:, :, shift:, shift:], (0, shift, 0, shift)))[stage]
        greatest = float((ours[stage] - symmetric[stage]).abs().max())
        largest = max(largest, greatest)
        padded = relative(ours[stage], same[stage]), relative(middle(moved), middle(same[stage]))
        print(f"| {stage} | {moved.shape[1]} | {greatest:.1e} | {padded[0]:.3f} | {padded[1]:.3f} |")
    if largest > LARGEST:
        raise SystemExit(f"the features differ by up to {largest:.1e}, more than {LARGEST:.0e}")


if __name__ == "__main__":
    main()
