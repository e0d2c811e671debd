"""`ednas export`: results and mistakes, and a format of one's own through all commands that know models' files."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.cli import Run
from helpers.small_training import SIZE, TARGETS, small_architecture, write_dataset

from ednas.export import converter
from ednas.export.converter import read_manifest
from ednas.training import build_model, save_checkpoint

OWN = Path(__file__).parents[2] / "examples" / "own_format.py"


@pytest.fixture(scope="module", autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EDNAS_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    model = build_model(small_architecture(), ("segmentation", "depth"), TARGETS, input_size=SIZE)
    return save_checkpoint(tmp_path_factory.mktemp("run") / "checkpoint", model)


@pytest.fixture
def pt2() -> Iterator[Path]:
    """A plugin with a format; what it registers is forgotten behind the test."""
    yield OWN
    converter._registry.pop("pt2", None)
    for name in [name for name in sys.modules if name.startswith("ednas_plugin_")]:
        del sys.modules[name]


@pytest.mark.slow
def test_the_result_as_json(run: Run, checkpoint: Path, data: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnxscript", reason='needs onnxscript: pip install "ednas[onnx]"')
    out = tmp_path / "deploy"
    code, printed, _ = run("export", checkpoint, "--format", "onnx", "--data", data, "--out", out, "--json")
    assert code == 0
    result = json.loads(printed)
    assert result["passed"] is True
    assert Path(result["model"]) == out / "model.onnx"


@pytest.mark.slow
def test_a_model_that_is_not_proven_good_is_exit_code_3(run: Run, checkpoint: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnxscript", reason='needs onnxscript: pip install "ednas[onnx]"')
    code, printed, errors = run("export", checkpoint, "--format", "onnx", "--out", tmp_path / "deploy")
    assert code == 3
    assert "NOT GOOD: no validation data" in errors
    assert "the model is good" not in printed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nowhere",), "nowhere"),
        (("CHECKPOINT", "--int8"), "give calibration or data"),
        (("CHECKPOINT", "--format", "tflite"), "'format': unknown format 'tflite'; known: litert, onnx"),
        (("CHECKPOINT", "--target", "corall_usb"), "coral_usb"),
        (("CHECKPOINT", "--data", "nowhere"), "nowhere"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(
    run: Run, checkpoint: Path, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    given = [checkpoint if argument == "CHECKPOINT" else argument for argument in arguments]
    code, _, errors = run("export", *given, "--out", tmp_path / "deploy")
    assert code == 2
    assert message in errors
    assert errors.count("\n") == 1
    assert not (tmp_path / "deploy").exists()


@pytest.mark.slow
def test_a_format_of_ones_own_all_the_way(run: Run, checkpoint: Path, data: Path, tmp_path: Path, pt2: Path) -> None:
    out, image = tmp_path / "deploy", data.parent / "val" / "image" / "0.png"
    command = ["export", checkpoint, "--format", "pt2", "--data", data, "--out", out, "--json"]
    code, _, err = run(*command)
    assert (code, err.count("\n")) == (2, 1)
    assert "unknown format 'pt2'; known: litert, onnx; give the file that registers another one by --plugin" in err

    code, printed, err = run(*command, "--plugin", pt2)
    assert code == 0, err
    result = json.loads(printed)
    assert result["passed"] is True
    assert max(result["check"]["parity"].values()) < 1e-5
    assert {file.name for file in out.iterdir()} == {
        "model.pt2", "model.json", "check.json", "labels_segmentation.txt"
    }  # fmt: skip
    assert read_manifest(out / "model.pt2") == read_manifest(out / "model.json")
    assert (result["manifest"]["runtime"], list(result["manifest"]["libraries"])) == ("pt2", ["torch"])

    evaluate = ["evaluate", "--data", data, "--plugin", pt2, "--json"]
    code, printed, err = run(*evaluate, out / "model.pt2")
    assert code == 0, err
    found, expected = json.loads(printed), json.loads(run(*evaluate, checkpoint)[1])
    assert found["runtime"] == "pt2"
    for task, values in expected["tasks"].items():
        assert found["tasks"][task] == pytest.approx(values, rel=1e-3)

    for model, seen in ((out / "model.pt2", tmp_path / "exported"), (checkpoint, tmp_path / "trained")):
        code, _, err = run("predict", model, image, "--out", seen, "--plugin", pt2)
        assert code == 0, err
    exported, trained = (np.load(tmp_path / seen / "0_depth.npy") for seen in ("exported", "trained"))
    np.testing.assert_allclose(exported, trained, atol=1e-4)


def test_what_a_format_of_ones_own_has_not(run: Run, checkpoint: Path, data: Path, tmp_path: Path, pt2: Path) -> None:
    command = ["export", checkpoint, "--format", "pt2", "--data", data, "--plugin", pt2, "--out", tmp_path / "deploy"]
    for option in (["--int8"], ["--fuse", "argmax"], ["--target", "coral_usb"]):
        code, _, err = run(*command, *option)
        assert code == 2
        assert "int8, io, targets and fuse belong to format litert; leave them out for pt2" in err


def test_a_file_of_an_unknown_format_asks_for_its_plugin(run: Run, data: Path, tmp_path: Path, pt2: Path) -> None:
    (tmp_path / "model.pt2").write_bytes(b"hello")
    code, _, err = run("evaluate", tmp_path / "model.pt2", "--data", data)
    assert (code, err.count("\n")) == (2, 1)
    assert "give a .tflite or .onnx file of `ednas export` (and the plugin of a format of your own)" in err
    code, _, err = run("evaluate", tmp_path / "model.pt2", "--data", data, "--plugin", pt2)
    assert code == 2
    assert "model.pt2: PyTorch cannot load it: " in err
    assert "Traceback" not in err
