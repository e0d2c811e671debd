"""Models as TFLite files: for LiteRT, and for the compilers of the Edge TPU and of Ethos-U.

The layout is the device's: an image ``(1, H, W, 3)`` in, predictions ``(1, h, w, C)`` out, every side fixed. An int8
file has 8-bit weights with a scale for each output channel and 8-bit activations, and nothing in it computes floats.

Converting and quantising happen in a process of their own: both print a great deal, take up to a gigabyte, and a crash
of their native code shall be an error of one line.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from ednas.exceptions import DataError, ExportError
from ednas.export.manifest import METADATA_NAME, Manifest, TensorSpec
from ednas.files import atomic_path

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ednas.export.deployed import Deployed

Floats = npt.NDArray[np.float32]
IO = Literal["int8", "uint8", "float"]

MISSING = 'converting needs litert-torch and ai-edge-quantizer; pip install "ednas[export]"'

INT8_VERSIONS = {
    "ADD": 2,
    "ARG_MAX": 2,
    "AVERAGE_POOL_2D": 2,
    "CONV_2D": 3,
    "DEPTHWISE_CONV_2D": 3,
    "MAX_POOL_2D": 2,
    "PAD": 2,
    "RESIZE_BILINEAR": 3,
    "RESIZE_NEAREST_NEIGHBOR": 2,
}
"""The operators of a clean graph, with the versions that stand for int8 elements (TFLite's ``op_version.cc``).

The quantiser leaves the float versions, by which compilers conclude that there is no int8 kernel.
"""

_LONGEST_NAME = 96
_UINT8_SHIFT = 128
_CHANNELS_AXIS = 3


def convert(deployed: Deployed, path: Path) -> None:
    """Write a network as a float TFLite file; takes some 15 seconds.

    Args:
        deployed: The network.
        path: The file; replaced if it exists.

    Raises:
        ExportError: litert-torch is not installed, or the network cannot be converted to a clean graph.
        EdnasError: The file cannot be written.
    """
    with atomic_path(path) as temporary:
        _in_child(_convert, deployed.raw, deployed.fused, deployed.input_size, temporary)


def quantise(float_path: Path, calibration: Iterable[Floats], path: Path, io: IO = "int8") -> None:
    """Write a float TFLite file as an int8 one.

    Args:
        float_path: What :func:`convert` wrote.
        calibration: Normalised images ``(1, H, W, 3)``, from which the ranges of the activations are taken.
        path: The file; replaced if it exists.
        io: Elements of the input and outputs. ``uint8`` is int8 moved by 128, bit-exact; ``float`` is converted at both
            ends. Class ids stay int32.

    Raises:
        ExportError: ai-edge-quantizer is not installed, or ``float_path`` cannot be quantised as a whole.
        DataError: There is no calibration image, they have another size than the model's, or are not finite.
        EdnasError: The file cannot be written.
    """
    images = list(calibration)
    with atomic_path(path) as temporary:
        _in_child(_quantise, float_path, images, temporary, io)


def finish(path: Path, manifest: Manifest) -> Manifest:
    """Name the input and outputs of a TFLite file, also in its signature, and embed the manifest.

    Args:
        path: The file; replaced.
        manifest: What the model is.

    Returns:
        The manifest that was embedded: with the file's input and outputs.

    Raises:
        ExportError: The file is no TFLite file of such a model.
        EdnasError: The file cannot be written.
    """
    model = _load(path)
    graph, signature = model.subgraphs[0], model.signatureDefs[0]
    names = [manifest.input.name, *(spec.name for spec in manifest.outputs.values())]
    places = [*signature.inputs, *signature.outputs]
    if len(places) != len(names):
        raise ExportError(f"{path}: has {len(places) - 1} outputs, its manifest {len(names) - 1}; convert it again")
    for place, name in zip(places, names, strict=True):
        _rename(graph.tensors, place.tensorIndex, name)
        place.name = name.encode()
    graph.outputs = [place.tensorIndex for place in signature.outputs]
    specs = [_spec(graph.tensors[place.tensorIndex]) for place in places]
    manifest = manifest.with_tensors(specs[0], dict(zip(manifest.outputs, specs[1:], strict=True)))
    _embed(model, manifest.to_json())
    _save(model, path)
    return manifest


def _convert(raw: nn.Module, fused: tuple[bool, ...], input_size: tuple[int, int], path: Path) -> None:
    """In the child."""
    try:
        import litert_torch
    except ImportError:
        raise ExportError(MISSING) from None
    import torch

    class ChannelsLast(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.raw = litert_torch.to_channel_last_io(raw, args=[0], outputs=list(range(len(fused))))

        def forward(self, image: Tensor) -> tuple[Tensor, ...]:
            return tuple(y.argmax(-1) if ids else y for y, ids in zip(self.raw(image), fused, strict=True))

    litert_torch.convert(ChannelsLast().eval(), (torch.zeros(1, *input_size, 3),)).export(str(path))
    model = _load(path)
    for operator in _operators(model, "RESIZE_NEAREST_NEIGHBOR"):
        # The converter says "half pixel" for torch's `nearest`, which takes the pixel at floor(i * scale): the same for
        # doublings, wrong for other factors, and a version of the operator that Coral's compiler does not map.
        operator.builtinOptions.halfPixelCenters = False
    _shorten_names(model)
    _check_clean(model)
    _save(model, path)


def _quantise(float_path: Path, images: Sequence[Floats], path: Path, io: IO) -> None:
    """In the child."""
    try:
        from ai_edge_quantizer import quantizer, recipe
    except ImportError:
        raise ExportError(MISSING) from None

    model = _load(float_path)
    signature = model.signatureDefs[0]
    _check_calibration(images, tuple(model.subgraphs[0].tensors[signature.inputs[0].tensorIndex].shape))
    key, name = signature.signatureKey.decode(), signature.inputs[0].name.decode()
    work = quantizer.Quantizer(str(float_path), recipe.static_wi8_ai8())
    # One thread: the ranges shall not depend on the machine.
    ranges = work.calibrate({key: [{name: image} for image in images]}, num_threads=1)
    work.quantize(ranges, enable_progress_bar=False, enable_progress_report=False).export_model(str(path))
    model = _load(path)
    _feed_integers_to_argmax(model)
    _check_clean(model)
    _check_integer(model)
    for code in model.operatorCodes:
        code.version = INT8_VERSIONS[_op(code)]
    if io != "int8":
        _convert_ends(model, io)
    _save(model, path)


def _feed_integers_to_argmax(model: Any) -> None:
    """Let ARG_MAX read the int8 logits, from which the quantiser makes floats for it."""
    graph = model.subgraphs[0]
    sources = {operator.outputs[0]: operator.inputs[0] for operator in _operators(model, "DEQUANTIZE")}
    readers = _operators(model, "ARG_MAX")
    for operator in readers:
        operator.inputs = [sources.get(operator.inputs[0], operator.inputs[0]), *operator.inputs[1:]]
    read = {index for operator in graph.operators for index in operator.inputs}.union(graph.outputs)
    graph.operators = [operator for operator in graph.operators if read.intersection(operator.outputs)]
    _drop_unused_codes(model)


def _drop_unused_codes(model: Any) -> None:
    operators = model.subgraphs[0].operators
    used = sorted({operator.opcodeIndex for operator in operators})
    model.operatorCodes = [model.operatorCodes[index] for index in used]
    for operator in operators:
        operator.opcodeIndex = used.index(operator.opcodeIndex)


def _convert_ends(model: Any, io: IO) -> None:
    """Let the int8 graph take and give other elements."""
    graph, signature = model.subgraphs[0], model.signatureDefs[0]
    first, last = ("QUANTIZE", 1), ("QUANTIZE", 1) if io == "uint8" else ("DEQUANTIZE", 2)
    place = signature.inputs[0]
    outer = _outer_tensor(model, place.tensorIndex, io)
    graph.operators.insert(0, _operator(model, *first, outer, place.tensorIndex))
    graph.inputs, place.tensorIndex = [outer], outer
    for place in signature.outputs:
        if _dtype(graph.tensors[place.tensorIndex]) == "int8":
            outer = _outer_tensor(model, place.tensorIndex, io)
            graph.operators.append(_operator(model, *last, place.tensorIndex, outer))
            place.tensorIndex = outer
    graph.outputs = [place.tensorIndex for place in signature.outputs]


def _outer_tensor(model: Any, inner: int, io: IO) -> int:
    """Add the tensor that the caller sees in place of an int8 one, under its name, and return its index."""
    from ai_edge_litert.tools.flatbuffer_utils import TensorType

    tensors = model.subgraphs[0].tensors
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


def _operator(model: Any, name: str, version: int, source: int, target: int) -> Any:
    """Return an operator of one input and one output."""
    from ai_edge_litert.tools.flatbuffer_utils import BuiltinOperator, OperatorCodeT, OperatorT

    number = getattr(BuiltinOperator, name)
    codes = [code.builtinCode for code in model.operatorCodes]
    if number not in codes:
        code = OperatorCodeT()
        code.builtinCode = code.deprecatedBuiltinCode = number
        code.version = version
        model.operatorCodes.append(code)
        codes.append(number)
    operator = OperatorT()
    operator.opcodeIndex = codes.index(number)
    operator.inputs, operator.outputs = [source], [target]
    return operator


def _shorten_names(model: Any) -> None:
    """Name tensors by the network's modules, instead of by the classes of everything around them.

    A result of several fused operators has all of their names; the first is that of the last.
    """
    taken: set[str] = set()
    for tensor in model.subgraphs[0].tensors:
        first, _, _ = tensor.name.decode(errors="replace").partition(";")
        parts = [part.rpartition(".")[2] for part in first.split("/")]
        inside = parts.index(_NETWORK) + 1 if _NETWORK in parts else 0
        name = stem = "/".join(parts[inside:])[-_LONGEST_NAME:]
        number = 1
        while name in taken:
            number += 1
            name = f"{stem}_{number}"
        taken.add(name)
        tensor.name = name.encode()


def _rename(tensors: Sequence[Any], index: int, name: str) -> None:
    """Name a tensor, and rename whatever has that name."""
    for number, tensor in enumerate(tensors):
        if tensor.name == name.encode() and number != index:
            tensor.name += f"_{number}".encode()
    tensors[index].name = name.encode()


def _spec(tensor: Any) -> TensorSpec:
    quantization = tensor.quantization
    is_quantised = quantization is not None and quantization.scale is not None and len(quantization.scale) > 0
    return TensorSpec(
        name=tensor.name.decode(),
        shape=tuple(int(side) for side in tensor.shape),
        dtype=_dtype(tensor),
        scale=float(quantization.scale[0]) if is_quantised else None,
        zero_point=int(quantization.zeroPoint[0]) if is_quantised else 0,
    )


def _embed(model: Any, text: str) -> None:
    """Put a text into the model's metadata, in place of an older one."""
    from ai_edge_litert.tools.flatbuffer_utils import BufferT, schema_fb

    entry = next((entry for entry in model.metadata or [] if entry.name == METADATA_NAME.encode()), None)
    if entry is None:
        entry = schema_fb.MetadataT()
        entry.name, entry.buffer = METADATA_NAME.encode(), len(model.buffers)
        model.metadata = [*(model.metadata or []), entry]
        model.buffers.append(BufferT())
    model.buffers[entry.buffer].data = list(text.encode())


def _check_clean(model: Any) -> None:
    """Raise unless there are only operators that every target's compiler takes in this layout."""
    foreign = sorted({_op(code) for code in model.operatorCodes} - set(INT8_VERSIONS))
    if foreign:
        raise ExportError(
            f"the converted graph holds {', '.join(foreign)}, which accelerators leave to the host;"
            " use the versions of litert-torch and ai-edge-quantizer that `ednas[export]` pins"
        )


def _check_integer(model: Any) -> None:
    """Raise unless nothing is computed in floating point."""
    graph = model.subgraphs[0]
    computed = {index for operator in graph.operators for index in operator.outputs}.union(graph.inputs)
    floats = [graph.tensors[index].name.decode() for index in sorted(computed) if _dtype(graph.tensors[index]) == "float32"]
    if floats:
        raise ExportError(f"the quantiser left {len(floats)} tensors in floating point, the first is {floats[0]}")


def _check_calibration(images: Sequence[Floats], shape: tuple[int, ...]) -> None:
    if not images:
        raise DataError("there is no calibration image; give a dataset that has some")
    for index, image in enumerate(images):
        if image.shape != shape:
            found, expected = ("x".join(map(str, sides)) for sides in (image.shape, shape))
            raise DataError(f"calibration image {index} is {found}, the model takes {expected}")
        if not np.isfinite(image).all():
            raise DataError(f"calibration image {index} holds NaN or infinite values")


def _op(code: Any) -> str:
    from ai_edge_litert.tools.flatbuffer_utils import type_to_name
    return ""


def _load(path: Path) -> Any:
    """Read a TFLite file as objects that can be changed."""
    try:
        from ai_edge_litert.tools import flatbuffer_utils
    except ImportError:
        raise ExportError(MISSING) from None
    load_tflite(path)
    return flatbuffer_utils.read_model(str(path))


def _save(model: Any, path: Path) -> None:
    from ai_edge_litert.tools import flatbuffer_utils

    with atomic_path(path) as temporary:
        flatbuffer_utils.write_model(model, str(temporary))


def _in_child(function: Callable[..., None], *arguments: Any) -> None:
    """Call a function of this module in a process of its own.

    Raises:
        EdnasError: What the function raised, or that the process died.
    """
    import torch

    with tempfile.TemporaryDirectory(prefix="ednas-") as folder:
        request, answer = Path(folder) / "request", Path(folder) / "answer"
        torch.save((function.__name__, arguments), request)
        # -P: a file in the working directory must not hide a package of the same name.
        command = [sys.executable, "-P", "-m", __name__, str(request), str(answer)]
        done = subprocess.run(command, capture_output=True, check=False, errors="replace")
        if not answer.is_file():
            raise ExportError(f"the process that converts {_end(done.returncode)}{_last_line(done.stderr)}")
        error = pickle.loads(answer.read_bytes())
    if error is not None:
        raise error


def _main(request: str, answer: str) -> None:
    """Do, in the child, what the request says, and answer with None or the error."""
    import torch

    error: Exception | None = None
    try:
        name, arguments = torch.load(request, weights_only=False)
        {_convert.__name__: _convert, _quantise.__name__: _quantise}[name](*arguments)
    except EdnasError as known:
        error = known
    except Exception as unknown:
        error = ExportError(f"the network cannot be converted: {type(unknown).__name__}: {_first_line(unknown)}")
    Path(answer).write_bytes(pickle.dumps(error))


if __name__ == "__main__":
    _main(*sys.argv[1:])
