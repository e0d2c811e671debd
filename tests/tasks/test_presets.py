"""The paper's loss weights."""

from __future__ import annotations

import pytest
import torch

from ednas.data.sample import TargetInfo
from ednas.exceptions import ConfigError
from ednas.tasks import LOSS_PRESETS, LossPreset, loss_preset, make_tasks

# Table 8: CE, L1, RE, ICS
TABLE_8 = (
    ("cityscapes_mt", (0.4, 1.0, 0.0, None)),
    ("cityscapes_ednas", (0.4, 1.0, 0.0, None)),
    ("cityscapes_jared", (0.5, 0.95, 0.05, None)),
    ("nyuv2_mt", (1.0, 1.0, 0.0, 40.0)),
    ("nyuv2_ednas", (1.0, 1.0, 0.0, 50.0)),
    ("nyuv2_jared", (1.0, 0.999, 0.001, 60.0)),
)


def depth_weights(preset: LossPreset) -> tuple[float, float]:
    """Return the weights of the absolute and of the relative error."""
    options = preset.task_options["depth"]
    return (1.0, 0.0) if options == {"loss": "l1"} else (options["abs_weight"], options["rel_weight"])


@pytest.mark.parametrize(("name", "row"), TABLE_8)
def test_table_8(name, row):
    preset = loss_preset(name)
    weights = preset.task_weights
    assert (weights["segmentation"], *depth_weights(preset), weights.get("normals")) == row
    assert weights["depth"] == 1.0


def test_table_9_has_the_last_row_twice():
    rows = [depth_weights(preset) for name, preset in LOSS_PRESETS.items() if name.startswith("table9")]
    assert rows == [(1.0, 0.0), (0.999, 0.001), (0.99, 0.01), (0.95, 0.05), (0.9, 0.01), (0.9, 0.1)]


def test_unknown_name():
    with pytest.raises(ConfigError, match="did you mean 'cityscapes_jared'"):
        loss_preset("cityscapes_jaret")


@pytest.mark.parametrize("preset", LOSS_PRESETS.values(), ids=list(LOSS_PRESETS))
def test_presets_fit_the_tasks(preset):
    infos = (TargetInfo("labels", 3), TargetInfo("distance"), TargetInfo("normals"))
    targets = dict(zip(("segmentation", "depth", "normals"), infos, strict=True))
    tasks = make_tasks(preset.task_weights, targets, preset.task_options)
    prediction, label = torch.full((1, 1, 1, 1), 3.0), torch.full((1, 1, 1, 1), 2.0)
    absolute, relative = depth_weights(preset)
    assert tasks["depth"].loss(prediction, label).item() == pytest.approx(absolute + relative / 2)
