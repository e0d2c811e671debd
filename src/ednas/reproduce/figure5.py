"""Fig. 5: what the base network and EDNAS's predict for the same images, as one picture."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ednas.data import open_dataset
from ednas.files import atomic_path
from ednas.report.pictures import paint_predictions
from ednas.reproduce.claims import Reading
from ednas.reproduce.finished import training_folder
from ednas.reproduce.scales import Scale
from ednas.reproduce.table import Row
from ednas.reproduce.tables import FIGURE_5
from ednas.reproduce.tables.table2 import table2
from ednas.training import load_checkpoint
from ednas.training.jobs import Job, train_jobs

if TYPE_CHECKING:
    from PIL import Image

    from ednas.report.content import Picture
    from ednas.training import Callback

SAMPLES = 2
GAP, LINE, WIDTH = 4, 16, 192
"""Pixels between pictures, of a line of text, and the least of a picture's width."""


def paint_figure(
    scale: Scale,
    out: Path,
    *,
    reading: Reading | None = None,
    device: str = "auto",
    callbacks: Callable[[str], Sequence[Callback]] | None = None,
    announce: Callable[[str], None] | None = None,
) -> Path:
    """Paint what networks of Table 2 predict, each trained from the first seed where that was not done.

    Args:
        scale: How large.
        out: Folder of the whole.
        reading: How Table 6 is read; None = as printed.
        device: Where to train.
        callbacks: Makes the callbacks of a training from its name.
        announce: Called with a line for every training that is done.

    Returns:
        The picture: a row for each image and task; columns are the image, the label and the predictions.

    Raises:
        EdnasError: As a training; or the picture cannot be written.
    """
    own = reading or "printed"
    keys = ("base", f"ednas_{own}", f"jared_{own}")
    rows = [row for row in table2(scale).rows if isinstance(row, Row) and row.key in keys]
    configs = {row.title: row.trainings[0] for row in rows}
    folders = {title: training_folder(config, out).seed(config.seed).path for title, config in configs.items()}
    jobs = [Job(f"{FIGURE_5}, {title}", config, folders[title]) for title, config in configs.items()]
    train_jobs(jobs, device=device, callbacks=callbacks, announce=announce)
    models = [(title, load_checkpoint(job.run.checkpoint.path)) for title, job in zip(configs, jobs, strict=True)]
    config = jobs[0].config
    data = open_dataset(config.data, "val", **config.data_options)
    painted = paint_predictions(models, config.tasks, data, SAMPLES)
    pictures = sorted(painted, key=lambda picture: config.tasks.index(picture.task))
    path = out / f"{FIGURE_5}.png"
    with atomic_path(path) as temporary:
        compose(pictures).save(temporary, "PNG", optimize=True)
    return path


def compose(pictures: Sequence[Picture]) -> Image.Image:
    """Put pictures of one size below each other, with headings above."""
    from PIL import Image, ImageDraw

    titles = ["image", "label", *(name for name, _ in pictures[0].predictions)]
    parts = [(one.image, one.label or one.image, *(found for _, found in one.predictions)) for one in pictures]
    rows = [list(map(_open, own)) for own in parts]
    width, height = rows[0][0].size
    scale = -(-WIDTH // width)  # headings need room
    width, height = scale * width, scale * height
    sheet = Image.new("RGB", (len(titles) * (width + GAP) - GAP, LINE + len(rows) * (height + GAP) - GAP), "white")
    draw = ImageDraw.Draw(sheet)
    for column, title in enumerate(titles):
        draw.text((column * (width + GAP), 2), title, fill="black")
    for number, row in enumerate(rows):
        for column, picture in enumerate(row):
            sheet.paste(picture.resize((width, height)), (column * (width + GAP), LINE + number * (height + GAP)))
    return sheet


def _open(png: bytes) -> Image.Image:
    from PIL import Image

    return Image.open(io.BytesIO(png)).convert("RGB")
