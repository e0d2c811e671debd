"""The proof that an exported model is the trained one, on a tiny network with planted faults."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("ai_edge_litert", reason='needs LiteRT: pip install "ednas[export]"')

from helpers.small_training import TARGETS, small_architecture, write_dataset
from helpers.tiny_exports import (
    CHANNELS,
    Tiny,
    tiny_manifest,
)

from ednas.data import CachedSplit, open_cache, open_dataset
from ednas.exceptions import ConfigError, ExportError
from ednas.export.check import CheckReport, MetricDrop, _metric_failure, check, metric_drops, parity
from ednas.export.converter import find_converter
from ednas.export.layers import LayerSNR
from ednas.files import read_json, write_json
from ednas.training import Model, build_model, evaluate


def test_parity_by_hand() -> None:
    manifest = tiny_manifest()
    expected = {"segmentation": np.array([1.0, -4.0], np.float32), "depth": np.zeros(2, np.float32)}
    found = {"segmentation": np.array([1.0, -3.0], np.float32), "depth": np.array([0, np.nan], np.float32)}
    assert parity(expected, found, manifest) == {"segmentation": 0.25, "depth": float("inf")}


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


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["litert", "onnx"])
def test_a_converted_network_has_the_metrics_of_the_checkpoint(kind: str, tmp_path: Path) -> None:
    pytest.importorskip("litert_torch" if kind == "litert" else "onnxscript", reason="needs the extra of the format")
    from ednas.export.deployed import Deployed

    size = (128, 128)
    converter = find_converter(kind)
    model = build_model(small_architecture(), tuple(TARGETS), TARGETS, input_size=size)
    data = open_dataset(str(write_dataset(tmp_path / "data")), "val")
    cached = open_cache(data, size, tmp_path / "cache")
    model.network.eval()
    deployed = Deployed(model, input_size=size)
    path = tmp_path / f"model{converter.suffix}"
    converter.convert(deployed, path)
    converter.finish(path, deployed.manifest("small", converter, "float32"))
    report = check(model, deployed, path, cached=cached, drop_limit_percent=0.1)
    assert report.passed, report.failures
    assert report.metrics is not None
    assert len(report.metrics.drops) == 8
    assert all(abs(drop.drop_percent) <= 0.1 for drop in report.metrics.drops)
