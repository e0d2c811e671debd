"""Models as ONNX files: for ONNX Runtime, and for whatever else reads ONNX.

The layout stays ONNX's own: an image ``(1, 3, H, W)`` in, predictions ``(1, C, h, w)`` out, every side fixed. An int8
file has 8-bit weights with a scale for each output channel and 8-bit activations, as pairs of ``QuantizeLinear`` and
``DequantizeLinear`` (QDQ); its input and outputs stay float.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ednas.exceptions import ExportError
from ednas.export.calibration import check_calibration
from ednas.export.converter import Array, Converter, Floats, Inspection, Session, Step, register_converter
from ednas.export.manifest import METADATA_NAME, Manifest, TensorSpec
from ednas.export.runtime import one_line_errors, try_in_a_process
from ednas.files import atomic_path
from ednas.hw.sources.litert import MISSING_ONNX

if TYPE_CHECKING:
    from ednas.export.deployed import Deployed

OPSET = 20
"""Version of ONNX's operators."""


def convert(deployed: Deployed, path: Path) -> None:
    """Write a network as a float ONNX file.

    Raises:
        ExportError: A package is not installed, or the network cannot be converted.
        EdnasError: The file cannot be written.
    """
    ONNX.check_installed()
    import torch

    from ednas.export.deployed import INPUT

    image = torch.zeros(1, 3, *deployed.input_size)
    with _quiet():
        try:
            program = torch.onnx.export(
                deployed,
                (image,),
                dynamo=True,
                opset_version=OPSET,
                input_names=[INPUT],
                output_names=list(deployed.tasks),
                verbose=False,
            )
        except torch.onnx.OnnxExporterError as error:
            raise ExportError(f"the network cannot be converted to ONNX: {_first_line(error)}") from error
    assert program is not None  # with dynamo it always is one
    _save(_without_origins(program.model_proto), path)


def quantise(float_path: Path, calibration: Iterable[Floats], path: Path) -> None:
    """Write a float ONNX file as an int8 one; the images are normalised, ``(1, H, W, 3)``.

    Raises:
        ExportError: A package is not installed, or ``float_path`` is no ONNX file.
        DataError: There is no calibration image, they have another size than the model's, or are not finite.
        EdnasError: The file cannot be written.
    """
    ONNX.check_installed()
    image = _spec(_load_graph(float_path).graph.input[0])
    images = list(calibration)
    batch, channels, height, width = image.shape
    check_calibration(images, (batch, height, width, channels))
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    with atomic_path(path) as temporary, _quiet():
        quantize_static(
            str(float_path),
            str(temporary),
            _Feed(image.name, images),
            quant_format=QuantFormat.QDQ,
            activation_type=QuantType.QInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
        )


def finish(path: Path, manifest: Manifest) -> Manifest:
    """Embed the manifest in an ONNX file; return it with the file's input and outputs.

    Raises:
        ExportError: A package is not installed, or the file is no ONNX file or has other outputs than the manifest.
        EdnasError: The file cannot be written.
    """
    ONNX.check_installed()
    import onnx

    model = _load_graph(path)
    outputs = {spec.name: spec for spec in map(_spec, model.graph.output)}
    if set(outputs) != set(manifest.outputs):
        raise ExportError(f"{path}: has outputs {', '.join(outputs)}, not the manifest's {', '.join(manifest.outputs)}")
    manifest = manifest.with_tensors(_spec(model.graph.input[0]), outputs)
    onnx.helper.set_model_props(model, {METADATA_NAME: manifest.to_json()})
    _save(model, path)
    return manifest


def read_manifest(path: Path) -> str | None:
    """Return the text of the manifest in an ONNX file; None if it holds none.

    Raises:
        ExportError: onnx is not installed, or the file is damaged or no ONNX file.
    """
    return next((entry.value for entry in _load(path).metadata_props if entry.key == METADATA_NAME), None)


def open_session(path: Path, threads: int) -> Session:
    """Load an ONNX file that nobody has checked.

    Raises:
        ExportError: ONNX Runtime is missing, or the file is damaged or cannot be run.
    """
    try_in_a_process(path)
    session, graph = load_session(str(path), threads), _load(path).graph
    with one_line_errors(f"{path}: is damaged"):  # elements may be of no type
        inputs, outputs = list(map(_spec, graph.input)), list(map(_spec, graph.output))
    names = [spec.name for spec in outputs]

    def run(image: Array) -> dict[str, Array]:
        return dict(zip(names, session.run(names, {inputs[0].name: image}), strict=True))

    return Session(inputs, outputs, run)


def load_session(model: str | bytes, threads: int = 1) -> Any:
    """Load an ONNX model, a file or content, that can be trusted not to crash the process.

    Raises:
        ExportError: ONNX Runtime is missing or cannot load it.
    """
    try:
        import onnxruntime
    except ImportError:
        raise ExportError(MISSING_ONNX) from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4
    what = model if isinstance(model, str) else "the model"
    with one_line_errors(f"{what}: ONNX Runtime cannot load it"):
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def inspect(path: Path) -> Inspection:
    """Open an ONNX file so that every tensor can be seen.

    Raises:
        ExportError: ONNX Runtime is missing or cannot load it.
    """
    import onnx

    model = _load(path)
    nodes = list(model.graph.node)
    made = {name for node in nodes for name in node.output}
    steps = tuple(Step(node.output[0], node.op_type, tuple(n for n in node.input if n in made)) for node in nodes)
    known = {output.name for output in model.graph.output}
    model.graph.output.extend(onnx.ValueInfoProto(name=step.name) for step in steps if step.name not in known)
    session = load_session(model.SerializeToString())
    (image_name,) = [entry.name for entry in session.get_inputs()]
    names = [output.name for output in session.get_outputs()]

    def run(image: Array) -> dict[str, Floats]:
        values: dict[str, Floats] = dict(zip(names, session.run(names, {image_name: image}), strict=True))
        # What the next layer reads is the tensor after it was rounded to 8 bits.
        rounded = {name: values.get(f"{name}_DequantizeLinear_Output", values[name]) for name in names}
        return {name: value for name, value in rounded.items() if value.dtype == np.float32}

    return Inspection(steps, run)


class _Feed:
    """Hands calibration images to ONNX Runtime one by one, in its layout, as its ``CalibrationDataReader`` does."""

    def __init__(self, name: str, images: Sequence[Floats]) -> None:
        self._inputs = iter([{name: np.ascontiguousarray(image.transpose(0, 3, 1, 2))} for image in images])

    def get_next(self) -> dict[str, Floats] | None:
        return next(self._inputs, None)


def _without_origins(model: Any) -> Any:
    """Remove what the exporter notes about the source of every node: stack traces with paths of this computer."""
    graph = model.graph
    for part in (graph, *graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer):
        part.ClearField("metadata_props")
    return model


def _spec(value: Any) -> TensorSpec:
    import onnx

    kind = value.type.tensor_type
    return TensorSpec(
        name=value.name,
        shape=tuple(side.dim_value for side in kind.shape.dim),
        dtype=onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type).name,
    )


def _load(path: Path) -> Any:
    try:
        import onnx
        from google.protobuf.message import DecodeError
    except ImportError:
        raise ExportError('reading ONNX models needs onnx; pip install "ednas[onnx]"') from None
    try:
        return onnx.load(str(path), load_external_data=False)
    except DecodeError:
        raise _damaged(path) from None
    except OSError as error:
        raise ExportError(f"{path}: cannot be read ({error.strerror})") from error


def _load_graph(path: Path) -> Any:
    model = _load(path)
    if not model.graph.input or not model.graph.output:
        raise _damaged(path)
    return model


def _damaged(path: Path) -> ExportError:
    return ExportError(f"{path}: is no ONNX model, or damaged; export or copy it again")


def _save(model: Any, path: Path) -> None:
    with atomic_path(path) as temporary:
        temporary.write_bytes(model.SerializeToString())


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep what the exporter and the quantiser tell about their progress off the terminal."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings(), redirect_stdout(StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


ONNX = Converter(
    name="onnx",
    suffix=".onnx",
    packages=("onnx", "onnxscript", "onnxruntime"),
    extra="onnx",
    convert=convert,
    quantise={"full": quantise},
    finish=finish,
    read_manifest=read_manifest,
    open=open_session,
    inspect=inspect,
)
register_converter(ONNX)
