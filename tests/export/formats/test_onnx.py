"""ONNX files: what is in them, what they compute, and how their writing fails."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.small_training import TARGETS, small_architecture
from torch import Tensor, nn

from ednas.exceptions import DataError, EdnasError, ExportError
from ednas.export.converter import read_manifest
from ednas.export.deployed import Deployed
from ednas.export.formats.onnx import ONNX, convert, finish, load_session, quantise
from ednas.export.manifest import Decoding, Manifest, OutputSpec, TensorSpec
from ednas.export.runtime import open_model
from ednas.training.model import build_model

SIZE = (16, 24)
CHANNELS = {"segmentation": 5, "depth": 1}


class Small(nn.Module):
    """What of a deployed network the conversion sees, with every operator of ours."""

    input_size = SIZE
    tasks = tuple(CHANNELS)

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU6(inplace=True))
        self.depthwise = nn.Sequential(nn.Conv2d(8, 8, 5, padding=2, groups=8), nn.BatchNorm2d(8), nn.ReLU6())
        self.heads = nn.ModuleList(nn.Conv2d(8, channels, 1) for channels in CHANNELS.values())

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        x = self.stem(image)
        small = nn.functional.max_pool2d(self.depthwise(x), 3, 2, ceil_mode=True)
        x = nn.functional.relu6(x + nn.functional.interpolate(small, size=x.shape[2:], mode="nearest"))
        up = nn.functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
        return tuple(head(up) for head in self.heads)


def manifest() -> Manifest:
    def spec(name: str) -> TensorSpec:
        return TensorSpec(name=name, shape=(1,))

    outputs = {
        task: OutputSpec(**spec(task).model_dump(), decoding=Decoding(kind="raw", channels=channels))
        for task, channels in CHANNELS.items()
    }
    return Manifest(
        name="small",
        created_by="0",
        runtime="onnx",
        architecture={},
        tasks=tuple(CHANNELS),
        targets={},
        input_size=SIZE,
        output_stride=1,
        input=spec("image"),
        outputs=outputs,
    )


def images(count: int = 8, seed: int = 0) -> list[Any]:
    return list(np.random.default_rng(seed).standard_normal((count, 1, *SIZE, 3)).astype(np.float32))


def image(seed: int = 0) -> Any:
    return images(1, seed)[0].transpose(0, 3, 1, 2)


def run(path: Path, image: Any) -> list[Any]:
    session = pytest.importorskip("onnxruntime").InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(list(CHANNELS), {"image": image})


def operators(path: Path) -> set[str]:
    return {node.op_type for node in pytest.importorskip("onnx").load(str(path)).graph.node}


@pytest.fixture(scope="module")
def network() -> Small:
    torch.manual_seed(0)
    network = Small()
    for _ in range(20):  # so that batch normalisation has something to fold
        network(torch.randn(4, 3, *SIZE) + 0.5)
    return network.eval()


@pytest.fixture(scope="module")
def model(network: Small, tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("onnxscript")
    path = tmp_path_factory.mktemp("onnx") / "model.onnx"
    convert(network, path)
    return path


@pytest.fixture(scope="module")
def int8(model: Path) -> Path:
    pytest.importorskip("onnxruntime")
    path = model.with_name("int8.onnx")
    quantise(model, images(), path)
    return path


def test_it_computes_the_same(network: Small, model: Path) -> None:
    for found, expected in zip(run(model, image()), network(torch.from_numpy(image())), strict=True):
        assert found.shape == expected.shape
        assert np.abs(found - expected.detach().numpy()).max() <= 1e-5 * expected.abs().max().item()


def test_shapes_are_fixed_and_named(model: Path) -> None:
    onnx = pytest.importorskip("onnx")
    graph = onnx.load(str(model)).graph
    shapes = {
        value.name: [side.dim_value for side in value.type.tensor_type.shape.dim]
        for value in (*graph.input, *graph.output)
    }
    assert shapes == {"image": [1, 3, 16, 24], "segmentation": [1, 5, 16, 24], "depth": [1, 1, 16, 24]}
    onnx.checker.check_model(str(model), full_check=True)
    assert [entry.version for entry in onnx.load(str(model)).opset_import if entry.domain == ""] == [20]


def test_batch_normalisation_is_folded(model: Path) -> None:
    assert operators(model) == {"Conv", "Clip", "MaxPool", "Resize", "Add"}


def test_nothing_tells_where_it_was_made(model: Path) -> None:
    content = model.read_bytes()
    assert str(Path(__file__).parent).encode() not in content
    assert b"stack_trace" not in content


def test_int8_weights_have_a_scale_for_each_channel(int8: Path) -> None:
    onnx = pytest.importorskip("onnx")
    graph = onnx.load(str(int8)).graph
    values = {value.name: onnx.numpy_helper.to_array(value) for value in graph.initializer}
    weights = [value for value in values.values() if value.ndim == 4]
    assert {value.dtype for value in weights} == {np.dtype("int8")}
    scales = [
        values[node.input[1]] for node in graph.node if node.input[0] in values and values[node.input[0]].ndim == 4
    ]
    assert sorted(map(len, scales)) == sorted(len(value) for value in weights)
    assert {"QuantizeLinear", "DequantizeLinear", "Conv"} <= operators(int8)


def test_int8_is_near_float(model: Path, int8: Path) -> None:
    for found, expected in zip(run(int8, image(1)), run(model, image(1)), strict=True):
        noise = np.square(found - expected).sum()
        assert 10 * np.log10(np.square(expected).sum() / noise) > 25
        assert noise > 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stride", "fuse"),
    [(4, True), pytest.param(1, False, marks=pytest.mark.slow), pytest.param(8, False, marks=pytest.mark.slow)],
)
def test_networks_compute_the_same_as_deployed(tmp_path: Path, stride: Any, fuse: bool) -> None:
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    model = build_model(small_architecture(), tuple(TARGETS), TARGETS, input_size=(64, 96), seed=1)
    deployed = Deployed(model, input_size=(64, 96), output_stride=stride, fuse_argmax=fuse)
    convert(deployed, tmp_path / "model.onnx")
    finish(tmp_path / "model.onnx", deployed.manifest("small", ONNX, "float32"))
    values = np.random.default_rng(0).standard_normal((2, 64, 96, 3)).astype(np.float32)
    found = open_model(tmp_path / "model.onnx").run(values)
    expected = deployed(torch.from_numpy(values.transpose(0, 3, 1, 2)))
    for (task, value), reference in zip(found.items(), expected, strict=True):
        assert value.shape[2:] == (64 // stride, 96 // stride)
        if fuse and task == "segmentation":
            assert np.array_equal(value[:, 0], reference.numpy())
        else:
            assert np.abs(value - reference.numpy()).max() <= 1e-5 * reference.abs().max().item()


@pytest.mark.parametrize("fixture", ["model", "int8"])
def test_the_manifest_is_embedded(fixture: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    source: Path = request.getfixturevalue(fixture)
    path = tmp_path / "model.onnx"
    path.write_bytes(source.read_bytes())
    written = finish(path, manifest())
    assert read_manifest(path) == written
    assert written.runtime == "onnx"
    assert written.input == TensorSpec(name="image", shape=(1, 3, 16, 24), dtype="float32")
    depth = written.outputs["depth"]
    assert (depth.name, depth.shape, depth.dtype, depth.scale) == ("depth", (1, 1, 16, 24), "float32", None)
    assert depth.decoding == manifest().outputs["depth"].decoding
    for found, expected in zip(run(path, image()), run(source, image()), strict=True):
        assert np.array_equal(found, expected)


def test_finishing_twice_leaves_one_manifest(model: Path, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(model.read_bytes())
    finish(path, manifest())
    finish(path, manifest().model_copy(update={"name": "second"}))
    assert read_manifest(path).name == "second"
    assert len(pytest.importorskip("onnx").load(str(path)).metadata_props) == 1


def test_another_models_manifest_is_refused(model: Path) -> None:
    outputs = {"normals": manifest().outputs["depth"]}
    with pytest.raises(ExportError, match=r"has outputs segmentation, depth, not the manifest's normals"):
        finish(model, manifest().model_copy(update={"outputs": outputs}))


@pytest.mark.slow
def test_the_terminal_stays_quiet(network: Small, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    convert(network, tmp_path / "model.onnx")
    quantise(tmp_path / "model.onnx", images(2), tmp_path / "int8.onnx")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("calibration", "message"),
    [
        (images(0), "there is no calibration image"),
        ([*images(), images(1)[0][:, :, 1:]], "calibration image 8 is 1x16x23x3, but the model takes 1x16x24x3"),
        ([images(1)[0][..., :1]], "calibration image 0 is 1x16x24x1, but the model takes 1x16x24x3"),
        ([images(1)[0] * np.float32("nan")], "calibration image 0 holds NaN"),
    ],
)
def test_wrong_calibration(model: Path, tmp_path: Path, calibration: Any, message: str) -> None:
    pytest.importorskip("onnxruntime")
    with pytest.raises(DataError, match=message):
        quantise(model, calibration, tmp_path / "int8.onnx")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("content", [b"", b"nothing of the kind", b"\x08\x08"])
def test_what_is_no_model(tmp_path: Path, content: bytes) -> None:
    pytest.importorskip("onnx")
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    with pytest.raises(ExportError, match="is no ONNX model, or damaged"):
        finish(path, manifest())
    assert path.read_bytes() == content
    with pytest.raises(ExportError, match="cannot be read"):
        finish(tmp_path / "missing.onnx", manifest())


@pytest.mark.parametrize("package", ["onnx", "onnxscript", "onnxruntime"])
def test_a_missing_package_is_named(
    network: Small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    for name in ("onnx", "onnxscript", "onnxruntime"):
        monkeypatch.setitem(sys.modules, name, None if name == package else sys)
    with pytest.raises(ExportError, match=rf'format onnx needs {package}; pip install "ednas\[onnx\]"$'):
        if package == "onnxruntime":
            quantise(tmp_path / "model.onnx", images(), tmp_path / "int8.onnx")
        else:
            convert(network, tmp_path / "model.onnx")


@pytest.mark.slow
def test_a_place_that_cannot_be_written(network: Small, model: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(EdnasError, match="cannot write"):
        convert(network, tmp_path / "file" / "model.onnx")
    with pytest.raises(EdnasError, match="cannot write"):
        quantise(model, images(1), tmp_path / "file" / "int8.onnx")


def test_without_the_runtime_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ExportError, match=r'pip install "ednas\[onnx\]"'):
        load_session(b"")
