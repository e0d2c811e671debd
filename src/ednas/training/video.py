"""Predictions for the frames of a video, as videos to look at."""

from __future__ import annotations

from contextlib import ExitStack
from itertools import chain
from pathlib import Path

from ednas.data.legend import with_legend
from ednas.data.video import Video, write_video
from ednas.training.predict import ALPHA, OutputSize, Predictor, predict_images
from ednas.training.tiles import Tiling


def predict_video(
    model: Predictor,
    path: Path | str,
    out: Path | str,
    *,
    name: str | None = None,
    size: OutputSize = "image",
    tiling: Tiling | None = None,
    batch_size: int = 8,
    alpha: float = ALPHA,
) -> list[Path]:
    """Write ``<name>_<task>.mp4`` for every task: what :func:`~ednas.training.predict.write_predictions` paints.

    A colour means the same in all frames: a depth keeps the scale of the first one, and the legend has all classes.

    Args:
        model: What predicts; a network is left in evaluation mode.
        path: The video.
        out: The folder to write to; made if it is missing.
        name: What the files' names begin with; None: the video's name.
        size: As for :func:`~ednas.training.predict.predict`.
        tiling: Predict in overlapping windows instead of resized frames.
        batch_size: Frames, or windows of one frame, at a time.
        alpha: How much of the image the classes hide, from 0 to 1.

    Returns:
        The files.

    Raises:
        DataError: The video is missing, or cannot be read.
        ConfigError: OpenCV is not installed, or an option is wrong.
        EdnasError: A file cannot be written; or as :func:`~ednas.training.predict.predict`.
    """
    video = Video(Path(path))
    frames = ((video.path, frame) for frame in video)
    start = next(frames)
    (first,) = predict_images(model, [start], size=size, tiling=tiling, batch_size=batch_size)
    ranges = {task: (min(scale), max(scale)) for task, legend in first.legends.items() if (scale := legend.scale)}
    with ExitStack() as stack:
        files = {task: Path(out) / f"{name or video.path.stem}_{task}.mp4" for task in model.tasks}
        writers = {task: stack.enter_context(write_video(file, video.rate)) for task, file in files.items()}
        everything = chain([start], frames)
        for prediction in predict_images(
            model, everything, size=size, tiling=tiling, batch_size=batch_size, value_ranges=ranges
        ):
            for task, write in writers.items():
                write(with_legend(prediction.overlay(task, alpha), first.legends[task]))
    return list(files.values())
