from __future__ import annotations

import pytest

from ednas.report.cost.layout import count_layers, op_kind


@pytest.mark.parametrize(
    ("op", "kind"),
    [
        ("CONV_2D", "convolution"), ("FULLY_CONNECTED", "convolution"), ("DEPTHWISE_CONV_2D", "depthwise"),
        ("ADD", "elementwise"), ("RESIZE_BILINEAR", "pooling, resize"), ("MEAN", "pooling, resize"),
        ("PAD", "other operator"), ("CUSTOM:x", "other operator"),
    ],
)  # fmt: skip
def test_kinds_of_operators(op, kind):
    assert op_kind(op) == kind


def test_one_layer_is_not_plural():
    assert [count_layers(count) for count in (1, 2)] == ["1 layer", "2 layers"]
