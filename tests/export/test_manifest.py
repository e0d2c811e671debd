"""The manifest survives its trip through files, and no file but a whole one is read."""

from __future__ import annotations

import json
import random

import pytest

from ednas.exceptions import ExportError
from ednas.export.converter import read_manifest
from ednas.export.deployed import Deployed
from ednas.export.formats.litert import LITERT
from ednas.export.manifest import METADATA_NAME, Manifest, TensorSpec, write_manifest


@pytest.fixture(scope="module")
def manifest(trained) -> Manifest:
    return Deployed(trained, input_size=(64, 128)).manifest("tiny", LITERT, "float32")


@pytest.fixture
def written(manifest, tmp_path):
    path = tmp_path / "model.json"
    write_manifest(path, manifest)
    return path


def tflite(text: bytes, name: bytes = METADATA_NAME.encode()) -> bytes:
    """The smallest TFLite file with a text in its metadata, made with TFLite's own bindings."""
    import flatbuffers
    import tflite

    builder = flatbuffers.Builder(0)
    data = builder.CreateByteVector(text)
    tflite.BufferStart(builder)
    tflite.BufferAddData(builder, data)
    buffer = tflite.BufferEnd(builder)
    tflite.ModelStartBuffersVector(builder, 1)
    builder.PrependUOffsetTRelative(buffer)
    buffers = builder.EndVector()
    title = builder.CreateString(name)
    tflite.MetadataStart(builder)
    tflite.MetadataAddName(builder, title)
    tflite.MetadataAddBuffer(builder, 0)
    entry = tflite.MetadataEnd(builder)
    tflite.ModelStartMetadataVector(builder, 1)
    builder.PrependUOffsetTRelative(entry)
    entries = builder.EndVector()
    tflite.ModelStart(builder)
    tflite.ModelAddVersion(builder, 3)
    tflite.ModelAddBuffers(builder, buffers)
    tflite.ModelAddMetadata(builder, entries)
    builder.Finish(tflite.ModelEnd(builder), b"TFL3")
    return bytes(builder.Output())


def test_a_json_file_comes_back_as_it_was(manifest, written):
    assert read_manifest(written) == manifest


def test_the_json_file_is_what_a_device_program_needs(written):
    content = json.loads(written.read_text())
    assert content["format"] == 1
    assert content["input"] == {
        "name": "image", "shape": [1, 64, 128, 3], "dtype": "float32", "scale": None, "zero_point": 0,
    }  # fmt: skip
    assert content["normalisation"] == {"mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25]}
    assert list(content["outputs"]) == content["tasks"] == ["segmentation", "depth", "normals"]
    assert content["outputs"]["segmentation"]["decoding"]["class_names"] == ["road", "car", "tree", "sky"]


def test_the_embedded_one_comes_back(manifest, tmp_path):
    path = tmp_path / "model.tflite"
    path.write_bytes(tflite(manifest.to_json().encode()))
    assert read_manifest(path) == manifest


def test_the_one_in_an_onnx_file_comes_back(manifest, tmp_path):
    onnx = pytest.importorskip("onnx", reason='needs onnx: pip install "ednas[onnx]"')
    model = onnx.ModelProto()
    onnx.helper.set_model_props(model, {"other": "x", METADATA_NAME: manifest.to_json()})
    path = tmp_path / "model.onnx"
    path.write_bytes(model.SerializeToString())
    assert read_manifest(path) == manifest


def test_with_tensors_takes_the_types_of_a_file_and_keeps_the_decoding(manifest):
    image = TensorSpec(name="image", shape=(1, 64, 128, 3), dtype="int8", scale=0.02, zero_point=-3)
    outputs = {task: TensorSpec(name=task, shape=(1, 16, 32, 1), dtype="int8", scale=0.5) for task in manifest.tasks}
    changed = manifest.with_tensors(image, outputs)
    assert changed.input == image
    assert changed.outputs["depth"].scale == 0.5
    assert changed.outputs["depth"].decoding == manifest.outputs["depth"].decoding
    assert list(changed.outputs) == list(manifest.tasks)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 2}, "manifest of format 2, this version reads format 1"),
        ({"inputs": {}}, "unknown key 'inputs'; did you mean 'input'?"),
        ({"runtime": "tensorrt"}, "'runtime': unknown format 'tensorrt'; known: litert, onnx"),
        ({"tasks": ["depth"]}, "has tasks depth, but outputs segmentation, depth, normals"),
        ({"input_size": [64]}, "input_size"),
    ],
)
def test_a_wrong_manifest_is_one_line(written, change, message):
    written.write_text(json.dumps({**json.loads(written.read_text()), **change}))
    with pytest.raises(ExportError, match="^[^\n]*$") as caught:
        read_manifest(written)
    assert message in str(caught.value)
    assert str(written) in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("model.json", b"[1]", "is no manifest of ednas"),
        ("model.json", b'{"layers": []}', "is no manifest of ednas"),
        ("model.json", b"{", "not valid JSON"),
        ("model.tflite", b"", "cannot be read"),
        ("model.tflite", b"hello, world", "is no model of a kind that ednas exports"),
        ("model.tflite", b"\xff\xff\xff\x7fTFL3", "is damaged"),
        ("model.tflite", tflite(b"{}", b"other"), "holds no manifest of ednas"),
        ("model.tflite", tflite(b"{"), "its manifest is damaged"),
        ("model.tflite", tflite(b"[" * 100_000), "its manifest is damaged"),
        ("model.tflite", tflite(b"{}"), "is no manifest of ednas"),
    ],
)
def test_a_file_without_a_manifest_is_one_line(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ExportError, match="^[^\n]*$") as caught:
        read_manifest(path)
    assert message in str(caught.value)


def test_a_damaged_onnx_file_is_one_line(tmp_path):
    pytest.importorskip("onnx", reason='needs onnx: pip install "ednas[onnx]"')
    path = tmp_path / "model.onnx"
    path.write_bytes(b"\xff\xff\xff")
    with pytest.raises(ExportError, match="is no ONNX model, or damaged"):
        read_manifest(path)


def test_a_missing_file_and_a_folder(tmp_path):
    with pytest.raises(ExportError, match="no such file"):
        read_manifest(tmp_path / "model.tflite")
    with pytest.raises(ExportError, match="is a folder, give a model file"):
        read_manifest(tmp_path)


def test_no_damage_of_a_file_is_more_than_an_error(manifest, tmp_path):
    whole = tflite(manifest.to_json().encode())
    generator = random.Random(0)
    path = tmp_path / "model.tflite"
    for _ in range(200):
        damaged = bytearray(whole[: generator.randrange(1, len(whole) + 1)])
        for _ in range(generator.randrange(4)):
            damaged[generator.randrange(min(len(damaged), 120))] = generator.randrange(256)
        path.write_bytes(damaged)
        try:
            read_manifest(path)
        except ExportError as error:
            assert "\n" not in str(error)
