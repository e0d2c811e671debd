"""Draws what a network sees: classes over the picture, depth and others beside it, legends below. Needs OpenCV."""

from collections.abc import Iterable, Iterator, Mapping

import cv2
import numpy as np
from decode import Array, Decoder, DeployError, Legend, Picture, Size, paint_scale

ALPHA = 0.6
"""How much of the picture the classes hide."""


def draw(decoder: Decoder, image: Picture, predictions: Mapping[str, Array]) -> Picture:
    """Return an RGB image with pictures of its predictions, which have its size, on its right, and legends below."""
    tiles = [image]
    for task, picture in decoder.paint(predictions).items():
        has_classes = predictions[task].dtype == np.uint8
        tiles.append(cv2.addWeighted(picture, ALPHA, image, 1 - ALPHA, 0) if has_classes else picture)
    pictures = np.hstack(tiles)
    return np.vstack([pictures, draw_legends(decoder.legends(predictions).values(), pictures.shape[1])])


def draw_legends(legends: Iterable[Legend], width: int) -> Picture:
    """Draw legends one below the other; the height depends on the width and the names alone, as a video needs."""
    letter = max(4, width // 200)  # half the height of a letter
    lines = []
    for group in (group for legend in legends for group in _groups(legend, letter)):
        x = width  # begins a line
        for patch, text in group:
            text_width = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, letter / 10, 1)[0][0]
            needed = patch.shape[1] + text_width + 4 * letter
            if x + needed > width:
                lines.append(np.full((4 * letter, width, 3), 255, np.uint8))
                x = letter
            room = patch[:, : max(0, width - x)]
            lines[-1][letter : 3 * letter, x : x + room.shape[1]] = room
            place = (x + patch.shape[1] + letter, 3 * letter)
            cv2.putText(lines[-1], text, place, cv2.FONT_HERSHEY_SIMPLEX, letter / 10, (40, 40, 40), 1, cv2.LINE_AA)
            x += needed
    return np.vstack([np.empty((0, width, 3), np.uint8), *lines])


def _groups(legend: Legend, letter: int) -> Iterator[list[tuple[Picture, str]]]:
    """Yield patches of colour and what they mean: the scale, and the named colours."""
    if legend.scale:
        near, far = legend.scale
        bar = paint_scale(np.tile(np.linspace(1, 0, 20 * letter), (2 * letter, 1)), near=1, far=0)
        yield [(bar, f"near {near:.3g}, far {far:.3g} {legend.unit}")]
    yield [(np.full((2 * letter, 4 * letter, 3), color, np.uint8), name) for name, color in legend.colors]


def open_writer(path: str, rate: float, size: Size) -> cv2.VideoWriter:
    """Open a video file for writing."""
    codec = "MJPG" if path.endswith(".avi") else "mp4v"
    writer = cv2.VideoWriter(path, cv2.VideoWriter.fourcc(*codec), rate or 30, size)
    if not writer.isOpened():
        raise DeployError(f"{path}: cannot be written; name an .mp4 or .avi file in a folder that exists")
    return writer
