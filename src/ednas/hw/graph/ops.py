"""The vocabulary of operators: all of TFLite's names, grouped by how a device computes them."""

from __future__ import annotations

# fmt: off
CODES = (
    "ADD", "AVERAGE_POOL_2D", "CONCATENATION", "CONV_2D", "DEPTHWISE_CONV_2D", "DEPTH_TO_SPACE", "DEQUANTIZE",
    "EMBEDDING_LOOKUP", "FLOOR", "FULLY_CONNECTED", "HASHTABLE_LOOKUP", "L2_NORMALIZATION", "L2_POOL_2D",
    "LOCAL_RESPONSE_NORMALIZATION", "LOGISTIC", "LSH_PROJECTION", "LSTM", "MAX_POOL_2D", "MUL", "RELU",
    "RELU_N1_TO_1", "RELU6", "RESHAPE", "RESIZE_BILINEAR", "RNN", "SOFTMAX", "SPACE_TO_DEPTH", "SVDF", "TANH",
    "CONCAT_EMBEDDINGS", "SKIP_GRAM", "CALL", "CUSTOM", "EMBEDDING_LOOKUP_SPARSE", "PAD",
    "UNIDIRECTIONAL_SEQUENCE_RNN", "GATHER", "BATCH_TO_SPACE_ND", "SPACE_TO_BATCH_ND", "TRANSPOSE", "MEAN", "SUB",
    "DIV", "SQUEEZE", "UNIDIRECTIONAL_SEQUENCE_LSTM", "STRIDED_SLICE", "BIDIRECTIONAL_SEQUENCE_RNN", "EXP",
    "TOPK_V2", "SPLIT", "LOG_SOFTMAX", "DELEGATE", "BIDIRECTIONAL_SEQUENCE_LSTM", "CAST", "PRELU", "MAXIMUM",
    "ARG_MAX", "MINIMUM", "LESS", "NEG", "PADV2", "GREATER", "GREATER_EQUAL", "LESS_EQUAL", "SELECT", "SLICE",
    "SIN", "TRANSPOSE_CONV", "SPARSE_TO_DENSE", "TILE", "EXPAND_DIMS", "EQUAL", "NOT_EQUAL", "LOG", "SUM", "SQRT",
    "RSQRT", "SHAPE", "POW", "ARG_MIN", "FAKE_QUANT", "REDUCE_PROD", "REDUCE_MAX", "PACK", "LOGICAL_OR", "ONE_HOT",
    "LOGICAL_AND", "LOGICAL_NOT", "UNPACK", "REDUCE_MIN", "FLOOR_DIV", "REDUCE_ANY", "SQUARE", "ZEROS_LIKE", "FILL",
    "FLOOR_MOD", "RANGE", "RESIZE_NEAREST_NEIGHBOR", "LEAKY_RELU", "SQUARED_DIFFERENCE", "MIRROR_PAD", "ABS",
    "SPLIT_V", "UNIQUE", "CEIL", "REVERSE_V2", "ADD_N", "GATHER_ND", "COS", "WHERE", "RANK", "ELU",
    "REVERSE_SEQUENCE", "MATRIX_DIAG", "QUANTIZE", "MATRIX_SET_DIAG", "ROUND", "HARD_SWISH", "IF", "WHILE",
    "NON_MAX_SUPPRESSION_V4", "NON_MAX_SUPPRESSION_V5", "SCATTER_ND", "SELECT_V2", "DENSIFY", "SEGMENT_SUM",
    "BATCH_MATMUL", "PLACEHOLDER_FOR_GREATER_OP_CODES", "CUMSUM", "CALL_ONCE", "BROADCAST_TO", "RFFT2D", "CONV_3D",
    "IMAG", "REAL", "COMPLEX_ABS", "HASHTABLE", "HASHTABLE_FIND", "HASHTABLE_IMPORT", "HASHTABLE_SIZE",
    "REDUCE_ALL", "CONV_3D_TRANSPOSE", "VAR_HANDLE", "READ_VARIABLE", "ASSIGN_VARIABLE", "BROADCAST_ARGS",
    "RANDOM_STANDARD_NORMAL", "BUCKETIZE", "RANDOM_UNIFORM", "MULTINOMIAL", "GELU", "DYNAMIC_UPDATE_SLICE",
    "RELU_0_TO_1", "UNSORTED_SEGMENT_PROD", "UNSORTED_SEGMENT_MAX", "UNSORTED_SEGMENT_SUM", "ATAN2",
    "UNSORTED_SEGMENT_MIN", "SIGN", "BITCAST", "BITWISE_XOR", "RIGHT_SHIFT", "STABLEHLO_LOGISTIC", "STABLEHLO_ADD",
    "STABLEHLO_DIVIDE", "STABLEHLO_MULTIPLY", "STABLEHLO_MAXIMUM", "STABLEHLO_RESHAPE", "STABLEHLO_CLAMP",
    "STABLEHLO_CONCATENATE", "STABLEHLO_BROADCAST_IN_DIM", "STABLEHLO_CONVOLUTION", "STABLEHLO_SLICE",
    "STABLEHLO_CUSTOM_CALL", "STABLEHLO_REDUCE", "STABLEHLO_ABS", "STABLEHLO_AND", "STABLEHLO_COSINE",
    "STABLEHLO_EXPONENTIAL", "STABLEHLO_FLOOR", "STABLEHLO_LOG", "STABLEHLO_MINIMUM", "STABLEHLO_NEGATE",
    "STABLEHLO_OR", "STABLEHLO_POWER", "STABLEHLO_REMAINDER", "STABLEHLO_RSQRT", "STABLEHLO_SELECT",
    "STABLEHLO_SUBTRACT", "STABLEHLO_TANH", "STABLEHLO_SCATTER", "STABLEHLO_COMPARE", "STABLEHLO_CONVERT",
    "STABLEHLO_DYNAMIC_SLICE", "STABLEHLO_DYNAMIC_UPDATE_SLICE", "STABLEHLO_PAD", "STABLEHLO_IOTA",
    "STABLEHLO_DOT_GENERAL", "STABLEHLO_REDUCE_WINDOW", "STABLEHLO_SORT", "STABLEHLO_WHILE", "STABLEHLO_GATHER",
    "STABLEHLO_TRANSPOSE", "DILATE", "STABLEHLO_RNG_BIT_GENERATOR", "REDUCE_WINDOW", "STABLEHLO_COMPOSITE",
    "STABLEHLO_SHIFT_LEFT", "STABLEHLO_CBRT", "STABLEHLO_CASE",
)
# fmt: on
"""Names by their number in TFLite's schema (``BuiltinOperator`` of ``schema.fbs``)."""

RECURRENT = frozenset(
    {
        "LSTM",
        "RNN",
        "SVDF",
        "UNIDIRECTIONAL_SEQUENCE_LSTM",
        "UNIDIRECTIONAL_SEQUENCE_RNN",
        "BIDIRECTIONAL_SEQUENCE_LSTM",
        "BIDIRECTIONAL_SEQUENCE_RNN",
    }
)
"""Operators that multiply matrices at each step of a sequence; a subset of :data:`CONVOLUTIONS`."""

CONVOLUTIONS = RECURRENT | frozenset(
    {
        "CONV_2D",
        "DEPTHWISE_CONV_2D",
        "TRANSPOSE_CONV",
        "FULLY_CONNECTED",
        "BATCH_MATMUL",
        "CONV_3D",
        "CONV_3D_TRANSPOSE",
        "STABLEHLO_CONVOLUTION",
        "STABLEHLO_DOT_GENERAL",
    }
)
"""Operators whose work is multiply-accumulates."""

POOLS = frozenset(
    {
        "MAX_POOL_2D",
        "AVERAGE_POOL_2D",
        "L2_POOL_2D",
    }
)
"""Operators that reduce a kernel-sized window channel by channel."""

REDUCTIONS = frozenset(
    {
        "MEAN",
        "SUM",
        "REDUCE_MAX",
        "REDUCE_MIN",
        "REDUCE_PROD",
        "REDUCE_ANY",
        "REDUCE_ALL",
        "REDUCE_WINDOW",
        "ARG_MAX",
        "ARG_MIN",
        "SEGMENT_SUM",
        "UNSORTED_SEGMENT_PROD",
        "UNSORTED_SEGMENT_MAX",
        "UNSORTED_SEGMENT_SUM",
        "UNSORTED_SEGMENT_MIN",
        "STABLEHLO_REDUCE",
        "STABLEHLO_REDUCE_WINDOW",
    }
)
"""Operators that read their whole input for few outputs."""

RESIZES = frozenset(
    {
        "RESIZE_BILINEAR",
        "RESIZE_NEAREST_NEIGHBOR",
    }
)
"""Operators that interpolate."""

RESHAPES = frozenset(
    {
        "RESHAPE",
        "SQUEEZE",
        "EXPAND_DIMS",
        "BITCAST",
        "SHAPE",
        "RANK",
        "STABLEHLO_RESHAPE",
    }
)
"""Operators that move nothing: the same elements under another shape, or only the shape itself."""

MOVES = frozenset(
    {
        "ASSIGN_VARIABLE",
        "BATCH_TO_SPACE_ND",
        "BROADCAST_ARGS",
        "BROADCAST_TO",
        "CONCATENATION",
        "CONCAT_EMBEDDINGS",
        "DENSIFY",
        "DEPTH_TO_SPACE",
        "DILATE",
        "DYNAMIC_UPDATE_SLICE",
        "EMBEDDING_LOOKUP",
        "EMBEDDING_LOOKUP_SPARSE",
        "FILL",
        "GATHER",
        "GATHER_ND",
        "HASHTABLE_LOOKUP",
        "IMAG",
        "MATRIX_DIAG",
        "MATRIX_SET_DIAG",
        "MIRROR_PAD",
        "ONE_HOT",
        "PACK",
        "PAD",
        "PADV2",
        "RANGE",
        "READ_VARIABLE",
        "REAL",
        "RESIZE_NEAREST_NEIGHBOR",
        "REVERSE_SEQUENCE",
        "REVERSE_V2",
        "SCATTER_ND",
        "SLICE",
        "SPACE_TO_BATCH_ND",
        "SPACE_TO_DEPTH",
        "SPARSE_TO_DENSE",
        "SPLIT",
        "SPLIT_V",
        "STABLEHLO_BROADCAST_IN_DIM",
        "STABLEHLO_CONCATENATE",
        "STABLEHLO_DYNAMIC_SLICE",
        "STABLEHLO_DYNAMIC_UPDATE_SLICE",
        "STABLEHLO_GATHER",
        "STABLEHLO_IOTA",
        "STABLEHLO_PAD",
        "STABLEHLO_SCATTER",
        "STABLEHLO_SLICE",
        "STABLEHLO_TRANSPOSE",
        "STRIDED_SLICE",
        "TILE",
        "TRANSPOSE",
        "UNPACK",
        "ZEROS_LIKE",
    }
)
"""Operators that copy elements."""

ELEMENTWISE = frozenset(
    {
        "ABS",
        "ADD",
        "ADD_N",
        "ATAN2",
        "BITWISE_XOR",
        "BUCKETIZE",
        "CAST",
        "CEIL",
        "COMPLEX_ABS",
        "COS",
        "CUMSUM",
        "DEQUANTIZE",
        "DIV",
        "ELU",
        "EQUAL",
        "EXP",
        "FAKE_QUANT",
        "FLOOR",
        "FLOOR_DIV",
        "FLOOR_MOD",
        "GELU",
        "GREATER",
        "GREATER_EQUAL",
        "HARD_SWISH",
        "L2_NORMALIZATION",
        "LEAKY_RELU",
        "LESS",
        "LESS_EQUAL",
        "LOCAL_RESPONSE_NORMALIZATION",
        "LOG",
        "LOGICAL_AND",
        "LOGICAL_NOT",
        "LOGICAL_OR",
        "LOGISTIC",
        "LOG_SOFTMAX",
        "MAXIMUM",
        "MINIMUM",
        "MUL",
        "NEG",
        "NOT_EQUAL",
        "POW",
        "PRELU",
        "QUANTIZE",
        "RELU",
        "RELU6",
        "RELU_0_TO_1",
        "RELU_N1_TO_1",
        "RIGHT_SHIFT",
        "ROUND",
        "RSQRT",
        "SELECT",
        "SELECT_V2",
        "SIGN",
        "SIN",
        "SOFTMAX",
        "SQRT",
        "SQUARE",
        "SQUARED_DIFFERENCE",
        "STABLEHLO_ABS",
        "STABLEHLO_ADD",
        "STABLEHLO_AND",
        "STABLEHLO_CBRT",
        "STABLEHLO_CLAMP",
        "STABLEHLO_COMPARE",
        "STABLEHLO_CONVERT",
        "STABLEHLO_COSINE",
        "STABLEHLO_DIVIDE",
        "STABLEHLO_EXPONENTIAL",
        "STABLEHLO_FLOOR",
        "STABLEHLO_LOG",
        "STABLEHLO_LOGISTIC",
        "STABLEHLO_MAXIMUM",
        "STABLEHLO_MINIMUM",
        "STABLEHLO_MULTIPLY",
        "STABLEHLO_NEGATE",
        "STABLEHLO_OR",
        "STABLEHLO_POWER",
        "STABLEHLO_REMAINDER",
        "STABLEHLO_RSQRT",
        "STABLEHLO_SELECT",
        "STABLEHLO_SHIFT_LEFT",
        "STABLEHLO_SUBTRACT",
        "STABLEHLO_TANH",
        "SUB",
        "TANH",
    }
)
"""Operators that compute each element from those at its place, or from those of its row, in a new scale."""

IRREGULAR = frozenset(
    {
        "CALL",
        "CALL_ONCE",
        "DELEGATE",
        "HASHTABLE",
        "HASHTABLE_FIND",
        "HASHTABLE_IMPORT",
        "HASHTABLE_SIZE",
        "IF",
        "LSH_PROJECTION",
        "MULTINOMIAL",
        "NON_MAX_SUPPRESSION_V4",
        "NON_MAX_SUPPRESSION_V5",
        "RANDOM_STANDARD_NORMAL",
        "RANDOM_UNIFORM",
        "RFFT2D",
        "SKIP_GRAM",
        "STABLEHLO_CASE",
        "STABLEHLO_COMPOSITE",
        "STABLEHLO_CUSTOM_CALL",
        "STABLEHLO_RNG_BIT_GENERATOR",
        "STABLEHLO_SORT",
        "STABLEHLO_WHILE",
        "TOPK_V2",
        "UNIQUE",
        "VAR_HANDLE",
        "WHERE",
        "WHILE",
    }
)
"""Operators whose work depends on the values, or that call other parts of the file: search, sort, draw, branch."""

BUILTIN = CONVOLUTIONS | POOLS | REDUCTIONS | RESIZES | RESHAPES | MOVES | ELEMENTWISE | IRREGULAR
"""Every TFLite operator: all of :data:`CODES` but the two numbers that stand for others."""

CUSTOM_PREFIX = "CUSTOM:"
"""A custom operator is written with this prefix, for example ``CUSTOM:PosenetDecoderOp``; it runs on the host."""


def is_known(op: str) -> bool:
    """Whether ``op`` is a TFLite operator of :data:`BUILTIN` or a custom one."""
    return op in BUILTIN or (op.startswith(CUSTOM_PREFIX) and len(op) > len(CUSTOM_PREFIX))
