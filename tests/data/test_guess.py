"""Proposals for folders as people have them; what is proposed is opened, and compared with what was written."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import numpy as np
import pytest
from helpers.dataset_files import make_adashare_nyuv2, make_scene, save_npy, save_png
from PIL import Image

from ednas.data.check import check_dataset
from ednas.data.formats import open_dataset
from ednas.data.guess import propose
from ednas.exceptions import DataError

COLOURS = np.array([[0, 0, 0], [128, 64, 128], [70, 70, 70]], np.uint8)


@pytest.fixture
def scenes():
    return [make_scene(seed, 3) for seed in range(6)]


def classes(scene) -> np.ndarray:
    return np.where(scene.segmentation == 255, 0, scene.segmentation)


def guessed(folder: Path) -> tuple[str, Path]:
    """Propose, write and check."""
    text = propose(folder, str(folder.resolve()))
    path = folder.parent / "guessed.yaml"
    path.write_text(text, encoding="utf-8")
    report = check_dataset(path)
    assert report.ok, report.problems
    return text, path


def samples(path: Path) -> dict[str, dict[str, np.ndarray]]:
    opened = [open_dataset(path, split) for split in ("train", "val")]
    return {data.source(i): dict(data[i].targets) for data in opened for i in range(len(data))}


def test_names_with_affixes_and_painted_classes(tmp_path, scenes):
    for i, scene in enumerate(scenes):
        save_png(tmp_path / "data" / "images" / f"frame_{i}.png", scene.image)
        save_png(tmp_path / "data" / "masks" / f"{i}_mask.png", COLOURS[classes(scene)])
    text, path = guessed(tmp_path / "data")
    assert 'image: "images/frame_{id}.png"' in text
    assert 'path: "masks/{id}_mask.png"' in text
    assert "val_fraction: 0.1  # no validation split" in text
    found = samples(path)
    order = [0, 2, 1]  # by colour
    for i, scene in enumerate(scenes):
        labels = found[f"images/frame_{i}.png"]["segmentation"]
        np.testing.assert_array_equal(labels, np.array(order)[classes(scene)])


@pytest.mark.parametrize("folders", ["{split}/{part}", "{part}/{split}", "all/{part}/{split}"])
def test_folders_of_splits_and_what_values_say(tmp_path, scenes, folders):
    data = tmp_path / "data"
    for i, scene in enumerate(scenes):
        split = ("training", "validation", "test")[i % 3]

        def place(part, split=split, i=i):
            return data / folders.format(split=split, part=part) / f"{i}.png"

        save_png(place("rgb"), scene.image)
        if split != "test":
            save_png(place("gt"), scene.segmentation)
            save_png(place("depth"), np.where(scene.depth > 0, scene.depth * 1000, 65535).astype(np.uint16))
            x, y, z = np.moveaxis(scene.normals, -1, 0)
            save_png(place("normals"), np.rint((np.stack([x, -y, -z], -1) + 1) * 127.5).astype(np.uint8))
    text, path = guessed(data)
    assert 'splits: {train: "training", val: "validation"}' in text
    assert "void: [255]" in text
    assert "scale: 0.001  # these look like millimetres" in text
    assert "invalid: [0, 65535]" in text
    assert "axes: [r, -g, -b]" in text
    found = samples(path)
    assert len(found) == 4
    for name, targets in found.items():
        scene = scenes[int(Path(name).stem)]
        np.testing.assert_array_equal(targets["segmentation"], scene.segmentation)
        np.testing.assert_allclose(targets["depth"], scene.depth, atol=1.1e-3)
        np.testing.assert_allclose(targets["normals"], scene.normals, atol=0.012)


def test_all_files_in_one_folder(tmp_path, scenes):
    for i, scene in enumerate(scenes):
        save_png(tmp_path / "data" / f"{i}.png", scene.image)
        save_png(tmp_path / "data" / f"{i}_seg.png", classes(scene).astype(np.uint8))
        save_npy(tmp_path / "data" / f"{i}_depth.npy", scene.depth)
    text, path = guessed(tmp_path / "data")
    assert 'path: "{id}_seg.png"' in text
    assert "scale: 1  # these look like metres" in text
    assert len(samples(path)) == 6


def test_lists_of_ids_and_palettes_as_in_pascal_voc(tmp_path, scenes):
    data = tmp_path / "data"
    for i, scene in enumerate(scenes):
        save_png(data / "JPEGImages" / f"2007_{i}.png", scene.image)
        if i < 4:
            (data / "SegmentationClass").mkdir(exist_ok=True)
            picture = Image.fromarray(scene.segmentation)
            picture.putpalette([channel for i in range(256) for channel in (i, 255 - i, 0)])
            picture.save(data / "SegmentationClass" / f"2007_{i}.png")
    (data / "ImageSets" / "Main").mkdir(parents=True)
    (data / "ImageSets" / "Main" / "train.txt").write_text("2007_0\n2007_5\n")  # 5 has no label
    (data / "ImageSets" / "train.txt").write_text("2007_0\n2007_2\n")
    (data / "ImageSets" / "val.txt").write_text("2007_1\n2007_3\n")
    text, path = guessed(data)
    assert 'splits: {train: "ImageSets/train.txt", val: "ImageSets/val.txt"}' in text
    assert "4 files for 4 images" in text
    assert "partial" not in text
    for name, targets in samples(path).items():
        np.testing.assert_array_equal(targets["segmentation"], scenes[int(Path(name).stem[-1])].segmentation)


@pytest.mark.parametrize(
    ("stored", "line"),
    [
        ([0, 255], "id_map: {0: 0, 255: 1}"),
        ([0, 90, 180], "id_map: {0: 0, 90: 1, 180: 2}"),
        ([1000, 1001, 2000], "divisor: 1000"),
        ([0, 1, 2], "num_classes: 3"),
    ],
)
def test_what_numbers_stand_for(tmp_path, scenes, stored, line):
    table = np.array(stored, np.uint16)
    table = table.astype(np.uint8) if table.max() < 256 else table
    for i, scene in enumerate(scenes):
        save_png(tmp_path / "data" / "img" / f"{i}.png", scene.image)
        save_png(tmp_path / "data" / "labels" / f"{i}.png", table[classes(scene) % len(stored)])
    assert line in guessed(tmp_path / "data")[0]


def test_images_without_a_label_and_labels_that_fit_nothing_are_told(tmp_path, scenes):
    data = tmp_path / "data"
    for i, scene in enumerate(scenes):
        save_png(data / "images" / f"{i}.png", scene.image)
        save_png(data / "labels" / f"{i}.png", classes(scene).astype(np.uint8))
        save_png(data / "masks" / f"other{'abcdef'[i]}.png", classes(scene).astype(np.uint8))
        Image.fromarray(scene.image).save(data / "labels" / f"{i}.jpg")
        save_png(data / "disparity" / f"{i}.png", scene.image)
        save_png(data / "images" / f"a\nb{i}.png", scene.image)
    save_npy(data / "depth" / "3.npy", scenes[3].depth)
    save_npy(data / "depth" / "4.npy", scenes[4].depth)
    text, _ = guessed(data)
    assert "partial: true  # 4 images have no such file" in text
    assert "# Left out: masks, the names of its files do not fit" in text
    assert "# Left out: disparity, they are coloured for people to look at" in text
    assert "# Left out: labels, they are JPEG, which blurs classes" in text


@pytest.mark.parametrize(
    ("image", "label", "pattern"),
    [
        ("train/{i}.png", "train_labels/{i}_L.png", "{split}_labels/{id}_L.png"),
        ("train/{i}.png", "trainannot/{i}.png", "{split}annot/{id}.png"),
        ("images-train/{i}.png", "masks-train/{i}.png", "masks-{split}/{id}.png"),
        ("701_StillsRaw_full/{i}.png", "LabeledApproved_full/{i}_L.png", "LabeledApproved_full/{id}_L.png"),
        ("ds0/img/{i}.jpg", "ds0/masks_machine/{i}.jpg.png", "ds0/masks_machine/{id}.jpg.png"),
        ("kitchen_1/rgb_{i:05}.jpg", "kitchen_1/label_{i:05}.png", "kitchen_1/label_{id}.png"),
        ("{i}.jpg", "{i}.png", "{id}.png"),
    ],
)
def test_usual_places(tmp_path, scenes, image, label, pattern):
    for i, scene in enumerate(scenes):
        path = tmp_path / "data" / image.format(i=i)
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(scene.image).save(path)
        save_png(tmp_path / "data" / label.format(i=i), classes(scene).astype(np.uint8))
    text, path = guessed(tmp_path / "data")
    assert f'path: "{pattern}"  # 6 files for 6 images' in text
    found = samples(path)
    for i, scene in enumerate(scenes):
        np.testing.assert_array_equal(found[image.format(i=i)]["segmentation"], classes(scene))


def test_numbers_of_single_things_are_no_classes(tmp_path, scenes):
    for i, scene in enumerate(scenes):
        for folder in ("JPEGImages", "SegmentationClass", "SegmentationObject", "masks_instances"):
            values = scene.image if folder == "JPEGImages" else classes(scene).astype(np.uint8)
            save_png(tmp_path / "data" / folder / f"{i}.png", values)
    text, _ = guessed(tmp_path / "data")
    assert text.count("kind: labels") == 1
    assert "SegmentationClass/{id}.png" in text


def test_labels_of_another_place_with_the_same_names_are_no_labels(tmp_path, scenes):
    for place in ("day", "night"):
        for i, scene in enumerate(scenes):
            save_png(tmp_path / "data" / place / "rgb" / f"{i}.png", scene.image)
            save_png(tmp_path / "data" / place / "mask" / f"{i}.png", classes(scene).astype(np.uint8))
    text, _ = guessed(tmp_path / "data")
    assert text.count("kind: labels") == 1
    assert "# Left out: 6 more images in night/rgb, which may be another of 'parts'" in text


def test_names_in_another_form_of_unicode(tmp_path, scenes):
    for i, scene in enumerate(scenes):
        name = f"café{i}.png"
        save_png(tmp_path / "data" / "images" / unicodedata.normalize("NFD", name), scene.image)
        save_png(tmp_path / "data" / "labels" / unicodedata.normalize("NFC", name), scene.segmentation)
    assert len(samples(guessed(tmp_path / "data")[1])) == 6


def test_one_folder_of_a_split_is_divided(tmp_path, scenes):
    for split in ("test", "unlabelled"):
        for i, scene in enumerate(scenes):
            save_png(tmp_path / "data" / split / "images" / f"{i}.png", scene.image)
            if split == "test":
                save_png(tmp_path / "data" / split / "masks" / f"{i}.png", scene.segmentation)
    text, path = guessed(tmp_path / "data")
    assert 'splits: {train: "test"}' in text
    assert len(samples(path)) == 6


def test_jpeg_labels_are_left_out(tmp_path, scenes):
    for i, scene in enumerate(scenes):
        save_png(tmp_path / "images" / f"{i}.png", scene.image)
        (tmp_path / "masks").mkdir(exist_ok=True)
        Image.fromarray(scene.segmentation).save(tmp_path / "masks" / f"{i}.jpg")
    with pytest.raises(DataError, match="no labels are recognised: masks, they are JPEG, which blurs classes"):
        propose(tmp_path, ".")


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ([], "holds no PNG, JPEG or NPY file"),
        (["images/0.png", "more/1.png"], "no name of a folder or file says that there are labels"),
        (["masks/0.png"], "no name of a folder or file says that there are images"),
        (["images/a.png", "images/b.png", "masks/x.png", "masks/y.png"], "no labels have the names of images"),
    ],
)
def test_nothing_to_recognise(tmp_path, files, message):
    for file in files:
        save_png(tmp_path / file, np.zeros((4, 4), np.uint8))
    with pytest.raises(DataError, match=message):
        propose(tmp_path, ".")


def test_what_needs_no_description(tmp_path):
    with pytest.raises(DataError, match="is a dataset of the format adashare_nyuv2 and needs no description"):
        propose(make_adashare_nyuv2(tmp_path / "data").path, ".")
    with pytest.raises(DataError, match="nowhere: no such folder"):
        propose(tmp_path / "nowhere", ".")


def test_damaged_labels_end_nothing(tmp_path, scenes):
    for i, scene in enumerate(scenes):
        save_png(tmp_path / "images" / f"{i}.png", scene.image)
        save_png(tmp_path / "masks" / f"{i}.png", scene.segmentation)
    (tmp_path / "masks" / "2.png").write_bytes(b"x")
    assert "num_classes: 3" in propose(tmp_path, ".")
    for file in (tmp_path / "masks").iterdir():
        file.write_bytes(b"x")
    with pytest.raises(DataError, match="no labels are recognised: masks, none of 6 files looked at can be read"):
        propose(tmp_path, ".")
