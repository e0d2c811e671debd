"""The proof that an exported model is the trained one, on a tiny network with planted faults."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

pytest.importorskip("ai_edge_litert", reason='needs LiteRT: pip install "ednas[export]"')

from tiny_exports import (
    CHANNELS,
    SIZE,
    Tiny,
    embed,
    tiny_manifest,
    tiny_model,
    tiny_onnx_manifest,
    write_tiny_int8,
    write_tiny_onnx,
    write_tiny_tflite,
)
from training_fakes import TARGETS, small_architecture, write_dataset

from ednas.data import CachedSplit, open_cache, open_dataset
from ednas.exceptions import ConfigError, ExportError
from ednas.export.check import CheckReport, MetricDrop, _metric_failure, check, metric_drops, parity
from ednas.export.evaluate import evaluate_exported
from ednas.export.layers import LayerSNR, entry_layer, per_layer_snr, snr_db
from ednas.export.manifest import Manifest
from ednas.export.runtime import open_model
from ednas.files import read_json, write_json
from ednas.training import Model, build_model, evaluate


@pytest.fixture(scope="module")
def cached(tmp_path_factory: pytest.TempPathFactory) -> CachedSplit:
    data = write_dataset(tmp_path_factory.mktemp("data"))
    return open_cache(open_dataset(str(data), "val"), SIZE, tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def images(cached: CachedSplit) -> np.ndarray:
    """The samples, normalised."""
    normalisation = tiny_manifest().normalisation
    return ((cached.image / 255 - np.array(normalisation.mean)) / np.array(normalisation.std)).astype(np.float32)


@pytest.fixture(scope="module")
def tiny(cached: CachedSplit, images: np.ndarray) -> Tiny:
    """The network, trained, so that 8 bits and faults cost it something."""
    tiny = Tiny()
    image = torch.from_numpy(images).permute(0, 3, 1, 2)
    labels = torch.from_numpy(cached.targets["segmentation"][:, 2::4, 2::4].astype(np.int64))
    optimiser = torch.optim.Adam(tiny.parameters(), lr=0.01)
    for _ in range(150):
        scores, depth = tiny(image)
        loss = F.cross_entropy(scores, labels) + F.l1_loss(depth[:, 0], 1 + labels.float())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return tiny.eval()


@pytest.fixture(scope="module")
def model(tiny: Tiny) -> Model:
    return tiny_model(tiny)


@pytest.fixture(scope="module")
def float_path(tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_tflite(tmp_path_factory.mktemp("float") / "model_float.tflite", tiny)


@pytest.fixture(scope="module")
def onnx_path(tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("onnx", reason='needs onnx: pip install "ednas[onnx]"')
    pytest.importorskip("onnxruntime", reason='needs ONNX Runtime: pip install "ednas[onnx]"')
    return write_tiny_onnx(tmp_path_factory.mktemp("onnx") / "model_float.onnx", tiny)


@pytest.fixture(scope="module")
def int8_path(float_path: Path, images: np.ndarray) -> Path:
    pytest.importorskip("ai_edge_quantizer", reason='needs the quantiser: pip install "ednas[export]"')
    return write_tiny_int8(float_path.with_name("model.tflite"), float_path, images)


@pytest.fixture
def broken_path(int8_path: Path, tmp_path: Path) -> Path:
    """An int8 model whose layer ``middle`` saturates: 8 bits reach a fiftieth of its range."""
    path = tmp_path / "broken.tflite"
    path.write_bytes(int8_path.read_bytes())
    return embed(path, open_model(int8_path).manifest, {"middle": 0.02})


class FakeRunner:
    """Runs a network in PyTorch, as an exported model would run it."""

    def __init__(self, tiny: Tiny, manifest: Manifest, change: Callable[[torch.Tensor], torch.Tensor] | None = None):
        self.tiny, self.manifest, self.change = tiny, manifest, change

    def run(self, images: np.ndarray) -> dict[str, np.ndarray]:
        with torch.inference_mode():
            outputs = dict(zip(CHANNELS, self.tiny(torch.from_numpy(images).permute(0, 3, 1, 2)), strict=True))
        if self.change is not None:
            outputs["segmentation"] = self.change(outputs["segmentation"])
        return {task: values.numpy() for task, values in outputs.items()}


@pytest.mark.parametrize("protocol", ["standard", "adashare"])
@pytest.mark.parametrize("kind", ["float_path", "onnx_path"])
def test_a_float_export_has_the_metrics_of_the_checkpoint(
    kind: str, protocol: Any, model: Model, cached: CachedSplit, request: pytest.FixtureRequest
) -> None:
    runner = open_model(request.getfixturevalue(kind))
    seen: list[tuple[int, int]] = []
    found = evaluate_exported(
        runner, cached, protocol, batch_size=3, progress=lambda done, total: seen.append((done, total))
    )
    expected = evaluate(model, cached, protocol)
    for task, values in expected["tasks"].items():
        assert found["tasks"][task] == pytest.approx(values, rel=1e-3)
    assert seen == [(3, 4), (4, 4)]
    assert set(found) - set(expected) == {"model", "runtime", "precision", "output_stride"}
    assert set(expected) - set(found) == {"params", "steps", "seed"}
    assert (found["protocol"], found["samples"], found["runtime"]) == (protocol, 4, runner.manifest.runtime)


def test_class_ids_count_for_the_nearest_pixels(tiny: Tiny, cached: CachedSplit, images: np.ndarray) -> None:
    manifest = tiny_manifest()
    spec = manifest.outputs["segmentation"]
    fused = spec.model_copy(update={"decoding": spec.decoding.model_copy(update={"kind": "class_ids"})})
    manifest = manifest.model_copy(update={"outputs": manifest.outputs | {"segmentation": fused}})
    runner = FakeRunner(tiny, manifest, lambda scores: scores.argmax(1, keepdim=True).float())
    found = evaluate_exported(runner, cached)["tasks"]["segmentation"]

    predicted = runner.run(images)["segmentation"][:, 0].repeat(4, 1).repeat(4, 2)
    labels = cached.targets["segmentation"]
    assert found["pixel_acc"] == pytest.approx(100 * (predicted == labels).mean())


def test_data_of_another_size_are_refused(tiny: Tiny, cached: CachedSplit) -> None:
    runner = FakeRunner(tiny, tiny_manifest(input_size=(64, 64)))
    with pytest.raises(ExportError, match="takes images of 64x64 alone, not 32x64"):
        evaluate_exported(runner, cached)


def test_signal_to_noise_by_hand() -> None:
    signal = np.array([3.0, -4.0], np.float32)
    assert snr_db(signal, signal + 0.05) == pytest.approx(10 * np.log10(25 / 0.005), abs=1e-3)
    assert snr_db(signal, signal) == 200
    assert snr_db(np.zeros(2), signal) == -200


def test_parity_by_hand() -> None:
    manifest = tiny_manifest()
    expected = {"segmentation": np.array([1.0, -4.0], np.float32), "depth": np.zeros(2, np.float32)}
    found = {"segmentation": np.array([1.0, -3.0], np.float32), "depth": np.array([0, np.nan], np.float32)}
    assert parity(expected, found, manifest) == {"segmentation": 0.25, "depth": float("inf")}


def test_every_layer_is_compared(float_path: Path, int8_path: Path, images: np.ndarray) -> None:
    layers = per_layer_snr(float_path, int8_path, images)
    assert [layer.name for layer in layers] == ["hidden", "middle", "segmentation", "depth"]
    assert {layer.op for layer in layers} == {"CONV_2D"}
    both = ("segmentation", "depth")
    assert [layer.tasks for layer in layers] == [both, ("segmentation",), ("segmentation",), ("depth",)]
    assert all(20 < layer.snr_db < 60 for layer in layers)
    # The last layer's ratio is that of the output, which comes another way.
    exact, rounded = open_model(float_path).run(images), open_model(int8_path).run(images)
    assert layers[3].snr_db == pytest.approx(snr_db(exact["depth"], rounded["depth"]), abs=0.01)
    assert layers[3].drop_db == pytest.approx(min(40, layers[0].snr_db) - layers[3].snr_db)


def test_a_planted_fault_is_found_where_it_is(float_path: Path, broken_path: Path, images: np.ndarray) -> None:
    layers = per_layer_snr(float_path, broken_path, images)
    worst = entry_layer(layers, "segmentation")
    assert worst is not None
    assert worst.name == "middle"
    assert worst.drop_db > 10
    depth = entry_layer(layers, "depth")
    assert depth is not None
    assert depth.name != "middle"  # it is not on the way to depth
    assert entry_layer(layers, "normals") is None


def test_layers_of_onnx_models(onnx_path: Path, images: np.ndarray, tmp_path: Path) -> None:
    from ednas.export import onnx

    quantised = tmp_path / "model.onnx"
    onnx.quantise(onnx_path, [image[None] for image in images], quantised)
    onnx.finish(quantised, tiny_onnx_manifest(precision="int8"))
    layers = {layer.name: layer for layer in per_layer_snr(onnx_path, quantised, images)}
    assert {"hidden", "middle", "segmentation", "depth"} <= set(layers)
    assert all(20 < layer.snr_db < 70 for layer in layers.values())
    assert layers["middle"].tasks == ("segmentation",)


def test_without_images_no_layer_can_be_compared(float_path: Path, images: np.ndarray) -> None:
    with pytest.raises(ExportError, match="has no layer in common"):
        per_layer_snr(float_path, float_path, images[:0])


def test_a_good_float_model_passes(
    model: Model, tiny: Tiny, float_path: Path, cached: CachedSplit, tmp_path: Path
) -> None:
    told: list[str] = []
    report = check(model, tiny, float_path, cached=cached, progress=lambda what, done, total: told.append(what))
    assert report.passed
    assert report.failures == ()
    assert (report.images, report.real_images, report.precision) == (4, True, "float32")
    assert set(report.parity) == set(CHANNELS)
    assert all(error < 1e-5 for error in report.parity.values())
    assert (report.snr_db, report.layers) == ({}, ())
    assert report.metrics is not None
    assert {(drop.task, drop.metric) for drop in report.metrics.drops} == {
        ("segmentation", "miou"),
        ("segmentation", "pixel_acc"),
        ("depth", "abs_err"),
        ("depth", "rel_err"),
    }
    assert all(abs(drop.drop_percent) < 0.1 for drop in report.metrics.drops)
    assert set(told) == {"PyTorch", "float32"}
    write_json(tmp_path / "check.json", report.model_dump(mode="json"))
    assert CheckReport.model_validate(read_json(tmp_path / "check.json")) == report


def test_the_checkpoints_own_record_must_be_kept_too(
    model: Model, tiny: Tiny, float_path: Path, cached: CachedSplit
) -> None:
    own = {**evaluate(model, cached), "input_size": [16, 32]}
    report = check(model, tiny, float_path, cached=cached, record=own)
    assert report.passed
    assert report.record is not None
    assert report.metrics is not None
    assert [drop.after for drop in report.record.drops] == [drop.after for drop in report.metrics.drops]
    assert (report.record.drops[0].before, report.not_compared) == (own["tasks"]["segmentation"]["miou"], "")

    # PyTorch at the exported size is as bad as the exported model, which is therefore no proof that it is good.
    better = {**own, "tasks": {**own["tasks"], "depth": {name: v / 2 for name, v in own["tasks"]["depth"].items()}}}
    report = check(model, tiny, float_path, cached=cached, record=better)
    assert not report.passed
    assert all(drop.drop_percent < 0.1 for drop in report.metrics.drops if report.metrics)
    assert [failure.partition(" is ")[0] for failure in report.failures] == ["depth: abs_err", "depth: rel_err"]
    assert "own record, at 16x32, and" in report.failures[0]
    assert report.failures[0].endswith(
        "at 32x64: 100.00 % worse, at most 1 % is allowed; export at 16x32, or train at 32x64"
    )

    report = check(model, tiny, float_path, cached=cached)
    assert (report.record, report.not_compared) == (None, "the checkpoint holds no metrics")
    assert check(model, tiny, float_path, cached=cached, not_compared="other data").not_compared == "other data"


def test_another_network_fails_the_parity(model: Model, float_path: Path, cached: CachedSplit) -> None:
    report = check(model, Tiny(seed=1).eval(), float_path, cached=cached)
    assert not report.passed
    assert [failure.partition(":")[0] for failure in report.failures] == ["segmentation", "depth"]
    assert "differs from PyTorch" in report.failures[0]


def test_an_int8_model_is_compared_with_its_float_model(
    model: Model, tiny: Tiny, float_path: Path, int8_path: Path, cached: CachedSplit
) -> None:
    report = check(model, tiny, int8_path, float_path=float_path, cached=cached, drop_limit_percent=100)
    assert report.passed
    assert all(error < 1e-5 for error in report.parity.values())
    assert all(20 < ratio < 60 for ratio in report.snr_db.values())
    assert len(report.layers) == 4
    assert report.worst in (report.metrics.drops if report.metrics else ())


def test_a_lost_metric_is_a_failure_that_names_the_layer(
    model: Model, tiny: Tiny, float_path: Path, broken_path: Path, cached: CachedSplit
) -> None:
    report = check(model, tiny, broken_path, float_path=float_path, cached=cached, drop_limit_percent=0)
    assert not report.passed
    told = [failure for failure in report.failures if failure.startswith("segmentation")]
    assert told
    for failure in told:
        assert "the error enters at CONV_2D middle" in failure
        assert "\n" not in failure
    assert report.worst is not None
    assert report.worst.drop_percent == max(drop.drop_percent for drop in report.metrics.drops)  # type: ignore[union-attr]


def failure(drop: float, *, layer_drop: float, in_float: float) -> str:
    loss = MetricDrop(task="depth", metric="abs_err", before=1, after=1 + drop / 100, drop_percent=drop)
    layers = (LayerSNR(name="here", op="ADD", snr_db=20, drop_db=layer_drop, tasks=("depth",)),)
    return _metric_failure(loss, 1.0, layers, (loss.model_copy(update={"drop_percent": in_float}),))


def test_a_failure_says_why() -> None:
    start = "depth: abs_err 1 becomes 1.04, 4.00 % worse, at most 1 % is allowed; "
    assert failure(4, layer_drop=12, in_float=0.1) == (
        f"{start}the error enters at ADD here (20.0 dB, 12.0 dB below its input)"
    )
    assert failure(4, layer_drop=3, in_float=0.1).startswith(f"{start}the noise adds up over the layers, most at ADD")
    assert failure(4, layer_drop=12, in_float=3).startswith(f"{start}the float model loses 3.00 % of it")


def test_without_data_nothing_is_called_good(model: Model, tiny: Tiny, float_path: Path) -> None:
    report = check(model, tiny, float_path, images=2)
    assert (report.images, report.real_images, report.metrics, report.worst) == (2, False, None, None)
    assert not report.passed
    assert "no validation data" in report.failures[0]


def test_wrong_requests(model: Model, tiny: Tiny, float_path: Path, int8_path: Path) -> None:
    with pytest.raises(ExportError, match="the check needs the float model"):
        check(model, tiny, int8_path)
    for options in ({"images": 0}, {"parity_limit": 0.0}, {"drop_limit_percent": -1.0}):
        with pytest.raises(ConfigError, match="at least 1 image"):
            check(model, tiny, float_path, **options)


def result(**metrics: float) -> dict[str, Any]:
    return {
        "tasks": {"depth": metrics},
        "higher_is_better": {"miou": True, "abs_err": False, "rmse": False},
        "units": {"depth": {"abs_err": "m"}},
    }


@pytest.mark.parametrize(
    ("before", "after", "percent"),
    [
        ({"miou": 40.0}, {"miou": 39.0}, 2.5),
        ({"miou": 40.0}, {"miou": 41.0}, -2.5),
        ({"abs_err": 0.5}, {"abs_err": 0.6}, 20.0),
        ({"abs_err": 0.5}, {"abs_err": 0.4}, -20.0),
        ({"miou": 0.0}, {"miou": 0.0}, 0.0),
        ({"miou": 0.0}, {"miou": 1.0}, 0.0),
        ({"abs_err": 0.0}, {"abs_err": 0.1}, 100.0),
    ],
)
def test_worse_is_positive_whatever_the_direction(
    before: dict[str, float], after: dict[str, float], percent: float
) -> None:
    (drop,) = metric_drops(result(**before), result(**after))
    assert drop.drop_percent == pytest.approx(percent)


def test_metrics_beside_the_papers_cannot_fail_an_export() -> None:
    (drop,) = metric_drops(result(abs_err=1.0, rmse=1.0), result(abs_err=1.0, rmse=9.0))
    assert (drop.metric, drop.unit) == ("abs_err", "m")


def test_a_report_is_json(model: Model, tiny: Tiny, float_path: Path) -> None:
    assert json.loads(json.dumps(check(model, tiny, float_path).model_dump(mode="json")))["format"] == 1


def test_the_layer_of_the_largest_drop_is_the_entry() -> None:
    layers = tuple(
        LayerSNR(name=name, op="ADD", snr_db=0, drop_db=drop, tasks=("depth",)) for name, drop in [("a", 1), ("b", 3)]
    )
    assert entry_layer(layers, "depth") == layers[1]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["litert", "onnx"])
def test_a_converted_network_has_the_metrics_of_the_checkpoint(kind: str, tmp_path: Path) -> None:
    pytest.importorskip("litert_torch" if kind == "litert" else "onnxscript", reason="needs the extra of the format")
    from ednas.export.deployed import Deployed

    size = (128, 128)
    converter = import_module(f"ednas.export.{kind}")
    model = build_model(small_architecture(), tuple(TARGETS), TARGETS, input_size=size)
    data = open_dataset(str(write_dataset(tmp_path / "data")), "val")
    cached = open_cache(data, size, tmp_path / "cache")
    model.network.eval()
    deployed = Deployed(model, input_size=size)
    path = tmp_path / ("model.tflite" if kind == "litert" else "model.onnx")
    converter.convert(deployed, path)
    converter.finish(path, deployed.manifest("small", kind, "float32"))
    report = check(model, deployed, path, cached=cached, drop_limit_percent=0.1)
    assert report.passed, report.failures
    assert report.metrics is not None
    assert len(report.metrics.drops) == 8
    assert all(abs(drop.drop_percent) <= 0.1 for drop in report.metrics.drops)
