"""Shapes of what an ncnn layer makes: as the file says them, else as they follow from its parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import ceil, prod

from ednas.exceptions import TargetError
from ednas.hw.graph.layers import Shape, sides_text
from ednas.hw.ncnn.param_file import Call, Sides

INPUT, CONSTANT = "Input", "MemoryData"

_SAME = -233, -234
"""Paddings that keep the size, but for the stride; -233 also says "not given"."""

_NOT_GIVEN = -233
_MOST_ELEMENTS = 1 << 40
_BOXES = (100, 6)
"""What a detector finds: the number depends on the image, and no cost on it."""


def made_sides(call: Call, read: Sequence[Sides]) -> list[Sides]:
    """Return the shapes of what a call makes: as the file says them, else as they follow from its parameters.

    Raises:
        TargetError: They do not, or are too large.
    """
    if not read and call.kind not in (INPUT, CONSTANT):
        raise call.error("reads nothing")
    if not call.outputs:
        raise call.error("makes nothing")
    made = list(call.hints) or _SHAPES.get(call.kind, _same)(call, read)
    for sides in made:
        if not sides or min(sides) < 1 or prod(sides) > _MOST_ELEMENTS:
            raise call.error(f"makes {sides_text(sides) or 'nothing'}, which cannot be")
    if len(made) != len(call.outputs):
        raise call.error(f"has {len(made)} shapes for {len(call.outputs)} outputs")
    return made


def hwc(sides: Sides) -> Shape:
    """Return height, width and channels."""
    if len(sides) < 3:
        *_, rows, columns = 1, *sides
        return 1, rows, columns
    channels, height, width = image(sides)
    return height, width, channels


def image(sides: Sides) -> tuple[int, int, int]:
    """Return channels, height and width, as a layer for images takes a shape."""
    if len(sides) == 1:
        return sides[0], 1, 1
    if len(sides) == 2:
        return 1, sides[0], sides[1]
    return sides[0], prod(sides[1:-1]), sides[-1]


def _same(call: Call, read: Sequence[Sides]) -> list[Sides]:
    return [read[0]] * len(call.outputs)


def _given(call: Call, _read: Sequence[Sides]) -> list[Sides]:
    """Sides as parameters: width, height, channels and depth."""
    width, height, channels, depth = (call.integer(key) for key in (0, 1, 2, 11))
    return [tuple(side for side in (channels, depth, height, width) if side)]


def _convolved(call: Call, read: Sequence[Sides]) -> list[Sides]:
    kernel, stride, dilation = call.pair(1, 11), call.pair(3, 13), call.pair(2, 12)
    _, height, width = image(read[0])
    reach = [(side - 1) * by + 1 for side, by in zip(kernel, dilation, strict=True)]
    pads = _pads(call, (14, 16), (4, 15))
    sides = []
    for side, own, step, (before, after) in zip((height, width), reach, stride, pads, strict=True):
        if before in _SAME:
            sides.append(ceil(side / step))
        elif call.kind.startswith("Deconvolution"):
            sides.append((side - 1) * step + own - before - after)
        else:
            sides.append((side + before + after - own) // step + 1)
    if call.kind.startswith("Deconvolution"):
        added = call.integer(19), call.integer(18)
        asked = call.integer(21), call.integer(20)
        sides = [given or side + more for given, side, more in zip(asked, sides, added, strict=True)]
    return [(call.count(0), *sides)]


def _pooled(call: Call, read: Sequence[Sides]) -> list[Sides]:
    channels, height, width = image(read[0])
    if call.integer(4):
        return [(channels,)]
    if call.integer(7):  # adaptive: windows that give so many rows and columns, or keep their number
        asked = call.integer(18, _NOT_GIVEN), call.integer(8, _NOT_GIVEN)
        rows, columns = (
            side if given == _NOT_GIVEN else given for given, side in zip(asked, (height, width), strict=True)
        )
        return [(channels, rows, columns)]
    kernel, stride = call.pair(1, 11), call.pair(2, 12)
    pads = _pads(call, (13, 15), (3, 14))
    mode = call.integer(5)
    sides = []
    for side, own, step, (before, after) in zip((height, width), kernel, stride, pads, strict=True):
        if mode > 1:
            sides.append(ceil(side / step))
        else:
            room = side + before + after - own
            sides.append((room // step if mode else ceil(room / step)) + 1)
    return [(channels, *sides)]


def _multiplied(call: Call, read: Sequence[Sides]) -> list[Sides]:
    columns = call.count(0)
    weights = call.integer(2)
    is_rows = len(read[0]) == 2 and read[0][0] > 1 and read[0][1] * columns == weights
    return [(read[0][0], columns) if is_rows else (columns,)]


def _gemm_sides(call: Call, read: Sequence[Sides]) -> list[Sides]:
    if not call.integer(5):
        return _matmul_sides(call, read)
    depth = call.count(9)
    if prod(read[0]) % depth:
        raise call.error(f"multiplies {sides_text(read[0])} by {depth} rows")
    return [(prod(read[0]) // depth, call.count(8))]


def _matmul_sides(call: Call, read: Sequence[Sides]) -> list[Sides]:
    if len(read) < 2:
        raise call.error("reads one tensor, must read two")
    depth, columns = read[1][-2:] if len(read[1]) > 1 else (read[1][0], 1)
    if call.integer(3 if call.kind == "Gemm" else 0):  # the second is transposed
        depth, columns = columns, depth
    if depth != read[0][-1]:
        raise call.error(f"multiplies {sides_text(read[0])} by {sides_text(read[1])}")
    return [(*read[0][:-1], columns)]


def _broadcast(call: Call, read: Sequence[Sides]) -> list[Sides]:
    whole = max(read, key=lambda sides: (len(sides), prod(sides)))
    made = list(whole)
    for sides in read:
        if len(sides) < len(whole):  # along the outermost sides, or the innermost
            fits = sides in (whole[: len(sides)], whole[-len(sides) :]) or prod(sides) == 1
        else:
            fits = all(1 in pair or pair[0] == pair[1] for pair in zip(sides, whole, strict=True))
            made = list(map(max, made, sides))
        if not fits:
            raise call.error(f"{sides_text(sides)} does not go with {sides_text(whole)}")
    return [tuple(made)]


def _equal(call: Call, read: Sequence[Sides]) -> list[Sides]:
    if len(set(read)) > 1:
        raise call.error(f"reads {' and '.join(map(sides_text, read[:2]))}, which must be equal")
    return [read[0]]


def _concatenated(call: Call, read: Sequence[Sides]) -> list[Sides]:
    axis = _axis(call, call.integer(0), read[0])
    if len({(*sides[:axis], *sides[axis + 1 :]) for sides in read}) > 1:
        raise call.error(f"joins {' and '.join(map(sides_text, read[:2]))}, which differ in other sides than {axis}")
    return [(*read[0][:axis], sum(sides[axis] for sides in read), *read[0][axis + 1 :])]


def _sliced(call: Call, read: Sequence[Sides]) -> list[Sides]:
    axis = _axis(call, call.integer(1), read[0])
    sizes = list(call.integers(0)) or [_NOT_GIVEN] * len(call.outputs)
    left = read[0][axis]
    for place, size in enumerate(sizes):
        sizes[place] = left // (len(sizes) - place) if size == _NOT_GIVEN else size
        left -= sizes[place]
    return [(*read[0][:axis], size, *read[0][axis + 1 :]) for size in sizes]


def _cropped(call: Call, read: Sequence[Sides]) -> list[Sides]:
    starts, ends, axes = (call.integers(key) for key in (9, 10, 11))
    sizes = [call.integer(key) for key in (5, 4, 3)]  # an older form: channels, height, width
    if not starts and all(sizes):
        return [tuple(sizes)]
    if not starts or len(starts) != len(ends):
        raise _unknown(call)
    sides = list(read[0])
    for start, end, axis in zip(starts, ends, axes or range(len(starts)), strict=False):
        place = _axis(call, axis, read[0])
        side = sides[place]
        first, last = (min(bound + side if bound < 0 else bound, side) for bound in (start, end))
        sides[place] = last - first
    return [tuple(sides)]


def _reshaped(call: Call, read: Sequence[Sides]) -> list[Sides]:
    width, height, channels = (call.integer(key, _NOT_GIVEN) for key in (0, 1, 2))
    sides = [side for side in (channels, height, width) if side != _NOT_GIVEN]
    old = read[0]
    sides = [
        old[place - len(sides)] if side == 0 and len(sides) - place <= len(old) else side
        for place, side in enumerate(sides)
    ]
    known = prod(side for side in sides if side != -1)
    if known and -1 in sides:
        sides[sides.index(-1)] = prod(old) // known
    if prod(sides) != prod(old):
        raise call.error(f"gives {sides_text(old)} the shape {sides_text(sides)}")
    return [tuple(sides)]


_ORDERS = ("WHC", "HWC", "WCH", "CWH", "HCW", "CHW")
"""Of a permutation: its sides from the innermost, by their names before it."""


def _permuted(call: Call, read: Sequence[Sides]) -> list[Sides]:
    number = call.integer(0)
    if len(read[0]) == 2:
        return [read[0][::-1] if number else read[0]]
    if len(read[0]) != 3 or not 0 <= number < len(_ORDERS):
        raise _unknown(call)
    by_name = dict(zip("CHW", read[0], strict=True))
    return [tuple(by_name[name] for name in reversed(_ORDERS[number]))]


def _resized(call: Call, read: Sequence[Sides]) -> list[Sides]:
    channels, height, width = image(read[0])
    if len(read) > 1:  # to the size of another tensor
        return [(channels, *image(read[1])[1:])]
    return [
        (
            channels,
            call.integer(3) or int(height * call.number(1, 1.0)),
            call.integer(4) or int(width * call.number(2, 1.0)),
        )
    ]


def _padded(call: Call, read: Sequence[Sides]) -> list[Sides]:
    top, bottom, left, right, front, behind = (call.integer(key) for key in (0, 1, 2, 3, 7, 8))
    channels, height, width = image(read[0])
    return [(channels + front + behind, height + top + bottom, width + left + right)]


def _shuffled(call: Call, read: Sequence[Sides]) -> list[Sides]:
    channels, height, width = image(read[0])
    by = call.count(0, 1)
    if call.kind == "Reorg":
        return [(channels * by * by, height // by, width // by)]
    return [(channels // (by * by), height * by, width * by)]


def _reduced(call: Call, read: Sequence[Sides]) -> list[Sides]:
    axes = {_axis(call, axis, read[0]) for axis in call.integers(3)}
    if call.integer(1, 1) or not axes:
        axes = set(range(len(read[0])))
    if call.integer(4):
        return [tuple(1 if place in axes else side for place, side in enumerate(read[0]))]
    return [tuple(side for place, side in enumerate(read[0]) if place not in axes) or (1,)]


def _found(_call: Call, _read: Sequence[Sides]) -> list[Sides]:
    return [_BOXES]


def _flattened(_call: Call, read: Sequence[Sides]) -> list[Sides]:
    return [(prod(read[0]),)]


def _not_known(call: Call, _read: Sequence[Sides]) -> list[Sides]:
    raise _unknown(call)


_SHAPES: Mapping[str, Callable[[Call, Sequence[Sides]], list[Sides]]] = {
    INPUT: _given,
    CONSTANT: _given,
    "BinaryOp": _broadcast,
    "Concat": _concatenated,
    "Convolution": _convolved,
    "ConvolutionDepthWise": _convolved,
    "Crop": _cropped,
    "Deconvolution": _convolved,
    "DeconvolutionDepthWise": _convolved,
    "DetectionOutput": _found,
    "Eltwise": _equal,
    "ExpandDims": _not_known,
    "Flatten": _flattened,
    "Gemm": _gemm_sides,
    "InnerProduct": _multiplied,
    "Interp": _resized,
    "MatMul": _matmul_sides,
    "Padding": _padded,
    "Permute": _permuted,
    "PixelShuffle": _shuffled,
    "Pooling": _pooled,
    "PriorBox": _not_known,
    "Reduction": _reduced,
    "Reorg": _shuffled,
    "Reshape": _reshaped,
    "Slice": _sliced,
    "Squeeze": _not_known,
    "Yolov3DetectionOutput": _found,
    "YoloDetectionOutput": _found,
}


def _pads(
    call: Call, vertical: tuple[int, int], horizontal: tuple[int, int]
) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return the rows above and below an image and the columns beside it, by their keys; or one of :data:`_SAME`."""
    left = call.integer(horizontal[0])
    top = call.integer(vertical[0], left)
    pads = (top, call.integer(vertical[1], top)), (left, call.integer(horizontal[1], left))
    for pad in (*pads[0], *pads[1]):
        if pad < 0 and pad not in _SAME:
            raise call.error(f"a padding of {pad}")
    return pads


def _axis(call: Call, axis: int, sides: Sides) -> int:
    if not -len(sides) <= axis < len(sides):
        raise call.error(f"axis {axis} of a tensor {sides_text(sides)}")
    return axis % len(sides)


def _unknown(call: Call) -> TargetError:
    return call.error("the file does not say its shape; write it anew with ncnn's ncnnoptimize, which adds shapes")
