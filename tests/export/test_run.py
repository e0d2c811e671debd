"""Exports from a checkpoint to a folder, through the real converters, on a briefly trained small network."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from helpers.small_training import SIZE, small_architecture, write_dataset

from ednas.exceptions import DataError, EdnasError, ExportError
from ednas.export.converter import read_manifest
from ednas.export.run import ExportConfig, Exported, export_model
from ednas.files import read_json
from ednas.training import Model, TrainConfig, load_checkpoint, recipe, train
from ednas.training.checkpoint import read_metrics

TASKS = ("segmentation", "depth", "normals")
ANY_DROP = 1e9


@pytest.fixture(scope="module", autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EDNAS_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_dataset(tmp_path_factory.mktemp("data")))


@pytest.fixture
def no_depth(tmp_path: Path) -> str:
    """Data whose depth labels are all missing."""
    file = write_dataset(tmp_path / "no_depth")
    file.write_text(file.read_text().replace("kind: distance", "kind: distance\n    partial: true"))
    for label in file.parent.glob("*/depth/*"):
        label.unlink()
    return str(file)


@pytest.fixture(scope="module")
def checkpoint(data: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = TrainConfig(
        architecture=small_architecture().to_dict(),
        data=data,
        tasks=TASKS,
        recipe=recipe("mini", steps=60, batch_size=4, input_size=SIZE),
    )
    return train(config, tmp_path_factory.mktemp("run"), device="cpu").checkpoint


@pytest.fixture(scope="module")
def model(checkpoint: Path) -> Model:
    return load_checkpoint(checkpoint)


@pytest.fixture(scope="module")
def int8(model: Model, data: str, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    pytest.importorskip("litert_torch", reason='needs litert-torch: pip install "ednas[export]"')
    targets = ("coral_usb", "ethos_u85_1024", "coral_usb")
    config = ExportConfig(int8=True, data=data, targets=targets, samples=4, max_drop_percent=ANY_DROP)
    return export_model(model, tmp_path_factory.mktemp("out") / "int8", config, name="small")


@pytest.fixture(scope="module")
def onnx(model: Model, data: str, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    pytest.importorskip("onnxruntime", reason='needs onnxruntime: pip install "ednas[onnx]"')
    pytest.importorskip("onnxscript", reason='needs onnxscript: pip install "ednas[onnx]"')
    return export_model(model, tmp_path_factory.mktemp("out") / "onnx", ExportConfig(format="onnx", data=data))


@pytest.mark.slow
def test_an_export_at_another_size_is_compared_with_what_was_trained(
    checkpoint: Path, model: Model, data: str, tmp_path: Path
) -> None:
    pytest.importorskip("onnxruntime", reason='needs onnxruntime: pip install "ednas[onnx]"')
    pytest.importorskip("onnxscript", reason='needs onnxscript: pip install "ednas[onnx]"')
    record = read_metrics(checkpoint)
    larger = ExportConfig(format="onnx", data=data, input_size=(64, 128))
    report = export_model(model, tmp_path / "larger", larger, record=record).check
    assert report.record is not None
    before = {(drop.task, drop.metric): drop.before for drop in report.record.drops}
    assert before == {key: record["tasks"][key[0]][key[1]] for key in before}
    assert not report.passed  # of a network of 60 steps at 32x64 little is left there
    assert any("in the checkpoint's own record, at 32x64, and" in failure for failure in report.failures)
    assert all(abs(drop.drop_percent) < 1 for drop in report.metrics.drops) if report.metrics else False

    other = {**record, "digest": "0"}
    report = export_model(model, tmp_path / "own", ExportConfig(format="onnx", data=data), record=other).check
    assert report.passed
    assert report.not_compared == "the checkpoint's metrics are of other data than the split 'val' holds now"


@pytest.mark.slow
class TestLiteRT:
    def test_the_folder_holds_the_model_and_its_proof(self, int8: Exported) -> None:
        assert int8.passed, int8.failures
        assert {file.name for file in int8.folder.iterdir()} == {
            "model.tflite",
            "model_float.tflite",
            "model.json",
            "check.json",
            "audit.json",
            "labels_segmentation.txt",
        }
        assert (int8.folder / "labels_segmentation.txt").read_text().split() == ["road", "car", "tree", "sky"]
        assert json.loads((int8.folder / "check.json").read_text())["passed"] is True

    def test_the_manifest_stands_beside_the_model_and_in_it(self, int8: Exported) -> None:
        assert read_manifest(int8.model) == read_manifest(int8.folder / "model.json") == int8.manifest
        assert int8.manifest.precision == "int8"
        assert int8.manifest.input.dtype == "int8"
        assert list(int8.manifest.outputs) == list(TASKS)

    def test_the_float_model_is_the_network(self, int8: Exported) -> None:
        assert set(int8.check.parity) == set(TASKS)
        assert max(int8.check.parity.values()) < 1e-3

    def test_every_metric_is_measured_before_and_after(self, int8: Exported, model: Model) -> None:
        assert int8.check.metrics is not None
        found = {(drop.task, drop.metric) for drop in int8.check.metrics.drops}
        assert found >= {("segmentation", "miou"), ("depth", "rel_err"), ("normals", "mean_angle")}
        assert int8.check.metrics.samples == 4

    def test_all_operators_are_on_the_accelerator(self, int8: Exported) -> None:
        assert [audit.target for audit in int8.audits] == ["coral_usb", "ethos_u85_1024"]
        assert [audit.host_ops for audit in int8.audits] == [0, 0]
        assert read_json(int8.folder / "audit.json").keys() == {"coral_usb", "ethos_u85_1024"}

    def test_a_drop_above_the_limit_fails_and_names_a_layer(self, model: Model, data: str, int8: Exported) -> None:
        assert int8.check.worst is not None
        assert int8.check.worst.drop_percent > 0  # eight bits cost this network something
        config = ExportConfig(int8=True, data=data, samples=4, max_drop_percent=0)
        strict = export_model(model, int8.folder.parent / "strict", config)
        assert not strict.passed
        assert any("enters at" in failure or "adds up" in failure for failure in strict.failures)
        assert strict.model.is_file()
        assert json.loads((strict.folder / "check.json").read_text())["passed"] is False


@pytest.mark.slow
class TestOnnx:
    def test_a_float_model_keeps_every_metric(self, onnx: Exported) -> None:
        assert onnx.passed, onnx.failures
        assert onnx.model.name == "model.onnx"
        assert onnx.manifest.runtime == "onnx"
        assert max(onnx.check.parity.values()) < 1e-4

    def test_without_data_nothing_is_proven(self, model: Model, tmp_path: Path) -> None:
        pytest.importorskip("onnxscript", reason='needs onnxscript: pip install "ednas[onnx]"')
        result = export_model(model, tmp_path / "out", ExportConfig(format="onnx"))
        assert not result.passed
        assert "--data" in result.failures[0]

    def test_ranges_need_no_labels(
        self, model: Model, data: str, no_depth: str, onnx: Exported, tmp_path: Path
    ) -> None:
        config = ExportConfig(format="onnx", int8=True, calibration=no_depth, data=data, max_drop_percent=ANY_DROP)
        assert export_model(model, tmp_path / "out", config).passed


class TestMistakes:
    @pytest.mark.parametrize(
        ("values", "message"),
        [
            ({"int8": True}, "give calibration or data"),
            ({"io": "uint8"}, "io belongs to int8"),
            ({"qat_steps": 5}, "qat_steps belongs to int8"),
            (
                {"format": "onnx", "targets": ["coral_usb"]},
                "io, targets and fuse belong to format litert; leave them out for onnx",
            ),
            ({"format": "onnx", "int8": True, "data": "streets", "ranges": "average"}, "onnx knows auto, full"),
            ({"format": "onnxx"}, "litert"),
            ({"output_stride": 2}, "1, 4 or 8"),
        ],
    )
    def test_choices_that_do_not_fit(self, values: dict[str, Any], message: str) -> None:
        with pytest.raises(ValueError, match=message):
            ExportConfig.model_validate(values)

    def test_a_float_model_for_a_device_of_integers(self, model: Model, tmp_path: Path) -> None:
        with pytest.raises(ExportError, match="coral_usb computes integers only; add --int8"):
            export_model(model, tmp_path / "out", ExportConfig(targets=("coral_usb",)))
        assert not (tmp_path / "out").exists()

    @pytest.mark.slow
    def test_a_target_without_what_is_fused(self, model: Model, tmp_path: Path) -> None:
        pytest.importorskip("litert_torch", reason='needs litert-torch: pip install "ednas[export]"')
        config = ExportConfig(int8=True, data="streets", targets=("coral_usb",), fuse="argmax")
        with pytest.raises(ExportError, match="coral_usb runs no ARG_MAX; leave the argmax to the host"):
            export_model(model, tmp_path / "out", config)

    def test_a_missing_package_is_named_with_its_extra(
        self, model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("ednas.export.converter.find_spec", lambda package: None if "onnx" in package else object())
        with pytest.raises(ExportError, match=r'onnx, onnxscript, onnxruntime; pip install "ednas\[onnx\]"'):
            export_model(model, tmp_path / "out", ExportConfig(format="onnx"))

    def test_a_folder_that_is_something_else(self, model: Model, tmp_path: Path) -> None:
        (tmp_path / "thesis.tex").write_text("years of work")
        with pytest.raises(ExportError, match="exists and is no export; choose another folder"):
            export_model(model, tmp_path, ExportConfig())
        assert (tmp_path / "thesis.tex").exists()

    def test_a_size_that_cannot_be_exported(self, model: Model, tmp_path: Path) -> None:
        with pytest.raises(ExportError, match="input size 100x150"):
            export_model(model, tmp_path / "out", ExportConfig(input_size=(100, 150)))

    def test_data_without_the_split(self, model: Model, data: str, tmp_path: Path) -> None:
        with pytest.raises(EdnasError, match="night"):
            export_model(model, tmp_path / "out", ExportConfig(data=data, split="night"))
        assert not (tmp_path / "out").exists()

    @pytest.mark.parametrize(
        ("split", "values"), [("val", {"data": None}), ("train", {"qat_steps": 5, "split": "train"})]
    )
    def test_data_without_labels_of_a_task_are_refused_before_anything_is_converted(
        self, model: Model, no_depth: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, split: str, values: Any
    ) -> None:
        pytest.importorskip("litert_torch", reason='needs litert-torch: pip install "ednas[export]"')
        monkeypatch.setattr("ednas.export.deployed.Deployed", lambda *_, **__: pytest.fail("converted"))
        config = ExportConfig(**{"int8": True, "calibration": no_depth, "data": no_depth, **values})
        with pytest.raises(DataError, match=f"no sample of split '{split}' has a label of depth"):
            export_model(model, tmp_path / "out", config)
        assert not (tmp_path / "out").exists()
