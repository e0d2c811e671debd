"""The vocabulary of operators: TFLite's names, grouped by how a device computes them."""

from __future__ import annotations

CONVOLUTIONS = frozenset({"CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV", "FULLY_CONNECTED", "BATCH_MATMUL"})
"""Operators whose work is multiply-accumulates."""

POOLS = frozenset({"MAX_POOL_2D", "AVERAGE_POOL_2D", "L2_POOL_2D"})
"""Operators that reduce a kernel-sized window channel by channel."""

REDUCTIONS = frozenset({"MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN", "REDUCE_PROD", "ARG_MAX", "ARG_MIN"})
"""Operators that read their whole input for few outputs."""

RESIZES = frozenset({"RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR"})

RESHAPES = frozenset({"RESHAPE", "SQUEEZE", "EXPAND_DIMS"})
"""Operators that move nothing."""

MOVES = frozenset(
    {
        "CONCATENATION",
        "DEPTH_TO_SPACE",
        "GATHER",
        "MIRROR_PAD",
        "PACK",
        "PAD",
        "PADV2",
        "RESIZE_NEAREST_NEIGHBOR",
        "SLICE",
        "SPACE_TO_DEPTH",
        "SPLIT",
        "SPLIT_V",
        "STRIDED_SLICE",
        "TILE",
        "TRANSPOSE",
        "UNPACK",
    }
)
"""Operators that copy elements."""

ELEMENTWISE = frozenset(
    {
        "ABS",
        "ADD",
        "CAST",
        "COS",
        "DEQUANTIZE",
        "DIV",
        "ELU",
        "EQUAL",
        "EXP",
        "FLOOR",
        "GELU",
        "GREATER",
        "HARD_SWISH",
        "L2_NORMALIZATION",
        "LEAKY_RELU",
        "LESS",
        "LOG",
        "LOGISTIC",
        "LOG_SOFTMAX",
        "LSTM",
        "MAXIMUM",
        "MINIMUM",
        "MUL",
        "NEG",
        "POW",
        "PRELU",
        "QUANTIZE",
        "RELU",
        "RELU6",
        "RELU_0_TO_1",
        "RELU_N1_TO_1",
        "ROUND",
        "RSQRT",
        "SELECT_V2",
        "SIN",
        "SOFTMAX",
        "SQRT",
        "SQUARE",
        "SQUARED_DIFFERENCE",
        "SUB",
        "TANH",
    }
)
"""Operators that compute each element from those at its place, in a new scale."""

BUILTIN = CONVOLUTIONS | POOLS | REDUCTIONS | RESIZES | RESHAPES | MOVES | ELEMENTWISE
"""Every TFLite operator that the cost model knows."""

CUSTOM_PREFIX = "CUSTOM:"
"""A custom operator is written with this prefix, for example ``CUSTOM:PosenetDecoderOp``; it runs on the host."""


def is_known(op: str) -> bool:
    """Whether ``op`` is a TFLite operator of :data:`BUILTIN` or a custom one."""
    return op in BUILTIN or (op.startswith(CUSTOM_PREFIX) and len(op) > len(CUSTOM_PREFIX))
