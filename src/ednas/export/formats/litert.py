"""Models as TFLite files: for LiteRT, and for the compilers of the Edge TPU and of Ethos-U.

The layout is the device's: an image ``(1, H, W, 3)`` in, predictions ``(1, h, w, C)`` out, every side fixed. An int8
file has 8-bit weights with a scale for each output channel and 8-bit activations; nothing between its ends is float.

Converting and quantising happen in a process of their own: both print a great deal and take up to a gigabyte, and a
crash of their native code shall be an error of one line.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from io import BytesIO
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ednas.exceptions import EdnasError, ExportError, TargetError
from ednas.export.audit import audit
from ednas.export.calibration import check_calibration
from ednas.export.converter import (
    IO,
    Array,
    Converter,
    Floats,
    Inspection,
    Ranges,
    Session,
    Step,
    by_suffix,
    register_converter,
)
from ednas.export.manifest import METADATA_NAME, Manifest, TensorSpec
from ednas.export.runtime import dequantise, one_line_errors, try_in_a_process
from ednas.export.tflite_model import MISSING, TfliteModel
from ednas.files import atomic_path
from ednas.hw.sources.litert import MISSING as NO_RUNTIME
from ednas.hw.tflite import schema
from ednas.hw.tflite.flatbuffer import UINT32, Content, DamagedError
from ednas.hw.tflite.reader import load_tflite
from ednas.hw.tflite.versions import VERSIONS
from ednas.plugins import load_plugins, loaded_files
from ednas.processes import describe_end

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ednas.export.deployed import Deployed

INT8_VERSIONS = {op: versions.exported for op, versions in VERSIONS.items() if versions.exported}
"""The operators of a clean graph, with the versions that stand for int8 elements (TFLite's ``op_version.cc``).

The quantiser leaves the float versions, of which a compiler does not expect int8. Concatenations, products and other
activations than a fused ReLU6 are for backbones and decoders of users' own: our networks have none.
"""

_ROOT = "RawOutputs_wrapped"
"""Name of the network in the names that the converter gives to tensors."""

_LONGEST = 1 << 20
"""Bytes of an embedded manifest; one of 255 classes with long names has 20,000."""

# Slots of TFLite's tables Model, Metadata and Buffer.


def convert(deployed: Deployed, path: Path) -> None:
    """Write a network as a float TFLite file; takes some 15 seconds.

    Raises:
        ExportError: litert-torch is not installed, or cannot convert the network to a clean graph; or a part of the
            network is of a class that the process of the conversion cannot import.
        EdnasError: The file cannot be written.
    """
    _check_importable(deployed.raw)
    with atomic_path(path) as temporary:
        _in_child(_convert, deployed.raw, deployed.fused, deployed.input_size, temporary)


def quantise(
    float_path: Path, calibration: Iterable[Floats], path: Path, io: IO = "int8", ranges: Ranges = "full"
) -> None:
    """Write a float TFLite file as an int8 one.

    Args:
        float_path: What :func:`convert` wrote.
        calibration: Normalised images ``(1, H, W, 3)``, from which the ranges of the activations are taken.
        path: The file.
        io: Elements of the input and outputs. ``uint8`` is int8 moved by 128, bit-exact; ``float`` is converted at both
            ends. Class ids stay what they are.
        ranges: Either may be better by far; for trained networks it is mostly ``full``.

    Raises:
        ExportError: ai-edge-quantizer is not installed, or cannot quantise ``float_path`` as a whole.
        DataError: There is no calibration image, they have another size than the model's, or are not finite.
        EdnasError: The file cannot be written.
    """
    images = list(calibration)
    check_calibration(images, TfliteModel(float_path).input.shape)
    with atomic_path(path) as temporary:
        _in_child(_quantise, float_path, images, temporary, io, ranges)


def finish(path: Path, manifest: Manifest) -> Manifest:
    """Name the input and outputs of a TFLite file, also in its signature, and embed the manifest, which is returned.

    Raises:
        ExportError: The file is no TFLite file of such a model.
        EdnasError: The file cannot be written.
    """
    model = TfliteModel(path)
    expected = [manifest.input, *manifest.outputs.values()]
    found = [model.input, *model.outputs]
    if [spec.shape for spec in found] != [spec.shape for spec in expected]:
        raise ExportError(
            f"{path}: its input and outputs are not those of {', '.join(manifest.tasks)}; convert it again"
        )
    model.rename_ends([spec.name for spec in expected])
    manifest = manifest.with_tensors(model.input, dict(zip(manifest.outputs, model.outputs, strict=True)))
    model.embed(METADATA_NAME, manifest.to_json())
    model.save(path)
    return manifest


def read_manifest(path: Path) -> str | None:
    """Return the text of the manifest in a TFLite file, of which nothing is trusted; None if it holds none.

    Raises:
        ExportError: The file is damaged or no TFLite file.
    """
    try:
        with path.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as content:
            if content[4:8] != schema.IDENTIFIER:
                raise ExportError(f"{path}: is no model of a kind that ednas exports ({' or '.join(by_suffix())})")
            model = Content(content).root()
            for entry in model.tables(schema.MODEL_METADATA):
                if entry.text(schema.METADATA_NAME, len(METADATA_NAME) + 1) == METADATA_NAME:
                    buffer = model.tables(schema.MODEL_BUFFERS)[entry.number(schema.METADATA_BUFFER, UINT32)]
                    return buffer.text(schema.BUFFER_DATA, _LONGEST)
            return None
    except (DamagedError, IndexError) as error:
        raise ExportError(f"{path}: is damaged ({error}); export or copy it again") from None
    except (OSError, ValueError) as error:  # a ValueError: an empty file cannot be mapped
        raise ExportError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error})") from error


def open_session(path: Path, threads: int) -> Session:
    """Load a TFLite file that nobody has checked.

    Raises:
        ExportError: LiteRT is missing, or the file is damaged, compiled for a device, or cannot be run.
    """
    try:
        load_tflite(path)
    except TargetError as error:
        raise ExportError(str(error)) from None
    try_in_a_process(path)
    interpreter = load_interpreter(str(path), threads)
    with one_line_errors(f"{path}: is damaged"):  # names may be no text
        inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()

    def run(image: Array) -> dict[str, Array]:
        interpreter.set_tensor(inputs[0]["index"], image)
        interpreter.invoke()
        return {entry["name"]: interpreter.get_tensor(entry["index"]) for entry in outputs}

    return Session([_spec(entry) for entry in inputs], [_spec(entry) for entry in outputs], run)


def load_interpreter(model: str | bytes, threads: int = 1) -> Any:
    """Load a TFLite model, a file or content, that can be trusted not to crash the process.

    Raises:
        ExportError: LiteRT is missing or cannot load it.
    """
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError:
        raise ExportError(NO_RUNTIME) from None
    kind, what = ("model_path", model) if isinstance(model, str) else ("model_content", "the model")
    with _silence(), one_line_errors(f"{what}: LiteRT cannot load it"):
        interpreter = Interpreter(**{kind: model}, num_threads=threads)
        interpreter.allocate_tensors()
        return interpreter


def inspect(path: Path) -> Inspection:
    """Open a TFLite file so that every tensor can be seen.

    Raises:
        ExportError: LiteRT is missing or cannot load it.
    """
    from ai_edge_litert.tools import flatbuffer_utils

    model = flatbuffer_utils.read_model(str(path))
    graph = model.subgraphs[0]
    names = [tensor.name.decode(errors="replace") for tensor in graph.tensors]
    made = {index for operator in graph.operators for index in operator.outputs}
    steps = tuple(
        Step(
            name=names[operator.outputs[0]],
            op=str(flatbuffer_utils.opcode_to_name(model, operator.opcodeIndex)),
            inputs=tuple(names[index] for index in operator.inputs if index in made),
        )
        for operator in graph.operators
    )
    graph.outputs = sorted(made)
    model.signatureDefs = []  # else the interpreter wants names for the new outputs
    interpreter = load_interpreter(bytes(flatbuffer_utils.convert_object_to_bytearray(model)))
    input_index = interpreter.get_input_details()[0]["index"]
    outputs = [(entry["index"], _spec(entry)) for entry in interpreter.get_output_details()]
    outputs = [(index, spec) for index, spec in outputs if spec.scale is not None or spec.dtype == "float32"]

    def run(image: Array) -> dict[str, Floats]:
        interpreter.set_tensor(input_index, image)
        interpreter.invoke()
        return {spec.name: dequantise(interpreter.get_tensor(index), spec) for index, spec in outputs}

    return Inspection(steps, run)


def _convert(raw: nn.Module, fused: tuple[bool, ...], input_size: tuple[int, int], path: Path) -> None:
    """Runs in the child."""
    import litert_torch
    import torch

    class ChannelsLast(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.raw = litert_torch.to_channel_last_io(raw, args=[0], outputs=list(range(len(fused))))

        def forward(self, image: Tensor) -> tuple[Tensor, ...]:
            return tuple(y.argmax(-1) if ids else y for y, ids in zip(self.raw(image), fused, strict=True))

    litert_torch.convert(ChannelsLast().eval(), (torch.zeros(1, *input_size, 3),)).export(str(path))
    model = TfliteModel(path)
    model.resize_by_floor()
    model.shorten_names(_ROOT)
    _check_clean(model)
    model.save(path)


def _quantise(float_path: Path, images: Sequence[Floats], path: Path, io: IO, ranges: Ranges) -> None:
    """Runs in the child."""
    from ai_edge_quantizer import quantizer, recipe

    model = TfliteModel(float_path)
    work = quantizer.Quantizer(str(float_path), recipe.static_wi8_ai8())
    # One thread: the ranges shall not depend on the machine.
    found = [work.calibrate({model.signature: [{model.input.name: image}]}, num_threads=1) for image in images]
    least, greatest = (np.min, np.max) if ranges == "full" else (np.mean, np.mean)
    work.quantize(
        _merged(found, least, greatest), enable_progress_bar=False, enable_progress_report=False
    ).export_model(str(path))
    model = TfliteModel(path)
    model.feed_integers_to_argmax()
    _check_clean(model)
    _check_integer(model)
    model.set_versions(INT8_VERSIONS)
    if io != "int8":
        model.convert_ends(io)
    model.save(path)


def _merged(found: Sequence[Any], least: Callable[..., Any], greatest: Callable[..., Any]) -> dict[str, Any]:
    """Put the ranges of single images together, tensor by tensor; the quantiser's own way depends on their order."""

    def over_images(tensor: str, end: str, function: Callable[..., Any]) -> Any:
        values = [ranges[tensor][end] for ranges in found]
        return function(values, axis=0).astype(values[0].dtype)

    return {
        tensor: {**first, "min": over_images(tensor, "min", least), "max": over_images(tensor, "max", greatest)}
        if isinstance(first, dict) and "min" in first
        else first
        for tensor, first in found[0].items()
    }


def _check_importable(network: nn.Module) -> None:
    """Raise if a part is of a class that no other process finds: of the script that runs, a notebook, or a function."""
    for name, part in network.named_modules():
        kind = type(part)
        if kind.__module__ == "__main__" or "<locals>" in kind.__qualname__:
            place = "the script or notebook that runs" if kind.__module__ == "__main__" else "a function"
            raise ExportError(
                f"'{name}' of the network is a {kind.__name__}, which is defined in {place}: the conversion, in a "
                "process of its own, cannot import it; move the class to a .py file of its own and load that by "
                "ednas.load_plugin or --plugin, or export to ONNX"
            )


def _check_clean(model: TfliteModel) -> None:
    """Raise unless there are only operators that a clean conversion leaves."""
    foreign = sorted(set(model.operators) - set(INT8_VERSIONS))
    if foreign:
        raise ExportError(
            f"the converted graph holds {', '.join(foreign)}, which a clean one does not; replace them in a backbone or"
            " decoder of your own, or install the versions of litert-torch and ai-edge-quantizer that `ednas[export]`"
            " asks for"
        )


def _check_integer(model: TfliteModel) -> None:
    """Raise unless nothing is computed in floating point."""
    floats = [name for name, dtype in model.computed_dtypes.items() if dtype == "float32"]
    if floats:
        raise ExportError(f"the quantiser left {len(floats)} tensors in floating point, the first is '{floats[0]}'")


def _spec(detail: Mapping[str, Any]) -> TensorSpec:
    """Return what LiteRT says about a tensor, with one step of quantisation for all of it (as activations have)."""
    scale, zero_point = detail["quantization"]
    return TensorSpec(
        name=detail["name"],
        shape=tuple(int(side) for side in detail["shape"]),
        dtype=np.dtype(detail["dtype"]).name,
        scale=float(scale) or None,
        zero_point=int(zero_point),
    )


@contextmanager
def _silence() -> Iterator[None]:
    """Drop what native code prints on standard error meanwhile: LiteRT reports there that all is well."""
    sys.stderr.flush()
    kept = os.dup(2)
    with Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _in_child(function: Callable[..., None], *arguments: Any) -> None:
    """Call a function of this module in a process of its own, silently.

    Raises:
        EdnasError: What the function raised; or the process died.
    """
    import torch

    with tempfile.TemporaryDirectory(prefix="ednas-") as folder:
        request, answer = Path(folder) / "request", Path(folder) / "answer"
        content = BytesIO()
        torch.save(arguments, content)
        # What the arguments are made of must be importable there before they are read.
        torch.save((function, loaded_files(), sys.path, content.getvalue()), request)
        # -P: a file in the working directory must not hide a package of the same name.
        program = f"import sys; from {__name__} import _answer; _answer(*sys.argv[1:])"
        command = [sys.executable, "-P", "-c", program, str(request), str(answer)]
        done = subprocess.run(command, capture_output=True, check=False, errors="replace")
        if not answer.is_file():
            raise ExportError(f"the conversion {describe_end(done.returncode, done.stderr)}")
        error = pickle.loads(answer.read_bytes())
    if error is not None:
        raise error


def _answer(request: str, answer: str) -> None:
    """Do, in the child, what the request says; answer with None or the error."""
    import torch

    function, plugins, path, content = torch.load(request, weights_only=False)
    sys.path += [place for place in path if place not in sys.path]
    error: EdnasError | None = None
    try:
        load_plugins(plugins)
        function(*torch.load(BytesIO(content), weights_only=False))
    except EdnasError as known:
        error = known
    except ImportError as missing:
        error = ExportError(f"{MISSING} ({missing})")
    except Exception as unknown:
        text = " ".join(str(unknown).split())[:300]
        error = ExportError(f"the network cannot be converted: {type(unknown).__name__}: {text}")
    Path(answer).write_bytes(pickle.dumps(error))


LITERT = Converter(
    name="litert",
    suffix=".tflite",
    packages=("litert_torch", "ai_edge_quantizer", "ai_edge_litert"),
    extra="export",
    channels_last=True,
    convert=convert,
    quantise={"full": quantise, "average": partial(quantise, ranges="average")},
    finish=finish,
    read_manifest=read_manifest,
    open=open_session,
    inspect=inspect,
    audit=audit,
    io=True,
    fuse=True,
)
register_converter(LITERT)
