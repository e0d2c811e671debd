"""TFLite files are changed where they should be, and nowhere else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("ai_edge_litert", reason='needs LiteRT: pip install "ednas[export]"')

from helpers.tiny_exports import CHANNELS, OUTPUT, SIZE, Tiny, with_signature, write_tiny_tflite

from ednas.exceptions import ExportError
from ednas.export.formats.litert import load_interpreter
from ednas.export.tflite_model import TfliteModel


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return with_signature(write_tiny_tflite(tmp_path_factory.mktemp("tiny") / "model.tflite", Tiny().eval()))


def run(path: Path) -> dict[str, np.ndarray]:
    interpreter = load_interpreter(str(path))
    image = np.random.default_rng(0).standard_normal((1, *SIZE, 3), np.float32)
    (entry,) = interpreter.get_input_details()
    interpreter.set_tensor(entry["index"], image)
    interpreter.invoke()
    return {entry["name"]: interpreter.get_tensor(entry["index"]) for entry in interpreter.get_output_details()}


def test_what_a_file_holds(signed: Path) -> None:
    model = TfliteModel(signed)
    assert (model.signature, model.input.name, model.input.shape) == ("serving_default", "image", (1, *SIZE, 3))
    assert {spec.name: spec.shape for spec in model.outputs} == {
        task: (1, *OUTPUT, channels) for task, channels in CHANNELS.items()
    }
    assert model.operators == ["CONV_2D"] * 4
    assert set(model.computed_dtypes.values()) == {"float32"}
    assert {"image", "hidden", "middle", *CHANNELS} == set(model.computed_dtypes)


def test_other_names_leave_the_numbers_alone(signed: Path, tmp_path: Path) -> None:
    model = TfliteModel(signed)
    model.rename_ends(["picture", "hidden", "distance"])
    model.set_versions({"CONV_2D": 3})
    model.save(tmp_path / "renamed.tflite")
    found, expected = run(tmp_path / "renamed.tflite"), run(signed)
    assert list(found) == ["hidden", "distance"]
    np.testing.assert_array_equal(found["hidden"], expected["segmentation"])
    np.testing.assert_array_equal(found["distance"], expected["depth"])
    renamed = TfliteModel(tmp_path / "renamed.tflite")
    assert renamed.input.name == "picture"
    assert len(renamed.computed_dtypes) == 5  # the tensor that was called 'hidden' has another name


def test_names_are_short_and_free(signed: Path, tmp_path: Path) -> None:
    model = TfliteModel(signed)
    model.rename_ends(["a.Net/Root/x.Head_head/b.Conv_0", "p/Root/Head_head/Conv_0;other", "alone"])
    model.shorten_names("Root")
    names = set(model.computed_dtypes)
    assert {"Head_head/Conv_0", "Head_head/Conv_0_2", "alone", "hidden", "middle"} == names


def test_a_text_is_embedded_once(signed: Path, tmp_path: Path) -> None:
    for text in ("first", "second"):
        model = TfliteModel(signed if text == "first" else tmp_path / "model.tflite")
        model.embed("mine", text)
        model.save(tmp_path / "model.tflite")
    content = (tmp_path / "model.tflite").read_bytes()
    assert (content.count(b"first"), content.count(b"second")) == (0, 1)


def test_other_files_are_refused(signed: Path, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"is no model that ednas exports \(one input, in one signature\)"):
        TfliteModel(write_tiny_tflite(tmp_path / "model.tflite", Tiny().eval()))
    (tmp_path / "model.tflite").write_bytes(signed.read_bytes()[:200])
    with pytest.raises(ExportError, match="is damaged"):
        TfliteModel(tmp_path / "model.tflite")
