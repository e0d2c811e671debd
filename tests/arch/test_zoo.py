"""The zoo holds what the paper prints."""

from __future__ import annotations

import pytest

from ednas.arch import SearchSpace, zoo
from ednas.exceptions import ArchitectureError
from ednas.hw import summarise

PUBLISHED_HERE = [name for name in zoo.names() if not name.startswith("mobilenet")]


@pytest.mark.parametrize("name", PUBLISHED_HERE)
def test_every_network_of_the_paper_is_in_the_papers_space(name: str) -> None:
    architecture = zoo.architecture(name)
    space = SearchSpace(zoo.architecture("base"))
    assert space.decode(space.encode(architecture)).fingerprint() == architecture.fingerprint()


def test_counts_of_fused_blocks_are_those_of_the_text() -> None:
    fused = {name: sum(b.kind == "fused" for b in zoo.architecture(name).blocks) for name in zoo.names()}
    assert fused["base"] == 0
    assert fused["ednas_cityscapes"] == 14  # Section 4.2: "14 out of 16 tunable layers"
    assert fused["nas_depth"] == 11  # Section 4.2: "namely 11 compared to 14"


@pytest.mark.parametrize("name", ["ednas_cityscapes", "nas_depth"])
def test_published_variant_differs_only_in_the_kind_of_blocks_9_to_16(name: str) -> None:
    printed, counted = zoo.architecture(name), zoo.architecture(f"{name}_published")
    assert [str(b) for b in printed.blocks[:8]] == [str(b) for b in counted.blocks[:8]]
    assert [str(b).replace("fused", "ibn") for b in printed.blocks[8:]] == [str(b) for b in counted.blocks[8:]]


@pytest.mark.parametrize(
    ("name", "last", "params", "mmacs"),
    [
        # torchvision.models.mobilenet_v2: 3,504,872 parameters; the paper: 300 million multiply-adds at 224x224.
        ("mobilenet_v2", 320, 3_504_872, 300),
        # timm's mobilenetv4_conv_small: 3,774,024 parameters; the paper: 0.2 billion at 224x224.
        ("mobilenet_v4_conv_small", 960, 3_774_024, 186),
    ],
)
def test_mobilenets_are_the_published_ones(name: str, last: int, params: int, mmacs: int) -> None:
    """Backbones lack the 1x1 convolution to 1280 channels and the classifier of 1000 classes, counted here."""
    architecture = zoo.architecture(name)
    summary = summarise(architecture, {"depth": 1}, (224, 224))
    backbone = summary.blocks[: len(architecture.blocks) + 1]
    assert summary.params_backbone + last * 1280 + 2 * 1280 + 1280 * 1000 + 1000 == params
    pixels = 1 if name == "mobilenet_v4_conv_small" else 7 * 7  # MobileNetV4 pools first
    macs = sum(block.macs for block in backbone) + last * 1280 * pixels + 1280 * 1000
    assert int(macs / 1e6) == mmacs


def test_unknown_name_offers_the_nearest() -> None:
    with pytest.raises(ArchitectureError, match="did you mean 'ednas_cityscapes'"):
        zoo.architecture("ednas_cityscape")
