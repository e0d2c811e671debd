"""A filled template is the piece that a trace gives, or there is no template."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from ednas.exceptions import TargetError
from ednas.hw.graph.layers import Piece
from ednas.hw.graph.lowering import trace
from ednas.hw.graph.template import Powers, Template, make_template

BASE = 1 << 10


def traced(build: Callable[[int, int], nn.Module]) -> Callable[[Sequence[int]], Piece]:
    def at(numbers: Sequence[int]) -> Piece:
        channels, filters, side = numbers
        with torch.device("meta"):
            module = build(channels, filters).eval()
        return trace(module, module, [(1, channels, 4 * side, 7)], "part")

    return at


def powers(numbers: Sequence[int]) -> Powers:
    c, f, side = numbers
    return Powers((1, side), (1, BASE), (1, f, c, c * f, c * c))


def template_of(build: Callable[[int, int], nn.Module]) -> Template | None:
    return make_template(traced(build), powers, BASE, (2, 1, 1), (7, 11, 5))


def bottleneck(channels: int, filters: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(channels, 3 * channels, 1, bias=False),
        nn.BatchNorm2d(3 * channels),
        nn.ReLU6(),
        nn.Conv2d(3 * channels, 3 * channels, 5, 2, 2, groups=3 * channels),
        nn.MaxPool2d(2),
        nn.BatchNorm2d(3 * channels),
        nn.Conv2d(3 * channels, filters, 1),
    )


BOTTLENECK = template_of(bottleneck)


@given(st.integers(2, 2000), st.integers(2, 2000), st.integers(2, 4000))
def test_a_template_gives_what_a_trace_gives(channels: int, filters: int, side: int) -> None:
    assert BOTTLENECK is not None
    numbers = (channels, filters, side)
    filled, expected = BOTTLENECK.fill(powers(numbers), "part"), traced(bottleneck)(numbers)
    assert [layer.op for layer in filled.layers][:3] == ["CONV_2D", "PAD", "DEPTHWISE_CONV_2D"]
    assert (filled.layers, filled.outputs) == (expected.layers, expected.outputs)
    assert (filled.output_shapes, filled.params) == (expected.output_shapes, expected.params)
    assert {layer.scope for layer in BOTTLENECK.fill(powers(numbers), "block 3").layers} == {"block 3"}


@pytest.mark.parametrize(
    "build",
    [
        lambda c, f: nn.Conv2d(c, max(1, f // 4), 1),
        lambda c, f: nn.Conv2d(c, -(-f // 8) * 8, 1),
        lambda c, f: nn.Sequential(nn.Conv2d(c, f, 1), *[nn.Conv2d(f, f, 1)] * (f > 100)),
        lambda c, f: nn.Sequential(nn.Conv2d(c, f, 1), nn.Conv2d(f, 2 * BASE, 1)),
    ],
)
def test_what_is_no_polynomial_with_small_coefficients_has_no_template(build: Callable[[int, int], nn.Module]) -> None:
    assert template_of(build) is None


def test_what_cannot_be_traced_has_no_template() -> None:
    def refuse(numbers: Sequence[int]) -> Piece:
        raise TargetError("too large")

    assert make_template(refuse, powers, BASE, (2, 1, 1), (7, 11, 5)) is None
