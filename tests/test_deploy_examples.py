"""The programs for the device: what they compute is what ednas computes, and they run without ednas."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.small_training import TARGETS, small_architecture
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch.nn import functional as F

from ednas.data.cache import resize_image, resize_nearest
from ednas.data.colors import NO_DEPTH, SKY, color_scale, palette
from ednas.data.sample import TargetInfo
from ednas.export.manifest import Decoding, Manifest, OutputSpec, TensorSpec, write_manifest
from ednas.hw.graph.layers import GRAPH_INPUT, Layer, LayerGraph
from ednas.hw.tflite.writer import write_tflite
from ednas.plugins import load_plugin
from ednas.tasks import make_task, make_tasks
from ednas.tasks.pictures import paint
from ednas.training import build_model, predict
from ednas.training.config import Normalisation

EXAMPLES = Path(__file__).parents[1] / "examples" / "deploy"
decode: Any = load_plugin(EXAMPLES / "decode.py")

SIZE = (64, 96)
OUTPUT = (16, 24)
CHANNELS = {"segmentation": 4, "depth": 1, "normals": 3}
KINDS = {"segmentation": "argmax", "depth": "depth", "normals": "normals", "edges": "raw"}
NORMALISATION = Normalisation(mean=(0.4, 0.5, 0.6), std=(0.2, 0.25, 0.3))
COLORS = tuple(tuple(color) for color in palette(4)[:4].tolist())


def make_manifest(
    channels: Mapping[str, int] = CHANNELS,
    *,
    size: tuple[int, int] = OUTPUT,
    dtype: str = "float32",
    scale: float | None = None,
    zero_point: int = 0,
    runtime: str = "litert",
    kinds: Mapping[str, str] = KINDS,
    targets: Mapping[str, TargetInfo] = TARGETS,
) -> Manifest:
    """A manifest as an export writes it, all tensors of one type."""

    def shape(height: int, width: int, count: int) -> tuple[int, ...]:
        return (1, count, height, width) if runtime == "onnx" else (1, height, width, count)

    quantisation = {"dtype": dtype, "scale": scale, "zero_point": zero_point}
    outputs = {}
    for task, count in channels.items():
        painted = {"class_names": TARGETS[task].class_names, "colors": COLORS} if task == "segmentation" else {}
        decoding = Decoding(kind=kinds[task], channels=count, unit="m" if task == "depth" else "", **painted)
        fused = kinds[task] == "class_ids"
        outputs[task] = OutputSpec(
            name=task,
            shape=(1, *size) if fused else shape(*size, count),
            decoding=decoding,
            **({"dtype": "int32"} if fused else quantisation),
        )
    return Manifest(
        name="small",
        created_by="0",
        runtime=runtime,
        architecture={},
        tasks=tuple(channels),
        targets=dict(targets),
        input_size=SIZE,
        normalisation=NORMALISATION,
        precision="float32" if scale is None else "int8",
        input=TensorSpec(name="image", shape=shape(*SIZE, 3), **quantisation),
        outputs=outputs,
    )


def make_decoder(*args: Any, **options: Any) -> Any:
    return decode.Decoder(json.loads(make_manifest(*args, **options).to_json()))


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    """Smooth enough to be a picture, sharp enough to tell filters apart."""
    random = np.random.default_rng(seed)
    return random.integers(0, 256, shape, dtype=np.uint8)


def interpolate(values: np.ndarray, size: tuple[int, int]) -> torch.Tensor:
    """(H, W, C) to (1, C, H, W) of another size, as torch resizes."""
    tensor = torch.from_numpy(np.ascontiguousarray(np.moveaxis(values, -1, 0)))[None]
    return F.interpolate(tensor, size=size, mode="bilinear", align_corners=False)


# Resizing ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("old", "new"), [((480, 96), SIZE), (SIZE, (64, 41)), ((41, 333), (700, 333)), (SIZE, SIZE)])
def test_pictures_are_resized_as_for_training(old, new):
    picture = noise(*old, 3)
    assert np.array_equal(decode.resize_image(picture, new), resize_image(picture, new))


@given(st.tuples(*[st.integers(1, 90)] * 4), st.integers(0, 99))
def test_pictures_of_any_size_are_resized_as_for_training(sizes, seed):
    """To one level: versions of Pillow differ in the axis that comes first, and it rounds in between."""
    picture = noise(*sizes[:2], 3, seed=seed)
    expected = resize_image(picture, sizes[2:]).astype(int)
    assert np.abs(decode.resize_image(picture, sizes[2:]) - expected).max() <= 1


@given(st.tuples(*[st.integers(1, 90)] * 4), st.integers(0, 99))
def test_outputs_are_resized_as_by_torch(sizes, seed):
    values = np.random.default_rng(seed).standard_normal((*sizes[:2], 3)).astype(np.float32)
    expected = interpolate(values, sizes[2:])[0].permute(1, 2, 0).numpy()
    resized = decode.resize_bilinear(values, sizes[2:])
    assert resized.dtype == np.float32
    np.testing.assert_allclose(resized, expected, rtol=0, atol=1e-6)


# Preparing -----------------------------------------------------------------------------------------------------------


def test_input_is_normalised():
    picture = noise(*SIZE, 3)
    expected = (picture / 255 - NORMALISATION.mean) / NORMALISATION.std
    tensor = make_decoder().prepare(picture)
    assert tensor.dtype == np.float32
    np.testing.assert_allclose(tensor, expected[None], atol=1e-6)


@pytest.mark.parametrize(("dtype", "zero_point", "limits"), [("int8", 3, (-128, 127)), ("uint8", 131, (0, 255))])
def test_input_is_quantised(dtype, zero_point, limits):
    picture = noise(90, SIZE[1], 3)
    real = (resize_image(picture, SIZE) / 255 - NORMALISATION.mean) / NORMALISATION.std
    tensor = make_decoder(dtype=dtype, scale=0.015, zero_point=zero_point).prepare(picture)
    assert tensor.dtype == dtype
    assert tensor.shape == (1, *SIZE, 3)
    # Half a step, and what lies beyond the range of the type is clipped.
    levels = real / 0.015 + zero_point
    assert np.abs(tensor[0] - np.clip(levels, *limits)).max() <= 0.5001
    assert {tensor.min(), tensor.max()} == set(limits)


def test_input_of_onnx_has_its_channels_first():
    picture = noise(*SIZE, 3)
    tensor = make_decoder(runtime="onnx").prepare(picture)
    assert tensor.flags.c_contiguous
    assert np.array_equal(tensor, np.moveaxis(make_decoder().prepare(picture), -1, 1))


@pytest.mark.parametrize("image", [noise(4, 4), noise(4, 4, 4), noise(0, 4, 3), np.zeros((4, 4, 3))])
def test_images_of_another_kind_are_refused(image):
    with pytest.raises(decode.DeployError, match=r"must be uint8 \(height, width, 3\)"):
        make_decoder().prepare(image)


# Decoding ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", ["image", "model"])
def test_predictions_are_those_of_ednas(tmp_path, size):
    """From the picture at the model's size to the prediction at its own, beside ``ednas.training.predict``."""
    picture = resize_image(noise(75, 141, 3), (150, 282))
    Image.fromarray(picture).save(tmp_path / "a.png")
    model = build_model(
        small_architecture(), tuple(CHANNELS), TARGETS, input_size=SIZE, normalisation=NORMALISATION, seed=2
    )
    expected = next(predict(model, [tmp_path / "a.png"], size=size))

    decoder = make_decoder()
    tensor = decoder.prepare(resize_image(picture, SIZE))
    with torch.inference_mode():
        image = torch.from_numpy(tensor).permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)
        raw = {task: output.permute(0, 2, 3, 1).numpy() for task, output in model.network.predict_heads(image).items()}
    found = decoder.decode(raw, expected.image.shape[:2])

    assert len(np.unique(expected.values["segmentation"])) > 1
    assert np.array_equal(found["segmentation"], expected.values["segmentation"])
    for task in ("depth", "normals"):
        assert found[task].dtype == np.float32
        np.testing.assert_allclose(found[task], expected.values[task], rtol=1e-4, atol=1e-5)
    pictures = decoder.paint(found)
    for task, picture in expected.pictures.items():
        assert np.abs(pictures[task].astype(int) - picture).max() <= 2, task


@pytest.mark.parametrize(("dtype", "zero_point"), [("int8", -7), ("uint8", 121)])
def test_quantised_outputs_are_decoded_as_real_ones(dtype, zero_point):
    limits = np.iinfo(dtype)
    random = np.random.default_rng(0)
    outputs = {
        task: random.integers(limits.min, limits.max + 1, (1, *OUTPUT, count)).astype(dtype)
        for task, count in CHANNELS.items()
    }
    found = make_decoder(dtype=dtype, scale=0.031, zero_point=zero_point).decode(outputs, (100, 130))
    for task, output in outputs.items():
        real = np.float32(0.031) * (output[0].astype(np.float32) - zero_point)
        resized = interpolate(real, SIZE)
        raw = F.interpolate(resized, size=(100, 130), mode="bilinear", align_corners=False)
        expected = make_task(task, TARGETS[task]).decode(raw)[0].numpy()
        if task == "segmentation":
            # Whole numbers often tie; which class of equals it is, rounding decides.
            first, second = raw[0].topk(2, dim=0).values.numpy()
            assert np.array_equal(found[task][first > second + 1e-5], expected[first > second + 1e-5])
        else:
            np.testing.assert_allclose(
                found[task], expected[0] if task == "depth" else np.moveaxis(expected, 0, -1), atol=1e-5
            )


def test_outputs_without_direction_face_the_camera():
    outputs = {"normals": np.zeros((1, *OUTPUT, 3), np.float32)}
    normals = make_decoder({"normals": 3}).decode(outputs)["normals"]
    assert np.array_equal(normals, np.broadcast_to(np.float32([0, 0, -1]), (*SIZE, 3)))


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_normals_of_any_length_become_unit_vectors(scale):
    outputs = {
        "normals": np.random.default_rng(0).standard_normal((1, *OUTPUT, 3)).astype(np.float32) * np.float32(scale)
    }
    normals = make_decoder({"normals": 3}).decode(outputs)["normals"]
    np.testing.assert_allclose(np.linalg.norm(normals, axis=-1), 1, atol=1e-5)


@pytest.mark.parametrize("dtype", ["int32", "int64", "uint8"])
@pytest.mark.parametrize("size", [None, (100, 130), (9, 9)])
def test_class_ids_are_never_mixed(dtype, size):
    ids = np.random.default_rng(0).integers(0, 4, (1, *OUTPUT)).astype(dtype)
    decoder = make_decoder({"segmentation": 4}, kinds={"segmentation": "class_ids"})
    found = decoder.decode({"segmentation": ids}, size)["segmentation"]
    assert found.dtype == np.uint8
    assert np.array_equal(found, resize_nearest(ids[0], size or SIZE))
    assert np.array_equal(decoder.paint({"segmentation": found})["segmentation"], palette(4)[found])


def test_channels_of_onnx_come_first():
    outputs = {
        task: np.random.default_rng(0).standard_normal((1, *OUTPUT, n)).astype(np.float32)
        for task, n in CHANNELS.items()
    }
    expected = make_decoder().decode(outputs)
    found = make_decoder(runtime="onnx").decode({task: np.moveaxis(output, -1, 1) for task, output in outputs.items()})
    for task in CHANNELS:
        assert np.array_equal(found[task], expected[task])


@pytest.mark.parametrize(("channels", "shape"), [(1, SIZE), (2, (*SIZE, 2))])
def test_tasks_of_ones_own_stay_raw(channels, shape):
    output = np.random.default_rng(0).standard_normal((1, *OUTPUT, channels)).astype(np.float32)
    decoder = make_decoder({"edges": channels})
    found = decoder.decode({"edges": output})
    assert found["edges"].shape == shape
    assert found["edges"].min() < 0
    assert decoder.paint(found)["edges"].shape == (*SIZE, 3)


@pytest.mark.parametrize("outputs", [{}, {"depth": np.zeros((1, 8, 24, 1))}])
def test_outputs_of_another_model_are_refused(outputs):
    with pytest.raises(decode.DeployError, match="output depth .* is of another model"):
        make_decoder({"depth": 1}).decode(outputs)


# Painting ------------------------------------------------------------------------------------------------------------


def test_colours_are_those_of_ednas():
    nearness = np.linspace(0, 1, 256)[None]
    assert np.abs(decode.paint_scale(nearness, 1, 0).astype(int) - color_scale(nearness)).max() <= 1
    assert (decode._NO_DEPTH, decode._SKY) == (NO_DEPTH, SKY)


@pytest.mark.parametrize("kind", ["distance", "disparity"])
def test_legends_are_those_of_ednas(kind):
    targets = {**TARGETS, "depth": TargetInfo(kind, unit="m")}
    classes = np.random.default_rng(0).integers(0, 4, SIZE).astype(np.uint8)
    found = {"segmentation": classes, "depth": np.random.default_rng(1).random(SIZE, np.float32) * 9}
    expected, legends = paint(make_tasks(tuple(found), targets), found, {})
    decoder = make_decoder({"segmentation": 4, "depth": 1}, targets=targets)
    for task, picture in decoder.paint(found).items():
        assert np.abs(picture.astype(int) - expected[task]).max() <= 2
    own = decoder.legends(found)
    assert [(name, tuple(color)) for name, color in own["segmentation"].colors] == list(
        legends["segmentation"].seen_in([expected["segmentation"]]).colors
    )
    assert tuple(own["depth"].colors) == legends["depth"].colors
    assert own["depth"].scale == pytest.approx(legends["depth"].scale, rel=1e-5)
    assert own["depth"].unit == "m"


@pytest.mark.parametrize("kind", ["distance", "disparity"])
def test_near_is_bright(kind):
    targets = {"depth": TargetInfo(kind)}
    depth = np.random.default_rng(0).random(SIZE, np.float32) * 10
    depth[:3] = 0
    picture = make_decoder({"depth": 1}, targets=targets).paint({"depth": depth})["depth"]
    expected = make_task("depth", targets["depth"]).picture(depth)
    assert np.abs(picture.astype(int) - expected).max() <= 2


@pytest.mark.parametrize("value", [0, 3])
def test_a_flat_depth_is_painted(value):
    depth = np.full(SIZE, value, np.float32)
    picture = make_decoder({"depth": 1}).paint({"depth": depth})["depth"]
    assert np.abs(picture.astype(int) - make_task("depth", TARGETS["depth"]).picture(depth)).max() <= 2


def test_void_is_black():
    ids = np.array([[0, 255]], np.uint8)
    picture = make_decoder().paint({"segmentation": ids})["segmentation"]
    assert picture[0].tolist() == [list(COLORS[0]), [0, 0, 0]]


# The manifest --------------------------------------------------------------------------------------------------------


def test_the_manifest_beside_a_model_is_read(tmp_path):
    write_manifest(tmp_path / "model.json", make_manifest())
    assert decode.read_manifest(tmp_path / "model.tflite") == decode.read_manifest(str(tmp_path / "model.json"))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (None, "no such file"),
        ("{", "cannot be read"),
        ("\xff", "cannot be read"),
        ("[]", "no manifest"),
        ("{}", "no manifest"),
        (json.dumps({**dict.fromkeys(decode._KEYS), "format": 2}), "format 2"),
    ],
)
def test_a_wrong_manifest_is_one_line(tmp_path, text, problem):
    if text is not None:
        (tmp_path / "model.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(decode.DeployError, match=problem) as caught:
        decode.read_manifest(tmp_path / "model.tflite")
    assert "\n" not in str(caught.value)
    assert "model.json" in str(caught.value)


def test_decoding_needs_numpy_only():
    """In a Python that finds nothing else."""
    code = (
        "import sys; before = set(sys.modules); import decode;"
        "new = {name.partition('.')[0] for name in set(sys.modules) - before} - set(sys.stdlib_module_names);"
        "print(sorted(new))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=EXAMPLES, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['decode', 'numpy']"


# Programs ------------------------------------------------------------------------------------------------------------


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
