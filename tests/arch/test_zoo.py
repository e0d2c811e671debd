"""The zoo holds what the paper prints."""

from __future__ import annotations

import pytest

from ednas.arch import SearchSpace, zoo
from ednas.exceptions import ArchitectureError


@pytest.mark.parametrize("name", zoo.names())
def test_every_network_is_in_the_papers_space(name: str) -> None:
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


def test_unknown_name_offers_the_nearest() -> None:
    with pytest.raises(ArchitectureError, match="did you mean 'ednas_cityscapes'"):
        zoo.architecture("ednas_cityscape")
