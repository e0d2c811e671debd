"""Running exported models: right numbers, and one line for every file that is not one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("ai_edge_litert", reason='needs LiteRT: pip install "ednas[export]"')

from helpers.tiny_exports import (
    CHANNELS,
    OUTPUT,
    SIZE,
    Tiny,
    embed,
    tiny_manifest,
    tiny_onnx_manifest,
    write_tiny_int8,
    write_tiny_onnx,
    write_tiny_tflite,
)

from ednas.exceptions import ExportError
from ednas.export import runtime
from ednas.export.manifest import Manifest, TensorSpec
from ednas.export.runtime import dequantise, open_model, quantise
from ednas.hw import trace_network
from ednas.hw.sources.litert import LiteRT
from ednas.hw.tflite.writer import write_tflite


@pytest.fixture(scope="module")
def tiny() -> Tiny:
    return Tiny().eval()


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((3, *SIZE, 3), np.float32)


@pytest.fixture(scope="module")
def expected(tiny: Tiny, images: np.ndarray) -> dict[str, np.ndarray]:
    with torch.inference_mode():
        outputs = tiny(torch.from_numpy(images).permute(0, 3, 1, 2))
    return {task: output.numpy() for task, output in zip(CHANNELS, outputs, strict=True)}


@pytest.fixture(scope="module")
def tflite(tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_tflite(tmp_path_factory.mktemp("tflite") / "model.tflite", tiny)


@pytest.fixture(scope="module")
def onnx(tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("onnxruntime", reason='needs ONNX Runtime: pip install "ednas[onnx]"')
    pytest.importorskip("onnx", reason='needs onnx: pip install "ednas[onnx]"')
    return write_tiny_onnx(tmp_path_factory.mktemp("onnx") / "model.onnx", tiny)


@pytest.mark.parametrize("kind", ["tflite", "onnx"])
def test_outputs_are_those_of_pytorch(
    kind: str, request: pytest.FixtureRequest, images: np.ndarray, expected: dict[str, np.ndarray]
) -> None:
    found = open_model(request.getfixturevalue(kind), threads=2).run(images)
    assert list(found) == list(CHANNELS)
    for task, values in found.items():
        assert values.dtype == np.float32
        np.testing.assert_allclose(values, expected[task], atol=1e-5)


def test_int8_inputs_are_quantised_and_outputs_dequantised(
    tflite: Path, images: np.ndarray, expected: dict[str, np.ndarray], tmp_path: Path
) -> None:
    pytest.importorskip("ai_edge_quantizer", reason='needs the quantiser: pip install "ednas[export]"')
    runner = open_model(write_tiny_int8(tmp_path / "int8.tflite", tflite, images))
    assert (runner.manifest.input.dtype, runner.manifest.outputs["depth"].dtype) == ("int8", "int8")
    found = runner.run(images)
    for task, values in expected.items():
        assert np.std(found[task] - values) < 0.1 * np.std(values)
        steps = found[task] / np.float32(runner.manifest.outputs[task].scale)
        np.testing.assert_allclose(steps, np.rint(steps), atol=1e-3)  # all are whole steps


def test_quantise_rounds_and_saturates_and_dequantise_turns_it_back() -> None:
    spec = TensorSpec(name="x", shape=(5,), dtype="int8", scale=0.5, zero_point=10)
    values = np.array([-100.0, -0.6, 0.0, 0.7, 100.0], np.float32)
    held = quantise(values, spec)
    assert held.dtype == np.int8
    assert held.tolist() == [-128, 9, 10, 11, 127]
    assert dequantise(held, spec).tolist() == [-69.0, -0.5, 0.0, 0.5, 58.5]


def test_images_of_another_size_are_refused(tflite: Path) -> None:
    runner = open_model(tflite)
    for shape in [(1, 16, 16, 3), (0, *SIZE, 3), (*SIZE, 3), (1, 3, *SIZE)]:
        with pytest.raises(ExportError, match=r"model\.tflite: images of shape .* expected \(N, 32, 64, 3\)"):
            runner.run(np.zeros(shape, np.float32))


def test_nothing_is_printed(tflite: Path, images: np.ndarray, capfd: pytest.CaptureFixture[str]) -> None:
    open_model(tflite).run(images)
    assert capfd.readouterr() == ("", "")


def refused(path: Path) -> str:
    with pytest.raises(ExportError) as caught:
        open_model(path)
    message = str(caught.value)
    assert "\n" not in message
    assert path.name in message
    return message


@pytest.mark.parametrize("suffix", [".tflite", ".onnx"])
@pytest.mark.parametrize("content", [b"", b"hello", b"\0\0\0\0TFL3", bytes(range(256)) * 8])
def test_foreign_files(tmp_path: Path, suffix: str, content: bytes) -> None:
    if suffix == ".onnx":
        pytest.importorskip("onnx", reason='needs onnx: pip install "ednas[onnx]"')
    path = tmp_path / f"foreign{suffix}"
    path.write_bytes(content)
    refused(path)


def test_missing_files_folders_and_other_kinds(tmp_path: Path) -> None:
    assert "no such file" in refused(tmp_path / "model.tflite")
    (tmp_path / "folder.tflite").mkdir()
    assert "folder" in refused(tmp_path / "folder.tflite")
    (tmp_path / "model.h5").write_bytes(b"x")
    assert "give a .tflite or .onnx file" in refused(tmp_path / "model.h5")


def test_a_model_of_somebody_else_has_no_manifest(tmp_path: Path) -> None:
    from helpers.small_training import small_architecture

    write_tflite(trace_network(small_architecture(), {"depth": 1}, (32, 64)), tmp_path / "other.tflite")
    assert "manifest" in refused(tmp_path / "other.tflite")


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("kind", ["tflite", "onnx"])
def test_truncated_files(kind: str, share: float, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    whole = request.getfixturevalue(kind).read_bytes()
    path = tmp_path / f"cut.{kind}"
    path.write_bytes(whole[: int(share * len(whole))])
    refused(path)


OTHER_NAME = tiny_manifest(input=TensorSpec(name="picture", shape=(1, *SIZE, 3)))
OTHER_SCALE = tiny_manifest(input=TensorSpec(name="image", shape=(1, *SIZE, 3), dtype="int8", scale=0.1))
OTHER_SIZE = tiny_manifest(input_size=(64, 32))


@pytest.mark.parametrize("manifest", [OTHER_NAME, OTHER_SCALE, OTHER_SIZE])
def test_a_manifest_of_another_model_is_noticed(tiny: Tiny, tmp_path: Path, manifest: Manifest) -> None:
    assert "its manifest says" in refused(write_tiny_tflite(tmp_path / "model.tflite", tiny, manifest))


def test_a_manifest_with_other_outputs_is_noticed(tiny: Tiny, tmp_path: Path) -> None:
    outputs = {task: spec.model_copy(update={"shape": (1, 9, 9, 9)}) for task, spec in tiny_manifest().outputs.items()}
    path = write_tiny_tflite(tmp_path / "model.tflite", tiny)
    assert "output 'segmentation' is not what its manifest says" in refused(embed(path, tiny_manifest(outputs=outputs)))


def test_a_manifest_of_the_other_runtime_is_noticed(tiny: Tiny, tmp_path: Path) -> None:
    path = write_tiny_tflite(tmp_path / "model.tflite", tiny, tiny_onnx_manifest())
    assert "manifest is of a model for onnx" in refused(path)


def test_a_crash_of_the_runtime_is_one_line(tflite: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\nkill -SEGV $$\n")
    python.chmod(0o755)
    monkeypatch.setattr(runtime, "LiteRT", lambda **options: LiteRT(python=str(python), **options))
    assert "SIGSEGV" in refused(tflite)


def mutate(content: bytes, seed: int) -> bytes:
    random = np.random.default_rng(seed)
    changed = bytearray(content)
    for place in random.integers(0, len(changed), random.integers(1, 9)):
        changed[place] = random.choice([0, 127, 128, 255, random.integers(256)])
    return bytes(changed)


def open_mutated(path: Path, content: bytes, images: np.ndarray, seeds: range) -> None:
    """Either the model runs, or one line says why not; a crash would end this process."""
    for seed in seeds:
        path.write_bytes(mutate(content, seed))
        try:
            found = open_model(path).run(images[:1])
        except ExportError as error:
            assert "\n" not in str(error)
        else:
            assert {task: values.shape[2:] for task, values in found.items()} == dict.fromkeys(CHANNELS, OUTPUT)


@pytest.mark.parametrize("kind", ["tflite", "onnx"])
def test_mutated_files(kind: str, request: pytest.FixtureRequest, images: np.ndarray, tmp_path: Path) -> None:
    open_mutated(tmp_path / f"model.{kind}", request.getfixturevalue(kind).read_bytes(), images, range(8))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["tflite", "onnx"])
def test_many_mutated_files(kind: str, request: pytest.FixtureRequest, images: np.ndarray, tmp_path: Path) -> None:
    open_mutated(tmp_path / f"model.{kind}", request.getfixturevalue(kind).read_bytes(), images, range(8, 120))
