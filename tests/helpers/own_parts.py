"""What a user may bring: the example's backbone and decoder, known while a test runs, and an evaluator."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from ednas.arch import Architecture
from ednas.nn import parts
from ednas.plugins import load_plugin
from ednas.search import Evaluation
from ednas.tasks import losses

EXAMPLE = Path(__file__).parents[2] / "examples" / "own_network.py"
BACKBONE, DECODER = "base backbone:plain(width=4)", "base decoder:top_down(width=8)"
BOTH = "base backbone:plain(width=4) decoder:top_down(width=8)"
HEADS = {"segmentation": 4, "depth": 1}


class Calls(nn.Module):
    """Does whatever a function does."""

    def __init__(self, function: Callable[..., object]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: object) -> object:
        return self.function(x)


@dataclass(frozen=True)
class SmallFilters:
    """Likes networks with few filters.

    It is here and not in its test: worker processes import it, and pytest's test modules cannot be imported.
    """

    def evaluate(self, architecture: Architecture, seed: int) -> Evaluation:
        filters = sum(block.filters for block in architecture.blocks)
        return Evaluation({"any": {"filters": filters}}, {"filters": False})


def pooled(image: Tensor, strides: tuple[int, ...] = (4, 8, 16, 32)) -> list[Tensor]:
    """Features without weights."""
    return [torch.nn.functional.avg_pool2d(image, stride) for stride in strides]


@contextmanager
def known() -> Iterator[None]:
    """Let a block register what it likes, and forget it behind it."""
    kept = (dict(parts._backbones), dict(parts._decoders), {task: dict(own) for task, own in losses._registry.items()})
    try:
        yield
    finally:
        for registry, before in zip((parts._backbones, parts._decoders, losses._registry), kept, strict=True):
            registry.clear()
            registry.update(before)  # type: ignore[arg-type]


@contextmanager
def example() -> Iterator[None]:
    """The example's parts are known, whoever has loaded it before."""
    with known():
        module = load_plugin(EXAMPLE)
        parts.register_backbone("plain", module.Plain, replace=True)
        parts.register_decoder("top_down", module.TopDown, replace=True)
        losses.register_loss("depth", "log_l1", module.log_l1, replace=True)
        yield
