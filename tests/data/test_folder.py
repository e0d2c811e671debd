from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ednas.data.check import check_dataset
from ednas.data.folder import Folder, read_folder_config
from ednas.data.folder.tree import Tree
from ednas.data.formats import dataset_splits, open_dataset
from ednas.exceptions import ConfigError, DataError


@pytest.fixture
def root(tmp_path, makers):
    return makers.folder(tmp_path / "data").path


def change(folder: Path, /, **changes: Any) -> Path:
    """Rewrite dataset.yaml; ``a__b=value`` sets a.b, None removes it."""
    path = folder / "dataset.yaml"
    config = yaml.safe_load(path.read_text())
    for key, value in changes.items():
        *parents, last = key.split("__")
        place = config
        for parent in parents:
            place = place[parent]
        if value is None:
            place.pop(last, None)
        else:
            place[last] = value
    path.write_text(yaml.safe_dump(config))
    return path


def names(path: Path, split: str) -> list[str]:
    dataset = open_dataset(path, split)
    return [dataset.source(i) for i in range(len(dataset))]


def test_the_description_may_lie_elsewhere(root, tmp_path):
    description = yaml.safe_load((root / "dataset.yaml").read_text())
    for place, where in (("../data/pictures", tmp_path / "sub"), (str(root / "pictures"), tmp_path)):
        where.mkdir(exist_ok=True)
        (where / "mine.yaml").write_text(yaml.safe_dump({**description, "root": place}))
        assert names(where / "mine.yaml", "val") == ["holdout/image/0.png", "holdout/image/1.png"]


def test_the_description_beside_the_images(root):
    (root / "dataset.yaml").rename(root / "pictures" / "dataset.yaml")
    change(root / "pictures", root=None, name=None)
    assert open_dataset(root / "pictures").info.name == "pictures"


def test_without_a_val_split_one_learns_how_to_draw_it(root):
    path = change(root, splits={"train": "train"})
    with pytest.raises(DataError, match=r"has no split 'val' \(it has train\).*with val_fraction: 0.1"):
        open_dataset(path, "val")
    change(root, val_fraction=0.4)
    assert len(open_dataset(path, "val")) == 1


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


def test_linked_folders_are_read_and_circles_end(root):
    images = root / "pictures" / "train" / "image"
    count = len(open_dataset(root))
    elsewhere = images.rename(root / "elsewhere")
    images.mkdir()
    (images / "sub").symlink_to(elsewhere)
    (elsewhere / "back").symlink_to(images)
    for name in ("label", "depth", "normal"):
        folder = next(path for path in (root / "pictures" / "train").iterdir() if path.name.startswith(name))
        inner = folder.rename(root / name)
        folder.mkdir()
        (folder / "sub").symlink_to(inner)
    dataset = open_dataset(root)
    assert len(dataset) == count
    assert dataset.source(0) == "train/image/sub/0.png"
    assert dataset[0].image.shape[2] == 3


def test_two_links_to_one_folder_are_both_read(root):
    images = root / "pictures" / "train" / "image"
    count = len(open_dataset(root))
    elsewhere = images.rename(root / "elsewhere")
    images.mkdir()
    for name in ("a", "b"):
        (images / name).symlink_to(elsewhere)
    tree = Tree(root / "pictures")
    assert len(list(tree.files("train/image"))) == 2 * count


def test_a_list_file_names_the_ids_of_a_split(root):
    (root / "pictures" / "few.txt").write_text("\ufeff# two\ntrain/image/2\n\n train/image/0 \r\n", encoding="utf-8")
    parts = {"segmentation": None, "normals": None, "depth": None}
    path = change(root, image="{id}.png", splits={"train": "few.txt"}, targets=parts)
    config = yaml.safe_load(path.read_text())
    config["targets"] = {"ids": {"kind": "labels", "path": "{id}.png", "num_classes": 5}}
    path.write_text(yaml.safe_dump(config))
    assert names(path, "train") == ["train/image/2.png", "train/image/0.png"]


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
    change(root, splits={"train": "few.txt"})
    with pytest.raises(DataError, match=message):
        open_dataset(root)


def test_a_pattern_names_the_ids_of_a_split(root):
    path = change(root, image="train/image/{id}.png", splits={"train": "[0-1]", "val": "2*"})
    assert names(path, "train") == ["train/image/0.png", "train/image/1.png"]
    assert names(path, "val") == ["train/image/2.png"]


def test_ids_may_contain_folders_and_repeat(root):
    pictures = root / "pictures"
    for i in range(3):
        target = pictures / "nested" / f"room{i}" / f"room{i}_rgb.png"
        target.parent.mkdir(parents=True)
        (pictures / "train" / "image" / f"{i}.png").rename(target)
        (pictures / "train" / "label" / f"{i}_ids.png").rename(target.with_name("ids.png"))
    (pictures / "nested" / ".hidden").mkdir()
    (pictures / "nested" / ".hidden" / ".hidden_rgb.png").touch()
    path = change(
        root, image="nested/{id}/{id}_rgb.png", splits={"train": "*"}, targets__segmentation__path="nested/{id}/ids.png"
    )
    change(root, targets__depth=None, targets__normals=None)
    dataset = open_dataset(path)
    assert dataset.source(1) == "nested/room1/room1_rgb.png"
    assert dataset[1].targets["segmentation"].shape == (12, 16)


def test_a_val_split_can_be_drawn(root, makers):
    pictures = root / "pictures"
    for i in range(3, 40):
        for folder, end in (("image", ".png"), ("label", "_ids.png"), ("depth", ".png"), ("normal", ".png")):
            (pictures / "train" / folder / f"{i}{end}").write_bytes(
                (pictures / "train" / folder / f"0{end}").read_bytes()
            )
    path = change(root, splits={"train": "train"}, val_fraction=0.25)
    assert dataset_splits(path) == ("train", "val")
    train, val = names(path, "train"), names(path, "val")
    assert (len(train), len(val)) == (30, 10)
    assert not set(train) & set(val)
    assert val == names(path, "val")
    assert open_dataset(path, "val")[0].targets["depth"].shape == (12, 16)
    (pictures / "train" / "image" / "40.png").write_bytes((pictures / "train" / "image" / "0.png").read_bytes())
    assert len(set(val) & set(names(path, "val"))) >= 9, "one more image moves at most one"
    change(root, split_seed=1)
    assert set(names(path, "val")) != set(val)


def test_all_images_can_be_drawn_from(root):
    path = change(root, image="train/image/{id}.png", splits=None, val_fraction=0.3)
    assert dataset_splits(path) == ("train", "val")
    assert (len(names(path, "train")), len(names(path, "val"))) == (2, 1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"splits": None}, "give splits"),
        ({"val_fraction": 0.1}, "has val already"),
        ({"splits": {"test": "a"}, "val_fraction": 0.1}, "needs a train split"),
        ({"val_fraction": 1.5, "splits": {"train": "train"}}, "'val_fraction'.*less than 1"),
        ({"imge": "x"}, "unknown key 'imge'; did you mean 'image'"),
        ({"image": None}, "key 'image' is missing"),
        ({"image": "train/0.png"}, r"lacks \{id\}"),
        ({"image": "train/{id}.png"}, r"subfolder 'train', but image 'train/\{id\}.png' lacks \{split\}"),
        ({"image": "{splt}/{id}.png"}, r"unknown placeholder \{splt\}"),
        ({"image": "{split}/{id}.gif"}, "must end in one of .png"),
        ({"image": "../{split}/{id}.png"}, "out of the dataset"),
        ({"image": "/data/{split}/{id}.png"}, "is absolute"),
        ({"root": "~/pictures"}, "~ is not expanded"),
        ({"splits": {"train": "../x"}}, "out of the dataset"),
        ({"splits": {"a/b": "x"}}, "is no name of a split"),
        ({"targets": {}}, "'targets'"),
        ({"targets": 3}, "'targets'"),
        ({"targets": {"my task": {"kind": "labels"}}}, "'my task' is no name of a target"),
        ({"targets": {"image": {"kind": "labels"}}}, "'image' is no name of a target"),
        ({"targets__depth__kind": "depth"}, "target 'depth': kind is 'depth', must be one of labels, distance"),
        ({"targets__depth__kind": None}, "target 'depth': kind is None"),
        ({"targets__depth__scal": 3}, "target 'depth': unknown key 'scal'; did you mean 'scale'"),
        ({"targets__depth__scale": 0}, "target 'depth': 'scale'"),
        ({"targets__depth__scale": float("inf")}, "target 'depth': 'scale'"),
        ({"targets__segmentation__num_classes": 256}, "target 'segmentation': 'num_classes'"),
        ({"targets__segmentation__class_names": ["a"]}, "1 class_names for 5 classes"),
        ({"targets__segmentation__class_names": ["a", "b", "a", "c", "d"]}, "'a' is there 2 times"),
        ({"targets__segmentation__id_map": {7: 5}}, r"maps to class 5, allowed are 0\.\.4"),
        ({"targets__segmentation__id_map": {99999: 1}}, "id 99999 is out of range"),
        ({"targets__segmentation__void": [10**9]}, "id 1000000000 is out of range"),
        ({"targets__segmentation__void": "others"}, "'void': must be a stored id, a list of them, or 'rest'"),
        ({"targets__depth__invalid": "none"}, "target 'depth': 'invalid.0': Input should be a valid number"),
        ({"targets__segmentation__path": "{split}/{id}.jpg"}, "JPEG blurs classes"),
        ({"targets__segmentation__path": "{id}"}, "must end in one of"),
        ({"targets__normals__axes": ["x", "y", "z"]}, "must name each of the file's channels r, g, b once"),
        ({"targets__normals__axes": ["r", "g"]}, r"target 'normals': key 'axes\.2' is missing"),
        ({"targets__normals__invalid": [[1, 2, 300]]}, "three numbers from 0 to 255"),
    ],
)
def test_what_is_wrong_in_the_description_is_named(root, changes, message):
    path = change(root, **changes)
    with pytest.raises(ConfigError, match=message) as caught:
        open_dataset(root)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_images_are_named(root):
    change(root, splits={"train": "trian"})
    with pytest.raises(DataError, match="trian/image: no such folder"):
        open_dataset(root)
    change(root, splits={"train": "train"}, image="{split}/image/{id}.jpg")
    with pytest.raises(DataError, match=r"has no image that fits 'train/image/\{id\}.jpg'"):
        open_dataset(root)


def test_everything_but_the_mapped_ids_can_be_void(root, makers):
    path = root / "pictures" / "train" / "label" / "0_ids.png"
    makers.save_png(path, np.array([[10, 20, 99]] * 12, np.uint8).repeat(6, axis=1)[:, :16])
    with pytest.raises(DataError, match=r"class id 99 .*allowed are 10, 20, 30, 40, 50 and 0, 255 for void"):
        open_dataset(root)[0]
    change(root, targets__segmentation__void="rest")
    assert set(np.unique(open_dataset(root)[0].targets["segmentation"])) == {0, 1, 255}


def test_targets_of_the_users_own(root, makers):
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
    change(root, targets=parts)
    with pytest.raises(DataError, match="depth cannot be negative"):
        open_dataset(root)[0]
    np.save(pictures / "inv" / "0.npy", np.abs(inverse))
    dataset = open_dataset(root)
    assert dataset.info.targets["inverse_depth"].unit == "1/m"
    sample = dataset[0]
    assert sample.targets["inverse_depth"][0, 0] == 0
    np.testing.assert_allclose(sample.targets["inverse_depth"].ravel()[1:], 2 * np.abs(inverse).ravel()[1:], rtol=1e-6)
    assert sample.targets["material"].max() in (50, 255)


def test_the_description_belongs_to_the_fingerprint(root):
    before = open_dataset(root).fingerprint()
    change(root, targets__depth__scale=0.002)
    assert open_dataset(root).fingerprint() != before


def test_read_folder_config_gives_the_targets_by_name(root):
    description = read_folder_config(root / "dataset.yaml")
    assert description.split_names() == ("train", "val")
    assert {name: target.kind for name, target in description.targets.items()} == {
        "segmentation": "labels",
        "depth": "distance",
        "normals": "normals",
    }


def message_of(path: Path, split: str) -> str:
    """Read a sample; the message of an error of ours, if there is one."""
    try:
        dataset = Folder(path, split)
        dataset.fingerprint()
        dataset[0]
    except (ConfigError, DataError) as error:
        return str(error)
    return ""


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-300, 70000)
    | st.floats()
    | st.sampled_from(["labels", "{id}.png", "*", "rest", "", "\0", "x.txt"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4) | st.integers(0, 9), inner, max_size=3)
    ),
    max_leaves=6,
)
KEYS = st.sampled_from(
    ["name", "root", "image", "pairs", "splits", "val_fraction", "split_seed", "targets", "parts"]
    + [f"targets__{name}" for name in ("segmentation", "depth", "normals", "other")]
    + [f"targets__segmentation__{key}" for key in ("kind", "path", "num_classes", "void", "id_map", "class_names")]
    + [f"targets__segmentation__{key}" for key in ("colors", "ignore", "divisor")]
    + [f"targets__depth__{key}" for key in ("kind", "path", "scale", "invalid", "maximum", "unit")]
    + [f"targets__normals__{key}" for key in ("axes", "invalid", "partial")]
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(key=KEYS, value=VALUES, in_parts=st.booleans())
def test_any_description_opens_or_is_an_error_of_ours(root, makers, key, value, in_parts):
    config = copy.deepcopy(makers.folder_yaml)
    *parents, last = key.split("__")
    place = config
    for parent in parents:
        place = place[parent]
    place[last] = value
    if in_parts:
        config = {"name": config.pop("name"), "parts": [config]}
    path = root / "dataset.yaml"
    path.write_text(yaml.safe_dump(config))
    for split in ("train", "val"):
        assert "\n" not in message_of(path, split)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=80), keep=st.floats(0, 1))
def test_any_text_as_description_is_an_error_of_ours(root, makers, content, keep):
    whole = yaml.safe_dump(makers.folder_yaml).encode()
    for text in (content, whole[: int(keep * len(whole))], whole[: int(keep * len(whole))] + content):
        (root / "dataset.yaml").write_bytes(text)
        assert "\n" not in message_of(root / "dataset.yaml", "train")
