"""`ednas evaluate` on exported models."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import yaml
from helpers.cli import Run
from PIL import Image

pytest.importorskip("ai_edge_litert", reason='needs LiteRT: pip install "ednas[export]"')

from helpers.small_training import TARGETS, small_architecture, write_dataset
from helpers.tiny_exports import SIZE, Tiny, tiny_model, write_tiny_onnx, write_tiny_tflite

from ednas.data import open_cache, open_dataset
from ednas.training import Tiling, build_model, evaluate, save_checkpoint
from ednas.training.trivial import measure_trivial

TINY = Tiny().eval()
TASKS = ("segmentation", "depth")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("data"))


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDNAS_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def tflite(tmp_path: Path) -> Path:
    return write_tiny_tflite(tmp_path / "model.tflite", TINY)


@pytest.mark.parametrize(("suffix", "runtime"), [("tflite", "litert"), ("onnx", "onnx")])
def test_metrics_of_an_exported_model_are_the_checkpoints(
    run: Run, data: Path, tmp_path: Path, suffix: str, runtime: str
) -> None:
    if suffix == "onnx":
        pytest.importorskip("onnx", reason='needs onnx: pip install "ednas[onnx]"')
        pytest.importorskip("onnxruntime", reason='needs ONNX Runtime: pip install "ednas[onnx]"')
    write = write_tiny_tflite if suffix == "tflite" else write_tiny_onnx
    path, out = write(tmp_path / f"model.{suffix}", TINY), tmp_path / "metrics.json"
    options = ["--split", "train", "--protocol", "adashare", "--out", out]
    code, printed, err = run("evaluate", path, "--data", data, "--json", *options)
    assert (code, err) == (0, "")
    metrics = json.loads(printed)
    assert metrics == json.loads(out.read_text())
    assert (metrics["runtime"], metrics["precision"], metrics["model"]) == (runtime, "float32", "tiny")
    assert (metrics["split"], metrics["protocol"], metrics["input_size"]) == ("train", "adashare", list(SIZE))
    expected = evaluate(tiny_model(TINY), open_cache(open_dataset(str(data), "train"), SIZE), "adashare")
    for task, values in expected["tasks"].items():
        assert metrics["tasks"][task] == pytest.approx(values, rel=1e-3)


def test_an_exported_model_sees_a_larger_image_in_tiles_of_its_size(run: Run, data: Path, tflite: Path) -> None:
    code, printed, err = run("evaluate", tflite, "--data", data, "--input", "64x64", "--tile", "auto", "--json")
    assert (code, err) == (0, "")
    metrics = json.loads(printed)
    assert (metrics["input_size"], metrics["tile"], metrics["overlap"]) == ([64, 64], list(SIZE), 0.25)
    cached = open_cache(open_dataset(str(data), "val"), (64, 64))
    expected = evaluate(tiny_model(TINY), cached, tiling=Tiling(SIZE))
    for task, values in expected["tasks"].items():
        assert metrics["tasks"][task] == pytest.approx(values, rel=1e-3)


def test_people_read_what_was_measured(run: Run, data: Path, tflite: Path) -> None:
    code, out, _ = run("evaluate", tflite, "--data", data)
    assert code == 0
    assert "protocol standard, tiny: float32 in litert, stride 4" in out
    assert "mIoU" in out


@pytest.mark.slow
def test_no_network_stands_beside_it_where_the_training_split_is_at_hand(run: Run, data: Path, tflite: Path) -> None:
    assert "no network" not in run("evaluate", tflite, "--data", data)[1]
    train_split, val_split = (open_cache(open_dataset(str(data), split), SIZE) for split in ("train", "val"))
    expected = measure_trivial(tiny_model(TINY).tasks, train_split, val_split)
    assert json.loads(run("evaluate", tflite, "--data", data, "--json")[1])["trivial"] == expected
    code, out, err = run("evaluate", tflite, "--data", data)
    assert (code, err) == (0, "")
    assert "no network (mean label)" in out
    (row,) = (line.strip("│ ") for line in out.splitlines() if "Abs. error" in line and not line.startswith("warning"))
    assert row.endswith(f" {expected['tasks']['depth']['abs_err']:.4f}")
    assert "warning: depth abs_err: the network (" in out


def renumber(root: Path) -> Path:
    """Write the dataset with its classes in another order: the same labels under other numbers."""
    file = write_dataset(root)
    description = yaml.safe_load(file.read_text())
    description["targets"]["segmentation"]["class_names"].reverse()
    file.write_text(yaml.safe_dump(description))
    for label in root.glob("*/segmentation/*.png"):
        Image.fromarray(3 - np.asarray(Image.open(label))).save(label)
    return file


@pytest.mark.slow
def test_classes_in_another_order_are_counted_alike(run: Run, data: Path, tflite: Path, tmp_path: Path) -> None:
    options = ["--split", "train", "--json"]  # decoded by that, so that no network stands beside it
    other = renumber(tmp_path / "renumbered")
    expected, found = (json.loads(run("evaluate", tflite, "--data", where, *options)[1]) for where in (data, other))
    assert found["tasks"] == expected["tasks"]
    assert found["confusion"] == expected["confusion"]
    assert found["trivial"]["tasks"] == expected["trivial"]["tasks"]

    checkpoint = save_checkpoint(tmp_path / "run", build_model(small_architecture(), TASKS, TARGETS, input_size=SIZE))
    expected, found = (json.loads(run("evaluate", checkpoint, "--data", at, *options)[1]) for at in (data, other))
    assert found["tasks"] == expected["tasks"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("written", "instead", "message"),
    [
        ("- car", "- bicycle", "another segmentation than the dataset has: class 1 is 'car', not 'bicycle'"),
        ("num_classes: 4", "num_classes: 5\n    class_names: [road, car, tree, sky, sea]", "num_classes 4, not 5"),
        ("kind: distance", "kind: distance\n    unit: mm\n    scale: 1.0", "another depth .*: unit 'm', not 'mm'"),
        ("kind: distance", "kind: disparity\n    unit: m", "kind 'distance', not 'disparity'"),
    ],
)
def test_data_that_mean_something_else_are_refused(
    run: Run, tflite: Path, tmp_path: Path, written: str, instead: str, message: str
) -> None:
    file = write_dataset(tmp_path / "data")
    text = file.read_text()
    assert written in text
    if "class_names" in instead:
        text = text.replace("    class_names:\n    - road\n    - car\n    - tree\n    - sky\n", "")
    file.write_text(text.replace(written, instead))
    checkpoint = save_checkpoint(tmp_path / "run", build_model(small_architecture(), TASKS, TARGETS, input_size=SIZE))
    for model in (tflite, checkpoint):
        code, _, err = run("evaluate", model, "--data", file)
        assert code == 2
        assert re.search(message, err)
        assert err.count("\n") == 1


def test_help_names_both_kinds(run: Run) -> None:
    _, out, _ = run("evaluate", "--help")
    assert ".tflite" in out
    assert ".onnx" in out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--input", "64x64"], "takes images of 32x64 alone, not 64x64"),
        (["--input", "64x64", "--tile", "64x32"], "takes images of 32x64 alone, not 64x32"),
        (["--input", "64x32", "--tile", "auto"], "takes images of 32x64 alone, not 32x32"),
        (["--device", "cuda"], "exported models run on the CPU"),
        (["--protocol", "adashar"], "did you mean 'adashare'"),
    ],
)
def test_wrong_options(run: Run, data: Path, tflite: Path, options: list[str], message: str) -> None:
    code, _, err = run("evaluate", tflite, "--data", data, *options)
    assert code == 2
    assert message in err
    assert err.count("\n") == 1


def test_a_split_without_labels_of_a_task_is_refused_before_it_is_decoded(
    run: Run, tflite: Path, tmp_path: Path
) -> None:
    file = write_dataset(tmp_path / "data")
    file.write_text(file.read_text().replace("kind: distance", "kind: distance\n    partial: true"))
    for label in (tmp_path / "data" / "val" / "depth").iterdir():
        label.unlink()
    code, _, err = run("evaluate", tflite, "--data", file)
    assert code == 2
    assert "dataset tiny: no sample of split 'val' has a label of depth" in err
    assert err.count("\n") == 1
    assert not (tmp_path / "cache").exists()
    assert run("evaluate", tflite, "--data", file, "--split", "train")[0] == 0


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("missing.tflite", None, "no such file"),
        ("missing.onnx", None, "no such file"),
        ("empty.tflite", b"", "empty.tflite"),
        ("foreign.tflite", b"hello, world", "foreign.tflite"),
        ("notes.txt", b"hello, world", "is no exported model"),
    ],
)
def test_files_that_are_no_models(
    run: Run, data: Path, tmp_path: Path, name: str, content: bytes | None, message: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    out = tmp_path / "metrics.json"
    code, printed, err = run("evaluate", tmp_path / name, "--data", data, "--out", out)
    assert (code, printed) == (2, "")
    assert message in err
    assert err.count("\n") == 1
    assert not out.exists()


def test_a_truncated_model(run: Run, data: Path, tflite: Path) -> None:
    whole = tflite.read_bytes()
    tflite.write_bytes(whole[: len(whole) // 2])
    code, _, err = run("evaluate", tflite, "--data", data)
    assert code == 2
    assert err.startswith("error: ")
    assert err.count("\n") == 1


@pytest.mark.slow
def test_depth_at_another_scale_is_noticed(run: Run, data: Path, tmp_path: Path) -> None:
    train = ["train", "base", "--data", data, "--tasks", "depth", "--recipe", "mini", "--steps", 1, "--batch-size", 2]
    assert run(*train, "--out", tmp_path / "run")[0] == 0
    evaluate = ["evaluate", tmp_path / "run", "--split", "train", "--data"]
    assert "is the scale right" not in run(*evaluate, data)[2]
    other = write_dataset(tmp_path / "other")
    for depth in (tmp_path / "other").glob("*/depth/*.npy"):
        np.save(depth, 1000 * np.load(depth))
    code, _, err = run(*evaluate, other)
    assert code == 0
    assert "warning: depth: the labels' mean is 2" in err
    assert "is the scale right?" in err
