"""Reading and writing videos, by OpenCV where it is installed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import numpy as np

from ednas.data.colors import Picture
from ednas.data.rasters import require_file
from ednas.exceptions import ConfigError, DataError, EdnasError
from ednas.files import atomic_path

SUFFIXES = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v")
"""Ends of the names of videos."""

_USUAL_RATE = 30.0
"""Frames a second, where a file does not say."""


class Video:
    """A video whose frames are read one by one.

    Attributes:
        path: The file.
        rate: Frames a second.

    Raises:
        DataError: The file is missing or no video.
        ConfigError: OpenCV is not installed.
    """

    def __init__(self, path: Path) -> None:
        require_file(path)
        self.path = path
        self._capture = _opencv(path).VideoCapture(str(path))
        self.rate: float = self._capture.get(_opencv(path).CAP_PROP_FPS) or _USUAL_RATE

    def __iter__(self) -> Iterator[Picture]:
        """Yield the frames, RGB ``uint8`` ``(H, W, 3)``, once.

        Raises:
            DataError: There is no frame.
        """
        frames = 0
        while (frame := self._capture.read()[1]) is not None:
            frames += 1
            yield np.ascontiguousarray(frame[..., ::-1])
        self._capture.release()
        if not frames:
            raise DataError(f"{self.path}: is no video that OpenCV can read, or damaged")


@contextmanager
def write_video(path: Path, rate: float) -> Iterator[Callable[[Picture], None]]:
    """Write an MP4 that appears whole or not at all; the block gets a function that takes one frame after the other.

    Frames are RGB ``uint8`` ``(H, W, 3)``, all of one size. Encoders want even sides: an odd one loses a pixel.

    Args:
        path: Where to; ends in ``.mp4``.
        rate: Frames a second.

    Raises:
        EdnasError: The place cannot be written, or OpenCV has no encoder.
        ConfigError: OpenCV is not installed.
    """
    cv2 = _opencv(path)
    with atomic_path(path) as temporary:
        writer = cv2.VideoWriter()

        def write(frame: Picture) -> None:
            height, width = (side - side % 2 for side in frame.shape[:2])
            code = cv2.VideoWriter.fourcc(*"mp4v")
            if not writer.isOpened() and not writer.open(str(temporary), code, rate, (width, height)):
                raise EdnasError(
                    f"cannot write {path}: this OpenCV cannot encode MP4; pip install opencv-python-headless"
                )
            writer.write(np.ascontiguousarray(frame[:height, :width, ::-1]))

        try:
            yield write
        finally:
            writer.release()


def _opencv(path: Path) -> ModuleType:
    try:
        import cv2
    except ImportError:
        raise ConfigError(f"{path}: videos need OpenCV; pip install opencv-python-headless") from None
    module: ModuleType = cv2
    return module
