"""Converted files compute what the network computes, with the operators and names that devices expect."""

from __future__ import annotations

import itertools
import os
import random
import sys
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers.export_packages import NEEDS_EXPORT, can_convert

from ednas.arch import SearchSpace, load_architecture
from ednas.arch.zoo import names
from ednas.data import TargetInfo
from ednas.exceptions import DataError, ExportError
from ednas.export.converter import read_manifest
from ednas.export.deployed import Deployed
from ednas.hw.tflite.reader import load_tflite
from ednas.training import build_model

if not can_convert():
    pytest.skip(NEEDS_EXPORT, allow_module_level=True)

from ai_edge_litert.interpreter import Interpreter
from ai_edge_litert.tools import flatbuffer_utils

from ednas.export.formats import litert

pytestmark = pytest.mark.slow  # the converter alone takes seconds to be imported

CLEAN = {
    "ADD", "ARG_MAX", "AVERAGE_POOL_2D", "CONV_2D", "DEPTHWISE_CONV_2D", "MAX_POOL_2D", "PAD", "RESIZE_BILINEAR",
    "RESIZE_NEAREST_NEIGHBOR",
}  # fmt: skip
PARITY = 1e-3


@pytest.fixture(autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def run(path, image):
    """Run a file on one normalised image through its signature; quantise and dequantise as it says."""
    interpreter = Interpreter(str(path))
    signature = interpreter.get_signature_runner()
    (detail,) = signature.get_input_details().values()
    outputs = signature(image=to_integers(image, detail))
    return {name: to_reals(outputs[name], detail) for name, detail in signature.get_output_details().items()}


def to_integers(values, detail):
    if detail["dtype"] == np.float32:
        return values
    scale, zero_point = detail["quantization"]
    limits = np.iinfo(detail["dtype"])
    return np.clip(np.rint(values / scale) + zero_point, limits.min, limits.max).astype(detail["dtype"])


def to_reals(values, detail):
    scale, zero_point = detail["quantization"]
    return values if not scale else (values.astype(np.float32) - zero_point) * scale


def expect(deployed, image):
    """The network's own outputs, channels last."""
    with torch.inference_mode():
        outputs = deployed(torch.from_numpy(image).permute(0, 3, 1, 2))
    return {
        task: np.moveaxis(y.numpy(), 1, -1) if y.ndim == 4 else y.numpy()
        for task, y in zip(deployed.tasks, outputs, strict=True)
    }


def relative_error(found, expected):
    return np.abs(found - expected).max() / np.abs(expected).max()


def noise(size, seed=0):
    return np.random.default_rng(seed).standard_normal((1, *size, 3), np.float32)


def operators(path):
    return Counter(layer.op for layer in load_tflite(path).layers)


def versions(path):
    """Versions by operator, and the numbers that compilers of before 2021 read."""
    codes = flatbuffer_utils.read_model(str(path)).operatorCodes
    assert all(code.deprecatedBuiltinCode == code.builtinCode for code in codes)
    return {load: code.version for code in codes for load in [_name(code)]}


def _name(code):
    return next(name for name, number in vars(flatbuffer_utils.BuiltinOperator).items() if number == code.builtinCode)


def check_float(deployed, path):
    """Convert a network, and check its operators and numbers."""
    litert.convert(deployed, path)
    litert.finish(path, deployed.manifest("test", litert.LITERT, "float32"))
    check_file(deployed, path)


def check_file(deployed, path):
    assert set(operators(path)) <= CLEAN
    image = noise(deployed.input_size)
    found, expected = run(path, image), expect(deployed, image)
    assert set(found) == set(expected)
    for task, values in expected.items():
        assert found[task].shape == values.shape
        if np.issubdtype(values.dtype, np.integer):
            assert (found[task] != values).mean() < 0.01  # ties
        else:
            assert relative_error(found[task], values) < PARITY


def test_the_float_file_computes_what_the_network_does(exported):
    check_file(exported.deployed, exported.float_path)
    assert all(layer.dtype == "float32" for layer in load_tflite(exported.float_path).layers)


def test_input_and_outputs_have_their_names_everywhere(exported):
    for path in (exported.float_path, exported.int8_path):
        interpreter = Interpreter(str(path))
        ((_, signature),) = interpreter.get_signature_list().items()
        assert signature["inputs"] == ["image"]
        assert sorted(signature["outputs"]) == ["depth", "normals", "segmentation"]
        assert [detail["name"] for detail in interpreter.get_input_details()] == ["image"]
        assert [detail["name"] for detail in interpreter.get_output_details()] == ["segmentation", "depth", "normals"]


def test_layers_are_named_by_the_networks_modules_and_alike_in_both_files(exported):
    named = [{layer.name for layer in load_tflite(path).layers} for path in (exported.float_path, exported.int8_path)]
    assert named[0] == named[1]
    assert any(name.startswith("Encoder_encoder/Sequential_3/ResidualBlock_0/") for name in named[0])
    assert not any("torch" in name or "litert" in name for name in named[0])


def test_the_int8_file_is_integers_throughout_and_close_to_the_network(exported):
    layers = load_tflite(exported.int8_path).layers
    assert {layer.dtype for layer in layers} == {"int8"}
    assert operators(exported.int8_path) == operators(exported.float_path)
    image = exported.calibration[0]
    found, expected = run(exported.int8_path, image), expect(exported.deployed, image)
    for task, values in expected.items():
        signal, error = np.square(values).mean(), np.square(found[task] - values).mean()
        assert 10 * np.log10(signal / error) > 15


def test_the_int8_file_has_the_versions_that_stand_for_int8(exported):
    expected = {
        "ADD": 2, "CONV_2D": 3, "DEPTHWISE_CONV_2D": 3, "PAD": 2, "RESIZE_BILINEAR": 3, "RESIZE_NEAREST_NEIGHBOR": 2,
    }  # fmt: skip
    assert versions(exported.int8_path) == expected


def test_nearest_resizes_are_without_half_pixel_centres(exported):
    model = flatbuffer_utils.read_model(str(exported.float_path))
    resizes = [
        operator.builtinOptions
        for operator in model.subgraphs[0].operators
        if _name(model.operatorCodes[operator.opcodeIndex]) == "RESIZE_NEAREST_NEIGHBOR"
    ]
    assert resizes
    assert not any(options.halfPixelCenters or options.alignCorners for options in resizes)


def test_the_manifest_is_embedded_and_has_the_files_numbers(exported):
    manifest = read_manifest(exported.int8_path)
    assert manifest == read_manifest(exported.folder / "model.json")
    assert manifest.precision == "int8"
    interpreter = Interpreter(str(exported.int8_path))
    details = [*interpreter.get_input_details(), *interpreter.get_output_details()]
    for spec, detail in zip([manifest.input, *manifest.outputs.values()], details, strict=True):
        assert (spec.name, list(spec.shape)) == (detail["name"], list(detail["shape"]))
        assert spec.dtype == np.dtype(detail["dtype"]).name == "int8"
        assert (np.float32(spec.scale), spec.zero_point) == detail["quantization"]
    reals = read_manifest(exported.float_path)
    assert reals.precision == "float32"
    assert all(spec.scale is None for spec in (reals.input, *reals.outputs.values()))


def test_finishing_again_replaces_the_manifest(exported, tmp_path):
    path = tmp_path / "model.tflite"
    path.write_bytes(exported.int8_path.read_bytes())
    litert.finish(path, read_manifest(path).model_copy(update={"name": "other"}))
    assert read_manifest(path).name == "other"
    assert abs(path.stat().st_size - exported.int8_path.stat().st_size) < 100


@pytest.mark.parametrize("io", ["uint8", "float"])
def test_other_inputs_and_outputs_are_exact(exported, tmp_path, io):
    path = tmp_path / "model.tflite"
    litert.quantise(exported.float_path, exported.calibration, path, io=io)
    manifest = litert.finish(path, exported.deployed.manifest("tiny", litert.LITERT, "int8"))
    specs = [manifest.input, *manifest.outputs.values()]
    assert {spec.dtype for spec in specs} == {"float32" if io == "float" else "uint8"}
    ends = Counter({"QUANTIZE": 4} if io == "uint8" else {"QUANTIZE": 1, "DEQUANTIZE": 3})
    assert operators(path) == operators(exported.int8_path) + ends
    for image in exported.calibration:
        found, expected = run(path, image), run(exported.int8_path, image)
        for task in expected:
            np.testing.assert_allclose(found[task], expected[task], rtol=0, atol=1e-6 * np.abs(expected[task]).max())


def test_quantising_twice_gives_the_same_file(exported, tmp_path):
    litert.quantise(exported.float_path, exported.calibration, tmp_path / "again.tflite")
    litert.finish(tmp_path / "again.tflite", exported.deployed.manifest("tiny", litert.LITERT, "int8"))
    assert (tmp_path / "again.tflite").read_bytes() == exported.int8_path.read_bytes()


@pytest.mark.parametrize(
    ("images", "message"),
    [
        ([], "there is no calibration image"),
        ([np.zeros((1, 32, 128, 3), np.float32)], "calibration image 0 is 1x32x128x3, but the model takes 1x64x128x3"),
        ([np.full((1, 64, 128, 3), np.nan, np.float32)], "calibration image 0 holds NaN"),
    ],
)
def test_wrong_calibration_images_are_one_line_and_leave_no_file(exported, tmp_path, images, message):
    with pytest.raises(DataError, match=message):
        litert.quantise(exported.float_path, images, tmp_path / "model.tflite")
    assert not list(tmp_path.iterdir())


def test_nothing_is_printed(exported, tmp_path, capfd):
    litert.quantise(exported.float_path, exported.calibration[:1], tmp_path / "model.tflite")
    assert capfd.readouterr() == ("", "")


def test_a_file_that_is_no_model_is_one_line(exported, tmp_path):
    path = tmp_path / "model.tflite"
    path.write_bytes(b"hello, world")
    with pytest.raises(ExportError, match="is not a TFLite model"):
        litert.quantise(path, exported.calibration, tmp_path / "int8.tflite")
    with pytest.raises(ExportError, match="is not a TFLite model"):
        litert.finish(path, read_manifest(exported.float_path))
    assert [entry.name for entry in tmp_path.iterdir()] == ["model.tflite"]


def test_a_manifest_of_another_network_is_refused(exported):
    other = Deployed(exported.model, input_size=(64, 64)).manifest("other", litert.LITERT, "float32")
    with pytest.raises(ExportError, match="not those of segmentation, depth, normals"):
        litert.finish(exported.float_path, other)


def test_a_network_that_cannot_be_converted_is_one_line_and_leaves_no_file(trained, tmp_path):
    deployed = Deployed(trained, input_size=(64, 128))
    deployed.raw.network.encoder.stages[0][0][0] = torch.nn.Linear(3, 3)
    with pytest.raises(ExportError, match=r"^the network cannot be converted: [^\n]*$"):
        litert.convert(deployed, tmp_path / "model.tflite")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("package", ["litert_torch", "ai_edge_quantizer"])
def test_a_missing_package_is_one_line_that_says_what_to_install(exported, tmp_path, monkeypatch, package):
    (tmp_path / f"{package}.py").write_text("raise ImportError")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    with pytest.raises(ExportError, match=r'^exporting for LiteRT needs more packages; pip install "ednas\[export\]"'):
        if package == "litert_torch":
            litert.convert(exported.deployed, tmp_path / "out" / "model.tflite")
        else:
            litert.quantise(exported.float_path, exported.calibration, tmp_path / "out" / "model.tflite")
    assert not list((tmp_path / "out").iterdir())


def test_a_crash_is_one_line(trained, tmp_path, monkeypatch):
    monkeypatch.setattr(litert.sys, "executable", "/bin/false")
    with pytest.raises(ExportError, match="^the conversion ended with code 1$"):
        litert.convert(Deployed(trained, input_size=(64, 128)), tmp_path / "model.tflite")


@pytest.mark.slow
@pytest.mark.parametrize(("stride", "size"), [(1, (64, 128)), (8, (96, 136))])
def test_other_strides_sizes_and_class_ids(trained, tmp_path, stride, size):
    """96x136 leaves odd sides at strides 8, 16 and 32, so that nothing in the neck is a doubling."""
    deployed = Deployed(trained, input_size=size, output_stride=stride, fuse_argmax=True)
    check_float(deployed, tmp_path / "float.tflite")
    litert.quantise(tmp_path / "float.tflite", [noise(size)], tmp_path / "int8.tflite", io="uint8")
    manifest = litert.finish(tmp_path / "int8.tflite", deployed.manifest("test", litert.LITERT, "int8"))
    assert manifest.outputs["segmentation"].shape == (1, size[0] // stride, size[1] // stride)
    assert manifest.outputs["segmentation"].dtype == "int32"
    assert manifest.outputs["depth"].dtype == "uint8"
    assert operators(tmp_path / "int8.tflite") == operators(tmp_path / "float.tflite") + Counter({"QUANTIZE": 3})
    assert versions(tmp_path / "int8.tflite")["ARG_MAX"] == 2
    ids = run(tmp_path / "int8.tflite", noise(size))["segmentation"]
    assert set(np.unique(ids)) <= set(range(4))


TARGETS = {"segmentation": TargetInfo("labels", 19), "depth": TargetInfo("distance"), "normals": TargetInfo("normals")}


@pytest.mark.slow
@pytest.mark.parametrize("name", names())
def test_the_base_and_the_zoo_convert(name, tmp_path):
    model = build_model(load_architecture(name), tuple(TARGETS), TARGETS, input_size=(64, 128))
    deployed = Deployed(model, input_size=(64, 128))
    check_float(deployed, tmp_path / "float.tflite")
    litert.quantise(tmp_path / "float.tflite", [noise((64, 128), seed) for seed in range(2)], tmp_path / "int8.tflite")
    litert.finish(tmp_path / "int8.tflite", deployed.manifest(name, litert.LITERT, "int8"))
    assert operators(tmp_path / "int8.tflite") == operators(tmp_path / "float.tflite")
    assert {layer.dtype for layer in load_tflite(tmp_path / "int8.tflite").layers} == {"int8"}


FIELDS = ("kind", "kernel_size", "expand_ratio", "filters")


def corners():
    """Every combination of smallest and largest choices (all fused, all 5x5, ...), and four points between."""
    space = SearchSpace(replace(load_architecture("base"), bifpn_depth=2))
    for ends in itertools.product((0, -1), repeat=len(FIELDS)):
        end = dict(zip(FIELDS, ends, strict=True))
        chosen = [range(len(d.candidates))[end[d.name.rpartition(".")[2]]] for d in space.decisions]
        values = [getattr(space.decode(chosen).blocks[3], field) for field in FIELDS]
        yield pytest.param(space.decode(chosen), id="-".join(map(str, values)))
    generator = random.Random(0)
    for number in range(4):
        genes = [generator.randrange(len(decision.candidates)) for decision in space.decisions]
        yield pytest.param(space.decode(genes), id=f"random-{number}")


@pytest.mark.slow
@pytest.mark.parametrize("architecture", list(corners()))
def test_the_corners_of_the_search_space_convert(architecture, tmp_path):
    """In this process, one head and half the neck's layers (they are all alike), to be quicker."""
    targets = {"depth": TARGETS["depth"]}
    deployed = Deployed(build_model(architecture, ("depth",), targets, input_size=(64, 128)), input_size=(64, 128))
    path = tmp_path / "float.tflite"
    litert._convert(deployed.raw, deployed.fused, deployed.input_size, path)
    litert.finish(path, deployed.manifest("test", litert.LITERT, "float32"))
    check_file(deployed, path)
    path.unlink()


def test_without_the_runtime_the_message_says_what_to_install(exported, monkeypatch):
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    with pytest.raises(ExportError, match="pip install"):
        litert.load_interpreter(str(exported.float_path))
