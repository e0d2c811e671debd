"""Layers as operators of a TFLite file, one function a kind of operator."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import permutations
from math import isqrt, prod
from typing import TypeAlias

import numpy as np
import tflite

from ednas.hw.graph.layers import Layer, Shape, sides_text
from ednas.hw.tflite.draft import Step
from ednas.hw.tflite.serialise import Tensor


def _extent(layer: Layer) -> tuple[int, int]:
    height, width = layer.kernel
    return (height - 1) * layer.dilation + 1, (width - 1) * layer.dilation + 1


def _write_convolution(step: Step, sources: Sequence[int]) -> int:
    layer = step.layer
    source = step.only(sources)
    shape = (layer.output[2], *layer.kernel, layer.input[2] // layer.groups)
    parameters = step.parameters(source, shape, 0, prod(shape[1:]))
    dilation = {"DilationHFactor": layer.dilation, "DilationWFactor": layer.dilation}
    return step.emit([source, *parameters], "Conv2DOptions", **step.window(_extent(layer)), **dilation)


def _write_depthwise(step: Step, sources: Sequence[int]) -> int:
    layer = step.layer
    source = step.only(sources)
    multiplier, rest = divmod(layer.output[2], layer.input[2])
    if rest:
        raise step.error(f"{layer.output[2]} output channels are no multiple of {layer.input[2]} input channels")
    parameters = step.parameters(source, (1, *layer.kernel, layer.output[2]), 3, prod(layer.kernel))
    return step.emit(
        [source, *parameters],
        "DepthwiseConv2DOptions",
        **step.window(_extent(layer)),
        DepthMultiplier=multiplier,
        DilationHFactor=layer.dilation,
        DilationWFactor=layer.dilation,
    )


def _write_transposed(step: Step, sources: Sequence[int]) -> int:
    layer = step.layer
    if layer.groups > 1 or layer.dilation > 1:
        raise step.error("TFLite has no transposed convolution with groups or dilation; replace it")
    source = step.only(sources)
    sides = tuple(zip(layer.input[:2], layer.output[:2], layer.kernel, strict=True))
    if all(after == before * layer.stride for before, after, _ in sides):
        padding = tflite.Padding.SAME
    elif all(after == (before - 1) * layer.stride + max(kernel, layer.stride) for before, after, kernel in sides):
        padding = tflite.Padding.VALID
    else:
        raise step.error(f"neither SAME nor VALID padding maps {step.shapes} with stride {layer.stride}")
    shape = (layer.output[2], *layer.kernel, layer.input[2])
    weights, bias = step.parameters(source, shape, 0, prod(shape[1:]))
    size = step.draft.integers(f"{step.name}.shape", 1, *layer.output)
    strides = {"StrideH": layer.stride, "StrideW": layer.stride}
    return step.emit([size, weights, source, bias], "TransposeConvOptions", Padding=padding, **strides)


def _write_fully_connected(step: Step, sources: Sequence[int]) -> int:
    layer = step.layer
    source = step.only(sources)
    channels = layer.output[2]
    rows = layer.output[0] * layer.output[1]
    inputs, rest = divmod(prod(layer.input), rows)
    if rest:
        raise step.error(f"an input of {sides_text(layer.input)} is not {rows} rows")
    parameters = step.parameters(source, (channels, inputs), 0, inputs, per_channel=False)
    return step.emit_as(layer.op, (rows, channels), [source, *parameters], "FullyConnectedOptions")


def _write_product(step: Step, sources: Sequence[int]) -> int:
    if len(sources) != 2:
        raise step.error(f"reads {len(sources)} layers, must read 2")
    layer = step.layer
    left = step.image(sources[0], layer.input)
    right = step.image(sources[1], (layer.input[0], layer.input[2], layer.output[2]))
    return step.emit([left, right], "BatchMatMulOptions")


def _write_binary(step: Step, sources: Sequence[int]) -> int:
    layer = step.layer
    tensors = [_broadcast(step, source) for source in sources]
    if len(tensors) == 1:
        tensors.append(step.constant_operand(layer.output[2] if layer.weight_bytes else 1))
    if len(tensors) != 2:
        raise step.error(f"reads {len(tensors)} layers, must read 1 or 2")
    shapes = [(1, 1, 1, *step.draft.tensors[tensor].shape)[-3:] for tensor in tensors]
    if tuple(map(max, *shapes)) != layer.output:
        raise step.error(f"operands of {' and '.join(map(sides_text, shapes))} do not give {sides_text(layer.output)}")
    return step.emit(tensors, BINARY[layer.op])


def _broadcast(step: Step, source: int) -> int:
    """Return an operand as an image that can be broadcast to the layer's output."""
    shape = step.draft.tensors[source].shape
    output = step.layer.output
    if prod(shape) == prod(output):
        return step.image(source, output)
    image: Shape = (1, 1, 1, *shape[1:])[-3:]  # type: ignore[assignment]
    if any(side not in (1, wanted) for side, wanted in zip(image, output, strict=True)):
        raise step.error(f"an operand of {sides_text(image)} cannot be broadcast to {sides_text(output)}")
    return step.image(source, image)


def _write_prelu(step: Step, sources: Sequence[int]) -> int:
    return step.emit([step.only(sources), step.constant_operand(step.layer.output[2])])


def _write_concatenation(step: Step, sources: Sequence[int]) -> int:
    output = step.layer.output
    images = [(1, 1, *step.draft.tensors[source].shape[1:])[-3:] for source in sources]
    for axis in (2, 1, 0):
        others = [side for side in range(3) if side != axis]
        aligned = all(image[side] == output[side] for image in images for side in others)
        if aligned and sum(image[axis] for image in images) == output[axis]:
            tensors = [step.image(source, image) for source, image in zip(sources, images, strict=True)]  # type: ignore[arg-type]
            return step.emit(tensors, "ConcatenationOptions", Axis=axis + 1)
    parts = ", ".join(map(sides_text, images))
    raise step.error(f"its inputs ({parts}) do not join to {sides_text(output)}; name its producers in 'inputs'")


def _write_padding(step: Step, sources: Sequence[int]) -> int:
    layer = step.layer
    source = step.only(sources)
    added = [after - before for before, after in zip(layer.input, layer.output, strict=True)]
    if min(added) < 0:
        raise step.error(f"cannot pad {step.shapes}")
    paddings = [(0, 0), *((count // 2, count - count // 2) for count in added)]
    inputs = [source, step.draft.integers(f"{step.name}.paddings", *paddings)]
    if layer.op == "PADV2":
        # The least value, which is what padding before a maximum takes.
        least = np.array([-128], np.int8) if step.draft.is_int8 else np.array([np.finfo(np.float32).min])
        inputs.append(step.draft.constant(f"{step.name}.value", step.draft.type, least, step.quantisation))
    return step.emit(inputs, _PADS[layer.op])


def _write_pool(step: Step, sources: Sequence[int]) -> int:
    layer = step.layer
    _check_channels(step)
    if layer.dilation > 1:
        raise step.error("TFLite has no pooling with dilation; replace it")
    height, width = layer.kernel
    return step.emit(
        [step.only(sources)], "Pool2DOptions", **step.window(layer.kernel), FilterHeight=height, FilterWidth=width
    )


def _write_reduction(step: Step, sources: Sequence[int]) -> int:
    layer = step.layer
    kept = [after == before for before, after in zip(layer.input, layer.output, strict=True)]
    if any(after not in (1, before) for before, after in zip(layer.input, layer.output, strict=True)):
        raise step.error(f"cannot reduce {step.shapes}: a reduced side must be 1")
    axes = [side + 1 for side in range(3) if not kept[side]] or [1, 2]
    axis = step.draft.integers(f"{step.name}.axes", *axes)
    return step.emit([step.only(sources), axis], "ReducerOptions", KeepDims=True)


def _write_index(step: Step, sources: Sequence[int]) -> int:
    """Write an arg max or arg min, whose output lacks the axis that it searches."""
    layer = step.layer
    shapes = {axis: tuple(np.delete((1, *layer.input), axis).tolist()) for axis in (3, 2, 1)}
    axis = next((axis for axis, shape in shapes.items() if prod(shape) == prod(layer.output)), 0)
    if not axis:
        raise step.error(f"no axis of {sides_text(layer.input)} leaves {sides_text(layer.output)}")
    inputs = [step.only(sources), step.draft.constant(f"{step.name}.axis", "INT32", np.array(axis, np.int32))]
    output = Tensor(step.name, shapes[axis], "INT32")
    options = "ArgMaxOptions" if layer.op == "ARG_MAX" else "ArgMinOptions"
    return step.draft.operator(layer.op, inputs, output, options, OutputType=tflite.TensorType.INT32)


def _write_resize(step: Step, sources: Sequence[int]) -> int:
    layer = step.layer
    _check_channels(step)
    inputs = [step.only(sources), step.draft.integers(f"{step.name}.size", *layer.output[:2])]
    if layer.op == "RESIZE_BILINEAR":
        return step.emit(inputs, "ResizeBilinearOptions", HalfPixelCenters=True)
    return step.emit(inputs, "ResizeNearestNeighborOptions")


def _write_reshape(step: Step, sources: Sequence[int]) -> int:
    layer = step.layer
    if prod(layer.input) != prod(layer.output):
        raise step.error(f"cannot reshape {step.shapes}")
    shape = (1, *layer.output)
    return step.emit_as("RESHAPE", shape, [step.only(sources), step.draft.integers(f"{step.name}.shape", *shape)])


def _write_mirror_pad(step: Step, sources: Sequence[int]) -> int:
    layer = step.layer
    if any(after - before > 2 * (before - 1) for before, after in zip(layer.input, layer.output, strict=True)):
        raise step.error(f"{sides_text(layer.input)} has too few elements to mirror for {sides_text(layer.output)}")
    return _write_padding(step, sources)


def _write_transposition(step: Step, sources: Sequence[int]) -> int:
    layer = step.layer
    for order in permutations(range(3)):
        if order != (0, 1, 2) and tuple(layer.input[side] for side in order) == layer.output:
            permutation = step.draft.integers(f"{step.name}.order", 0, *(side + 1 for side in order))
            return step.emit([step.only(sources), permutation], "TransposeOptions")
    raise step.error(f"no order of the axes of {sides_text(layer.input)} gives {sides_text(layer.output)}")


def _write_slice(step: Step, sources: Sequence[int]) -> int:
    layer = step.layer
    if any(after > before for before, after in zip(layer.input, layer.output, strict=True)):
        raise step.error(f"{sides_text(layer.output)} is no part of {sides_text(layer.input)}")
    names = ("begin", "end", "strides") if layer.op == "STRIDED_SLICE" else ("begin", "size")
    values = {"begin": (0, 0, 0, 0), "end": (1, *layer.output), "size": (1, *layer.output), "strides": (1, 1, 1, 1)}
    constants = [step.draft.integers(f"{step.name}.{name}", *values[name]) for name in names]
    options = "StridedSliceOptions" if layer.op == "STRIDED_SLICE" else "SliceOptions"
    return step.emit([step.only(sources), *constants], options)


def _write_rearrangement(step: Step, sources: Sequence[int]) -> int:
    """Write a depth-to-space or space-to-depth, whose block is what the channels tell."""
    layer = step.layer
    deep, flat = (layer.input, layer.output) if layer.op == "DEPTH_TO_SPACE" else (layer.output, layer.input)
    block = isqrt(deep[2] // flat[2])
    if flat != (deep[0] * block, deep[1] * block, deep[2] // max(block, 1) ** 2):
        raise step.error(f"no block size maps {step.shapes}")
    options = "DepthToSpaceOptions" if layer.op == "DEPTH_TO_SPACE" else "SpaceToDepthOptions"
    return step.emit([step.only(sources)], options, BlockSize=block)


def _write_unary(step: Step, sources: Sequence[int]) -> int:
    layer = step.layer
    if layer.input != layer.output:
        raise step.error(f"cannot map {step.shapes}, its output has its input's shape")
    options, fields = _UNARY[layer.op]
    return step.emit([step.only(sources)], options, **fields)


def _check_channels(step: Step) -> None:
    if step.layer.input[2] != step.layer.output[2]:
        raise step.error(f"cannot turn {step.layer.input[2]} channels into {step.layer.output[2]}")


_PADS = {"PAD": "PadOptions", "PADV2": "PadV2Options", "MIRROR_PAD": "MirrorPadOptions"}

BINARY = {
    "ADD": "AddOptions",
    "DIV": "DivOptions",
    "MAXIMUM": "MaximumMinimumOptions",
    "MINIMUM": "MaximumMinimumOptions",
    "MUL": "MulOptions",
    "POW": "PowOptions",
    "SQUARED_DIFFERENCE": "SquaredDifferenceOptions",
    "SUB": "SubOptions",
}
"""Element-wise operators of two operands, with their options."""

_UNARY: dict[str, tuple[str, dict[str, float]]] = {
    "ABS": ("AbsOptions", {}),
    "COS": ("CosOptions", {}),
    "ELU": ("", {}),
    "EXP": ("ExpOptions", {}),
    "FLOOR": ("", {}),
    "GELU": ("GeluOptions", {}),
    "HARD_SWISH": ("HardSwishOptions", {}),
    "L2_NORMALIZATION": ("L2NormOptions", {}),
    "LEAKY_RELU": ("LeakyReluOptions", {"Alpha": 0.1}),
    "LOG": ("", {}),
    "LOGISTIC": ("", {}),
    "LOG_SOFTMAX": ("LogSoftmaxOptions", {}),
    "NEG": ("NegOptions", {}),
    "QUANTIZE": ("QuantizeOptions", {}),
    "RELU": ("", {}),
    "RELU6": ("", {}),
    "RELU_0_TO_1": ("", {}),
    "RELU_N1_TO_1": ("", {}),
    "ROUND": ("", {}),
    "RSQRT": ("", {}),
    "SIN": ("", {}),
    "SOFTMAX": ("SoftmaxOptions", {"Beta": 1.0}),
    "SQRT": ("", {}),
    "SQUARE": ("SquareOptions", {}),
    "TANH": ("", {}),
}
"""Element-wise operators of one operand, with their options."""

_Writer: TypeAlias = Callable[[Step, Sequence[int]], int]
WRITERS: dict[str, _Writer] = {
    "ARG_MAX": _write_index,
    "ARG_MIN": _write_index,
    "AVERAGE_POOL_2D": _write_pool,
    "BATCH_MATMUL": _write_product,
    "CONCATENATION": _write_concatenation,
    "CONV_2D": _write_convolution,
    "DEPTHWISE_CONV_2D": _write_depthwise,
    "DEPTH_TO_SPACE": _write_rearrangement,
    "EXPAND_DIMS": _write_reshape,
    "FULLY_CONNECTED": _write_fully_connected,
    "MAX_POOL_2D": _write_pool,
    "MEAN": _write_reduction,
    "MIRROR_PAD": _write_mirror_pad,
    "PAD": _write_padding,
    "PADV2": _write_padding,
    "PRELU": _write_prelu,
    "REDUCE_MAX": _write_reduction,
    "REDUCE_MIN": _write_reduction,
    "RESHAPE": _write_reshape,
    "RESIZE_BILINEAR": _write_resize,
    "RESIZE_NEAREST_NEIGHBOR": _write_resize,
    "SLICE": _write_slice,
    "SPACE_TO_DEPTH": _write_rearrangement,
    "SQUEEZE": _write_reshape,
    "STRIDED_SLICE": _write_slice,
    "SUM": _write_reduction,
    "TRANSPOSE": _write_transposition,
    "TRANSPOSE_CONV": _write_transposed,
    **dict.fromkeys(BINARY, _write_binary),
    **dict.fromkeys(_UNARY, _write_unary),
}
