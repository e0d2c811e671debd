"""A network of every kind of block is exported, and its file predicts what the network does."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from helpers.small_training import TARGETS

from ednas.arch import load_architecture
from ednas.export.run import ExportConfig, export_model
from ednas.training import build_model

TEXT = (
    "stem_c8 conv_k3_s2_c8 uib_a3_k5_s1_e2_c8 | uib_a5_k0_s2_e2_c16 uib_a0_k3_s1_e2_c16 | fused_k3_s2_e2_c16 | "
    "ibn_k5_s2_e2_c24 uib_a0_k0_s1_e2_c24 bifpn_w8_d1 heads_l4"
)


@pytest.mark.slow
@pytest.mark.parametrize("form", ["litert", "onnx"])
def test_all_kinds_in_one_network(form: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = build_model(load_architecture(TEXT), ("segmentation", "depth"), TARGETS, input_size=(64, 96))
    exported = export_model(model, tmp_path / "model", ExportConfig(format=form))
    parity = exported.check.parity
    assert parity.keys() == {"segmentation", "depth"}
    assert max(parity.values()) < exported.check.parity_limit
