"""The parts of every block against torch's functions, one after the other."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ednas.nn.blocks import BN_EPS, ConvBNAct, ResidualBlock, SeparableConv


def settle(module: nn.Module) -> nn.Module:
    """Give batch normalisation statistics and weights that are not those of a fresh one."""
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            for tensor in (part.running_mean, part.weight.data, part.bias.data):
                tensor.normal_()
            part.running_var.uniform_(0.5, 2)
    return module.eval()


def normalised(x: Tensor, norm: nn.BatchNorm2d) -> Tensor:
    mean, var, weight, bias = (
        values.view(1, -1, 1, 1) for values in (norm.running_mean, norm.running_var, norm.weight, norm.bias)
    )
    return (x - mean) / (var + BN_EPS).sqrt() * weight + bias


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.mark.parametrize(("kernel", "stride", "groups"), [(1, 1, 1), (3, 2, 1), (5, 1, 6), (3, 1, 6)])
@pytest.mark.parametrize("act", [True, False])
def test_a_convolution_is_normalised_then_cut_at_0_and_6(kernel: int, stride: int, groups: int, act: bool) -> None:
    module = settle(ConvBNAct(6, 12, kernel, stride, groups, act))
    x = 3 * torch.randn(2, 6, 9, 7)
    expected = F.conv2d(x, module[0].weight, stride=stride, padding=kernel // 2, groups=groups)
    expected = normalised(expected, module[1])
    found = module(x)
    torch.testing.assert_close(found, expected.clamp(0, 6) if act else expected)
    assert found.shape[2:] == (-(-9 // stride), -(-7 // stride))


@pytest.mark.parametrize("act", [True, False])
def test_a_separable_convolution_is_depthwise_then_pointwise(act: bool) -> None:
    module = settle(SeparableConv(4, 5, act=act))
    x = 3 * torch.randn(1, 4, 6, 8)
    depthwise = torch.cat([F.conv2d(x[:, i : i + 1], module[0].weight[i : i + 1], padding=1) for i in range(4)], 1)
    mixed = torch.einsum("oc,nchw->nohw", module[1].weight[:, :, 0, 0], depthwise)
    expected = normalised(mixed, module[2])
    torch.testing.assert_close(module(x), expected.clamp(0, 6) if act else expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shortcut", [True, False])
def test_a_residual_block_runs_its_parts_in_order(shortcut: bool) -> None:
    first, second = nn.Conv2d(3, 5, 1), nn.Conv2d(5, 3, 1)
    block = ResidualBlock({"widen": first, "project": second}, shortcut=shortcut)
    x = torch.randn(2, 3, 4, 4)
    torch.testing.assert_close(block(x), second(first(x)) + shortcut * x)
    assert set(block.state_dict()) == {"widen.weight", "widen.bias", "project.weight", "project.bias"}
