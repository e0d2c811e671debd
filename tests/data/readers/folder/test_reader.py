from __future__ import annotations

import pytest
from helpers.dataset_files import change_description

from ednas.data.check import check_dataset
from ednas.data.formats import open_dataset
from ednas.exceptions import DataError


def test_pictures_that_do_not_fit_are_named(root):
    assert check_dataset(root).warnings == open_dataset(root).remarks() == ()
    images = sorted((root / "pictures" / "train" / "image").iterdir())
    images[0].rename(images[0].with_suffix(".PNG"))
    images[1].rename(images[1].with_suffix(".webp"))
    (images[2].parent / "notes.txt").touch()
    remark = (
        f"2 files in {root / 'pictures'} fit no pattern but for their ending and are left out, for example "
        "train/image/0.PNG; rename or convert them, or describe them as another part"
    )
    assert len(open_dataset(root)) == len(images) - 2
    assert open_dataset(root).remarks() == (remark,)
    assert open_dataset(root, "val").remarks() == ()
    assert f"train: {remark}" in check_dataset(root).warnings


def test_ids_may_contain_folders_and_repeat(root):
    pictures = root / "pictures"
    for i in range(3):
        target = pictures / "nested" / f"room{i}" / f"room{i}_rgb.png"
        target.parent.mkdir(parents=True)
        (pictures / "train" / "image" / f"{i}.png").rename(target)
        (pictures / "train" / "label" / f"{i}_ids.png").rename(target.with_name("ids.png"))
    (pictures / "nested" / ".hidden").mkdir()
    (pictures / "nested" / ".hidden" / ".hidden_rgb.png").touch()
    path = change_description(
        root, image="nested/{id}/{id}_rgb.png", splits={"train": "*"}, targets__segmentation__path="nested/{id}/ids.png"
    )
    change_description(root, targets__depth=None, targets__normals=None)
    dataset = open_dataset(path)
    assert dataset.source(1) == "nested/room1/room1_rgb.png"
    assert dataset[1].targets["segmentation"].shape == (12, 16)


def test_missing_images_are_named(root):
    change_description(root, splits={"train": "trian"})
    with pytest.raises(DataError, match="trian/image: no such folder"):
        open_dataset(root)
    change_description(root, splits={"train": "train"}, image="{split}/image/{id}.jpg")
    with pytest.raises(DataError, match=r"has no image that fits 'train/image/\{id\}.jpg'"):
        open_dataset(root)
