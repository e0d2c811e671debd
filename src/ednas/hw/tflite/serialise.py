"""Tensors and operators as a TFLite file: FlatBuffer tables of TFLite's schema."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import flatbuffers
import numpy as np
import tflite
from numpy.typing import NDArray

from ednas.hw.tflite import schema

_ALIGNMENT = 16
"""Alignment of a buffer's data, bytes (``force_align`` in TFLite's schema)."""


@dataclass(frozen=True)
class Quantisation:
    """Scales (one, or one for each index of ``axis``) and the zero point of an int8 or int32 tensor."""

    scales: tuple[float, ...]
    zero_point: int = 0
    axis: int = 0


@dataclass(frozen=True)
class Tensor:
    """A tensor of the file; ``data`` if it is a constant."""

    name: str
    shape: tuple[int, ...]
    type: str
    quantisation: Quantisation | None = None
    data: NDArray[Any] | None = None


@dataclass(frozen=True)
class Operator:
    """An operator of the file with its table of options (empty = none)."""

    op: str
    version: int
    inputs: tuple[int, ...]
    output: int
    options: str
    fields: Mapping[str, Any]


def serialise(tensors: Sequence[Tensor], operators: Sequence[Operator], input_: int, outputs: Sequence[int]) -> bytes:
    """Return a file.

    Args:
        tensors: All tensors of the network.
        operators: Its operators, in the order of execution.
        input_: The tensor that is its input.
        outputs: The tensors that are its outputs.
    """
    data = [tensor.data for tensor in tensors if tensor.data is not None]
    builder = flatbuffers.Builder(sum([array.nbytes for array in data]) + (1 << 16))
    buffers = [_table(builder, "Buffer"), *(_buffer(builder, array) for array in data)]  # buffer 0 is the empty one
    opcodes = sorted({(operator.op, operator.version) for operator in operators})
    numbers = iter(range(1, len(buffers)))
    written = [_tensor(builder, tensor, 0 if tensor.data is None else next(numbers)) for tensor in tensors]
    places = {opcode: place for place, opcode in enumerate(opcodes)}
    steps = [_operator(builder, operator, places) for operator in operators]
    subgraph = _table(
        builder,
        "SubGraph",
        Tensors=_offsets(builder, written),
        Inputs=_numbers(builder, [input_]),
        Outputs=_numbers(builder, outputs),
        Operators=_offsets(builder, steps),
        Name=builder.CreateString("main"),
    )
    model = _table(
        builder,
        "Model",
        Version=schema.VERSION,
        OperatorCodes=_offsets(builder, [_opcode(builder, *opcode) for opcode in opcodes]),
        Subgraphs=_offsets(builder, [subgraph]),
        Description=builder.CreateString("ednas: a network with random weights"),
        Buffers=_offsets(builder, buffers),
    )
    builder.Finish(model, schema.IDENTIFIER)
    return bytes(builder.Output())


def _table(builder: flatbuffers.Builder, table: str, /, **fields: Any) -> int:
    """Write a table of the schema; keys are the names of its fields. Returns its offset."""
    getattr(tflite, f"{table}Start")(builder)
    for key, value in fields.items():
        getattr(tflite, f"{table}Add{key}")(builder, value)
    offset: int = getattr(tflite, f"{table}End")(builder)
    return offset


def _offsets(builder: flatbuffers.Builder, offsets: Sequence[int]) -> int:
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    result: int = builder.EndVector()
    return result


def _numbers(builder: flatbuffers.Builder, values: Sequence[float], type_: type[np.generic] = np.int32) -> int:
    result: int = builder.CreateNumpyVector(np.array(values, type_))
    return result


def _buffer(builder: flatbuffers.Builder, data: NDArray[Any]) -> int:
    content = data.tobytes()
    builder.Prep(_ALIGNMENT, len(content))
    return _table(builder, "Buffer", Data=builder.CreateByteVector(content))


def _tensor(builder: flatbuffers.Builder, tensor: Tensor, buffer: int) -> int:
    fields = {
        "Shape": _numbers(builder, tensor.shape),
        "Type": getattr(tflite.TensorType, tensor.type),
        "Buffer": buffer,
        "Name": builder.CreateString(tensor.name),
    }
    quantisation = tensor.quantisation
    if quantisation is not None:
        zero_points = [quantisation.zero_point] * len(quantisation.scales)
        fields["Quantization"] = _table(
            builder,
            "QuantizationParameters",
            Scale=_numbers(builder, quantisation.scales, np.float32),
            ZeroPoint=_numbers(builder, zero_points, np.int64),
            QuantizedDimension=quantisation.axis,
        )
    return _table(builder, "Tensor", **fields)


def _operator(builder: flatbuffers.Builder, operator: Operator, places: Mapping[tuple[str, int], int]) -> int:
    fields = {
        "OpcodeIndex": places[operator.op, operator.version],
        "Inputs": _numbers(builder, operator.inputs),
        "Outputs": _numbers(builder, [operator.output]),
    }
    if operator.options:
        fields["BuiltinOptionsType"] = getattr(tflite.BuiltinOptions, operator.options)
        fields["BuiltinOptions"] = _table(builder, operator.options, **operator.fields)
    return _table(builder, "Operator", **fields)


def _opcode(builder: flatbuffers.Builder, op: str, version: int) -> int:
    code: int = getattr(tflite.BuiltinOperator, op)
    old_code = min(code, tflite.BuiltinOperator.PLACEHOLDER_FOR_GREATER_OP_CODES)
    return _table(builder, "OperatorCode", DeprecatedBuiltinCode=old_code, BuiltinCode=code, Version=version)
