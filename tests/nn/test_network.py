"""The network computes what the architecture says, at any size, with the paper's counts."""

from __future__ import annotations

import pytest
import torch
from helpers.profiles import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from ednas.arch import zoo
from ednas.exceptions import ArchitectureError
from ednas.nn import MultiTaskNetwork

HEADS = {"segmentation": 19, "depth": 1}
BASE = MultiTaskNetwork(zoo.architecture("base"), HEADS).eval()


def counts(name: str) -> tuple[float, float]:
    network = MultiTaskNetwork(zoo.architecture(name), HEADS).eval()
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        network.predict_heads(torch.zeros(1, 3, 256, 256))
    return sum(p.numel() for p in network.parameters()) / 1e6, counter.get_total_flops() / 1e9


@pytest.mark.parametrize(
    ("name", "params", "params_tolerance", "gflop", "gflop_tolerance"),
    [  # Tables 2 and 5
        ("base", 3.4, 0.02, 1.2, 0.05),
        ("ednas_cityscapes_published", 4.3, 0.03, 4.1, 0.03),
        ("nas_depth_published", 3.6, 0.03, 2.5, 0.03),
    ],
)
def test_counts_are_the_papers(
    name: str, params: float, params_tolerance: float, gflop: float, gflop_tolerance: float
) -> None:
    found_params, found_gflop = counts(name)
    assert found_params == pytest.approx(params, rel=params_tolerance)
    assert found_gflop == pytest.approx(gflop, rel=gflop_tolerance)


@settings(max_examples=examples(15))
@given(st.integers(32, 150), st.integers(32, 150))
def test_any_size_from_32_pixels_works(height: int, width: int) -> None:
    image = torch.zeros(1, 3, height, width)
    with torch.inference_mode():
        outputs = BASE(image)
        deployed = BASE.predict_heads(image)["depth"]
    assert {task: tuple(y.shape) for task, y in outputs.items()} == {
        "segmentation": (1, 19, height, width),
        "depth": (1, 1, height, width),
    }
    assert tuple(deployed.shape[2:]) == (-(-height // 4), -(-width // 4))


def test_every_parameter_gets_a_gradient_and_the_step_is_finite() -> None:
    torch.manual_seed(0)
    network = MultiTaskNetwork(zoo.architecture("base"), HEADS)
    outputs = network(torch.randn(2, 3, 64, 64))
    sum(y.square().mean() for y in outputs.values()).backward()
    missing = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.isfinite().all()]
    assert missing == []


def test_no_operator_that_edge_compilers_reject() -> None:
    network = MultiTaskNetwork(zoo.architecture("ednas_cityscapes"), HEADS)
    allowed = (nn.Conv2d, nn.BatchNorm2d, nn.ReLU6, nn.Identity)
    leaves = [m for m in network.modules() if not list(m.children())]
    assert all(isinstance(leaf, allowed) for leaf in leaves)
    convs = [m for m in leaves if isinstance(m, nn.Conv2d)]
    assert all(conv.groups in (1, conv.in_channels) for conv in convs)
    assert all(conv.padding == (conv.kernel_size[0] // 2,) * 2 for conv in convs)


def test_network_without_heads_is_refused() -> None:
    with pytest.raises(ArchitectureError, match="at least one task"):
        MultiTaskNetwork(zoo.architecture("base"), {})
    with pytest.raises(ArchitectureError, match="at least one channel"):
        MultiTaskNetwork(zoo.architecture("base"), {"depth": 0})
