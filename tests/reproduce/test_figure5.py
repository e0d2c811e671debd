"""The picture of what networks predict."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from ednas.report.content import Picture
from ednas.report.pictures import encode_png
from ednas.reproduce import figure5
from ednas.reproduce.figure5 import GAP, LINE, WIDTH, compose, paint_figure


def flat(value, width=192, height=20):
    return encode_png(np.full((height, width, 3), value, np.uint8))


def test_pictures_stand_in_rows_and_columns():
    rows = [Picture("s", task, flat(10 * n), flat(50 + n), (("a", flat(100 + n)), ("b", flat(200 + n)))) for n, task in
            enumerate(("segmentation", "depth"), 1)]  # fmt: skip
    sheet = np.asarray(compose(rows))
    assert sheet.shape == (LINE + 2 * (20 + GAP) - GAP, 4 * (192 + GAP) - GAP, 3)
    middles = sheet[LINE + 10 :: 20 + GAP, 20 :: 192 + GAP, 0]
    assert middles.tolist() == [[10, 51, 101, 201], [20, 52, 102, 202]]


@pytest.mark.slow
def test_it_shows_networks_of_table_2(scale, tmp_path, monkeypatch):
    small = scale.two_tasks.recipe.model_copy(update={"steps": 1})
    quick = type(scale)(
        **{**vars(scale), "two_tasks": type(scale.two_tasks)(**{**vars(scale.two_tasks), "recipe": small})}
    )
    said = []
    path = paint_figure(quick, tmp_path / "out", device="cpu", announce=said.append)
    assert [line.partition(":")[0] for line in said] == [
        "fig5, MT edge baseline", "fig5, EDNAS, Table 6 as printed", "fig5, EDNAS+JAReD, Table 6 as printed"
    ]  # fmt: skip
    with Image.open(path) as image:
        assert image.width > 5 * WIDTH
    assert figure5.SAMPLES * len(quick.two_tasks.tasks) == 4
