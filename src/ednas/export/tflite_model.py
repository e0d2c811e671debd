"""A TFLite file as objects that can be changed: names, versions, operators at the ends, metadata."""

from __future__ import annotations

import copy
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from ednas.exceptions import ExportError, TargetError
from ednas.export.converter import IO
from ednas.export.manifest import TensorSpec
from ednas.files import atomic_path
from ednas.hw.tflite import schema
from ednas.hw.tflite.reader import load_tflite
from ednas.hw.tflite.versions import VERSIONS

MISSING = 'exporting for LiteRT needs more packages; pip install "ednas[export]"'

_LONGEST_NAME = 96
_UINT8_SHIFT = 128
_ENDS = {"QUANTIZE": VERSIONS["QUANTIZE"].exported, "DEQUANTIZE": VERSIONS["DEQUANTIZE"].int8}
"""Operators at the ends of an int8 model, with their versions."""


class TfliteModel:
    """A TFLite file of one graph and one signature.

    Args:
        path: The file.

    Raises:
        ExportError: ai-edge-litert is not installed, or the file is missing, damaged, or of another kind.
    """

    def __init__(self, path: Path) -> None:
        try:
            from ai_edge_litert.tools import flatbuffer_utils
        except ImportError:
            raise ExportError(MISSING) from None
        try:
            load_tflite(path)  # checks every position in the file, as the reader below does not
        except TargetError as error:
            raise ExportError(str(error)) from None
        self._model: Any = flatbuffer_utils.read_model(str(path))
        self._graph = self._model.subgraphs[0]
        signatures: list[Any] = self._model.signatureDefs or []
        if len(signatures) != 1 or len(signatures[0].inputs) != 1:
            raise ExportError(f"{path}: is no model that ednas exports (one input, in one signature)")
        self._signature = signatures[0]

    def save(self, path: Path) -> None:
        """Write the file.

        Raises:
            EdnasError: It cannot be written.
        """
        from ai_edge_litert.tools import flatbuffer_utils

        with atomic_path(path) as temporary:
            flatbuffer_utils.write_model(self._model, str(temporary))

    @property
    def signature(self) -> str:
        """Name of the signature."""
        return str(self._signature.signatureKey.decode())

    @property
    def input(self) -> TensorSpec:
        """The input, under its name in the signature."""
        return self._spec(self._signature.inputs[0])

    @property
    def outputs(self) -> list[TensorSpec]:
        """The outputs, under their names in the signature, in its order."""
        return [self._spec(place) for place in self._signature.outputs]

    @property
    def operators(self) -> list[str]:
        """Names of the operators, in their order."""
        return [self._op(operator) for operator in self._graph.operators]

    @property
    def computed_dtypes(self) -> dict[str, str]:
        """Types of the elements of the input and of every operator's result, by name."""
        indices = {index for operator in self._graph.operators for index in operator.outputs}.union(self._graph.inputs)
        tensors = [self._graph.tensors[index] for index in sorted(indices)]
        return {tensor.name.decode(): _dtype(tensor) for tensor in tensors}

    def rename_ends(self, names: Sequence[str]) -> None:
        """Name the input and the outputs, in the signature and in the graph."""
        places = [*self._signature.inputs, *self._signature.outputs]
        ends = {place.tensorIndex: name.encode() for place, name in zip(places, names, strict=True)}
        for index, tensor in enumerate(self._graph.tensors):
            if index not in ends and tensor.name in ends.values():
                tensor.name += f"_{index}".encode()
        for place in places:
            place.name = self._graph.tensors[place.tensorIndex].name = ends[place.tensorIndex]
        self._graph.outputs = [place.tensorIndex for place in self._signature.outputs]

    def shorten_names(self, root: str) -> None:
        """Name tensors by the modules inside ``root`` that they come from, instead of by all classes around them.

        What several fused operators make has all of their names; the first is that of the last one. Where several
        tensors have one name, numbers follow it, and results come before constants.
        """
        computed = {index for operator in self._graph.operators for index in operator.outputs}
        taken: set[str] = set()
        for index in sorted(range(len(self._graph.tensors)), key=lambda index: index not in computed):
            tensor = self._graph.tensors[index]
            first = tensor.name.decode(errors="replace").partition(";")[0]
            parts = [part.rpartition(".")[2] for part in first.split("/")]
            inside = parts[parts.index(root) + 1 :] if root in parts else []
            name = _free("/".join(inside or parts[-1:])[-_LONGEST_NAME:], taken)
            taken.add(name)
            tensor.name = name.encode()

    def resize_by_floor(self) -> None:
        """Let nearest resizes take the pixel at floor(i * scale), as torch's ``nearest`` does.

        The converter writes "half pixel centres": the same for doublings, but wrong for other factors, and a version of
        the operator that Coral's compiler does not map.
        """
        for operator in self._find("RESIZE_NEAREST_NEIGHBOR"):
            operator.builtinOptions.halfPixelCenters = False

    def feed_integers_to_argmax(self) -> None:
        """Let ARG_MAX read integers, of which the quantiser makes floats for it."""
        sources = {operator.outputs[0]: operator.inputs[0] for operator in self._find("DEQUANTIZE")}
        for operator in self._find("ARG_MAX"):
            logits, axis = operator.inputs
            operator.inputs = [sources.get(logits, logits), axis]
        read = {index for operator in self._graph.operators for index in operator.inputs}.union(self._graph.outputs)
        self._graph.operators = [each for each in self._graph.operators if read.intersection(each.outputs)]
        self._drop_unused_codes()

    def set_versions(self, versions: dict[str, int]) -> None:
        """Set the operators' versions, by name."""
        for code in self._model.operatorCodes:
            code.version = versions[_name(code)]
            code.deprecatedBuiltinCode = code.builtinCode  # what compilers of before 2021 read; all are below 127

    def convert_ends(self, io: IO) -> None:
        """Let an int8 graph take and give other elements: operators at its ends convert them."""
        (place,) = self._signature.inputs
        inner = place.tensorIndex
        place.tensorIndex = self._add_outer_tensor(inner, io)
        self._graph.operators.insert(0, self._operator("QUANTIZE", place.tensorIndex, inner))
        self._graph.inputs = [place.tensorIndex]
        for place in self._signature.outputs:
            inner = place.tensorIndex
            if _dtype(self._graph.tensors[inner]) == "int8":
                place.tensorIndex = self._add_outer_tensor(inner, io)
                last = "QUANTIZE" if io == "uint8" else "DEQUANTIZE"
                self._graph.operators.append(self._operator(last, inner, place.tensorIndex))
        self._graph.outputs = [place.tensorIndex for place in self._signature.outputs]

    def embed(self, name: str, text: str) -> None:
        """Put a text into the metadata, in place of an older one of that name."""
        from ai_edge_litert.tools.flatbuffer_utils import BufferT, schema_fb

        entries: dict[bytes, Any] = {entry.name: entry for entry in self._model.metadata or []}
        entry = entries.get(name.encode())
        if entry is None:
            entry = schema_fb.MetadataT()
            entry.name, entry.buffer = name.encode(), len(self._model.buffers)
            self._model.buffers.append(BufferT())
            self._model.metadata = [*entries.values(), entry]
        self._model.buffers[entry.buffer].data = list(text.encode())

    def _spec(self, place: Any) -> TensorSpec:
        tensor = self._graph.tensors[place.tensorIndex]
        scales: Any = () if tensor.quantization is None else tensor.quantization.scale
        is_quantised = scales is not None and len(scales) > 0
        return TensorSpec(
            name=place.name.decode(),
            shape=tuple(int(side) for side in tensor.shape),
            dtype=_dtype(tensor),
            scale=float(scales[0]) if is_quantised else None,
            zero_point=int(tensor.quantization.zeroPoint[0]) if is_quantised else 0,
        )

    def _op(self, operator: Any) -> str:
        return _name(self._model.operatorCodes[operator.opcodeIndex])

    def _find(self, name: str) -> list[Any]:
        return [operator for operator in self._graph.operators if self._op(operator) == name]

    def _drop_unused_codes(self) -> None:
        used = sorted({operator.opcodeIndex for operator in self._graph.operators})
        self._model.operatorCodes = [self._model.operatorCodes[index] for index in used]
        for operator in self._graph.operators:
            operator.opcodeIndex = used.index(operator.opcodeIndex)

    def _add_outer_tensor(self, inner: int, io: IO) -> int:
        """Add what a caller sees in place of an int8 tensor, under its name; return the index."""
        from ai_edge_litert.tools.flatbuffer_utils import TensorType

        tensors = self._graph.tensors
        outer = copy.deepcopy(tensors[inner])
        tensors[inner].name += b"_int8"
        if io == "uint8":
            outer.type = TensorType.UINT8
            outer.quantization.zeroPoint = [outer.quantization.zeroPoint[0] + _UINT8_SHIFT]
        else:
            outer.type = TensorType.FLOAT32
            outer.quantization = None
        tensors.append(outer)
        return len(tensors) - 1

    def _operator(self, name: str, source: int, result: int) -> Any:
        """Return a new operator of one input and one output."""
        from ai_edge_litert.tools.flatbuffer_utils import OperatorCodeT, OperatorT

        names = [_name(known) for known in self._model.operatorCodes]
        if name not in names:
            added = OperatorCodeT()
            added.builtinCode = added.deprecatedBuiltinCode = schema.CODES.index(name)
            added.version = _ENDS[name]
            self._model.operatorCodes.append(added)
            names.append(name)
        operator = OperatorT()
        operator.opcodeIndex = names.index(name)
        operator.inputs, operator.outputs = [source], [result]
        return operator


def _name(code: Any) -> str:
    return schema.CODES[max(code.builtinCode, code.deprecatedBuiltinCode)]


def _dtype(tensor: Any) -> str:
    from ai_edge_litert.tools.flatbuffer_utils import type_to_name

    return str(type_to_name(tensor.type)).lower()


def _free(name: str, taken: Collection[str]) -> str:
    number, free = 1, name
    while free in taken:
        number += 1
        free = f"{name}_{number}"
    return free
