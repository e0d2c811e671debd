"""Which images belong to a split."""

from __future__ import annotations

import pytest
import yaml
from helpers.dataset_files import change_description, sources

from ednas.data.formats import dataset_splits, open_dataset
from ednas.exceptions import DataError


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
