"""The manifest: what a program needs to know of an exported model to feed it and to read its outputs.

It lies beside the model as ``model.json`` and is embedded in the model itself, so that a model file alone is enough.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from ednas.config import StrictModel, parse
from ednas.data.sample import TargetInfo
from ednas.exceptions import ExportError
from ednas.files import write_json
from ednas.training.config import Normalisation

Precision = Literal["float32", "int8"]
OutputStride = Literal[1, 4, 8]
DecodingKind = Literal["argmax", "class_ids", "depth", "normals", "raw"]

METADATA_NAME = "ednas"
"""Under this name a manifest is embedded in a model."""

MANIFEST_FILE = "model.json"


class TensorSpec(StrictModel):
    """An input or an output of a model.

    Attributes:
        name: Its name in the file, and in the signature of a TFLite file.
        shape: ``[1, H, W, C]`` or ``[1, C, H, W]``, as the format has it.
        dtype: Type of the elements: ``float32``, ``int8``, ``uint8``, or that of class ids (``int32``, ``int64``).
        scale: Step of a quantised tensor, real = scale * (q - zero_point); None: the numbers are real already.
        zero_point: The number that stands for 0.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str = "float32"
    scale: float | None = None
    zero_point: int = 0


class Decoding(StrictModel):
    """How an output becomes what its task predicts.

    Attributes:
        kind: ``argmax``: the class of the largest channel; ``class_ids``: the output holds class ids already;
            ``depth``: clamp at 0, in ``unit``; ``normals``: divide by the length (x right, y down, z forward); ``raw``:
            as it is, a task of the user's own knows.
        channels: Channels of the network's head (the classes, even where the output holds class ids).
        class_names: Names of the classes, by id; may be empty.
        colors: RGB (0-255) of every class, to paint it; empty unless the output means classes.
        unit: Of a depth, for example ``m``.
    """

    kind: DecodingKind
    channels: int
    class_names: tuple[str, ...] = ()
    colors: tuple[tuple[int, int, int], ...] = ()
    unit: str = ""


class OutputSpec(TensorSpec):
    """An output and how it is decoded.

    Attributes:
        decoding: From the output, dequantised, to the prediction.
    """

    decoding: Decoding


class Manifest(StrictModel):
    """Content of ``model.json``.

    Attributes:
        format: Version of the manifest.
        name: Of the model, for people.
        created_by: The version of ednas that wrote it.
        runtime: The format (:class:`~ednas.export.converter.Converter`), for example ``litert`` (``.tflite``).
        libraries: Versions of the packages that the format needs, by name.
        architecture: JSON form of the architecture.
        tasks: Names of the tasks, in the order of the outputs.
        targets: What the dataset said about the targets that the tasks read.
        task_options: Options that the tasks were made with.
        dataset: Name of the dataset that the model was trained on.
        data_options: Options of its format that it was opened with.
        input_size: ``(H, W)``.
        normalisation: What happens to RGB in [0, 1] before it is the input's real value.
        output_stride: The outputs' height and width are those of the input divided by it.
        precision: ``int8`` if weights and activations are; what the input and outputs are, their specs say.
        input: The image, RGB.
        outputs: By task.
    """

    format: Literal[1] = 1
    name: str
    created_by: str
    runtime: str
    libraries: dict[str, str] = Field(default_factory=dict)
    architecture: dict[str, Any]
    tasks: tuple[str, ...]
    targets: dict[str, TargetInfo]
    task_options: dict[str, dict[str, Any]] = Field(default_factory=dict)
    dataset: str = ""
    data_options: dict[str, Any] = Field(default_factory=dict)
    input_size: tuple[int, int]
    normalisation: Normalisation = Field(default_factory=Normalisation)
    output_stride: OutputStride = 4
    precision: Precision = "float32"
    input: TensorSpec
    outputs: dict[str, OutputSpec]

    @property
    def channels_last(self) -> bool:
        """Whether the input is ``(1, H, W, 3)`` and outputs ``(1, h, w, C)``; else channels come first."""
        return self.input.shape[-1:] == (3,)

    def with_tensors(self, image: TensorSpec, outputs: Mapping[str, TensorSpec]) -> Manifest:
        """Return the manifest with the input and outputs (by task) as a model file has them."""
        specs = {
            task: OutputSpec(**outputs[task].model_dump(), decoding=spec.decoding)
            for task, spec in self.outputs.items()
        }
        return self.model_copy(update={"input": image, "outputs": specs})

    def to_json(self) -> str:
        """Return it as one line of JSON, as it is embedded in a model."""
        return json.dumps(self.model_dump(mode="json"), separators=(",", ":"))


def write_manifest(path: Path | str, manifest: Manifest) -> None:
    """Write a manifest as indented JSON.

    Raises:
        EdnasError: The place cannot be written.
    """
    write_json(path, manifest.model_dump(mode="json"))


def parse_manifest(content: Any, path: Path) -> Manifest:
    """Check the content of a manifest, which is not trusted.

    Raises:
        ExportError: It is none, damaged, or one of another version; the message names the file.
    """
    if not isinstance(content, dict) or "runtime" not in content:
        raise ExportError(f"{path}: is no manifest of ednas; write the model with `ednas export`")
    if content.get("format") != 1:
        raise ExportError(f"{path}: manifest of format {content.get('format')!r:.40}, this version reads format 1")
    manifest = parse(Manifest, content, str(path), ExportError)
    if tuple(manifest.outputs) != manifest.tasks:
        raise ExportError(
            f"{path}: the manifest has tasks {', '.join(manifest.tasks)}, but outputs {', '.join(manifest.outputs)}"
        )
    return manifest
