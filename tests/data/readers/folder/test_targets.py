"""Labels that are painted in colours, and labels of instances, as a ``dataset.yaml`` describes them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from helpers.dataset_files import change_description, save_png
from PIL import Image

from ednas.data.check import check_dataset
from ednas.data.formats import open_dataset
from ednas.data.readers.folder import read_folder_config
from ednas.exceptions import ConfigError, DataError

COLORS: dict[Any, Any] = {"road": [128, 64, 128], "house": [[70, 70, 70], [71, 70, 70]]}
PAINTED = np.array([[[128, 64, 128], [70, 70, 70], [71, 70, 70], [0, 0, 0]]] * 3, np.uint8)


@pytest.fixture
def folder(tmp_path):
    save_png(tmp_path / "images" / "a.png", np.zeros((3, 4, 3), np.uint8))
    (tmp_path / "masks").mkdir()
    return tmp_path


def describe(folder: Path, suffix: str = "png", **target: Any) -> Path:
    target = {"kind": "labels", "path": f"masks/{{id}}.{suffix}", **target}
    config = {"image": "images/{id}.png", "splits": {"train": "*"}, "targets": {"segmentation": target}}
    path = folder / "dataset.yaml"
    path.write_text(yaml.safe_dump(config, sort_keys=False))
    return path


def labels(path: Path) -> list[int]:
    values = open_dataset(path)[0].targets["segmentation"]
    assert (values == values[0]).all()
    return values[0].tolist()


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "npy"])
def test_exact_colours_are_classes_in_any_kind_of_picture(folder, mode):
    picture = Image.fromarray(PAINTED)
    if mode == "npy":
        np.save(folder / "masks" / "a.npy", PAINTED)
    elif mode == "RGBA":
        picture.putalpha(7)
        picture.save(folder / "masks" / "a.png")
    else:
        (picture.quantize(4) if mode == "P" else picture).save(folder / "masks" / "a.png", transparency=None)
    path = describe(folder, "npy" if mode == "npy" else "png", colors=COLORS, ignore=[0, 0, 0])
    assert labels(path) == [0, 1, 1, 255]
    info = open_dataset(path).info.targets["segmentation"]
    assert (info.num_classes, info.class_names) == (2, ("road", "house"))


def test_a_palette_with_transparency_is_read_without_a_warning(folder, recwarn):
    picture = Image.fromarray(PAINTED).quantize(4)
    picture.save(folder / "masks" / "a.png", transparency=bytes([0, 9, 255, 255]))
    assert labels(describe(folder, colors=COLORS, ignore="rest")) == [0, 1, 1, 255]
    assert not recwarn.list


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ({"class_names": ["sky", "house", "road"]}, [2, 1, 1, 255]),
        ({"colors": {1: [128, 64, 128], 0: [[70, 70, 70], [71, 70, 70]]}, "num_classes": 3}, [1, 0, 0, 255]),
        ({"colors": {"road": [128, 64, 128]}, "ignore": "rest"}, [0, 255, 255, 255]),
        ({"colors": {**COLORS, "void": [0, 0, 0]}, "ignore": []}, [0, 1, 1, 2]),
    ],
)
def test_names_or_numbers_say_which_class_a_colour_is(folder, target, expected):
    save_png(folder / "masks" / "a.png", PAINTED)
    assert labels(describe(folder, **{"colors": COLORS, "ignore": [[0, 0, 0]], **target})) == expected


def test_an_unlisted_colour_is_named_with_its_place_and_number(folder):
    save_png(folder / "masks" / "a.png", PAINTED)
    path = describe(folder, colors=COLORS)
    message = (
        r"masks/a\.png: holds the colour \[0, 0, 0\] in 3 pixels, first in row 0, column 3; list it under colors or"
    )
    with pytest.raises(DataError, match=message):
        open_dataset(path)[0]
    assert not check_dataset(path).ok
    noise = np.random.default_rng(0).integers(1, 255, (3, 40, 3)).astype(np.uint8)
    save_png(folder / "masks" / "a.png", noise)
    with pytest.raises(DataError, match=r"and 119 more colours that are not listed; was it resized or stored as JPEG"):
        open_dataset(path)[0]


@pytest.mark.parametrize("target", [{"colors": COLORS}, {"num_classes": 3}])
def test_jpeg_is_refused_whatever_the_name_says(folder, target):
    Image.fromarray(PAINTED).convert("L").save(folder / "masks" / "a.jpg")
    with pytest.raises(ConfigError, match="JPEG blurs classes"):
        open_dataset(describe(folder, "jpg", **target))
    (folder / "masks" / "a.jpg").rename(folder / "masks" / "a.png")
    with pytest.raises(DataError, match=r"masks/a\.png: is JPEG, which blurs classes"):
        open_dataset(describe(folder, **target))[0]


def test_colours_without_colors_are_hinted_at(folder):
    save_png(folder / "masks" / "a.png", PAINTED)
    with pytest.raises(DataError, match="mode RGB; a label map needs one channel, or 'colors'"):
        open_dataset(describe(folder, num_classes=3))[0]


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ({"colors": {"road": [1, 2, 300]}}, r"'colors\.road\.0': a colour has three numbers"),
        ({"colors": {"road": "#ff0000"}}, r"'colors\.road': must be a list"),
        ({"colors": {"road": []}}, "colors: lists no colour"),
        ({"colors": [[1, 2, 3]], "num_classes": 1}, "'colors': must be a mapping"),
        ({"colors": {True: [1, 2, 3]}, "num_classes": 1}, "'colors': True is no name or number of a class"),
        ({"colors": {"a": [1, 1, 1], "b": [1, 1, 1]}}, r"colors: \[1, 1, 1\] of 'b' is there already"),
        ({"colors": {"a": [1, 1, 1]}, "ignore": [1, 1, 1]}, r"colors: \[1, 1, 1\] of 'a' is there already"),
        ({"colors": {"a": [1, 1, 1]}, "class_names": ["b"]}, "colors: 'a' is none of the class_names"),
        ({"colors": {3: [1, 1, 1]}, "num_classes": 3}, r"colors: class 3 is not in 0\.\.2"),
        ({"colors": {0: [1, 1, 1]}}, "key 'num_classes' is missing"),
        ({"colors": COLORS, "ignore": "others"}, "'ignore': must be a colour, a list of them, or 'rest'"),
        ({"colors": COLORS, "ignore": [[1, 2]]}, "'ignore': a colour has three numbers"),
        ({"colors": COLORS, "void": 0}, "void is about ids, but the classes are colors"),
        ({"colors": COLORS, "divisor": 1000}, "divisor is about ids"),
        ({"num_classes": 3, "ignore": [0, 0, 0]}, "ignore lists colours, but there are no colors"),
        ({"num_classes": 3, "divisor": 1}, "'divisor'"),
    ],
)
def test_what_is_wrong_with_colours_is_named(folder, target, message):
    path = describe(folder, **target)
    with pytest.raises(ConfigError, match=message) as caught:
        open_dataset(path)
    assert f"{path}: target 'segmentation'" in str(caught.value)


@pytest.mark.parametrize("painted", [False, True])
def test_ids_of_instances_are_divided(folder, painted):
    ids = np.array([[0, 1, 2999, 3000, 254001, 255003]] * 2)
    save_png(folder / "images" / "a.png", np.zeros((2, 6, 3), np.uint8))
    if painted:  # as COCO does: R + 256 G + 65536 B
        save_png(folder / "masks" / "a.png", np.stack([ids % 256, ids // 256 % 256, ids // 65536], -1).astype(np.uint8))
    else:
        np.save(folder / "masks" / "a.npy", ids)
    path = describe(folder, "png" if painted else "npy", num_classes=4, divisor=1000, void=[254, 255])
    assert labels(path) == [0, 0, 2, 3, 255, 255]
    path = describe(folder, "png" if painted else "npy", divisor=1000, num_classes=2, id_map={2: 1, 3: 0}, void="rest")
    assert labels(path) == [255, 255, 1, 0, 255, 255]


def test_small_ids_of_instances_are_divided(folder):
    save_png(folder / "masks" / "a.png", np.array([[0, 7, 20, 31]] * 3, np.uint8))
    assert labels(describe(folder, num_classes=4, divisor=10)) == [0, 0, 2, 3]
    assert labels(describe(folder, num_classes=1, divisor=1000)) == [0, 0, 0, 0]


@pytest.mark.parametrize("key", ["colors:", "pairs:"])
def test_the_documented_examples_are_right(tmp_path, key):
    text = (Path(__file__).parents[4] / "docs" / "bring-your-own-data.md").read_text(encoding="utf-8")
    (example,) = (block for block in re.findall(r"```yaml\n(.*?)```", text, flags=re.DOTALL) if key in block)
    config = yaml.safe_load(example)
    if "pairs" not in config:
        config |= {"image": "images/{id}.png", "val_fraction": 0.1}
    path = tmp_path / "my.yaml"
    path.write_text(yaml.safe_dump(config, sort_keys=False))
    assert read_folder_config(path).targets["segmentation"].kind == "labels"


def test_everything_but_the_mapped_ids_can_be_void(root):
    path = root / "pictures" / "train" / "label" / "0_ids.png"
    save_png(path, np.array([[10, 20, 99]] * 12, np.uint8).repeat(6, axis=1)[:, :16])
    with pytest.raises(DataError, match=r"class id 99 .*allowed are 10, 20, 30, 40, 50 and 0, 255 for void"):
        open_dataset(root)[0]
    change_description(root, targets__segmentation__void="rest")
    assert set(np.unique(open_dataset(root)[0].targets["segmentation"])) == {0, 1, 255}


def test_targets_of_the_users_own(root):
    pictures = root / "pictures" / "train"
    inverse = np.linspace(-1, 3, 12 * 16).reshape(12, 16)
    inverse[0, 0] = np.nan
    (pictures / "inv").mkdir()
    for i in range(3):
        np.save(pictures / "inv" / f"{i}.npy", inverse)
    parts = {
        "inverse_depth": {
            "kind": "disparity",
            "path": "{split}/inv/{id}.npy",
            "scale": 2,
            "invalid": [-1, 0],
            "unit": "1/m",
        },
        "material": {"kind": "labels", "path": "{split}/label/{id}_ids.png", "num_classes": 60},
    }
    change_description(root, targets=parts)
    with pytest.raises(DataError, match="depth cannot be negative"):
        open_dataset(root)[0]
    np.save(pictures / "inv" / "0.npy", np.abs(inverse))
    dataset = open_dataset(root)
    assert dataset.info.targets["inverse_depth"].unit == "1/m"
    sample = dataset[0]
    assert sample.targets["inverse_depth"][0, 0] == 0
    np.testing.assert_allclose(sample.targets["inverse_depth"].ravel()[1:], 2 * np.abs(inverse).ravel()[1:], rtol=1e-6)
    assert sample.targets["material"].max() in (50, 255)
