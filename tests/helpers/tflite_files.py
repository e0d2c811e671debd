"""Writes small TFLite files for tests, with the bindings that are generated from TFLite's own schema."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

import flatbuffers
import tflite

from ednas.hw import LayerGraph
from ednas.hw.graph.layers import Layer
from ednas.hw.tflite.reader import read_tflite

TYPES = {name.lower(): getattr(tflite.TensorType, name) for name in dir(tflite.TensorType) if name.isupper()}
OPS = {name: getattr(tflite.BuiltinOperator, name) for name in dir(tflite.BuiltinOperator) if name.isupper()}
BITS = {"int4": 4, "int8": 8, "uint8": 8, "bool": 8, "float16": 16, "int32": 32, "float32": 32, "int64": 64}
CONV, DEPTHWISE, POOL = "Conv2DOptions", "DepthwiseConv2DOptions", "Pool2DOptions"
TRANSPOSED, PRODUCT, STEP = "TransposeConvOptions", "BatchMatMulOptions", {"StrideW": 1, "StrideH": 1}
DTYPES = ("int8", "float32", "int32")


@dataclass
class _Tensor:
    shape: Sequence[int] | None
    dtype: str | int
    data: bytes
    signature: Sequence[int]
    name: str
    is_variable: bool


@dataclass
class _Operator:
    op: str | int
    inputs: Sequence[int]
    outputs: Sequence[int]
    options: str
    values: dict[str, Any]


@dataclass
class TfliteFile:
    """A model to be written.

    Attributes:
        old: Whether to write operators' numbers as files before 2020 do.
        version: Version of the schema.
        subgraphs: How often to write the subgraph.
        repeat: How often the operators are listed; they are in the file once.
    """

    old: bool = False
    version: int = 3
    tensors: list[_Tensor] = field(default_factory=list)
    operators: list[_Operator] = field(default_factory=list)
    subgraphs: int = 1
    repeat: int = 1

    def tensor(
        self,
        *shape: int,
        dtype: str | int = "int8",
        data: bytes = b"",
        signature: Sequence[int] = (),
        name: str = "",
        is_variable: bool = False,
        has_shape: bool = True,
    ) -> int:
        """Add a computed tensor, or one with the given data."""
        name = name or f"t{len(self.tensors)}"
        self.tensors.append(_Tensor(shape if has_shape else None, dtype, data, signature, name, is_variable))
        return len(self.tensors) - 1

    def constant(self, *shape: int, dtype: str = "int8", **fields: Any) -> int:
        """Add a tensor of zeros."""
        return self.tensor(*shape, dtype=dtype, data=bytes((prod(shape) * BITS[dtype] + 7) // 8), **fields)

    def add(
        self, op: str | int, inputs: Sequence[int], outputs: Sequence[int], options: str = "", **values: Any
    ) -> Sequence[int]:
        """Add an operator; ``options`` is the name of its options' table and ``values`` are its fields."""
        self.operators.append(_Operator(op, inputs, outputs, options, values))
        return outputs

    def content(self, inputs: Sequence[int], outputs: Sequence[int]) -> bytes:
        """Return the file."""
        builder = flatbuffers.Builder(1024)
        codes = list(dict.fromkeys(operator.op for operator in self.operators))
        buffers = _vector(builder, [_buffer(builder, b""), *[_buffer(builder, t.data) for t in self.tensors]])
        code_vector = _vector(builder, [self._code(builder, code) for code in codes])
        graphs = [self._graph(builder, codes, inputs, outputs) for _ in range(self.subgraphs)]
        graph_vector = _vector(builder, graphs)
        tflite.ModelStart(builder)
        tflite.ModelAddVersion(builder, self.version)
        tflite.ModelAddOperatorCodes(builder, code_vector)
        tflite.ModelAddSubgraphs(builder, graph_vector)
        tflite.ModelAddBuffers(builder, buffers)
        builder.Finish(tflite.ModelEnd(builder), b"TFL3")
        return bytes(builder.Output())

    def _graph(self, builder: Any, codes: Sequence[str | int], inputs: Sequence[int], outputs: Sequence[int]) -> int:
        tensors = _vector(builder, [_write_tensor(builder, t, 1 + i) for i, t in enumerate(self.tensors)])
        operators = [_write_operator(builder, o, codes.index(o.op)) for o in self.operators]
        operator_vector = _vector(builder, operators * self.repeat)
        input_vector, output_vector = _numbers(builder, inputs), _numbers(builder, outputs)
        tflite.SubGraphStart(builder)
        tflite.SubGraphAddTensors(builder, tensors)
        tflite.SubGraphAddInputs(builder, input_vector)
        tflite.SubGraphAddOutputs(builder, output_vector)
        tflite.SubGraphAddOperators(builder, operator_vector)
        return tflite.SubGraphEnd(builder)

    def _code(self, builder: Any, op: str | int) -> int:
        name = str(op).removeprefix("CUSTOM:") if str(op).startswith("CUSTOM:") else None
        custom = builder.CreateString(name) if name is not None else 0
        number = op if isinstance(op, int) else OPS["CUSTOM" if name is not None else op]
        tflite.OperatorCodeStart(builder)
        tflite.OperatorCodeAddDeprecatedBuiltinCode(builder, min(number, 127))
        if custom:
            tflite.OperatorCodeAddCustomCode(builder, custom)
        if not self.old:
            tflite.OperatorCodeAddBuiltinCode(builder, number)
        return tflite.OperatorCodeEnd(builder)


def _buffer(builder: Any, data: bytes) -> int:
    vector = builder.CreateByteVector(data) if data else 0
    tflite.BufferStart(builder)
    if data:
        tflite.BufferAddData(builder, vector)
    return tflite.BufferEnd(builder)


def _write_tensor(builder: Any, tensor: _Tensor, buffer: int) -> int:
    name = builder.CreateString(tensor.name)
    shape = None if tensor.shape is None else _numbers(builder, tensor.shape)
    signature = _numbers(builder, tensor.signature) if tensor.signature else None
    tflite.TensorStart(builder)
    if shape is not None:
        tflite.TensorAddShape(builder, shape)
    tflite.TensorAddType(builder, tensor.dtype if isinstance(tensor.dtype, int) else TYPES[tensor.dtype])
    tflite.TensorAddBuffer(builder, buffer)
    tflite.TensorAddName(builder, name)
    tflite.TensorAddIsVariable(builder, tensor.is_variable)
    if signature is not None:
        tflite.TensorAddShapeSignature(builder, signature)
    return tflite.TensorEnd(builder)


def _write_operator(builder: Any, operator: _Operator, code: int) -> int:
    inputs, outputs = _numbers(builder, operator.inputs), _numbers(builder, operator.outputs)
    kind = 0
    second = hasattr(tflite.BuiltinOptions2, operator.options)
    if operator.options:
        values = {k: _numbers(builder, v, 8) if isinstance(v, list) else v for k, v in operator.values.items()}
        getattr(tflite, f"{operator.options}Start")(builder)
        for key, value in values.items():
            getattr(tflite, f"{operator.options}Add{key}")(builder, value)
        options = getattr(tflite, f"{operator.options}End")(builder)
        kind = getattr(tflite.BuiltinOptions2 if second else tflite.BuiltinOptions, operator.options)
    tflite.OperatorStart(builder)
    tflite.OperatorAddOpcodeIndex(builder, code)
    tflite.OperatorAddInputs(builder, inputs)
    tflite.OperatorAddOutputs(builder, outputs)
    if kind and second:
        tflite.OperatorAddBuiltinOptions2Type(builder, kind)
        tflite.OperatorAddBuiltinOptions2(builder, options)
    elif kind:
        tflite.OperatorAddBuiltinOptionsType(builder, kind)
        tflite.OperatorAddBuiltinOptions(builder, options)
    return tflite.OperatorEnd(builder)


def _vector(builder: Any, offsets: Sequence[int]) -> int:
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return builder.EndVector()


def _numbers(builder: Any, values: Sequence[int], width: int = 4) -> int:
    builder.StartVector(width, len(values), width)
    for value in reversed(values):
        builder.PrependInt32(value) if width == 4 else builder.PrependInt64(value)
    return builder.EndVector()


def graph_of(file: TfliteFile, inputs: list[int], outputs: list[int]) -> LayerGraph:
    return read_tflite(file.content(inputs, outputs), "net.tflite")[0]


def layer_of(
    op: str,
    inputs: list[tuple[int, ...]],
    output: tuple[int, ...],
    constants: dict[int, str] | None = None,
    options: str = "",
    dtype: str = "int8",
    **values: Any,
) -> Layer:
    """Return the layer of a model with one operator, some of whose inputs are constants of a type."""
    file = TfliteFile()
    constants = constants or {}
    indices = [
        file.constant(*shape, dtype=constants[place]) if place in constants else file.tensor(*shape, dtype=dtype)
        for place, shape in enumerate(inputs)
    ]
    computed = [index for place, index in enumerate(indices) if place not in constants]
    result = file.tensor(*output, dtype=dtype, name="result")
    file.add(op, indices, [result], options, **values)
    (layer,) = graph_of(file, computed, [result]).layers
    return layer


def add_convolution(file: TfliteFile, x: int, x_shape: tuple[int, ...], filters: int, kernel: int = 3) -> int:
    weights = file.constant(filters, kernel, kernel, x_shape[3])
    y = file.tensor(*x_shape[:3], filters)
    file.add("CONV_2D", [x, weights, file.constant(filters, dtype="int32")], [y], CONV, **STEP)
    return y
