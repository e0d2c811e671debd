"""What a layer of an ncnn file computes: TFLite's operators, from its parameters and the shapes that it reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any

from ednas.exceptions import hint
from ednas.hw.graph.layers import BIAS_BYTES, DTYPE_BITS, Layer, Shape
from ednas.hw.ncnn.param_file import Call, Sides
from ednas.hw.ncnn.shapes import hwc, image


def call_layers(call: Call, read: Sequence[Sides], made: Sides) -> list[Layer]:
    """Return the layers of a call, the first of which reads its inputs, and each other the one before it.

    Args:
        call: The call.
        read: Shapes of its inputs.
        made: Shape of its first output.

    Raises:
        TargetError: A parameter contradicts the shapes.
    """
    if call.kind in _PRODUCTS:
        return _PRODUCTS[call.kind](call, read, made)
    source, result = hwc(read[0]) if read else hwc(made), hwc(made)
    if call.kind == "Pooling":
        op = "AVERAGE_POOL_2D" if call.integer(0) else "MAX_POOL_2D"
        if call.integer(4):  # over all of it
            return [_layer(call, op, source, result, kernel=source[:2])]
        if call.integer(7):  # adaptive
            kernel = -(-source[0] // result[0]), -(-source[1] // result[1])
            return [_layer(call, op, source, result, kernel=kernel, stride=max(kernel))]
        return [_layer(call, op, source, result, kernel=call.pair(1, 11), stride=max(call.pair(2, 12)))]
    if call.kind == "Concat":
        return [_layer(call, "CONCATENATION", result, result)]
    if call.kind == "Slice":
        return [_layer(call, "SPLIT", source, source)]
    return [_layer(call, _operator(call), source, result)]


# What is multiplied: layers with weights, and attention.


def _convolution(call: Call, read: Sequence[Sides], made: Sides) -> list[Layer]:
    kernel, stride, dilation = call.pair(1, 11), call.pair(3, 13), call.pair(2, 12)
    groups = call.count(7, 1) if call.kind.endswith("DepthWise") else 1
    source, result = hwc(image(read[0])), hwc(image(made))
    if source[2] % groups or result[2] % groups:
        raise call.error(f"{groups} groups do not divide {source[2]} input and {result[2]} output channels")
    weights = prod(kernel) * source[2] // groups * result[2]
    is_transposed = call.kind.startswith("Deconvolution")
    _check_weights(call, 6, weights)
    op = "DEPTHWISE_CONV_2D" if groups == source[2] and groups > 1 else "CONV_2D"
    pixels = source if is_transposed else result
    return [
        _layer(
            call,
            "TRANSPOSE_CONV" if is_transposed else op,
            source,
            result,
            weights=weights,
            biases=result[2] * call.integer(5),
            kernel=kernel,
            stride=max(stride),
            dilation=max(dilation),
            groups=groups,
            macs=pixels[0] * pixels[1] * weights,
        )
    ]


def _inner_product(call: Call, read: Sequence[Sides], made: Sides) -> list[Layer]:
    columns = call.count(0)
    rows = prod(made) // columns
    depth = prod(read[0]) // rows if rows else 0
    _check_weights(call, 2, depth * columns)
    return [_product(call, rows, depth, columns, columns * call.integer(1))]


def _gemm(call: Call, read: Sequence[Sides], made: Sides) -> list[Layer]:
    columns = made[-1]
    rows = prod(made) // columns
    depth = prod(read[0]) // rows
    if not call.integer(5):  # both sides are computed
        return [_layer(call, "BATCH_MATMUL", (1, rows, depth), (1, rows, columns), macs=rows * depth * columns)]
    return [_product(call, rows, depth, columns, columns * call.integer(6))]


def _matmul(call: Call, read: Sequence[Sides], made: Sides) -> list[Layer]:
    rows, columns = prod(made[:-1]), made[-1]
    depth = read[0][-1]
    return [_layer(call, "BATCH_MATMUL", (1, rows, depth), (1, rows, columns), macs=rows * depth * columns)]


def _attention(call: Call, read: Sequence[Sides], made: Sides) -> list[Layer]:
    width, heads = call.count(0), call.count(1)
    rows = prod(made) // made[-1]
    keys = prod(read[min(1, len(read) - 1)]) // read[min(1, len(read) - 1)][-1]
    scores = (1, rows, heads * keys)
    return [
        *[_product(call, count, width, width, width) for count in (rows, keys, keys)],
        _layer(call, "BATCH_MATMUL", (1, rows, width), scores, macs=rows * keys * width),
        _layer(call, "SOFTMAX", scores, scores),
        _layer(call, "BATCH_MATMUL", scores, (1, rows, width), macs=rows * keys * width),
        _product(call, rows, width, width, width),
    ]


def _product(call: Call, rows: int, depth: int, columns: int, biases: int) -> Layer:
    source, result = (1, rows, depth), (1, rows, columns)
    macs = rows * depth * columns
    return _layer(call, "FULLY_CONNECTED", source, result, weights=depth * columns, biases=biases, macs=macs)


def _layer(
    call: Call, op: str, source: Shape, result: Shape, *, weights: int = 0, biases: int = 0, **fields: Any
) -> Layer:
    """Return a layer without its producers; ``fields`` are further ones of :class:`Layer`."""
    dtype = "int8" if call.kind in _WITH_INT8 and call.integer(8) else "float32"
    bits = DTYPE_BITS[dtype]
    size = weights * bits // 8 + biases * BIAS_BYTES
    return Layer(call.name, "network", op, source, result, weight_bytes=size, dtype=dtype, weight_bits=bits, **fields)


_PRODUCTS: Mapping[str, Callable[[Call, Sequence[Sides], Sides], list[Layer]]] = {
    "Convolution": _convolution,
    "ConvolutionDepthWise": _convolution,
    "Deconvolution": _convolution,
    "DeconvolutionDepthWise": _convolution,
    "InnerProduct": _inner_product,
    "Gemm": _gemm,
    "MatMul": _matmul,
    "MultiHeadAttention": _attention,
}


_WITH_INT8 = frozenset(
    {"Convolution", "ConvolutionDepthWise", "Deconvolution", "DeconvolutionDepthWise", "InnerProduct"}
)
"""Layers whose parameter 8 says that they compute in int8."""


def _check_weights(call: Call, key: int, expected: int) -> None:
    """Refuse a count of weights that the shapes contradict: then one of the two is misread or wrong."""
    if key in call.params and (found := call.integer(key)) != expected:
        raise call.error(f"has {found:,} weights, its shapes ask for {expected:,}")


# What moves, or computes element by element.

OPERATORS: Mapping[str, str] = {
    "AbsVal": "ABS",
    "BatchNorm": "MUL",
    "Bias": "ADD",
    "CELU": "ELU",
    "Clip": "RELU6",
    "Concat": "CONCATENATION",
    "Crop": "STRIDED_SLICE",
    "DetectionOutput": "CUSTOM:DetectionOutput",
    "ELU": "ELU",
    "Exp": "EXP",
    "ExpandDims": "RESHAPE",
    "Flatten": "RESHAPE",
    "GELU": "GELU",
    "GroupNorm": "L2_NORMALIZATION",
    "HardSigmoid": "RELU_0_TO_1",
    "HardSwish": "HARD_SWISH",
    "InstanceNorm": "L2_NORMALIZATION",
    "LRN": "LOCAL_RESPONSE_NORMALIZATION",
    "LayerNorm": "L2_NORMALIZATION",
    "Log": "LOG",
    "Mish": "TANH",
    "Normalize": "L2_NORMALIZATION",
    "PReLU": "PRELU",
    "Padding": "PAD",
    "Permute": "TRANSPOSE",
    "PixelShuffle": "DEPTH_TO_SPACE",
    "Power": "POW",
    "PriorBox": "CUSTOM:PriorBox",
    "ReLU": "RELU",
    "Reorg": "SPACE_TO_DEPTH",
    "Reshape": "RESHAPE",
    "Scale": "MUL",
    "ShuffleChannel": "TRANSPOSE",
    "Sigmoid": "LOGISTIC",
    "Slice": "SPLIT",
    "Softmax": "SOFTMAX",
    "Softplus": "LOG",
    "Squeeze": "RESHAPE",
    "Swish": "LOGISTIC",
    "TanH": "TANH",
    "Yolov3DetectionOutput": "CUSTOM:Yolov3DetectionOutput",
    "YoloDetectionOutput": "CUSTOM:YoloDetectionOutput",
}
"""TFLite's name of the operator, or of one that costs as much."""

FORMS: Mapping[str, Sequence[str]] = {
    "BinaryOp": ("ADD", "SUB", "MUL", "DIV", "MAXIMUM", "MINIMUM", "POW", "SUB", "DIV", "POW", "ATAN2", "ATAN2"),
    "Eltwise": ("MUL", "ADD", "MAXIMUM"),
    "Interp": ("RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR", "RESIZE_BILINEAR", "RESIZE_BILINEAR"),
    "Reduction": (*["SUM"] * 3, "MEAN", "REDUCE_MAX", "REDUCE_MIN", "REDUCE_PROD", *["SUM"] * 4),
    "UnaryOp": ("ABS", "NEG", "FLOOR", "CEIL", "SQUARE", "SQRT", "RSQRT", "EXP", "LOG", *["SIN"] * 6, "SQRT", "TANH"),
}
"""The same for layers whose parameter 0 says what they compute."""


def _operator(call: Call) -> str:
    """Return an operator's name."""
    if call.kind == "ReLU" and call.params.get(0, 0):
        return "LEAKY_RELU"
    if call.kind in OPERATORS:
        return OPERATORS[call.kind]
    names = FORMS.get(call.kind, ())
    if not names:
        known = sorted({*_PRODUCTS, *OPERATORS, *FORMS})
        raise call.error(f"this kind of layer is not known; {hint(call.kind, known, 'known: ' + ', '.join(known))}")
    number = call.integer(0)
    if not 0 <= number < len(names):
        raise call.error(f"parameter 0 is {number}, must be below {len(names)}")
    return names[number]
