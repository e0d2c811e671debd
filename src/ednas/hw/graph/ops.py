"""The vocabulary of operators: all of TFLite's names, grouped by how a device computes them."""

from __future__ import annotations

# fmt: off
RECURRENT = frozenset({
    "LSTM", "RNN", "SVDF", "UNIDIRECTIONAL_SEQUENCE_LSTM", "UNIDIRECTIONAL_SEQUENCE_RNN", "BIDIRECTIONAL_SEQUENCE_LSTM",
    "BIDIRECTIONAL_SEQUENCE_RNN",
})
"""Operators that multiply matrices at each step of a sequence; a subset of :data:`CONVOLUTIONS`."""

CONVOLUTIONS = RECURRENT | frozenset({
    "CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV", "FULLY_CONNECTED", "BATCH_MATMUL", "CONV_3D", "CONV_3D_TRANSPOSE",
    "STABLEHLO_CONVOLUTION", "STABLEHLO_DOT_GENERAL",
})
"""Operators whose work is multiply-accumulates."""

POOLS = frozenset({
    "MAX_POOL_2D", "AVERAGE_POOL_2D", "L2_POOL_2D",
})
"""Operators that reduce a kernel-sized window channel by channel."""

REDUCTIONS = frozenset({
    "MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN", "REDUCE_PROD", "REDUCE_ANY", "REDUCE_ALL", "REDUCE_WINDOW", "ARG_MAX",
    "ARG_MIN", "SEGMENT_SUM", "UNSORTED_SEGMENT_PROD", "UNSORTED_SEGMENT_MAX", "UNSORTED_SEGMENT_SUM",
    "UNSORTED_SEGMENT_MIN", "STABLEHLO_REDUCE", "STABLEHLO_REDUCE_WINDOW",
})
"""Operators that read their whole input for few outputs."""

RESIZES = frozenset({
    "RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR",
})
"""Operators that interpolate."""

RESHAPES = frozenset({
    "RESHAPE", "SQUEEZE", "EXPAND_DIMS", "BITCAST", "SHAPE", "RANK", "STABLEHLO_RESHAPE",
})
"""Operators that move nothing: the same elements under another shape, or only the shape itself."""

MOVES = frozenset({
    "ASSIGN_VARIABLE", "BATCH_TO_SPACE_ND", "BROADCAST_ARGS", "BROADCAST_TO", "CONCATENATION", "CONCAT_EMBEDDINGS",
    "DENSIFY", "DEPTH_TO_SPACE", "DILATE", "DYNAMIC_UPDATE_SLICE", "EMBEDDING_LOOKUP", "EMBEDDING_LOOKUP_SPARSE",
    "FILL", "GATHER", "GATHER_ND", "HASHTABLE_LOOKUP", "IMAG", "MATRIX_DIAG", "MATRIX_SET_DIAG", "MIRROR_PAD",
    "ONE_HOT", "PACK", "PAD", "PADV2", "RANGE", "READ_VARIABLE", "REAL", "RESIZE_NEAREST_NEIGHBOR", "REVERSE_SEQUENCE",
    "REVERSE_V2", "SCATTER_ND", "SLICE", "SPACE_TO_BATCH_ND", "SPACE_TO_DEPTH", "SPARSE_TO_DENSE", "SPLIT", "SPLIT_V",
    "STABLEHLO_BROADCAST_IN_DIM", "STABLEHLO_CONCATENATE", "STABLEHLO_DYNAMIC_SLICE", "STABLEHLO_DYNAMIC_UPDATE_SLICE",
    "STABLEHLO_GATHER", "STABLEHLO_IOTA", "STABLEHLO_PAD", "STABLEHLO_SCATTER", "STABLEHLO_SLICE",
    "STABLEHLO_TRANSPOSE", "STRIDED_SLICE", "TILE", "TRANSPOSE", "UNPACK", "ZEROS_LIKE",
})
"""Operators that copy elements."""

ELEMENTWISE = frozenset({
    "ABS", "ADD", "ADD_N", "ATAN2", "BITWISE_XOR", "BUCKETIZE", "CAST", "CEIL", "COMPLEX_ABS", "COS", "CUMSUM",
    "DEQUANTIZE", "DIV", "ELU", "EQUAL", "EXP", "FAKE_QUANT", "FLOOR", "FLOOR_DIV", "FLOOR_MOD", "GELU", "GREATER",
    "GREATER_EQUAL", "HARD_SWISH", "L2_NORMALIZATION", "LEAKY_RELU", "LESS", "LESS_EQUAL",
    "LOCAL_RESPONSE_NORMALIZATION", "LOG", "LOGICAL_AND", "LOGICAL_NOT", "LOGICAL_OR", "LOGISTIC", "LOG_SOFTMAX",
    "MAXIMUM", "MINIMUM", "MUL", "NEG", "NOT_EQUAL", "POW", "PRELU", "QUANTIZE", "RELU", "RELU6", "RELU_0_TO_1",
    "RELU_N1_TO_1", "RIGHT_SHIFT", "ROUND", "RSQRT", "SELECT", "SELECT_V2", "SIGN", "SIN", "SOFTMAX", "SQRT", "SQUARE",
    "SQUARED_DIFFERENCE", "STABLEHLO_ABS", "STABLEHLO_ADD", "STABLEHLO_AND", "STABLEHLO_CBRT", "STABLEHLO_CLAMP",
    "STABLEHLO_COMPARE", "STABLEHLO_CONVERT", "STABLEHLO_COSINE", "STABLEHLO_DIVIDE", "STABLEHLO_EXPONENTIAL",
    "STABLEHLO_FLOOR", "STABLEHLO_LOG", "STABLEHLO_LOGISTIC", "STABLEHLO_MAXIMUM", "STABLEHLO_MINIMUM",
    "STABLEHLO_MULTIPLY", "STABLEHLO_NEGATE", "STABLEHLO_OR", "STABLEHLO_POWER", "STABLEHLO_REMAINDER",
    "STABLEHLO_RSQRT", "STABLEHLO_SELECT", "STABLEHLO_SHIFT_LEFT", "STABLEHLO_SUBTRACT", "STABLEHLO_TANH", "SUB",
    "TANH",
})
"""Operators that compute each element from those at its place, or from those of its row, in a new scale."""

IRREGULAR = frozenset({
    "CALL", "CALL_ONCE", "DELEGATE", "HASHTABLE", "HASHTABLE_FIND", "HASHTABLE_IMPORT", "HASHTABLE_SIZE", "IF",
    "LSH_PROJECTION", "MULTINOMIAL", "NON_MAX_SUPPRESSION_V4", "NON_MAX_SUPPRESSION_V5", "RANDOM_STANDARD_NORMAL",
    "RANDOM_UNIFORM", "RFFT2D", "SKIP_GRAM", "STABLEHLO_CASE", "STABLEHLO_COMPOSITE", "STABLEHLO_CUSTOM_CALL",
    "STABLEHLO_RNG_BIT_GENERATOR", "STABLEHLO_SORT", "STABLEHLO_WHILE", "TOPK_V2", "UNIQUE", "VAR_HANDLE", "WHERE",
    "WHILE",
})
"""Operators whose work depends on the values, or that call other parts of the file: search, sort, draw, branch."""
# fmt: on

CALLS = frozenset(
    {
        "CALL",
        "IF",
        "STABLEHLO_CASE",
        "STABLEHLO_COMPOSITE",
        "STABLEHLO_CUSTOM_CALL",
        "STABLEHLO_WHILE",
        "WHILE",
    }
)
"""Operators that run another part of the file, whose own operators are not read."""

BUILTIN = CONVOLUTIONS | POOLS | REDUCTIONS | RESIZES | RESHAPES | MOVES | ELEMENTWISE | IRREGULAR
"""Every TFLite operator."""

CUSTOM_PREFIX = "CUSTOM:"
"""A custom operator is written with this prefix, for example ``CUSTOM:PosenetDecoderOp``; it runs on the host."""


def is_known(op: str) -> bool:
    """Whether ``op`` is a TFLite operator of :data:`BUILTIN` or a custom one."""
    return op in BUILTIN or (op.startswith(CUSTOM_PREFIX) and len(op) > len(CUSTOM_PREFIX))
