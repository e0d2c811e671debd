"""Attention masks, worked out from the backbone's blocks."""

from __future__ import annotations

import torch
from helpers.small_training import small_architecture
from torch.nn import functional as F

from ednas.arch import load_architecture
from ednas.mtl.sharing.mtan import MTAN, _parts


def test_masks_pick_from_the_last_block_of_each_part():
    torch.manual_seed(0)
    architecture = small_architecture()
    sharing = MTAN(architecture, ("a", "b")).eval()
    image = torch.rand(1, 3, 64, 96)
    found = sharing(image)
    blocks = [block for stage in sharing.encoder.stages for block in stage]  # the stem first
    outputs = [image]
    for block in blocks:
        outputs.append(block(outputs[-1]))
    for task in range(2):
        before = None
        for part, end in enumerate(architecture.feature_blocks):
            last, shared = outputs[end + 1], outputs[end]
            read = shared
            if before is not None:
                read = torch.cat([shared, F.max_pool2d(sharing.refine[part - 1](before), 2)], 1)
            conv, norm, relu = sharing.masks[part][task][0]
            other, last_norm = sharing.masks[part][task][1]
            mask = torch.sigmoid(last_norm(other(relu(norm(conv(read))))))
            assert 0 < mask.min() < mask.max() < 1
            before = mask * last
            torch.testing.assert_close(found[task][part], before)


def test_the_bases_parts_are_those_of_its_strides():
    found = [*_parts(load_architecture("base"))]
    assert [part.stages for part in found] == [(0, 2), (2, 3), (3, 5), (5, 7)]
    assert [(part.shared, part.out) for part in found] == [(24, 24), (40, 40), (112, 112), (192, 320)]


def test_a_part_of_one_block_reads_that_block():
    text = "stem_c8 ibn_k3_s2_e2_c8 | ibn_k3_s2_e2_c16 | ibn_k3_s2_e2_c16 | ibn_k3_s2_e2_c24 bifpn_w8_d1 heads_l4"
    architecture = load_architecture(text)
    sharing = MTAN(architecture, ("a", "b"))
    assert [tuple(x.shape[1:]) for x in sharing(torch.rand(2, 3, 64, 64))[0]] == [
        (8, 16, 16), (16, 8, 8), (16, 4, 4), (24, 2, 2),
    ]  # fmt: skip
