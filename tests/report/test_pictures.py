from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from helpers.reports import HOSTILE, png
from PIL import Image

from ednas.data.colors import NO_DEPTH, SKY, palette
from ednas.data.sample import TargetInfo
from ednas.exceptions import DataError
from ednas.files import read_json, write_json
from ednas.report.content import Picture
from ednas.report.pictures import encode_png, load_pictures, paint_picture, save_pictures
from ednas.tasks import make_task


def make(sample: str, task: str, models: tuple[str, ...] = ("a", "b"), label: bool = True) -> Picture:
    colours = {model: png((10 * index, 99, 5)) for index, model in enumerate(models)}
    return Picture(
        sample,
        task,
        png((200, 100, 50)),
        png((1, 2, 3), bands=3) if label else None,
        tuple(colours.items()),
        png((4, 5, 6)) if label else None,
    )


def pixels(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(content)))


def test_a_colour_means_the_same_in_the_label_and_in_predictions_and_the_legend_says_what():
    label, prediction = (torch.tensor([[[1.0, 9.0, 0.0, 0.0]]]), torch.tensor([[[9.0, 5.0, 3.0, 3.0]]]))
    picture = paint_picture(
        "scene", "depth", make_task("depth", TargetInfo("distance", unit="m")),
        image=np.zeros((1, 4, 3), np.uint8), label=label, predictions={"found": prediction},
        sky=np.array([[True, True, True, False]]),
    )  # fmt: skip
    ((name, png_bytes),) = picture.predictions
    painted, found = pixels(picture.label)[0].tolist(), pixels(png_bytes)[0].tolist()
    assert (picture.sample, picture.task, name) == ("scene", "depth", "found")
    assert painted[1] == found[0]  # 9 m; sky with a label is what its label says
    assert (painted[2], painted[3]) == (list(SKY), list(NO_DEPTH))
    assert found[2] == list(SKY)  # there is no label to compare with
    assert found[3] not in (list(SKY), list(NO_DEPTH))
    legend = {tuple(colour) for colour in pixels(picture.legend).reshape(-1, 3).tolist()}
    assert {SKY, NO_DEPTH} <= legend


def test_classes_are_named_in_the_legend_if_they_are_seen():
    labels = TargetInfo("labels", 3, ("road", "sky", "car"))
    picture = paint_picture(
        "scene", "segmentation", make_task("segmentation", labels), image=np.zeros((1, 2, 3), np.uint8),
        label=torch.tensor([[0, 0]]), predictions={"found": torch.tensor([[0, 2]])}, sky=np.False_,
    )  # fmt: skip
    legend = {tuple(colour) for colour in pixels(picture.legend).reshape(-1, 3).tolist()}
    road, sky, car = (tuple(colour) for colour in palette(3)[:3].tolist())
    assert {road, car} <= legend
    assert sky not in legend


def test_pictures_of_an_earlier_version_have_no_legend(tmp_path):
    save_pictures([make("one", "depth")], tmp_path / "p")
    index = read_json(tmp_path / "p" / "index.json")
    del index["samples"][0]["tasks"]["depth"]["legend"]
    write_json(tmp_path / "p" / "index.json", index)
    (picture,) = load_pictures(tmp_path / "p")
    assert picture.legend is None


def test_saving_and_loading_gives_the_same_pictures(tmp_path):
    pictures = (
        make("one", "segmentation"), make("one", "depth", label=False), make(HOSTILE, HOSTILE, (HOSTILE, "../../up")),
    )  # fmt: skip
    save_pictures(pictures, tmp_path / "predictions")
    assert load_pictures(tmp_path / "predictions") == pictures
    assert [path.name for path in tmp_path.iterdir()] == ["predictions"]


def test_saving_replaces_what_was_there(tmp_path):
    save_pictures([make("old", "depth"), make("older", "depth")], tmp_path / "p")
    save_pictures([make("new", "depth")], tmp_path / "p")
    assert [picture.sample for picture in load_pictures(tmp_path / "p")] == ["new"]
    assert sorted(path.name for path in (tmp_path / "p").iterdir()) == ["0", "index.json"]


def test_reading_stops_at_the_limit_but_keeps_samples_whole(tmp_path):
    save_pictures([make(str(n), task) for n in range(5) for task in ("segmentation", "depth")], tmp_path / "p")
    assert [picture.sample for picture in load_pictures(tmp_path / "p", max_bytes=1)] == ["0", "0"]


def test_pictures_are_made_smaller_but_not_larger():
    pixels = np.full((100, 400, 3), 7, np.uint8)
    assert Image.open(io.BytesIO(encode_png(pixels, max_width=200))).size == (200, 50)
    assert Image.open(io.BytesIO(encode_png(pixels, max_width=800))).size == (400, 100)


@pytest.mark.parametrize(
    "content", [[], {}, {"format": 1}, {"format": 1, "samples": [{"name": "x"}]}, {"format": 1, "samples": 3}]
)
def test_a_damaged_index_is_named(tmp_path, content):
    write_json(tmp_path / "index.json", content)
    with pytest.raises(DataError, match=r"index\.json"):
        load_pictures(tmp_path)


def test_paths_out_of_the_folder_are_refused(tmp_path):
    save_pictures([make("one", "depth")], tmp_path / "p")
    (tmp_path / "secret.png").write_bytes(png((1, 1, 1)))
    index = read_json(tmp_path / "p" / "index.json")
    index["samples"][0]["image"] = "../secret.png"
    write_json(tmp_path / "p" / "index.json", index)
    with pytest.raises(DataError, match="outside"):
        load_pictures(tmp_path / "p")


def test_missing_and_wrong_files_are_named(tmp_path):
    save_pictures([make("one", "depth")], tmp_path / "p")
    (tmp_path / "p" / "0" / "image.png").write_text("no picture")
    with pytest.raises(DataError, match=r"image\.png: not a PNG"):
        load_pictures(tmp_path / "p")
    (tmp_path / "p" / "0" / "image.png").unlink()
    with pytest.raises(DataError, match=r"image\.png"):
        load_pictures(tmp_path / "p")
