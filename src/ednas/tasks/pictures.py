"""Pictures of what several tasks say about one image, and what their colours mean."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ednas.data.colors import Picture, sky_pixels
from ednas.data.legend import Legend
from ednas.data.sample import TargetInfo
from ednas.tasks.base import Task
from ednas.tasks.depth import DepthTask
from ednas.tasks.segmentation.task import SegmentationTask

Array = npt.NDArray[Any]


def paint(
    tasks: Mapping[str, Task],
    targets: Mapping[str, TargetInfo],
    decoded: Mapping[str, Array],
    depth_ranges: Mapping[str, tuple[float, float]],
) -> tuple[dict[str, Picture], dict[str, Legend]]:
    """Paint what each task says about one image.

    Where a segmentation says sky, a depth is painted as sky: a network is taught none there.

    Args:
        tasks: By name.
        targets: What the tasks read, by target.
        decoded: By task, one image of what :meth:`Task.decode` yields, without the batch axis.
        depth_ranges: Smallest and largest value of the colour scale, by task; of others as the picture itself has them.

    Returns:
        The pictures ``(H, W, 3)`` and their legends, by task.
    """
    classes = {task.target: decoded[name] for name, task in tasks.items() if isinstance(task, SegmentationTask)}
    sky = sky_pixels(classes, targets)
    pictures: dict[str, Picture] = {}
    legends: dict[str, Legend] = {}
    for name, task in tasks.items():
        if isinstance(task, DepthTask):
            depth = mark_sky(decoded[name], sky)
            pictures[name] = task.picture(depth, depth_ranges.get(name))
            legends[name] = task.legend(depth, depth_ranges.get(name))
        else:
            pictures[name], legends[name] = task.picture(decoded[name]), task.legend(decoded[name])
    return pictures, legends


def mark_sky(depth: Array, sky: npt.NDArray[np.bool_] | np.bool_) -> Array:
    """Return a depth ``(..., H, W)`` that is infinite in the sky, as pictures of it expect."""
    return np.where(sky, np.float32(np.inf), depth)
