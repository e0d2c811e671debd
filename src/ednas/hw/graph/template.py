"""Pieces of a network with open channels and sizes: traced once, filled in for thousands of blocks.

Every number in a piece is a polynomial in the channels, heights and widths of the module with small whole coefficients:
the projection of an inverted bottleneck, for example, has ``e * c * f`` weights. Tracing computes nothing, so channels
may be as large as the powers of some base, say f = 2048 and c = 2048^2; the digits of a number to that base are then
the polynomial's coefficients: 6 * 2048^3 weights are 6 * c * f. One trace gives the piece for all channels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from operator import mul
from typing import NamedTuple

from ednas.exceptions import TargetError
from ednas.hw.graph.layers import Piece, Shape


class Powers(NamedTuple):
    """What the powers of the base stand for (1 first), by what is counted.

    Attributes:
        heights: In heights.
        widths: In widths.
        channels: In channels, weights, parameters, and multiply-accumulates of one output pixel.
    """

    heights: Sequence[int]
    widths: Sequence[int]
    channels: Sequence[int]


@dataclass(frozen=True)
class Template:
    """A piece traced with powers of the base as its channels and sizes.

    Attributes:
        piece: The piece.
        base: The base; larger than any coefficient.
    """

    piece: Piece
    base: int

    def fill(self, powers: Powers, scope: str) -> Piece:
        """Return the piece for other channels and sizes.

        Args:
            powers: What stands in place of 1, the base, its square, ...
            scope: Scope of the layers.
        """
        heights, widths, channels = powers

        def number(value: int, values: Sequence[int]) -> int:
            return sum(map(mul, _digits(value, self.base), values))

        def shape(sides: Shape) -> Shape:
            return number(sides[0], heights), number(sides[1], widths), number(sides[2], channels)

        layers = []
        for layer in self.piece.layers:
            output = shape(layer.output)
            macs_per_pixel = layer.macs // (layer.output[0] * layer.output[1])
            layers.append(
                replace(
                    layer,
                    scope=scope,
                    input=shape(layer.input),
                    output=output,
                    groups=number(layer.groups, channels),
                    weight_bytes=number(layer.weight_bytes, channels),
                    macs=number(macs_per_pixel, channels) * output[0] * output[1],
                )
            )
        shapes = [
            (1, number(c, channels), number(h, heights), number(w, widths)) for _, c, h, w in self.piece.output_shapes
        ]
        return Piece(tuple(layers), self.piece.outputs, tuple(shapes), number(self.piece.params, channels))


def make_template(
    trace: Callable[[Sequence[int]], Piece],
    powers: Callable[[Sequence[int]], Powers],
    base: int,
    exponents: Sequence[int],
    trial: Sequence[int],
) -> Template | None:
    """Trace a template and try it out: where it does not give what another trace gives, there is none.

    One trial finds rounding and the like, but not every case of a module: tests compare all blocks with their traces.

    Args:
        trace: Traces the piece for given values of its open numbers.
        powers: What the powers of the base stand for, from those values.
        base: Larger than any coefficient.
        exponents: The power of the base that each open number takes; no two products that occur may share one.
        trial: Other values to trace the piece at.
    """
    try:
        template = Template(trace([base**exponent for exponent in exponents]), base)
        traced = trace(trial)
        filled = template.fill(powers(trial), traced.layers[0].scope)
    except TargetError:  # what cannot be traced here may be possible with ordinary numbers
        return None
    return template if _content(filled) == _content(traced) else None


def _content(piece: Piece) -> tuple[object, ...]:
    return piece.layers, piece.outputs, piece.output_shapes, piece.params


@lru_cache(maxsize=1 << 16)
def _digits(number: int, base: int) -> tuple[int, ...]:
    """Return the digits of a number, the ones first."""
    digits = []
    while number:
        number, digit = divmod(number, base)
        digits.append(digit)
    return tuple(digits)
