"""`ednas predict`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ednas.cli.options import Device, ModelPath, Overlap, Plugins, Tile, parse_tiling, run_plugins
from ednas.cli.printing import say

if TYPE_CHECKING:
    from ednas.exceptions import DataError
    from ednas.training.predict import OutputSize


def predict(
    model: ModelPath,
    images: Annotated[list[Path], typer.Argument(help="Images, folders of images, or videos.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The folder for pictures and arrays.")] = Path("predictions"),
    plugin: Plugins = None,
    alpha: Annotated[
        float, typer.Option(min=0, max=1, help="How much of the image the classes hide; 1: only the classes are seen.")
    ] = 0.6,
    at_model_size: Annotated[
        bool, typer.Option("--model-size", help="Write predictions at the model's input size.")
    ] = False,
    tile: Tile = None,
    overlap: Overlap = None,
    device: Device = "auto",
) -> None:
    """Write predictions: a picture and an array (.npy) for each image and task, and a video for each video and task.

    Classes are painted over the image, with a legend below; a depth has its scale below, in its unit. Predictions have
    the image's own size. An image of another shape than the model's input is stretched, which a line reports. Images
    that cannot be read are named and left out; exit code 2 if none can be read.

    [bold]Examples[/bold]

    ednas predict runs/base/checkpoint street.png --out predictions

    ednas predict runs/deploy/model.tflite photos drive.mp4

    ednas predict runs/crops/checkpoint large.png --tile 512x1024 --overlap 0.25
    """
    from ednas.data.video import SUFFIXES
    from ednas.exceptions import DataError
    from ednas.export.predictor import open_predictor
    from ednas.training import predict as run_predictions
    from ednas.training import predict_video, write_predictions
    from ednas.training.predict import free_name

    run_plugins(plugin)
    predictor = open_predictor(model, device)
    tiling = parse_tiling(tile, overlap, predictor.input_size)
    size: OutputSize = "model" if at_model_size else "image"
    videos = [path for path in images if path.suffix.lower() in SUFFIXES]
    errors: list[DataError] = []
    found = run_predictions(
        predictor,
        [path for path in images if path not in videos],
        size=size,
        tiling=tiling,
        on_error=errors.append,
        announce=say,
    )
    written = write_predictions(found, out, alpha=alpha)
    names: set[str] = set()
    for video in videos:
        name = free_name(video.stem, names)
        try:
            written += predict_video(predictor, video, out, name=name, size=size, tiling=tiling, alpha=alpha)
        except DataError as unreadable:
            errors.append(unreadable)
    for error in errors:
        typer.echo(f"{'warning' if written else 'error'}: {error}", err=True)
    if not written:
        raise typer.Exit(2)
    left_out = f"; left out {len(errors)} that cannot be read" if errors else ""
    typer.echo(f"wrote {len(written)} files to {out}{left_out}")
