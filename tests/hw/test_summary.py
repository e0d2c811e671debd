"""Counts, row by row, agree with torch's own."""

from __future__ import annotations

import pytest
import torch
from helpers.small_training import small_architecture

from ednas.arch import zoo
from ednas.hw import count_shared, summarise
from ednas.hw.summary import counts
from ednas.nn import MultiTaskNetwork

HEADS = {"segmentation": 19, "depth": 1}


@pytest.mark.parametrize("name", zoo.names())
def test_rows_count_what_the_modules_hold(name: str) -> None:
    architecture = zoo.architecture(name)
    with torch.device("meta"):
        network = MultiTaskNetwork(architecture, HEADS)
    summary = summarise(architecture, HEADS, (256, 256))
    assert summary.params_backbone == sum(parameter.numel() for parameter in network.encoder.parameters())
    rows = {row.name: row for row in summary.blocks}
    assert rows["neck"].params == sum(parameter.numel() for parameter in network.neck.parameters())
    for task in HEADS:
        assert rows[f"head.{task}"].params == sum(p.numel() for p in network.heads[task].parameters())
    assert sum(row.params for row in summary.blocks) == summary.params
    assert sum(row.macs for row in summary.blocks) == summary.macs
    assert counts(architecture, HEADS, (256, 256)) == (summary.params, summary.macs)


def test_the_table_reads_as_table_6() -> None:
    summary = summarise(zoo.architecture("ednas_cityscapes"), HEADS, (256, 512))
    assert summary.input == (256, 512)
    assert [row.index for row in summary.blocks] == list(range(21))
    stem, block, neck, detail, head = (summary.blocks[index] for index in (0, 4, 17, 18, 19))
    assert (stem.name, stem.text, stem.stride, stem.output) == ("stem", "conv_k3_s2_c32", 2, (128, 256, 32))
    assert (stem.params, stem.macs) == (3 * 32 * 9 + 2 * 32, 128 * 256 * 3 * 32 * 9)
    assert (block.name, block.text, block.stride, block.output) == ("block 4", "fused_k3_s2_e6_c60", 2, (32, 64, 60))
    assert (neck.name, neck.text, neck.output) == ("neck", "bifpn_w64_d4", (32, 64, 64))
    assert (detail.name, detail.text, detail.output) == ("detail", "heads_l4", (64, 128, 64))
    assert (head.name, head.text, head.output) == ("head.segmentation", "head_c19", (64, 128, 19))


@pytest.mark.parametrize(
    ("name", "params", "gflop"),
    [("base", 3.4e6, 1.2), ("ednas_cityscapes_published", 4.3e6, 4.1), ("nas_depth_published", 3.6e6, 2.5)],
)
def test_totals_are_the_papers(name: str, params: float, gflop: float) -> None:
    summary = summarise(zoo.architecture(name), HEADS, (256, 256))
    assert summary.params == pytest.approx(params, rel=0.03)
    assert summary.flops / 1e9 == pytest.approx(gflop, rel=0.05)


def test_what_is_shared_is_all_but_the_heads() -> None:
    for name in ("base", "ednas_cityscapes_published"):
        rows = summarise(zoo.architecture(name), HEADS, (64, 128)).blocks
        heads = sum(row.params for row in rows if row.name.startswith("head."))
        assert count_shared(zoo.architecture(name), HEADS) == sum(row.params for row in rows) - heads
    assert count_shared(zoo.architecture("base"), {"depth": 1}) == 0


@pytest.mark.parametrize("sharing", ["single", "branching(at=3)", "mtan", "cross_stitch", "sluice", "nddr"])
def test_of_other_ways_to_share_it_is_what_several_tasks_read(sharing: str) -> None:
    architecture, heads = small_architecture().with_parts(sharing=sharing), {"segmentation": 4, "depth": 1}
    network = MultiTaskNetwork(architecture, heads)
    shared = 0
    predicted = network(torch.rand(2, 3, 64, 64))
    for weight in network.parameters():
        grads = [torch.autograd.grad(y.square().sum(), weight, retain_graph=True, allow_unused=True)[0]
                 for y in predicted.values()]  # fmt: skip
        shared += weight.numel() * all(grad is not None for grad in grads)
    assert count_shared(architecture, heads) == shared
    assert (shared > 0) == (sharing != "single")
