"""The size that a network is trained at: the one asked for, the one its costs are for, or that of the data."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ednas.arch import stored_input_size
from ednas.arch.architecture import check_input_size
from ednas.exceptions import ArchitectureError
from ednas.training.config import TrainConfig

STEP = 32
"""Sides of shrunk images are multiples of it, so that most levels of the neck are halves of one another."""

SLACK = 1.5
"""How many times as many pixels as asked for are taken to keep the shape of the data."""

ARCHITECTURE = "what the architecture is for"
"""Said of a size that comes with the architecture."""


@dataclass(frozen=True)
class InputSize:
    """The size that images are resized to, and why.

    Attributes:
        size: ``(H, W)``.
        source: Where it comes from, for people.
        data: ``(H, W)`` of the data.
    """

    size: tuple[int, int]
    source: str
    data: tuple[int, int]

    def __str__(self) -> str:
        if self.size == self.data:
            relation = "the data's own size"
        else:
            how = stretching(self.size, self.data) or f"scaled by {self.size[0] / self.data[0]:.2f}"
            relation = f"the data's {_text(self.data)} {how}"
        return f"{_text(self.size)} ({self.source}; {relation})"


def choose_input_size(config: TrainConfig, data: tuple[int, int]) -> InputSize:
    """Return the size to train at.

    That is ``recipe.input_size``; else the size that the architecture has, was searched for or was trained at; else
    that of the data, shrunk to ``recipe.pixels``.

    Args:
        config: The training.
        data: ``(H, W)`` of the data.

    Raises:
        ArchitectureError: The architecture cannot be found or is wrong, or no network takes such a size.
    """
    chosen = _choose(config, data)
    try:
        check_input_size(chosen.size)
    except ArchitectureError as error:
        raise ArchitectureError(f"{error} ({chosen.source}); set another one by --input") from None
    return chosen


def _choose(config: TrainConfig, data: tuple[int, int]) -> InputSize:
    if config.recipe.input_size is not None:
        return InputSize(config.recipe.input_size, "set by --input or the configuration", data)
    stated = stored_input_size(config.architecture) if isinstance(config.architecture, str) else None
    own = stated or config.load_architecture().input_size
    if own is not None:
        return InputSize(own, ARCHITECTURE, data)
    if config.recipe.pixels is None:
        return InputSize(data, "no other is set", data)
    source = f"about the {config.recipe.pixels} pixels of recipe {config.recipe.name}"
    return InputSize(shrink(data, config.recipe.pixels), source, data)


def with_stated_size(config: TrainConfig) -> TrainConfig:
    """Return the same training with the size written out that the architecture's file states.

    Where the file is not kept, but the architecture alone, the size would be lost. The configuration itself is returned
    where it sets a size, or no file states one.

    Raises:
        ArchitectureError: The file is damaged.
    """
    if config.recipe.input_size is not None or not isinstance(config.architecture, str):
        return config
    size = stored_input_size(config.architecture)
    if size is None:
        return config
    return config.model_copy(update={"recipe": config.recipe.model_copy(update={"input_size": size, "pixels": None})})


def shrink(size: tuple[int, int], pixels: int) -> tuple[int, int]:
    """Return a size of about ``pixels`` pixels whose shape is nearest to that of ``size``.

    Its sides are multiples of :data:`STEP`, and it has between half and :data:`SLACK` times as many pixels. What has no
    more than that stays as it is: nothing is enlarged.

    Example:
        >>> shrink((144, 192), 64 * 128)
        (96, 128)
    """
    most = SLACK * pixels
    if math.prod(size) <= most:
        return size
    sides = [
        (height, width)
        for height in range(STEP, int(most) // STEP + 1, STEP)
        for width in range(STEP, int(most) // height + 1, STEP)
        if height * width >= pixels / 2
    ]
    return min(sides, key=lambda new: (round(_stretch(new, size), 9), abs(math.log(math.prod(new) / pixels))))


def stretching(new: tuple[int, int], old: tuple[int, int]) -> str:
    """Say how images of ``old`` ``(H, W)`` lose their shape at the size ``new``; empty where they keep it."""
    if _stretch(new, old) < 1.005:
        return ""
    return f"STRETCHED, by {new[0] / old[0]:.2f} in height and {new[1] / old[1]:.2f} in width"


def _stretch(new: tuple[int, int], old: tuple[int, int]) -> float:
    """How many times as far one side is scaled as the other, from 1."""
    ratio = new[0] * old[1] / (new[1] * old[0])
    return max(ratio, 1 / ratio)


def _text(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"
