"""A dataset.yaml is read, or what is wrong in it is named."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import yaml
from helpers.dataset_files import FOLDER_YAML, change_description, sources
from helpers.profiles import examples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ednas.data.formats import open_dataset
from ednas.data.readers.folder import Folder, read_folder_config
from ednas.exceptions import ConfigError, DataError


def test_the_description_may_lie_elsewhere(root, tmp_path):
    description = yaml.safe_load((root / "dataset.yaml").read_text())
    for place, where in (("../data/pictures", tmp_path / "sub"), (str(root / "pictures"), tmp_path)):
        where.mkdir(exist_ok=True)
        (where / "mine.yaml").write_text(yaml.safe_dump({**description, "root": place}))
        assert sources(where / "mine.yaml", "val") == ["holdout/image/0.png", "holdout/image/1.png"]


def test_the_description_beside_the_images(root):
    (root / "dataset.yaml").rename(root / "pictures" / "dataset.yaml")
    change_description(root / "pictures", root=None, name=None)
    assert open_dataset(root / "pictures").info.name == "pictures"


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
    path = change_description(root, **changes)
    with pytest.raises(ConfigError, match=message) as caught:
        open_dataset(root)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_description_belongs_to_the_fingerprint(root):
    before = open_dataset(root).fingerprint()
    change_description(root, targets__depth__scale=0.002)
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


@settings(max_examples=examples(150), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(key=KEYS, value=VALUES, in_parts=st.booleans())
def test_any_description_opens_or_is_an_error_of_ours(root, key, value, in_parts):
    config = copy.deepcopy(FOLDER_YAML)
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


@settings(max_examples=examples(60), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=80), keep=st.floats(0, 1))
def test_any_text_as_description_is_an_error_of_ours(root, content, keep):
    whole = yaml.safe_dump(FOLDER_YAML).encode()
    for text in (content, whole[: int(keep * len(whole))], whole[: int(keep * len(whole))] + content):
        (root / "dataset.yaml").write_bytes(text)
        assert "\n" not in message_of(root / "dataset.yaml", "train")
