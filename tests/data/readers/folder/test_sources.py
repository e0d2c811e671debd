"""Which images belong to a split, and which label to which image: by names, a CSV of pairs, in any form of Unicode."""

from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from helpers.dataset_files import change_description, save_npy, save_png, sources

from ednas.data.check import check_dataset
from ednas.data.formats import dataset_splits, open_dataset
from ednas.exceptions import ConfigError, DataError

LABELS = {"kind": "labels", "num_classes": 9}
DEPTH = {"kind": "distance"}


@pytest.fixture
def folder(tmp_path):
    """Images 0 to 3, whose labels, of another name, are full of their number, and depth of two of them."""
    for i in range(4):
        save_png(tmp_path / "images" / f"frame_{i}.png", np.full((3, 4, 3), i, np.uint8))
        save_png(tmp_path / "masks" / f"{'abcd'[i]}.png", np.full((3, 4), i, np.uint8))
    for i in range(2):
        save_npy(tmp_path / "depth" / f"{i}.npy", np.full((3, 4), i + 1.0, np.float32))
    return tmp_path


def describe(folder: Path, **config: Any) -> Path:
    path = folder / "dataset.yaml"
    config = {"splits": {"train": "*"}, "targets": {"segmentation": LABELS, "depth": DEPTH}, **config}
    path.write_text(yaml.safe_dump(config))
    return path


def write_pairs(folder: Path, *lines: str, header: str = "image,segmentation,depth", name: str = "pairs.csv") -> None:
    (folder / name).write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")


LINES = [f"images/frame_{i}.png,masks/{'abcd'[i]}.png,{f'depth/{i}.npy' if i < 2 else ''}" for i in range(4)]


def test_a_csv_pairs_images_with_labels(folder):
    write_pairs(folder, *LINES)
    dataset = open_dataset(describe(folder, pairs="pairs.csv"))
    assert [dataset.source(i) for i in range(4)] == [f"images/frame_{i}.png" for i in range(4)]
    for i in range(4):
        targets = dataset[i].targets
        assert (targets["segmentation"] == i).all()
        assert (targets["depth"] == (i + 1 if i < 2 else 0)).all()
    assert dataset.labelled(["depth"]).tolist() == [True, True, False, False]


def test_other_columns_and_a_spreadsheets_mark_are_no_matter(folder):
    write_pairs(folder, "me, masks/a.png ,images/frame_0.png", header="\ufeffwho,segmentation,image")
    assert (open_dataset(describe(folder, pairs="pairs.csv", targets={"segmentation": LABELS}))[0].image == 0).all()


def test_splits_of_pairs(folder):
    write_pairs(folder, *LINES[:3], name="train.csv")
    write_pairs(folder, LINES[3], name="held_out.csv")
    path = describe(folder, pairs="{split}.csv", splits={"train": "train", "val": "held_out"})
    assert (len(open_dataset(path)), open_dataset(path, "val").source(0)) == (3, "images/frame_3.png")
    path = describe(folder, pairs="train.csv", splits={"train": "*_[01].png", "val": "*_2.png"})
    assert (len(open_dataset(path)), len(open_dataset(path, "val"))) == (2, 1)
    path = describe(folder, pairs="train.csv", splits={}, val_fraction=0.3)
    assert (len(open_dataset(path)), len(open_dataset(path, "val"))) == (2, 1)
    (folder / "few.txt").write_text("images/frame_1.png\n")
    assert len(open_dataset(describe(folder, pairs="train.csv", splits={"train": "few.txt"}))) == 1
    (folder / "few.txt").write_text("images/frame_3.png\n")
    with pytest.raises(DataError, match=r"train\.csv: has no image 'images/frame_3\.png'"):
        open_dataset(describe(folder, pairs="train.csv", splits={"train": "few.txt"}))
    with pytest.raises(ConfigError, match=r"subfolder 'x', but pairs 'train\.csv' lacks \{split\}"):
        open_dataset(describe(folder, pairs="train.csv", splits={"train": "x"}))


def test_other_pairs_of_the_same_files_are_other_data(folder):
    write_pairs(folder, *LINES)
    path = describe(folder, pairs="pairs.csv")
    before = open_dataset(path).fingerprint()
    assert open_dataset(path).fingerprint() == before
    write_pairs(folder, LINES[0].replace("a.png", "b.png"), LINES[1].replace("b.png", "a.png"), *LINES[2:])
    assert open_dataset(path).fingerprint() != before


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([LINES[0], LINES[1], LINES[0]], r"pairs\.csv:4: 'images/frame_0\.png' is listed twice \(first in line 2\)"),
        ([",masks/a.png,"], r"pairs\.csv:2: names no image"),
        (["images/frame_0.png,,"], r"frame_0\.png: has no label of any target"),
        ([LINES[0] + ",more"], r"pairs\.csv:2: has more cells than the header"),
        (["../x.png,masks/a.png,"], r"pairs\.csv:2: the path \.\./x\.png leads out"),
        (["/data/x.png,masks/a.png,"], r"pairs\.csv:2: the path /data/x\.png is absolute; write it from"),
        (["images/frame_0.gif,masks/a.png,"], r"pairs\.csv:2: 'images/frame_0\.gif' must end in one of"),
        ([], r"pairs\.csv: lists no images"),
        (["images/frame_0.png,masks/x.png,"], r"masks/x\.png: no such file"),
    ],
)
def test_a_bad_line_is_named(folder, lines, message):
    write_pairs(folder, *lines)
    with pytest.raises(DataError, match=message):
        open_dataset(describe(folder, pairs="pairs.csv"))[0]


def test_a_file_that_is_no_csv_of_pairs_is_named(folder):
    path = describe(folder, pairs="pairs.csv")
    with pytest.raises(DataError, match=r"pairs\.csv: no such file"):
        open_dataset(path)
    write_pairs(folder, header="image;segmentation;depth")
    with pytest.raises(DataError, match=r"no column 'image'; its first line, with commas.*is image;segmentation;depth"):
        open_dataset(path)
    write_pairs(folder, header="image,segmentation,depth,depth")
    with pytest.raises(DataError, match="has 2 columns 'depth'"):
        open_dataset(path)
    (folder / "pairs.csv").write_bytes(b"\xff\xfe\x00image")
    with pytest.raises(DataError, match="cannot be read as a CSV"):
        open_dataset(path)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"pairs": "pairs.csv", "image": "{id}.png"}, "both image and pairs say where the images are"),
        ({"pairs": "pairs.txt"}, r"pairs 'pairs\.txt': must end in one of \.csv"),
        ({"pairs": "{id}.csv"}, r"unknown placeholder \{id\}; known: \{split\}"),
        ({"image": "images/{id}.png"}, "target 'depth': key 'path' is missing"),
        ({"pairs": "p.csv", "targets": {"d": {**DEPTH, "path": "{id}.npy"}}}, "target 'd': remove path: p.csv names"),
        ({"pairs": "p.csv", "targets": {"d": {**DEPTH, "partial": True}}}, "target 'd': remove partial"),
    ],
)
def test_a_description_that_contradicts_itself_is_refused(folder, config, message):
    with pytest.raises(ConfigError, match=message):
        open_dataset(describe(folder, **config))


def test_labels_in_the_folder_of_the_images_are_no_images(folder):
    for i in range(3):
        save_png(folder / "flat" / f"{i}.png", np.zeros((3, 4, 3), np.uint8))
        save_png(folder / "flat" / f"{i}_mask.png", np.full((3, 4), i, np.uint8))
    targets = {"segmentation": {**LABELS, "path": "flat/{id}_mask.png"}}
    dataset = open_dataset(describe(folder, image="flat/{id}.png", targets=targets))
    assert [dataset.source(i) for i in range(len(dataset))] == ["flat/0.png", "flat/1.png", "flat/2.png"]


def test_names_match_in_any_form_of_unicode(tmp_path):
    nfc, nfd = (unicodedata.normalize(form, "chambre_é") for form in ("NFC", "NFD"))
    save_png(tmp_path / nfd / "images" / f"{nfd}.png", np.zeros((3, 4, 3), np.uint8))
    save_png(tmp_path / nfd / "labels" / f"{nfc}.png", np.zeros((3, 4), np.uint8))
    save_npy(tmp_path / nfd / "depth" / f"{nfd}.npy", np.ones((3, 4)))
    targets = {
        "segmentation": {**LABELS, "path": f"{nfc}/labels/{{id}}.png"},
        "depth": {**DEPTH, "path": f"{nfc}/depth/{{id}}.npy", "partial": True},
    }
    (tmp_path / "ids.txt").write_text(f"{nfc}\n", encoding="utf-8")
    for selector in ("*", "*_é", "ids.txt"):
        path = describe(tmp_path, image=f"{nfc}/images/{{id}}.png", targets=targets, splits={"train": selector})
        dataset = open_dataset(path)
        assert dataset.source(0) == f"{nfc}/images/{nfc}.png"
        assert (dataset[0].targets["depth"] == 1).all()
        assert check_dataset(path).ok
    line = f"{nfc}/images/{nfc}.png,{nfc}/labels/{nfd}.png"
    write_pairs(tmp_path, line, header="image,segmentation")
    paired = open_dataset(describe(tmp_path, pairs="pairs.csv", targets={"segmentation": LABELS}))
    assert (paired[0].targets["segmentation"] == 0).all()


@pytest.mark.parametrize("part", ["images", "labels"])
def test_names_that_differ_only_in_their_form_of_unicode_are_reported(tmp_path, part):
    for name in ("e\u0301", "\u00e9") if part == "images" else ("\u00e9",):
        save_png(tmp_path / "images" / f"{name}.png", np.zeros((3, 4, 3), np.uint8))
    for name in ("e\u0301", "\u00e9"):
        save_png(tmp_path / "labels" / f"{name}.png", np.zeros((3, 4), np.uint8))
    path = describe(tmp_path, image="images/{id}.png", targets={"segmentation": {**LABELS, "path": "labels/{id}.png"}})
    with pytest.raises(DataError, match=rf"{part}.*e\\u0301\.png' and '.*\\xe9\.png' are the same name, in two forms"):
        open_dataset(path)


def test_without_a_val_split_one_learns_how_to_draw_it(root):
    path = change_description(root, splits={"train": "train"})
    with pytest.raises(DataError, match=r"has no split 'val' \(it has train\).*with val_fraction: 0.1"):
        open_dataset(path, "val")
    change_description(root, val_fraction=0.4)
    assert len(open_dataset(path, "val")) == 1


def test_a_list_file_names_the_ids_of_a_split(root):
    (root / "pictures" / "few.txt").write_text("\ufeff# two\ntrain/image/2\n\n train/image/0 \r\n", encoding="utf-8")
    parts = {"segmentation": None, "normals": None, "depth": None}
    path = change_description(root, image="{id}.png", splits={"train": "few.txt"}, targets=parts)
    config = yaml.safe_load(path.read_text())
    config["targets"] = {"ids": {"kind": "labels", "path": "{id}.png", "num_classes": 5}}
    path.write_text(yaml.safe_dump(config))
    assert sources(path, "train") == ["train/image/2.png", "train/image/0.png"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"# nothing\n", "lists no ids"),
        (b"0\n1\n0\n", r"few\.txt:3: '0' is listed twice \(first in line 1\)"),
        (b"../../etc/passwd\n", "out of the dataset"),
        (b"\xff\xfe\x00", "cannot be read as a list"),
        (None, "no such file"),
    ],
)
def test_a_bad_list_file_is_a_data_error(root, content, message):
    if content is not None:
        (root / "pictures" / "few.txt").write_bytes(content)
    change_description(root, splits={"train": "few.txt"})
    with pytest.raises(DataError, match=message):
        open_dataset(root)


def test_a_pattern_names_the_ids_of_a_split(root):
    path = change_description(root, image="train/image/{id}.png", splits={"train": "[0-1]", "val": "2*"})
    assert sources(path, "train") == ["train/image/0.png", "train/image/1.png"]
    assert sources(path, "val") == ["train/image/2.png"]


def test_a_val_split_can_be_drawn(root):
    pictures = root / "pictures"
    for i in range(3, 40):
        for folder, end in (("image", ".png"), ("label", "_ids.png"), ("depth", ".png"), ("normal", ".png")):
            (pictures / "train" / folder / f"{i}{end}").write_bytes(
                (pictures / "train" / folder / f"0{end}").read_bytes()
            )
    path = change_description(root, splits={"train": "train"}, val_fraction=0.25)
    assert dataset_splits(path) == ("train", "val")
    train, val = sources(path, "train"), sources(path, "val")
    assert (len(train), len(val)) == (30, 10)
    assert not set(train) & set(val)
    assert val == sources(path, "val")
    assert open_dataset(path, "val")[0].targets["depth"].shape == (12, 16)
    (pictures / "train" / "image" / "40.png").write_bytes((pictures / "train" / "image" / "0.png").read_bytes())
    assert len(set(val) & set(sources(path, "val"))) >= 9, "one more image moves at most one"
    change_description(root, split_seed=1)
    assert set(sources(path, "val")) != set(val)


def test_all_images_can_be_drawn_from(root):
    path = change_description(root, image="train/image/{id}.png", splits=None, val_fraction=0.3)
    assert dataset_splits(path) == ("train", "val")
    assert (len(sources(path, "train")), len(sources(path, "val"))) == (2, 1)
