"""A tiny network as PyTorch, TFLite and ONNX files, each written by hand, so that nothing has to be converted."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from ednas.export.manifest import METADATA_NAME, Decoding, Manifest, OutputSpec, TensorSpec
from ednas.tasks import make_tasks
from ednas.training import Model
from helpers.small_training import SIZE, TARGETS, small_architecture
from helpers.tflite_files import TfliteFile

STRIDE = 4
OUTPUT = (SIZE[0] // STRIDE, SIZE[1] // STRIDE)
CHANNELS = {"segmentation": 4, "depth": 1}
NORMALISATION = {"mean": (0.4, 0.5, 0.6), "std": (0.2, 0.25, 0.3)}


class Tiny(nn.Module):
    """Maps a normalised image to class scores, which come by way of ``middle``, and depth, which does not."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.hidden = nn.Conv2d(3, 8, STRIDE, STRIDE)
            self.middle = nn.Conv2d(8, 8, 1)
            self.segmentation = nn.Conv2d(8, CHANNELS["segmentation"], 1)
            self.depth = nn.Conv2d(8, CHANNELS["depth"], 1)

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        hidden = F.relu6(self.hidden(image))
        return self.segmentation(F.relu6(self.middle(hidden))), self.depth(hidden)


class _Network(nn.Module):
    """As a network of ednas: predictions by task, at the size of the image."""

    def __init__(self, tiny: Tiny) -> None:
        super().__init__()
        self.tiny = tiny

    def forward(self, image: torch.Tensor) -> dict[str, torch.Tensor]:
        outputs = dict(zip(CHANNELS, self.tiny(image), strict=True))
        return {
            task: F.interpolate(y, image.shape[2:], mode="bilinear", align_corners=False) for task, y in outputs.items()
        }


def tiny_model(tiny: Tiny) -> Model:
    """The model of a checkpoint."""
    manifest = tiny_manifest()
    targets = {task: TARGETS[task] for task in CHANNELS}
    return Model(
        network=_Network(tiny).eval(),  # type: ignore[arg-type]
        architecture=small_architecture(),
        tasks=make_tasks(tuple(CHANNELS), targets),
        targets=targets,
        input_size=SIZE,
        normalisation=manifest.normalisation,
    )


def tiny_manifest(**changes: Any) -> Manifest:
    """The manifest of a float TFLite file."""
    kinds = {"segmentation": "argmax", "depth": "depth"}
    outputs = {
        task: OutputSpec(
            name=task, shape=(1, *OUTPUT, channels), decoding=Decoding(kind=kinds[task], channels=channels)
        )
        for task, channels in CHANNELS.items()
    }
    values: dict[str, Any] = {
        "name": "tiny",
        "created_by": "0",
        "runtime": "litert",
        "architecture": {},
        "tasks": tuple(CHANNELS),
        "targets": {task: TARGETS[task] for task in CHANNELS},
        "input_size": SIZE,
        "normalisation": NORMALISATION,
        "input": TensorSpec(name="image", shape=(1, *SIZE, 3)),
        "outputs": outputs,
    }
    return Manifest.model_validate(values | changes)


def write_tiny_tflite(path: Path, tiny: Tiny, manifest: Manifest | None = None) -> Path:
    """Write it as a float TFLite file, with a manifest inside."""
    file = TfliteFile()
    image = file.tensor(1, *SIZE, 3, dtype="float32", name="image")
    hidden = _convolution(file, image, tiny.hidden, "hidden", STRIDE, activation=3)
    middle = _convolution(file, hidden, tiny.middle, "middle", 1, activation=3)
    outputs = [
        _convolution(file, middle, tiny.segmentation, "segmentation", 1),
        _convolution(file, hidden, tiny.depth, "depth", 1),
    ]
    path.write_bytes(file.content([image], outputs))
    return embed(path, manifest or tiny_manifest())


def write_tiny_int8(path: Path, float_path: Path, images: np.ndarray) -> Path:
    """Quantise the float file with Google's quantiser; the manifest says what came of it."""
    from ai_edge_litert.interpreter import Interpreter
    from ai_edge_quantizer import quantizer, recipe

    quantiser = quantizer.Quantizer(str(with_signature(float_path)), recipe.static_wi8_ai8())
    calibrated = quantiser.calibrate({"serving_default": [{"image": image[None]} for image in images]})
    path.unlink(missing_ok=True)
    quantiser.quantize(calibrated).export_model(str(path))
    interpreter = Interpreter(str(path))
    details = [*interpreter.get_input_details(), *interpreter.get_output_details()]
    specs = {
        entry["name"]: TensorSpec(
            name=entry["name"],
            shape=tuple(map(int, entry["shape"])),
            dtype=np.dtype(entry["dtype"]).name,
            scale=float(entry["quantization"][0]),
            zero_point=int(entry["quantization"][1]),
        )
        for entry in details
    }
    manifest = tiny_manifest(precision="int8").with_tensors(specs["image"], specs)
    return embed(path, manifest)


def write_tiny_onnx(path: Path, tiny: Tiny, manifest: Manifest | None = None) -> Path:
    """Write it as a float ONNX file, with a manifest inside."""
    from onnx import TensorProto, checker, helper, numpy_helper, save

    nodes, weights = [], []
    for name, source, target, stride in (
        ("hidden", "image", "hidden", STRIDE),
        ("middle", "hidden", "middle", 1),
        ("segmentation", "middle", "segmentation", 1),
        ("depth", "hidden", "depth", 1),
    ):
        layer = getattr(tiny, name)
        weights += [
            numpy_helper.from_array(getattr(layer, part).detach().numpy(), f"{name}.{part}")
            for part in ("weight", "bias")
        ]
        raw = f"{target}_raw" if name in ("hidden", "middle") else target
        kernel = list(layer.kernel_size)
        inputs = [source, f"{name}.weight", f"{name}.bias"]
        nodes.append(helper.make_node("Conv", inputs, [raw], kernel_shape=kernel, strides=[stride, stride]))
        if raw != target:
            nodes.append(helper.make_node("Clip", [raw, "low", "high"], [target]))
    weights += [numpy_helper.from_array(np.float32(value), name) for name, value in (("low", 0), ("high", 6))]
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, *SIZE])
    outputs = [
        helper.make_tensor_value_info(task, TensorProto.FLOAT, [1, channels, *OUTPUT])
        for task, channels in CHANNELS.items()
    ]
    graph = helper.make_graph(nodes, "tiny", [image], outputs, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    helper.set_model_props(model, {METADATA_NAME: (manifest or tiny_onnx_manifest()).to_json()})
    checker.check_model(model)
    save(model, str(path))
    return path


def tiny_onnx_manifest(**changes: Any) -> Manifest:
    """The manifest of a float ONNX file."""
    specs = {task: TensorSpec(name=task, shape=(1, channels, *OUTPUT)) for task, channels in CHANNELS.items()}
    image = TensorSpec(name="image", shape=(1, 3, *SIZE))
    return tiny_manifest(runtime="onnx", **changes).with_tensors(image, specs)


def embed(path: Path, manifest: Manifest, scales: Mapping[str, float] | None = None) -> Path:
    """Put a manifest into a TFLite file, and other scales onto some of its tensors."""
    from ai_edge_litert import schema_py_generated as schema
    from ai_edge_litert.tools import flatbuffer_utils

    model = flatbuffer_utils.read_model(str(path))
    model.buffers.append(schema.BufferT(data=list(manifest.to_json().encode())))
    model.metadata = [schema.MetadataT(name=METADATA_NAME.encode(), buffer=len(model.buffers) - 1)]
    for tensor in model.subgraphs[0].tensors:
        factor = (scales or {}).get(tensor.name.decode())
        if factor is not None:
            tensor.quantization.scale = [value * factor for value in tensor.quantization.scale]
    flatbuffer_utils.write_model(model, str(path))
    return path


def with_signature(path: Path) -> Path:
    """Return a copy of a TFLite file with the signature that the quantiser asks for."""
    from ai_edge_litert import schema_py_generated as schema
    from ai_edge_litert.tools import flatbuffer_utils

    model = flatbuffer_utils.read_model(str(path))
    graph = model.subgraphs[0]

    def names(indices: Any) -> list[Any]:
        return [schema.TensorMapT(name=graph.tensors[index].name, tensorIndex=index) for index in indices]

    model.signatureDefs = [
        schema.SignatureDefT(
            inputs=names(graph.inputs), outputs=names(graph.outputs), signatureKey=b"serving_default", subgraphIndex=0
        )
    ]
    copy = path.with_name(f"signed_{path.name}")
    flatbuffer_utils.write_model(model, str(copy))
    return copy


def _convolution(
    file: TfliteFile, source: int, layer: nn.Conv2d, name: str, stride: int, *, activation: int = 0
) -> int:
    weight = layer.weight.detach().permute(0, 2, 3, 1).contiguous().numpy()
    bias = layer.bias.detach().numpy()
    inputs = [
        source,
        file.tensor(*weight.shape, dtype="float32", data=weight.tobytes(), name=f"{name}.weight"),
        file.tensor(*bias.shape, dtype="float32", data=bias.tobytes(), name=f"{name}.bias"),
    ]
    output = file.tensor(1, *OUTPUT, layer.out_channels, dtype="float32", name=name)
    options = {"Padding": 1, "StrideH": stride, "StrideW": stride, "FusedActivationFunction": activation}
    file.add("CONV_2D", inputs, [output], "Conv2DOptions", DilationHFactor=1, DilationWFactor=1, **options)
    return output
