"""Pictures of what several tasks say about one image, and what their colours mean."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ednas.data.colors import Picture
from ednas.data.legend import Legend
from ednas.tasks.base import Task


def paint(
    tasks: Mapping[str, Task],
    decoded: Mapping[str, npt.NDArray[Any]],
    value_ranges: Mapping[str, tuple[float, float]],
) -> tuple[dict[str, Picture], dict[str, Legend]]:
    """Paint what each task says about one image.

    Where a task says sky, the others are painted so (:meth:`Task.with_sky`).

    Args:
        tasks: By name.
        decoded: By task, one image of what :meth:`Task.decode` yields, without the batch axis.
        value_ranges: Smallest and largest value of the colour scale, by task; of others as the picture itself has them.

    Returns:
        The pictures ``(H, W, 3)`` and their legends, by task.
    """
    sky: npt.NDArray[np.bool_] | np.bool_ = np.False_
    for name, task in tasks.items():
        sky = sky | task.sky(decoded[name])
    pictures: dict[str, Picture] = {}
    legends: dict[str, Legend] = {}
    for name, task in tasks.items():
        pictures[name], legends[name] = task.paint(task.with_sky(decoded[name], sky), value_ranges.get(name))
    return pictures, legends
