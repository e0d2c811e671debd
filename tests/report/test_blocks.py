"""The rows of a block table are the architecture's parts, and what they cost adds up."""

from __future__ import annotations

from ednas.arch import zoo
from ednas.hw import summarise
from ednas.nn import MultiTaskNetwork
from ednas.report.blocks import block_rows

TASKS = {"segmentation": 19, "depth": 1}


def test_rows_are_stem_blocks_neck_and_lateral() -> None:
    base = zoo.architecture("base")
    stem, *rows = block_rows(base)
    assert (stem.index, stem.filters, stem.params) == ("0", base.stem_filters, None)
    assert [row.index for row in rows] == [*map(str, range(1, 17)), "", ""]
    for row, block in zip(rows, base.blocks, strict=False):
        assert (row.stride, row.kernel, row.filters) == (block.stride, block.kernel_size, block.filters)
        assert (row.layer, row.expansion) == (block.label, block.expand_ratio)
    assert (rows[-2].layer, rows[-2].filters) == (f"BiFPN ×{base.bifpn_depth}", base.bifpn_width)
    assert rows[-1].layer == "Lateral 1/4"


def test_costs_of_the_rows_are_those_of_the_network() -> None:
    base = zoo.architecture("base")
    rows = block_rows(base, summarise(base, TASKS, (64, 128)))
    assert [row.layer for row in rows[-2:]] == ["Head: segmentation", "Head: depth"]
    assert sum(row.params for row in rows) == sum(p.numel() for p in MultiTaskNetwork(base, TASKS).parameters())
    assert rows[0].output == (32, 64, base.stem_filters)


def test_what_only_a_kind_has_stands_beside_its_name() -> None:
    own = zoo.architecture("base").to_dict()
    own["blocks"][2] = "uib_a5_k3_s1_e4_c24"
    row = block_rows(type(zoo.architecture("base")).from_dict(own))[3]
    assert (row.layer, row.kernel, row.expansion) == ("UIB a5", 3, 4)
