"""Prediction of large images in overlapping windows, whose raw outputs are blended."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import islice, pairwise, product

import torch
from torch import Tensor

from ednas.arch.architecture import MIN_INPUT_SIZE
from ednas.exceptions import ConfigError

DEFAULT_OVERLAP = 0.25
MAX_OVERLAP = 0.9

Forward = Callable[[Tensor], Mapping[str, Tensor]]
"""Maps images ``(N, 3, H, W)`` in [0, 1] to the raw output of every task, ``(N, C, H, W)``."""


@dataclass(frozen=True)
class Tiling:
    """How an image is cut into windows.

    Attributes:
        size: ``(H, W)`` of a window; along an axis where the image is smaller, windows are as large as the image.
        overlap: Least share of a window that it has in common with the next one, from 0 to 0.9.

    Raises:
        ConfigError: The size is below 32 pixels, or the overlap is out of range.
    """

    size: tuple[int, int]
    overlap: float = DEFAULT_OVERLAP

    def __post_init__(self) -> None:
        if min(self.size) < MIN_INPUT_SIZE:
            height, width = self.size
            raise ConfigError(f"tile {height}x{width}: height and width must be at least {MIN_INPUT_SIZE} pixels")
        if not 0 <= self.overlap <= MAX_OVERLAP:
            raise ConfigError(f"overlap {self.overlap:g}: must be a share of the tile from 0 to {MAX_OVERLAP}")

    def window(self, size: tuple[int, int]) -> tuple[int, int]:
        """Return ``(H, W)`` of all windows of an image of ``size``."""
        return min(self.size[0], size[0]), min(self.size[1], size[1])


def forward_tiles(forward: Forward, images: Tensor, tiling: Tiling, *, batch_size: int = 8) -> dict[str, Tensor]:
    """Run ``forward`` on windows of images and blend what it puts out.

    Windows are spread evenly from border to border, so nothing is padded. Raw outputs are blended, not what is decoded
    from them: between two classes there is no third one. The weights of all windows sum to 1 at every pixel.

    Args:
        forward: What predicts windows; called with ``batch_size`` of them at most, all of one size.
        images: ``(N, 3, H, W)`` in [0, 1].
        tiling: Size and overlap of the windows.
        batch_size: Windows at a time; the result does not depend on it.

    Returns:
        By task, the raw output ``(N, C, H, W)``.

    Raises:
        ConfigError: ``batch_size`` is below 1.
    """
    if batch_size < 1:
        raise ConfigError(f"batch size {batch_size}: must be at least 1")
    count, _, height, width = images.shape
    rows, columns = (
        _spans(length, window, tiling.overlap, images.device)
        for length, window in zip((height, width), tiling.window((height, width)), strict=True)
    )
    windows = product(range(count), rows, columns)
    blended: dict[str, Tensor] = {}
    while batch := list(islice(windows, batch_size)):
        outputs = forward(torch.stack([images[index, :, y, x] for index, (y, _), (x, _) in batch]))
        for task, values in outputs.items():
            if task not in blended:
                blended[task] = values.new_zeros(count, values.shape[1], height, width)
            for (index, (y, vertical), (x, horizontal)), value in zip(batch, values, strict=True):
                blended[task][index, :, y, x] += value * vertical[:, None] * horizontal
    return blended


def _spans(length: int, window: int, overlap: float, device: torch.device) -> list[tuple[slice, Tensor]]:
    """Return where windows lie along one axis, and the weights of their pixels, ``(window,)``."""
    room = length - window
    gaps = -(-room // max(1, int(window * (1 - overlap))))
    starts = [room * index // max(gaps, 1) for index in range(gaps + 1)]
    centres = torch.arange(length, device=device) + 0.5
    seams = [_fade_in(centres, start, before + window) for before, start in pairwise(starts)]
    # A window's weight rises over the seam before it and falls over the next, so that the sum over all windows is 1.
    rising = [torch.ones_like(centres), *seams, torch.zeros_like(centres)]
    slices = [slice(start, start + window) for start in starts]
    return [(pixels, (here - after)[pixels]) for pixels, (here, after) in zip(slices, pairwise(rising), strict=True)]


def _fade_in(centres: Tensor, start: int, stop: int) -> Tensor:
    """Rise smoothly from 0 to 1 over an overlap, but for an eighth at either end: a border lacks context."""
    width = max(1.0, 0.75 * (stop - start))
    ramp = ((centres - (start + stop) / 2) / width + 0.5).clamp(0, 1)
    return ramp.square() * (3 - 2 * ramp)
