"""The programs for the device run without ednas and find what it finds."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.deployed_models import (
    CHANNELS,
    COLORS,
    EXAMPLES,
    KINDS,
    NORMALISATION,
    OUTPUT,
    SIZE,
    decode,
    interpolate,
    make_decoder,
    make_manifest,
    noise,
)
from helpers.small_training import TARGETS, small_architecture
from PIL import Image
from torch.nn import functional as F

from ednas.data.colors import NO_DEPTH, SKY
from ednas.data.rasters import resize_image, resize_nearest
from ednas.export.manifest import Manifest, TensorSpec, write_manifest
from ednas.hw.graph.layers import GRAPH_INPUT, Layer, LayerGraph
from ednas.hw.tflite.writer import write_tflite
from ednas.tasks import make_task, make_tasks
from ednas.tasks.pictures import paint
from ednas.training import build_model


def write_model(folder: Path, io: str = "int8", channels: Mapping[str, int] = CHANNELS, *, fused: bool = False) -> Path:
    """A network that runs in LiteRT: an average of 4 x 4 pixels, and a 1 x 1 convolution for each task."""
    pytest.importorskip("ai_edge_litert", reason='needs LiteRT: pip install "ednas[litert]"')
    folder.mkdir(exist_ok=True)
    path = folder / "model.tflite"
    pooled = (*OUTPUT, 3)
    layers = [Layer("pool", "", "AVERAGE_POOL_2D", (*SIZE, 3), pooled, (4, 4), 4, inputs=(GRAPH_INPUT,))]
    layers += [Layer(task, "", "CONV_2D", pooled, (*OUTPUT, n), inputs=(0,)) for task, n in channels.items()]
    if fused:
        layers.append(Layer("ids", "", "ARG_MAX", layers[1].output, (*OUTPUT, 1), inputs=(1,)))
    write_tflite(LayerGraph(tuple(layers), 0, 0), path, dtype="float32" if io == "float32" else "int8")
    _rename(path, [*list(channels)[fused:], *list(channels)[:fused]], as_uint8=io == "uint8")
    kinds = {**KINDS, "segmentation": "class_ids"} if fused else KINDS
    write_manifest(folder / "model.json", _as_in_file(path, make_manifest(channels, kinds=kinds)))
    return path


def _rename(path: Path, outputs: list[str], *, as_uint8: bool) -> None:
    """Give the ends their names; on request put a QUANTIZE to and from uint8 there, as an export with such ends has."""
    from ai_edge_litert import schema_py_generated as schema
    from ai_edge_litert.tools import flatbuffer_utils

    model = flatbuffer_utils.read_model(str(path))
    graph = model.subgraphs[0]
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.QUANTIZE
    code.version = 2
    model.operatorCodes.append(code)

    def outer(inner: int) -> int:
        old = graph.tensors[inner]
        tensor, quantisation = schema.TensorT(), schema.QuantizationParametersT()
        quantisation.scale = old.quantization.scale
        quantisation.zeroPoint = [int(old.quantization.zeroPoint[0]) + 128]
        tensor.shape, tensor.type, tensor.quantization = old.shape, schema.TensorType.UINT8, quantisation
        graph.tensors.append(tensor)
        return len(graph.tensors) - 1

    def convert(source: int, result: int) -> Any:
        operator = schema.OperatorT()
        operator.opcodeIndex, operator.inputs, operator.outputs = len(model.operatorCodes) - 1, [source], [result]
        return operator

    if as_uint8:
        inner_input, inner_outputs = graph.inputs[0], list(graph.outputs)
        graph.inputs, graph.outputs = [outer(inner_input)], [outer(inner) for inner in inner_outputs]
        ends = [convert(*pair) for pair in zip(inner_outputs, graph.outputs, strict=True)]
        graph.operators = [convert(graph.inputs[0], inner_input), *graph.operators, *ends]
    for index, name in zip([*graph.inputs, *graph.outputs], ["image", *outputs], strict=True):
        graph.tensors[index].name = name
    flatbuffer_utils.write_model(model, str(path))


def _as_in_file(path: Path, manifest: Manifest) -> Manifest:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path))
    specs = {}
    for tensor in (*interpreter.get_input_details(), *interpreter.get_output_details()):
        scale, zero_point = tensor["quantization"]
        specs[tensor["name"]] = TensorSpec(
            name=tensor["name"],
            shape=tuple(tensor["shape"].tolist()),
            dtype=np.dtype(tensor["dtype"]).name,
            scale=scale or None,
            zero_point=zero_point,
        )
    return manifest.with_tensors(specs["image"], {task: specs[task] for task in manifest.tasks})


def expected_predictions(path: Path, picture: np.ndarray) -> dict[str, np.ndarray]:
    """What the program must find: LiteRT's runtime, torch's resizing and ednas's tasks, without the example's code."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path))
    interpreter.allocate_tensors()
    image = interpreter.get_input_details()[0]
    values = (resize_image(picture, SIZE).astype(np.float32) / 255 - NORMALISATION.mean) / NORMALISATION.std
    scale, zero_point = image["quantization"]
    if scale:
        limits = np.iinfo(image["dtype"])
        values = np.clip(np.round(values / scale) + zero_point, limits.min, limits.max)
    interpreter.set_tensor(image["index"], values[None].astype(image["dtype"]))
    interpreter.invoke()
    found = {}
    for output in interpreter.get_output_details():
        task, values = output["name"], interpreter.get_tensor(output["index"])[0]
        if values.ndim == 2:
            found[task] = resize_nearest(values, picture.shape[:2])
            continue
        scale, zero_point = output["quantization"]
        real = (values.astype(np.float32) - zero_point) * (scale or 1)
        raw = F.interpolate(interpolate(real, SIZE), size=picture.shape[:2], mode="bilinear", align_corners=False)
        decoded = make_task(task, TARGETS[task]).decode(raw)[0].numpy()
        found[task] = np.moveaxis(decoded, 0, -1).squeeze() if decoded.ndim == 3 else decoded
    return found


def as_decoded(values: np.ndarray) -> np.ndarray:
    """A prediction as :meth:`Task.decode` yields it: channels first."""
    return np.moveaxis(values, -1, 0) if values.ndim == 3 else values


def make_pictures(count: int, size: tuple[int, int]) -> list[np.ndarray]:
    """Smooth RGB pictures, each another one, that survive the compression of a video."""
    return [resize_image(noise(3, 4, 3, seed=index), size) for index in range(count)]


@pytest.fixture
def cv2():
    return pytest.importorskip("cv2", reason="needs OpenCV: pip install opencv-python-headless")


def write_video(cv2: Any, path: Path, pictures: list[np.ndarray]) -> Path:
    codec = "MJPG" if path.suffix == ".avi" else "mp4v"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), 12, pictures[0].shape[1::-1])
    for picture in pictures:
        writer.write(picture[..., ::-1].copy())
    writer.release()
    return path


def read_video(cv2: Any, path: Path) -> list[np.ndarray]:
    video, frames = cv2.VideoCapture(str(path)), []
    while (frame := video.read()[1]) is not None:
        frames.append(frame[..., ::-1])
    return frames


def run(program: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run a program as a user does, but end it if it imports what a device has not got."""
    code = (
        "import runpy, sys; sys.argv = sys.argv[1:]; sys.path.insert(0, '.');"
        "sys.modules.update(dict.fromkeys(['torch', 'ednas', 'PIL']));"
        "runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    command = [sys.executable, "-c", code, program, *map(str, arguments)]
    return subprocess.run(command, cwd=EXAMPLES, capture_output=True, text=True, check=False, timeout=120)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("io", "tasks", "fused", "suffix"),
    [
        ("int8", ("segmentation", "depth", "normals"), False, ".mp4"),
        ("uint8", ("segmentation", "depth", "normals"), False, ".avi"),
        ("float32", ("segmentation", "depth", "normals"), False, ".avi"),
        ("int8", ("segmentation", "depth"), True, ".avi"),
        ("uint8", ("normals",), False, ".mp4"),
    ],
)
def test_a_video_is_drawn(tmp_path, cv2, io, tasks, fused, suffix):
    path = write_model(tmp_path / "model", io, {task: CHANNELS[task] for task in tasks}, fused=fused)
    video = write_video(cv2, tmp_path / f"in{suffix}", make_pictures(3, (120, 160)))
    out = tmp_path / f"out{suffix}"
    done = run("camera.py", path, "--source", video, "--out", out, "--threads", 2)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("3 frames, ")
    assert cv2.VideoCapture(str(out)).get(cv2.CAP_PROP_FPS) == 12
    frames, pictures = read_video(cv2, out), read_video(cv2, video)
    assert len(frames) == 3
    assert {frame.shape for frame in frames} == {frames[0].shape}
    assert frames[0].shape[1:] == (SIZE[1] * (1 + len(tasks)), 3)
    assert len(frames[0]) > SIZE[0] or tasks == ("normals",)  # legends
    # The text covers the upper left of the picture; compression blurs the rest.
    small = cv2.resize(pictures[-1], SIZE[::-1], interpolation=cv2.INTER_AREA)
    assert np.abs(frames[-1][24 : SIZE[0], : SIZE[1]].astype(int) - small[24:]).mean() < 8
    found = expected_predictions(path, small)
    pictures, _ = paint(make_tasks(tasks, TARGETS), {task: as_decoded(found[task]) for task in tasks}, {})
    for place, (task, picture) in enumerate(pictures.items(), start=1):
        if task == "segmentation":
            picture = 0.6 * picture + 0.4 * small  # noqa: PLW2901
        drawn = frames[-1][: SIZE[0], SIZE[1] * place : SIZE[1] * (place + 1)]
        assert np.abs(drawn.astype(int) - picture).mean() < 12, task


@pytest.mark.parametrize(("io", "fused"), [("int8", False), ("uint8", False), ("float32", False), ("int8", True)])
def test_a_folder_is_decoded_as_ednas_does(tmp_path, cv2, io, fused):
    path = write_model(tmp_path / "model", io, fused=fused)
    (tmp_path / "in").mkdir()
    pictures = {"a.png": noise(64, 150, 3), "b.png": noise(90, 96, 3)}
    for name, picture in pictures.items():
        Image.fromarray(picture).save(tmp_path / "in" / name)
    done = run("folder.py", path, tmp_path / "in", "--out", tmp_path / "out", "--arrays")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("2 pictures, ")
    for name, picture in pictures.items():
        expected = expected_predictions(path, picture)
        panel = np.asarray(Image.open(tmp_path / "out" / f"{name}.png"))
        height, width = picture.shape[:2]
        assert panel.shape[1:] == (width * 4, 3)
        assert np.array_equal(panel[:height, :width], picture)
        legend = {tuple(colour) for colour in panel[height:].reshape(-1, 3).tolist()}
        assert {*COLORS, SKY, NO_DEPTH} <= legend
        for task, values in expected.items():
            found = np.load(tmp_path / "out" / f"{name}_{task}.npy")
            if task == "segmentation":
                assert np.mean(found == values) > 0.9999
            else:
                np.testing.assert_allclose(found, values, atol=1e-4)


def test_the_float_model_runs_with_the_manifest_of_the_int8_one(tmp_path, cv2):
    path = write_model(tmp_path / "float", "float32")
    manifest = (write_model(tmp_path / "int8", "int8").parent / "model.json").read_bytes()
    (path.parent / "model.json").write_bytes(manifest)
    (tmp_path / "in").mkdir()
    picture = noise(*SIZE, 3)
    Image.fromarray(picture).save(tmp_path / "in" / "a.png")
    done = run("folder.py", path, tmp_path / "in", "--out", tmp_path / "out", "--arrays")
    assert done.returncode == 0, done.stderr
    expected = expected_predictions(path, picture)["depth"]
    np.testing.assert_allclose(np.load(tmp_path / "out" / "a.png_depth.npy"), expected, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("fused", [False, True])
def test_an_export_is_decoded_as_ednas_does(tmp_path, cv2, fused):
    """The real thing: converted, and quantised with each type of ends."""
    pytest.importorskip("litert_torch", reason='needs the converter: pip install "ednas[export]"')
    from ednas.export.deployed import Deployed
    from ednas.export.formats import litert

    model = build_model(
        small_architecture(), tuple(CHANNELS), TARGETS, input_size=SIZE, normalisation=NORMALISATION, seed=1
    )
    model.network.eval()
    (tmp_path / "in").mkdir()
    picture = noise(90, SIZE[1], 3)
    Image.fromarray(picture).save(tmp_path / "in" / "a.png")
    deployed = Deployed(model, input_size=SIZE, fuse_argmax=fused)
    float_path = tmp_path / "model_float.tflite"
    litert.convert(deployed, float_path)
    litert.finish(float_path, deployed.manifest("small", litert.LITERT, "float32"))
    seen = make_decoder().prepare(picture)
    for io in ("int8",) if fused else ("int8", "uint8", "float"):
        path = tmp_path / f"{io}.tflite"
        litert.quantise(float_path, [seen], path, io)
        write_manifest(tmp_path / "model.json", litert.finish(path, deployed.manifest("small", litert.LITERT, "int8")))
        check_folder(path, tmp_path, picture, expected_predictions(path, picture))
    check_folder(float_path, tmp_path, picture, expected_predictions(float_path, picture))


def check_folder(path: Path, folder: Path, picture: np.ndarray, expected: Mapping[str, np.ndarray]) -> None:
    """Run folder.py on ``in/a.png`` and compare its arrays."""
    done = run("folder.py", path, folder / "in", "--out", folder / "out", "--arrays")
    assert done.returncode == 0, done.stderr
    for task, values in expected.items():
        found = np.load(folder / "out" / f"a.png_{task}.npy")
        if task == "segmentation":
            assert np.mean(found == values) > 0.999, path
        else:
            np.testing.assert_allclose(found, values, atol=1e-3, err_msg=str(path))


def check_refused(done: subprocess.CompletedProcess[str], *words: str) -> None:
    assert done.returncode == 2, done.stderr
    message = done.stderr.splitlines()[-1]
    assert "error: " in message
    assert all(word in message for word in words), message
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_the_camera_says_what_is_wrong(tmp_path, cv2):
    path = write_model(tmp_path / "model")
    video = write_video(cv2, tmp_path / "in.avi", make_pictures(1, SIZE))
    (tmp_path / "other").mkdir()
    check_refused(run("camera.py", tmp_path / "other" / "model.tflite"), "model.json", "no such file")
    (tmp_path / "other" / "model.json").write_bytes((path.parent / "model.json").read_bytes())
    check_refused(run("camera.py", tmp_path / "other" / "model.tflite"), "model.tflite", "cannot be loaded")
    (tmp_path / "other" / "model.tflite").write_bytes(b"nonsense" * 20)
    check_refused(run("camera.py", tmp_path / "other" / "model.tflite"), "model.tflite", "cannot be loaded")
    check_refused(run("camera.py", path, "--source", tmp_path / "none.mp4"), "none.mp4", "no such camera or video")
    check_refused(run("camera.py", path, "--source", path, "--out", tmp_path / "x.mp4"), "no such camera or video")
    check_refused(run("camera.py", path, "--source", video, "--out", tmp_path / "no" / "out.mp4"), "cannot be written")
    check_refused(run("camera.py", path, "--source", video, "--delegate", "libnone.so.1"), "libnone.so.1")
    check_refused(run("camera.py", path, "--source", video, "--threads", "0"), "cannot be loaded")
    write_manifest(path.parent / "model.json", make_manifest({"depth": 2}))
    check_refused(run("camera.py", path, "--source", video), "'depth'", "is of another model")


def test_the_folder_says_what_is_wrong(tmp_path, cv2):
    path = write_model(tmp_path / "model")
    check_refused(run("folder.py", path, tmp_path / "none"), "no such folder")
    (tmp_path / "in").mkdir()
    check_refused(run("folder.py", path, tmp_path / "in"), "holds no picture")
    (tmp_path / "in" / "a.png").write_bytes(b"nonsense")
    check_refused(run("folder.py", path, tmp_path / "in", "--out", tmp_path / "out"), "all 1 pictures are damaged")
    check_refused(run("folder.py", path, tmp_path / "in", "--out", tmp_path / "in"), "another folder")
    check_refused(run("folder.py", path, tmp_path / "in", "--out", tmp_path / "in" / "a.png"), "a.png")


def test_a_damaged_picture_of_a_folder_is_named_and_left_out(tmp_path, cv2):
    path = write_model(tmp_path / "model")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.png").write_bytes(b"nonsense")
    Image.fromarray(noise(*SIZE, 3)).save(tmp_path / "in" / "b.png")
    cv2.imwrite(str(tmp_path / "in" / "c.png"), noise(*SIZE, 3).astype("uint16") * 16)
    done = run("folder.py", path, tmp_path / "in", "--out", tmp_path / "out")
    assert done.returncode == 0
    assert "a.png: is no picture, or damaged; left out" in done.stderr
    assert "c.png: has more than 8 bits per channel: convert it; left out" in done.stderr
    assert done.stdout.startswith("1 pictures, ")
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["b.png.png"]


PICAMERA = '''
import numpy as np

class Picamera2:
    """Gives two frames of blue as the real one does, and then is stopped as by Ctrl-C."""
    frames = 0

    def create_video_configuration(self, main):
        return main

    def configure(self, main):
        assert main["format"] == "RGB888"

    def start(self):
        pass

    def capture_array(self):
        self.frames += 1
        if self.frames > 2:
            raise KeyboardInterrupt
        return np.full((64, 96, 3), (250, 30, 10), np.uint8)
'''


def test_blue_stays_blue_from_a_pis_camera_to_the_network_and_the_film(tmp_path, cv2):
    path = write_model(tmp_path / "model", "float32")
    for file in EXAMPLES.glob("*.py"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "picamera2.py").write_text(PICAMERA)
    out = tmp_path / "out.avi"
    command = [sys.executable, "camera.py", path, "--source", "picamera", "--out", out]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("2 frames, ")
    blue = np.full((*SIZE, 3), (10, 30, 250), np.uint8)
    frame = read_video(cv2, out)[-1][: SIZE[0]].astype(int)
    assert np.abs(frame[24:, : SIZE[1]] - blue[24:]).mean() < 8
    normals = make_task("normals", TARGETS["normals"]).picture(as_decoded(expected_predictions(path, blue)["normals"]))
    assert np.abs(frame[:, 3 * SIZE[1] :] - normals).mean() < 8


def test_without_a_pis_camera_a_line_says_what_to_install(tmp_path, cv2):
    path = write_model(tmp_path / "model")
    check_refused(run("camera.py", path, "--source", "picamera"), "sudo apt install python3-picamera2")


def test_the_older_runtime_does_as_well(tmp_path, monkeypatch):
    path = write_model(tmp_path)
    monkeypatch.setitem(sys.modules, "tflite_runtime.interpreter", import_module("ai_edge_litert.interpreter"))
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    assert decode.open_network(path).decoder.input_size == SIZE
    monkeypatch.setitem(sys.modules, "tflite_runtime.interpreter", None)
    with pytest.raises(decode.DeployError, match="pip install ai-edge-litert"):
        decode.open_network(path)


def test_programs_say_what_to_install():
    code = "import sys, runpy; sys.modules['cv2'] = None; sys.argv = ['camera.py']; runpy.run_path('camera.py')"
    done = subprocess.run([sys.executable, "-c", code], cwd=EXAMPLES, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "pip install ai-edge-litert numpy opencv-python" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("program", ["camera.py", "folder.py"])
def test_programs_are_short(program):
    assert len((EXAMPLES / program).read_text(encoding="utf-8").splitlines()) <= 70
