"""`ednas predict` with checkpoints and exported models, on images, folders and videos."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers.cli import Run
from PIL import Image

pytest.importorskip("ai_edge_litert", reason='needs LiteRT: pip install "ednas[export]"')

from helpers.small_training import TARGETS, small_architecture
from helpers.tiny_exports import SIZE, Tiny, tiny_model, write_tiny_onnx, write_tiny_tflite

from ednas.data.video import write_video
from ednas.training import Tiling, build_model, predict, save_checkpoint
from ednas.training.tensors import write_tensors

TINY = Tiny().eval()


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder of two pictures that keep their shape at the model's size, and one that does not."""
    random = np.random.default_rng(0)
    (tmp_path / "photos").mkdir()
    for name, size in (("a.png", SIZE), ("b.png", (48, 96)), ("c.png", (60, 64))):
        Image.fromarray(random.integers(0, 256, (*size, 3), dtype=np.uint8)).save(tmp_path / "photos" / name)
    return tmp_path / "photos"


@pytest.fixture
def tflite(tmp_path: Path) -> Path:
    return write_tiny_tflite(tmp_path / "model.tflite", TINY)


@pytest.mark.parametrize("suffix", ["tflite", "onnx"])
@pytest.mark.parametrize("options", [[], ["--tile", "auto"]])
def test_an_exported_model_predicts_what_the_checkpoint_does(
    run: Run, photos: Path, tmp_path: Path, suffix: str, options: list[str]
) -> None:
    if suffix == "onnx":
        pytest.importorskip("onnx", reason='needs onnx: pip install "ednas[onnx]"')
        pytest.importorskip("onnxruntime", reason='needs ONNX Runtime: pip install "ednas[onnx]"')
    write = write_tiny_tflite if suffix == "tflite" else write_tiny_onnx
    path, out = write(tmp_path / f"model.{suffix}", TINY), tmp_path / "seen"
    code, printed, _ = run("predict", path, photos, "--out", out, *options)
    assert code == 0
    assert printed == f"wrote 12 files to {out}\n"
    tiling = Tiling(SIZE) if options else None
    for expected in predict(tiny_model(TINY), [photos], tiling=tiling):
        for task, values in expected.values.items():
            found = np.load(out / f"{expected.source.stem}_{task}.npy")
            assert found.shape == values.shape == expected.image.shape[:2]
            if task == "segmentation":
                assert np.mean(found == values) > 0.999
            else:
                np.testing.assert_allclose(found, values, atol=1e-4)
            assert (out / f"{expected.source.stem}_{task}.png").is_file()


def test_a_picture_of_another_shape_is_stretched_which_a_line_says(run: Run, photos: Path, tflite: Path) -> None:
    _, _, err = run("predict", tflite, photos, "--out", photos.parent / "seen")
    assert err.count("\n") == 1
    assert f"predicting at 32x64 ({photos / 'c.png'}: 60x64 STRETCHED, by 0.53 in height and 1.00 in width" in err


def test_a_bad_picture_is_named_and_left_out(run: Run, photos: Path, tflite: Path, tmp_path: Path) -> None:
    (photos / "c.png").write_bytes((photos / "c.png").read_bytes()[:200])
    code, printed, err = run("predict", tflite, photos, "--out", tmp_path / "seen")
    assert code == 0
    assert printed == f"wrote 8 files to {tmp_path / 'seen'}; left out 1 that cannot be read\n"
    assert err.startswith(f"warning: {photos / 'c.png'}: cannot be decoded")
    assert err.count("\n") == 1
    code, printed, err = run("predict", tflite, photos / "c.png", "--out", tmp_path / "none")
    assert (code, printed) == (2, "")
    assert err.startswith(f"error: {photos / 'c.png'}: cannot be decoded")
    assert not (tmp_path / "none").exists()


def test_videos_are_predicted_beside_pictures(run: Run, photos: Path, tflite: Path, tmp_path: Path) -> None:
    pytest.importorskip("cv2", reason="needs OpenCV: pip install opencv-python-headless")
    with write_video(tmp_path / "drive.mp4", 12) as write:
        for shade in (50, 100, 150):
            write(np.full((64, 128, 3), shade, np.uint8))
    (tmp_path / "bad.mov").write_bytes(b"no video")
    out = tmp_path / "seen"
    (photos / "drive.mp4").write_bytes((tmp_path / "drive.mp4").read_bytes())
    files = [tmp_path / "drive.mp4", photos / "a.png", tmp_path / "bad.mov", photos / "drive.mp4"]
    code, printed, err = run("predict", tflite, *files, "--out", out)
    assert code == 0, err
    assert printed == f"wrote 8 files to {out}; left out 1 that cannot be read\n"
    assert err.splitlines()[-1].startswith(f"warning: {tmp_path / 'bad.mov'}: is no video")
    names = [f"a_{task}.{kind}" for task in ("depth", "segmentation") for kind in ("npy", "png")]
    names += [f"drive{number}_{task}.mp4" for number in ("_2", "") for task in ("depth", "segmentation")]
    assert sorted(path.name for path in out.iterdir()) == names


def test_how_much_the_classes_hide_is_chosen(run: Run, photos: Path, tflite: Path, tmp_path: Path) -> None:
    image = photos / "a.png"
    assert run("predict", tflite, image, "--out", tmp_path / "seen", "--alpha", 0)[0] == 0
    seen = np.asarray(Image.open(tmp_path / "seen" / "a_segmentation.png"))
    assert np.array_equal(seen[: SIZE[0], : SIZE[1]], np.asarray(Image.open(image)))
    assert run("predict", tflite, image, "--out", tmp_path / "seen", "--alpha", 1.5)[0] == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--device", "cuda"], "exported models run on the CPU"),
        (["--tile", "64x64"], "takes images of 32x64 alone, not 48x64"),
        (["--tile", "auto", "--model-size"], "tiles cover a picture at its own size"),
    ],
)
def test_wrong_options(run: Run, photos: Path, tflite: Path, options: list[str], message: str) -> None:
    code, _, err = run("predict", tflite, photos / "b.png", "--out", photos.parent / "seen", *options)
    assert code == 2
    assert message in err
    assert err.count("\n") == 1


def test_a_checkpoint_that_diverged_is_refused(run: Run, photos: Path, tmp_path: Path) -> None:
    model = build_model(small_architecture(), ("depth",), TARGETS, input_size=SIZE)
    folder = save_checkpoint(tmp_path / "run", model)
    model.network.state_dict()["heads.depth.predict.bias"][0] = np.inf
    write_tensors(folder / "model.safetensors", model.network.state_dict())
    code, _, err = run("predict", folder, photos, "--out", tmp_path / "seen")
    assert code == 2
    assert "tensor 'heads.depth.predict.bias' is NaN or infinite in 1 of 1 numbers" in err
    assert err.count("\n") == 1
    assert not (tmp_path / "seen").exists()
