"""The blocks in which an Ethos-U55 or U65 reads an image.

An image is stored pixel by pixel and read in bursts of which a few bytes are used, so how often its blocks read it is
what its layer takes. Vela, Arm's compiler, tries all blocks that fit into the engine's own memory, and takes the one
that fetches least for an element of the output. Where two blocks hold the input of a stripe, it counts their price
half: this may well cut the filters once more, and the image is read twice as often. So here blocks are whole, and the
compiler's choice is made as it makes it.
"""

from __future__ import annotations

from functools import lru_cache
from math import ceil, inf
from typing import NamedTuple

_LARGEST = (32, 64, 128)
"""Height, width and channels of the largest block."""

_SLICE = 16
"""Filters are cut at multiples of this."""

_STORED_CHANNELS = 8
"""Channels that a pixel of the image takes in the engine's memory."""

_ACCUMULATOR_BYTES = 4
_KIB = 1 << 10


class EngineMemory(NamedTuple):
    """The memory of an engine.

    Attributes:
        kib: Its size, twice that of a block's accumulators and input: the other half is for the next block.
        accumulator_granule: KiB in multiples of which accumulators are allotted.
        input_granule: KiB in multiples of which the input is.
        micro_block: Height, width and channels of the output that the engine makes at once.
    """

    kib: int
    accumulator_granule: int
    input_granule: int
    micro_block: tuple[int, int, int]


class ImageLayer(NamedTuple):
    """A convolution over an image.

    Attributes:
        height: Of its output, or of a stripe of it.
        width: Of its output.
        filters: Channels of its output.
        kernel: Height and width of its window.
        stride: Its stride.
        input_width: Width of the image.
        channels: Of the image.
    """

    height: int
    width: int
    filters: int
    kernel: tuple[int, int]
    stride: int
    input_width: int
    channels: int


class _Block(NamedTuple):
    """A block of the output, and the size of the input that it reads."""

    height: int
    width: int
    filters: int
    input_height: int
    input_width: int


def elements_read(layer: ImageLayer, memory: EngineMemory, rows: int) -> int:
    """Return the elements of the image that all blocks of a layer read, where it is made in stripes of some rows."""
    block = _chosen(layer._replace(height=rows), memory)
    number = ceil(layer.height / block.height) * ceil(layer.width / block.width) * ceil(layer.filters / block.filters)
    return number * block.input_height * block.input_width * layer.channels


@lru_cache(maxsize=1 << 12)
def _chosen(layer: ImageLayer, memory: EngineMemory) -> _Block:
    high, wide, deep = memory.micro_block
    largest = [
        _up(min(side, most), micro) for side, most, micro in zip(layer[:3], _LARGEST, memory.micro_block, strict=True)
    ]
    chosen, least = _Block(high, wide, deep, 0, 0), inf
    for filters in range(deep, largest[2] + 1, deep):
        if filters % _SLICE and filters < layer.filters:
            continue
        for height in range(high, largest[0] + 1, high):
            for width in range(wide, largest[1] + 1, wide):
                block = _Block(height, width, filters, *_input_size(layer, height, width, memory))
                if not _fits(block, memory):
                    break
                price = _price(layer, block)
                if price < least:
                    chosen, least = block, price
    return chosen


def _input_size(layer: ImageLayer, height: int, width: int, memory: EngineMemory) -> tuple[int, int]:
    sides = zip((height, width), layer.kernel, memory.micro_block, strict=False)
    rows, columns = [_up((side - 1) * layer.stride + kernel, micro) for side, kernel, micro in sides]
    return rows, columns


def _fits(block: _Block, memory: EngineMemory) -> bool:
    input_kib = 2 * ceil(block.input_height * block.input_width * _STORED_CHANNELS / _KIB)
    accumulator_kib = 2 * ceil(block.height * block.width * block.filters * _ACCUMULATOR_BYTES / _KIB)
    needed = _up(input_kib, memory.input_granule) + _up(accumulator_kib, memory.accumulator_granule)
    return needed <= memory.kib


def _price(layer: ImageLayer, block: _Block) -> float:
    """Return what a block fetches of the image and of weights, for all of the output."""
    blocks = layer.height * layer.width / (block.height * block.width)
    whole_blocks = ceil(layer.height / block.height) * ceil(layer.width / block.width)
    image = block.input_height * block.input_width * layer.channels * blocks * ceil(layer.filters / block.filters)
    weights = layer.kernel[0] * layer.kernel[1] * layer.channels * layer.filters * whole_blocks
    input_rows = (layer.height - 1) * layer.stride + layer.kernel[0]
    held = 2 * block.input_height * block.input_width * _STORED_CHANNELS
    is_held = input_rows * layer.input_width * layer.channels < held
    return (image + weights) / 2 if is_held else image + weights


def _up(value: int, step: int) -> int:
    return -(-value // step) * step
