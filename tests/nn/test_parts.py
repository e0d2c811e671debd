"""Backbones and decoders of one's own: used as they are, or refused in one line."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from helpers.own_parts import BACKBONE, BOTH, DECODER, HEADS, Calls, example, pooled
from torch import nn

from ednas.arch import load_architecture
from ednas.exceptions import ArchitectureError, ConfigError
from ednas.nn import MultiTaskNetwork, register_backbone, register_decoder


@pytest.fixture(autouse=True)
def _example() -> Iterator[None]:
    with example():
        yield


def network(text: str) -> MultiTaskNetwork:
    return MultiTaskNetwork(load_architecture(text), HEADS)


@pytest.mark.parametrize("text", [BACKBONE, DECODER, BOTH])
def test_predicts_every_task_and_learns_in_both_halves(text: str) -> None:
    own = network(text)
    outputs = own(torch.rand(2, 3, 64, 96))
    assert {task: tuple(y.shape) for task, y in outputs.items()} == {
        "segmentation": (2, 4, 64, 96),
        "depth": (2, 1, 64, 96),
    }
    sum(y.abs().mean() for y in outputs.values()).backward()
    assert all(parameter.grad is not None for parameter in own.parameters())
    own.eval()
    assert tuple(own.predict_heads(torch.rand(1, 3, 64, 96))["depth"].shape[2:]) == (16, 24)


def test_weights_of_an_own_part_are_those_of_its_factory() -> None:
    class Constant(nn.Conv2d):
        def __init__(self) -> None:
            super().__init__(3, 3, 1, bias=False)
            nn.init.constant_(self.weight, 7)

        def forward(self, image: torch.Tensor) -> list[torch.Tensor]:
            return pooled(super().forward(image))

    register_backbone("constant", Constant)
    assert (network("base backbone:constant").encoder.weight == 7).all()


def test_making_a_network_leaves_the_statistics_as_they_are() -> None:
    own = network(BOTH)
    assert own.training
    assert all((norm.running_mean == 0).all() for norm in own.modules() if isinstance(norm, nn.BatchNorm2d))


BACKBONES = {
    "three": (lambda image: pooled(image, (4, 8, 16)), "yields 3, must be a list of 4 features"),
    "a tensor": (lambda image: image, "yields Tensor"),
    "wrong stride": (lambda image: pooled(image, (2, 8, 16, 32)), "at stride 4 of an image of 64x64 is 32x32, must be"),
    "failing": (lambda image: image[:, 5:].mean(7), "fails for an image of 64x64: IndexError"),
}


@pytest.mark.parametrize("case", BACKBONES)
def test_a_backbone_that_yields_something_else_is_refused(case: str) -> None:
    function, said = BACKBONES[case]
    register_backbone("odd", lambda: Calls(function))
    with pytest.raises(ArchitectureError, match=f"backbone 'odd'.*{said}"):
        network("base backbone:odd")


def test_a_factory_that_fails_is_one_line() -> None:
    def make(width: int) -> nn.Module:
        return nn.Conv2d(3, width, 3)

    register_backbone("odd", make)
    with pytest.raises(ArchitectureError, match=r"backbone 'odd\(width=-4\)' cannot be made: \w+: ") as error:
        network("base backbone:odd(width=-4)")
    assert "\n" not in str(error.value)


def test_a_size_that_a_backbone_rounds_down_is_refused_when_it_comes() -> None:
    register_backbone("floor", lambda: Calls(pooled))
    own = network("base backbone:floor")
    with pytest.raises(ArchitectureError, match=r"stride 16 of an image of 64x72 is 4x4, must be 4x5.*multiples of 32"):
        own(torch.zeros(1, 3, 64, 72))


DECODERS = {
    "a task is missing": (lambda features: {"depth": features[0][:, :1]}, "yields depth, must be a mapping"),
    "a tensor": (lambda features: features[0], "yields Tensor"),
    "wrong channels": (
        lambda features: dict.fromkeys(HEADS, features[0][:, :1]),
        "segmentation is 1x16x16, must be 4x",
    ),
    "wrong stride": (lambda features: dict.fromkeys(HEADS, features[1][:, :4]), "is 4x8x8, must be 4x16x16"),
}


@pytest.mark.parametrize("case", DECODERS)
def test_a_decoder_that_yields_something_else_is_refused(case: str) -> None:
    function, said = DECODERS[case]
    register_decoder("odd", lambda channels, heads: Calls(function))
    with pytest.raises(ArchitectureError, match=f"decoder 'odd'.*{said}"):
        network("base decoder:odd")


def test_unknown_names_and_options_are_one_line() -> None:
    with pytest.raises(ArchitectureError, match=r"unknown backbone 'plian'; known: .*plain.*--plugin"):
        network("base backbone:plian")
    with pytest.raises(ArchitectureError, match=r"decoder 'top_down\(widht=8\)': got an unexpected.*'widht'"):
        network("base decoder:top_down(widht=8)")
    register_backbone("text", lambda: "no module")
    with pytest.raises(ArchitectureError, match=r"makes str, must be a torch.nn.Module"):
        network("base backbone:text")


def test_names_are_registered_once_and_without_options() -> None:
    with pytest.raises(ConfigError, match="a decoder 'top_down' exists already"):
        register_decoder("top_down", Calls)
    with pytest.raises(ArchitectureError, match="register the name alone"):
        register_backbone("plain(width=3)", Calls)
