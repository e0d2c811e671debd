"""Where quantisation loses is found, layer by layer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("ai_edge_litert", reason='needs LiteRT: pip install "ednas[export]"')

from helpers.tiny_exports import tiny_onnx_manifest

from ednas.exceptions import ExportError
from ednas.export import converter
from ednas.export.formats.litert import LITERT
from ednas.export.layers import LayerSNR, entry_layer, per_layer_snr, snr_db
from ednas.export.runtime import open_model


def test_signal_to_noise_by_hand() -> None:
    signal = np.array([3.0, -4.0], np.float32)
    assert snr_db(signal, signal + 0.05) == pytest.approx(10 * np.log10(25 / 0.005), abs=1e-3)
    assert snr_db(signal, signal) == 200
    assert snr_db(np.zeros(2), signal) == -200


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
    from ednas.export.formats import onnx

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


def test_the_layer_of_the_largest_drop_is_the_entry() -> None:
    layers = tuple(
        LayerSNR(name=name, op="ADD", snr_db=0, drop_db=drop, tasks=("depth",)) for name, drop in [("a", 1), ("b", 3)]
    )
    assert entry_layer(layers, "depth") == layers[1]


def test_a_format_that_does_not_show_its_layers_has_none(
    float_path: Path, int8_path: Path, images: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(converter._registry, "litert", replace(LITERT, inspect=None))
    assert per_layer_snr(float_path, int8_path, images) == ()
