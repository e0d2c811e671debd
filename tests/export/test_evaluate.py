"""An exported model is measured as the checkpoint is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("ai_edge_litert", reason='needs LiteRT: pip install "ednas[export]"')

from helpers.tiny_exports import CHANNELS, Tiny, tiny_manifest

from ednas.data import CachedSplit
from ednas.exceptions import ExportError
from ednas.export.evaluate import evaluate_exported
from ednas.export.manifest import Manifest
from ednas.export.runtime import open_model
from ednas.training import Model, evaluate


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
