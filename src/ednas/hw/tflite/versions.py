"""Versions of operators: a file marks each with the one that its attributes and types of elements need.

Compilers refuse versions that they do not know, even of an operator that they would run, so that files are marked with
the least version that does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Versions(NamedTuple):
    """Versions of an operator.

    Attributes:
        float32: With float32 elements, as :func:`~ednas.hw.tflite.writer.write_tflite` writes it; 0: it has none.
        int8: The same with int8 elements, as TFLite's own quantiser marks it (``operator_property.cc``).
        exported: With int8 elements in an exported network, as TFLite's rule has it (``tools/versioning``), which
            differs for two operators; 0: a clean conversion leaves no such operator.
        mapped: The first and the newest version that the Edge TPU's compiler maps with int8 elements; None: any.

            The first is TFLite's own rule. The compiler publishes no list of the newest: these are the versions of the
            converters that it was made for, before later attributes. It answers "Operation version not supported" to
            a nearest resize of version 3, with half-pixel centres (google-coral/edgetpu issues 206 and 420, tensorflow
            issue 42024), and users report the same of FULLY_CONNECTED 9; nothing suggests that it maps others.
        read: The newest version that the Edge TPU's compiler 16 can read; one newer and it refuses the whole file.
            None: any.

            It is of summer 2021 and is taken to read what TFLite 2.5 does (the first runtime of each version is in
            ``tools/versioning/runtime_version.cc``). "Didn't find op for builtin opcode" is reported of it for CONV_2D
            6 (google-coral/edgetpu issue 631), TRANSPOSE_CONV 4 (issue 845) and EXP 2 (google-coral/libedgetpu issue
            71), all of them newer than 2.5.
    """

    float32: int
    int8: int
    exported: int = 0
    mapped: tuple[int, int] | None = None
    read: int | None = None


GROUPED_CONVOLUTION = 6
"""Version of a ``CONV_2D`` with groups."""

VERSIONS: Mapping[str, Versions] = {
    "ABS": Versions(1, 2),
    "ADD": Versions(1, 2, exported=2, mapped=(2, 2), read=3),
    "ARG_MAX": Versions(1, 2, exported=2, read=2),
    "ARG_MIN": Versions(1, 2),
    "AVERAGE_POOL_2D": Versions(1, 2, exported=2, mapped=(2, 2), read=3),
    "BATCH_MATMUL": Versions(1, 2),
    "CONCATENATION": Versions(1, 2, exported=2, mapped=(2, 2), read=3),
    "CONV_2D": Versions(1, 3, exported=3, mapped=(3, 3), read=5),
    "COS": Versions(1, 0),
    "DEPTHWISE_CONV_2D": Versions(1, 3, exported=3, mapped=(3, 3), read=6),
    "DEPTH_TO_SPACE": Versions(1, 2),
    "DEQUANTIZE": Versions(0, 2, read=4),
    "DIV": Versions(1, 0),
    "ELU": Versions(1, 1),
    "EXP": Versions(1, 2, read=1),
    "EXPAND_DIMS": Versions(1, 1),
    "FLOOR": Versions(1, 0),
    "FULLY_CONNECTED": Versions(1, 4, mapped=(4, 4), read=9),
    "GELU": Versions(1, 2),
    "HARD_SWISH": Versions(1, 1, exported=1),
    "L2_NORMALIZATION": Versions(1, 2, mapped=(2, 2)),
    "LEAKY_RELU": Versions(1, 2, exported=1),
    "LOG": Versions(1, 2),
    "LOGISTIC": Versions(1, 2, exported=2, mapped=(2, 2)),
    "LOG_SOFTMAX": Versions(1, 2),
    "MAXIMUM": Versions(1, 2, mapped=(2, 2)),
    "MAX_POOL_2D": Versions(1, 2, exported=2, mapped=(2, 2), read=3),
    "MEAN": Versions(1, 2, exported=2, mapped=(2, 2), read=3),
    "MINIMUM": Versions(1, 2, mapped=(2, 2)),
    "MIRROR_PAD": Versions(1, 2),
    "MUL": Versions(1, 2, exported=2, mapped=(2, 3), read=4),
    "NEG": Versions(1, 0),
    "PAD": Versions(1, 2, exported=2, mapped=(2, 2), read=3),
    "PADV2": Versions(1, 2, read=3),
    "POW": Versions(1, 0),
    "PRELU": Versions(1, 1),
    "QUANTIZE": Versions(0, 2, exported=1, read=2),
    "REDUCE_MAX": Versions(1, 2),
    "REDUCE_MIN": Versions(1, 2),
    "RELU": Versions(1, 2, exported=2, mapped=(2, 2)),
    "RELU6": Versions(1, 2, exported=2, mapped=(2, 2)),
    "RELU_0_TO_1": Versions(1, 1),
    "RELU_N1_TO_1": Versions(1, 1),
    "RESHAPE": Versions(1, 1),
    "RESIZE_BILINEAR": Versions(3, 3, exported=3, mapped=(2, 3), read=4),
    "RESIZE_NEAREST_NEIGHBOR": Versions(2, 2, exported=2, mapped=(2, 2), read=4),
    "ROUND": Versions(1, 0),
    "RSQRT": Versions(1, 0),
    "SIN": Versions(1, 0),
    "SLICE": Versions(1, 2),
    "SOFTMAX": Versions(1, 2, mapped=(2, 2)),
    "SPACE_TO_DEPTH": Versions(1, 2, mapped=(2, 2)),
    "SQRT": Versions(1, 0),
    "SQUARE": Versions(1, 0),
    "SQUARED_DIFFERENCE": Versions(1, 2),
    "SQUEEZE": Versions(1, 1),
    "STRIDED_SLICE": Versions(1, 2, read=5),
    "SUB": Versions(1, 2, exported=2, mapped=(2, 3), read=5),
    "SUM": Versions(1, 2),
    "TANH": Versions(1, 2, mapped=(2, 2)),
    "TRANSPOSE": Versions(1, 2, read=5),
    "TRANSPOSE_CONV": Versions(3, 3, mapped=(2, 3), read=3),
}
