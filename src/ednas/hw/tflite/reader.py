"""Reading networks from TFLite files (``.tflite``): shapes, operators and sizes of the weights, never the weights."""

from __future__ import annotations

import stat
from collections.abc import Sequence
from math import prod
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import NamedTuple

from ednas.exceptions import TargetError
from ednas.hw.graph import ops
from ednas.hw.graph.layers import GRAPH_INPUT, Layer, LayerGraph
from ednas.hw.tflite import schema
from ednas.hw.tflite.calls import Call, Tensor, layer_of
from ednas.hw.tflite.flatbuffer import INT8, UINT8, UINT32, UINT64, Content, DamagedError, Table

_MOST_BYTES = 1 << 31
"""FlatBuffers' own limit: their distances are 31 bits."""

_MOST_OPERATORS = 1 << 16
_MOST_SIDES = 8
"""Of a tensor; TFLite's kernels know 6 at most."""

_MOST_ELEMENTS = 1 << 40
_LONGEST_NAME = 80
_LONGEST_TEXT = 1024

_COMPILED = {
    "edgetpu-custom-op": "was compiled for the Edge TPU; read the file that its compiler was given",
    "ethos-u": "was compiled for an Ethos-U; read the file that its compiler was given",
}
"""Custom operators that hide a whole network."""

_APPLIED_ONCE = frozenset({"DEQUANTIZE", "DENSIFY"})
"""Operators that an interpreter applies to constants once, before the first inference."""

_RUN_ONCE = "CALL_ONCE"

_SEQUENCE_LSTM = "UNIDIRECTIONAL_SEQUENCE_LSTM"
_RECURRENT_WEIGHTS = 6
"""An LSTM's input that holds the forget gate's weights for the state, ``(cells, units)``."""

_LEFT_OUT = -1
"""The index of an input that is left out."""


def load_tflite(path: str | Path) -> LayerGraph:
    """Read a network from a TFLite file.

    The main subgraph becomes one layer an operator, float or quantised, in the file's order; an operator with several
    outputs is one layer whose output holds all of them. What an interpreter does once, before the first inference
    (``DEQUANTIZE`` of float16 weights, ``CALL_ONCE``), is no layer: the weights count as the file holds them. Weights
    that several operators share count for each. A leading side left open (a dynamic batch) is the 1 that the file's
    shapes say. Further leading sides than height, width and channels count as rows.

    Limits: an operator that calls another subgraph (``IF``, ``WHILE``, ``STABLEHLO_COMPOSITE``) is one layer, and what
    the subgraph computes is not counted; a cost of it says so. A three-dimensional convolution's window counts its
    depth as height.

    Args:
        path: The file, at most 2 GiB.

    Raises:
        TargetError: The file is missing, not a TFLite model, damaged, compiled for a device, or holds an operator, a
            type or a shape that cannot be costed; the message names the operator.
    """
    return load_with_versions(path)[0]


def load_with_versions(path: str | Path) -> tuple[LayerGraph, tuple[int, ...]]:
    """Read a network from a TFLite file, and the versions of its layers' operators; see :func:`load_tflite`."""
    path = Path(path)
    where = _printable(str(path))
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise TargetError(f"{where}: is not a file; give a .tflite file")
        if not status.st_size:
            raise TargetError(f"{where}: is empty; was its export interrupted?")
        if status.st_size > _MOST_BYTES:
            raise TargetError(f"{where}: has {status.st_size} bytes, a TFLite model at most {_MOST_BYTES}")
        with path.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as content:
            return read_tflite(content, where)
    except FileNotFoundError:
        raise TargetError(f"{where}: no such file") from None
    except (OSError, ValueError) as cause:  # a ValueError: a path with a null character, a file emptied meanwhile
        raise TargetError(f"{where}: cannot be read ({getattr(cause, 'strerror', None) or cause})") from cause


def read_tflite(content: bytes | mmap, where: str) -> tuple[LayerGraph, tuple[int, ...]]:
    """Read a network, and the versions of its layers' operators, from the content of a TFLite file.

    Args:
        content: The content.
        where: Where it comes from, for error messages.

    Raises:
        TargetError: As :func:`load_tflite`.
    """
    where = _printable(where)
    if content[4:8] != schema.IDENTIFIER:
        raise TargetError(f"{where}: is not a TFLite model ('{schema.IDENTIFIER.decode()}' is missing at byte 4)")
    try:
        return _Subgraph(_File(content)).layer_graph()
    except DamagedError as error:
        raise TargetError(f"{where}: is damaged: {error}; export or download it again") from None
    except TargetError as error:
        raise TargetError(f"{where}: {error}") from None


class _Wires(NamedTuple):
    """An operator with the indices of its tensors."""

    operator: Table
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]

    @classmethod
    def of(cls, operator: Table) -> _Wires:
        """Read them."""
        return cls(operator, operator.numbers(schema.OPERATOR_INPUTS), operator.numbers(schema.OPERATOR_OUTPUTS))


class _File:
    """What the subgraphs of a file share: names and versions of operators, and the sizes of constants."""

    def __init__(self, data: bytes | mmap) -> None:
        self._content = Content(data)
        model = self._content.root()
        version = model.number(schema.MODEL_VERSION, UINT32)
        if version != schema.VERSION:
            raise TargetError(f"is of schema version {version}, only {schema.VERSION} is known")
        codes = model.tables(schema.MODEL_CODES)
        self.codes = [(_op_name(code), code.number(schema.CODE_VERSION, default=1)) for code in codes]
        self.subgraphs = model.tables(schema.MODEL_SUBGRAPHS)
        self._buffers = model.tables(schema.MODEL_BUFFERS)

    def data_bytes(self, buffer: int) -> int:
        """Return the bytes of a constant; 0 if the buffer is empty, as that of a computed tensor is."""
        if not 0 <= buffer < len(self._buffers):
            raise DamagedError(f"it refers to buffer {buffer} of {len(self._buffers)}")
        table = self._buffers[buffer]
        offset = table.number(schema.BUFFER_OFFSET, UINT64)
        if offset > 1:  # large files keep their weights behind the FlatBuffer; 0 and 1 stand for none
            size = table.number(schema.BUFFER_SIZE, UINT64)
            self._content.check(offset, size)
            return size
        return table.length(schema.BUFFER_DATA)


def _op_name(code: Table) -> str:
    # Files before 2020 have only the old number, which stops at 127; later ones have either or both.
    number = max(code.number(schema.CODE_DEPRECATED, INT8), code.number(schema.CODE_BUILTIN))
    name = schema.CODES[number] if 0 <= number < len(schema.CODES) else ""
    if name == "CUSTOM":
        custom = _short(code.text(schema.CODE_CUSTOM, _LONGEST_TEXT))
        if not custom:
            raise TargetError("has a custom operator without a name")
        if custom in _COMPILED:
            raise TargetError(_COMPILED[custom])
        return ops.CUSTOM_PREFIX + custom
    if name not in ops.BUILTIN:
        raise TargetError(f"has operator number {number}, which is newer than this version knows; update ednas")
    return name


class _Subgraph:
    """The main subgraph of a file."""

    def __init__(self, file: _File) -> None:
        if not len(file.subgraphs):
            raise TargetError("has no subgraph")
        self._file = file
        graph = file.subgraphs[0]
        self._tables = graph.tables(schema.GRAPH_TENSORS)
        self._inputs = graph.numbers(schema.GRAPH_INPUTS)
        self._outputs = graph.numbers(schema.GRAPH_OUTPUTS)
        operators = graph.tables(schema.GRAPH_OPERATORS)
        if len(operators) > _MOST_OPERATORS:
            raise TargetError(f"has {len(operators)} operators, at most {_MOST_OPERATORS} can be read")
        self._wires = [_Wires.of(table) for table in operators]
        self._used = {index for wires in self._wires for index in wires.inputs}.union(self._outputs)
        self._tensors: dict[int, Tensor] = {}
        self._producers = dict.fromkeys(self._inputs, GRAPH_INPUT)

    def layer_graph(self) -> tuple[LayerGraph, tuple[int, ...]]:
        """Return it as layers, with the versions of their operators."""
        inputs = [self._tensor(index) for index in self._inputs]
        for tensor in inputs:
            if len(tensor.shape) > 3 and tensor.shape[0] != 1:
                raise TargetError(
                    f"input '{tensor.name}' has a batch of {tensor.shape[0]}; export it with a batch of 1"
                )
        layers: list[Layer] = []
        versions = []
        for number, wires in enumerate(self._wires):
            op, version = self._code(wires.operator)
            try:
                call = self._call(op, wires)
                if op in _APPLIED_ONCE and call.input(0).is_constant:
                    self._tensors.update(dict.fromkeys(wires.outputs, call.input(0)))
                    continue
                self._check_new(wires.outputs)
                if op == _RUN_ONCE:
                    continue
                layers.append(layer_of(call, self._sources(wires.inputs), number))
                versions.append(version)
            except TargetError as error:
                raise TargetError(f"operator {number} ({op}): {error}") from None
            self._producers.update(dict.fromkeys(wires.outputs, len(layers) - 1))
        producers = self._sources(self._outputs)
        graph = LayerGraph(
            layers=tuple(layers),
            input_bytes=sum(tensor.bytes for tensor in inputs),
            output_bytes=sum(self._tensor(index).bytes for index in self._outputs),
            outputs=tuple(dict.fromkeys(producer for producer in producers if producer != GRAPH_INPUT)),
        )
        return graph, tuple(versions)

    def _code(self, operator: Table) -> tuple[str, int]:
        """Return the operator's name and version."""
        code = operator.number(schema.OPERATOR_CODE, UINT32)
        if code >= len(self._file.codes):
            raise DamagedError(f"it refers to operator code {code} of {len(self._file.codes)}")
        return self._file.codes[code]

    def _call(self, op: str, wires: _Wires) -> Call:
        inputs = tuple([None if index == _LEFT_OUT else self._tensor(index) for index in wires.inputs])
        outputs = [self._tensor(index) for index in wires.outputs if index in self._used]
        if op == _SEQUENCE_LSTM and len(inputs) > _RECURRENT_WEIGHTS and [own.shape for own in outputs] == [()]:
            # Old converters left it open.
            data, weights = inputs[0], inputs[_RECURRENT_WEIGHTS]
            if data is not None and weights is not None:
                shape = (*data.shape[:-1], *weights.sides(2)[1:])
                outputs = [outputs[0]._replace(shape=shape)]
                self._tensors[wires.outputs[0]] = outputs[0]
        return Call(op, inputs, tuple(outputs or map(self._tensor, wires.outputs[:1])), wires.operator)

    def _check_new(self, indices: Sequence[int]) -> None:
        for index in indices:
            if index in self._producers or self._tensor(index).data_bytes:
                raise TargetError(f"it overwrites tensor '{self._tensor(index).name}'")

    def _sources(self, indices: Sequence[int]) -> tuple[int, ...]:
        """Return the producers of those tensors that are computed."""
        sources = []
        for index in indices:
            if index in self._producers:
                sources.append(self._producers[index])
            elif index != _LEFT_OUT and not (self._tensor(index).is_constant or self._tensor(index).is_variable):
                raise TargetError(f"tensor '{self._tensor(index).name}' is read, but no operator before makes it")
        return tuple(sources)

    def _tensor(self, index: int) -> Tensor:
        tensor = self._tensors.get(index)
        if tensor is None:
            tensor = self._tensors[index] = self._read_tensor(index)
        return tensor

    def _read_tensor(self, index: int) -> Tensor:
        if not 0 <= index < len(self._tables):
            raise DamagedError(f"it refers to tensor {index} of {len(self._tables)}")
        table = self._tables[index]
        name = _short(table.text(schema.TENSOR_NAME, _LONGEST_TEXT).partition(";")[0]) or f"tensor {index}"
        shape = table.numbers(schema.TENSOR_SHAPE)
        number = table.number(schema.TENSOR_TYPE, INT8)
        if not 0 <= number < len(schema.DTYPES):
            raise TargetError(f"tensor '{name}' is of type {number}, which is newer than this version knows")
        signature = table.numbers(schema.TENSOR_SIGNATURE)
        sides = max(len(shape), len(signature))
        if sides > _MOST_SIDES:
            raise TargetError(f"tensor '{name}' has {sides} sides, at most {_MOST_SIDES} can be read")
        if _is_dynamic(shape, signature):
            text = "x".join(str(side) if side >= 0 else "?" for side in signature or shape)
            raise TargetError(f"tensor '{name}' has the dynamic shape {text}; export the model with fixed shapes")
        if prod(shape) > _MOST_ELEMENTS:
            raise TargetError(f"tensor '{name}' has {prod(shape)} elements, at most {_MOST_ELEMENTS} can be costed")
        return Tensor(
            name=name,
            shape=shape,
            dtype=schema.DTYPES[number],
            data_bytes=self._file.data_bytes(table.number(schema.TENSOR_BUFFER, UINT32)),
            is_variable=bool(table.number(schema.TENSOR_VARIABLE, UINT8)),
            is_sparse=table.table(schema.TENSOR_SPARSITY) is not None,
        )


def _is_dynamic(shape: tuple[int, ...], signature: tuple[int, ...]) -> bool:
    """Whether a side is open, other than a batch that the shape gives as 1."""
    return min((*shape, *signature[1:]), default=0) < 0 or (signature[:1] == (-1,) and shape[:1] != (1,))


def _short(name: str) -> str:
    """Return a name printable and short; its end tells more than its beginning."""
    name = _printable(name)
    return name if len(name) <= _LONGEST_NAME else "..." + name[3 - _LONGEST_NAME :]


def _printable(text: str) -> str:
    return text if text.isprintable() else ascii(text)[1:-1]
