"""Samples that have only some of the targets: files that are missing, and parts with targets of their own."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from helpers.dataset_files import make_scene, save_npy, save_png
from helpers.memory_dataset import MemoryDataset

from ednas.data.cache import open_cache
from ednas.data.check import check_dataset
from ednas.data.formats import dataset_splits, open_dataset
from ednas.data.reader import check_labels, labelled_samples
from ednas.data.readers.folder import read_folder_config
from ednas.exceptions import ConfigError, DataError

LABELLED, SCANNED = "labelled", "scanned"
SMALL = (9, 14)
PARTS: dict[str, Any] = {
    "name": "two places",
    "parts": [
        {
            "root": LABELLED,
            "image": "{split}/{id}_rgb.png",
            "splits": {"train": "train", "val": "holdout"},
            "targets": {
                "segmentation": {
                    "kind": "labels",
                    "path": "{split}/{id}_ids.png",
                    "num_classes": 5,
                    "class_names": ["floor", "wall", "bed", "chair", "thing"],
                },
                "depth": {"kind": "distance", "path": "{split}/{id}_mm.png", "scale": 0.001},
            },
        },
        {
            "root": SCANNED,
            "image": "rooms/{id}.png",
            "splits": {"train": "train.txt"},
            "targets": {
                "normals": {"kind": "normals", "path": "normals/{id}.npy"},
                "depth": {"kind": "distance", "path": "depth/{id}.npy", "scale": 0.01, "unit": "m"},
            },
        },
    ],
}


def describe(root: Path, description: dict[str, Any]) -> Path:
    path = root / "dataset.yaml"
    path.write_text(yaml.safe_dump(description, sort_keys=False))
    return path


@pytest.fixture
def scenes():
    """Of the labelled part, its train and its holdout; of the scanned part, which has smaller images."""
    found = {name: [make_scene(10 * n + i, 5) for i in range(2)] for n, name in enumerate(("train", "holdout"))}
    found[SCANNED] = [make_scene(50 + i, 5) for i in range(2)]
    for scene in found[SCANNED]:
        for name, values in vars(scene).items():
            setattr(scene, name, values[: SMALL[0], : SMALL[1]])
    return found


@pytest.fixture
def places(tmp_path, scenes):
    """Two folders on disk and their dataset.yaml; the ids are 0 and 1 in each of them."""
    for split in ("train", "holdout"):
        for i, scene in enumerate(scenes[split]):
            stem = tmp_path / LABELLED / split / str(i)
            save_png(Path(f"{stem}_rgb.png"), scene.image)
            save_png(Path(f"{stem}_ids.png"), scene.segmentation)
            save_png(Path(f"{stem}_mm.png"), np.rint(scene.depth * 1000).astype(np.uint16))
    for i, scene in enumerate(scenes[SCANNED]):
        save_png(tmp_path / SCANNED / "rooms" / f"{i}.png", scene.image)
        save_npy(tmp_path / SCANNED / "depth" / f"{i}.npy", scene.depth * 100)
        save_npy(tmp_path / SCANNED / "normals" / f"{i}.npy", scene.normals)
    (tmp_path / SCANNED / "train.txt").write_text("0\n1\n")
    describe(tmp_path, PARTS)
    return tmp_path


def changed(root: Path, change) -> Path:
    description = copy.deepcopy(PARTS)
    change(description)
    return describe(root, description)


def partial(description: dict[str, Any]) -> None:
    description["parts"][0]["targets"]["depth"]["partial"] = True


def test_parts_have_their_own_targets_patterns_and_scales(places, scenes):
    dataset = open_dataset(places)
    assert list(dataset.info.targets) == ["segmentation", "depth", "normals"]
    assert [dataset.source(i) for i in range(len(dataset))] == [
        "labelled/train/0_rgb.png",
        "labelled/train/1_rgb.png",
        "scanned/rooms/0.png",
        "scanned/rooms/1.png",
    ]
    for sample, scene in zip((dataset[i] for i in range(4)), scenes["train"] + scenes[SCANNED], strict=True):
        np.testing.assert_array_equal(sample.image, scene.image)
        np.testing.assert_allclose(sample.targets["depth"], scene.depth, atol=6e-4)
    for sample, scene in zip((dataset[i] for i in (0, 1)), scenes["train"], strict=True):
        np.testing.assert_array_equal(sample.targets["segmentation"], scene.segmentation)
        assert sample.targets["normals"].shape == (*scene.image.shape[:2], 3)
        assert not sample.targets["normals"].any()
    for sample, scene in zip((dataset[i] for i in (2, 3)), scenes[SCANNED], strict=True):
        np.testing.assert_allclose(sample.targets["normals"], scene.normals, atol=1e-6)
        assert sample.targets["segmentation"].shape == SMALL
        assert (sample.targets["segmentation"] == 255).all()


def test_labels_under_another_suffix_are_named(places):
    """The sample lacks its label, which may be what is meant, or a name that is written otherwise."""
    changed(places, partial)
    label = places / LABELLED / "train" / "0_mm.png"
    assert open_dataset(places).remarks() == ()
    label.rename(label.with_suffix(".tiff"))
    (remark,) = open_dataset(places).remarks()
    assert "1 files in " in remark
    assert label.with_suffix(".tiff").name in remark


def test_a_split_has_the_samples_of_the_parts_that_name_it(places, scenes):
    assert dataset_splits(places) == ("train", "val")
    val = open_dataset(places, "val")
    assert len(val) == 2
    np.testing.assert_array_equal(val[1].targets["segmentation"], scenes["holdout"][1].segmentation)
    assert labelled_samples(val, ["normals"]).tolist() == [False, False]


def test_what_has_labels_is_known_without_reading(places):
    dataset = open_dataset(places)
    assert labelled_samples(dataset, ["segmentation"]).tolist() == [True, True, False, False]
    assert labelled_samples(dataset, ["normals", "segmentation"]).all()
    assert not labelled_samples(dataset, []).any()
    check_labels(dataset, ["segmentation", "depth", "normals"])
    with pytest.raises(DataError, match="two places: no sample of split 'val' has a label of normals; look at"):
        check_labels(open_dataset(places, "val"), ["depth", "normals"])
    assert labelled_samples(MemoryDataset(3), ["depth"]).tolist() == [True] * 3


def test_a_missing_file_is_no_label_only_where_the_target_is_partial(places, scenes):
    (places / LABELLED / "train" / "0_mm.png").unlink()
    with pytest.raises(DataError, match="0_mm.png: no such file"):
        open_dataset(places)[0]
    path = changed(places, partial)
    dataset = open_dataset(path)
    assert dataset.problems(0) == ()
    assert not dataset[0].targets["depth"].any()
    np.testing.assert_array_equal(dataset[0].targets["segmentation"], scenes["train"][0].segmentation)
    assert dataset[1].targets["depth"].any()
    assert labelled_samples(dataset, ["depth"]).tolist() == [False, True, True, True]


def test_partial_excuses_no_other_fault(places):
    path = changed(places, partial)
    file = places / LABELLED / "train" / "0_mm.png"
    file.write_bytes(b"")
    with pytest.raises(DataError, match="0_mm.png"):
        open_dataset(path)[0]
    file.unlink()
    file.symlink_to(places / "nowhere.png")  # an archive that is not there at the moment
    with pytest.raises(DataError, match="0_mm.png: no such file"):
        open_dataset(path)[0]


def test_the_cache_is_that_of_the_files_that_are_there(places, tmp_path):
    whole = open_dataset(places).fingerprint()
    path = changed(places, partial)
    assert open_dataset(path).fingerprint() == whole, "nothing is missing, so nothing changes"
    (places / LABELLED / "train" / "0_mm.png").unlink()
    dataset = open_dataset(path)
    assert dataset.fingerprint() != whole
    cached = open_cache(dataset, (6, 8), tmp_path / "cache")
    assert cached.targets["depth"].any((1, 2)).tolist() == [False, True, True, True]
    assert (cached.targets["segmentation"] != 255).any((1, 2)).tolist() == [True, True, False, False]
    assert cached.targets["normals"].any((1, 2, 3)).tolist() == [False, False, True, True]


def test_an_image_without_any_label_is_an_error(places):
    for end in ("ids", "mm"):
        (places / LABELLED / "train" / f"1_{end}.png").unlink()

    def all_partial(description):
        for target in description["parts"][0]["targets"].values():
            target["partial"] = True

    path = changed(places, all_partial)
    with pytest.raises(DataError, match="labelled/train/1_rgb.png: has no label of any target, one of 1 such images"):
        open_dataset(path)
    assert len(open_dataset(path, "val")) == 2


def test_an_image_in_two_parts_is_an_error(places):
    def twice(description):
        targets = {"normals": {"kind": "normals", "path": "scanned/normals/{id}.npy"}}
        description["parts"].append({"image": "scanned/rooms/{id}.png", "splits": {"train": "1*"}, "targets": targets})

    with pytest.raises(DataError, match="scanned/rooms/1.png: is in 2 parts; describe it in one"):
        open_dataset(changed(places, twice))


def test_one_image_in_different_splits_of_two_parts_is_noticed(places):
    def both(description):
        description["parts"].append(copy.deepcopy(description["parts"][1]))
        description["parts"][2]["splits"] = {"val": "train.txt"}

    assert "'train' and 'val' share samples: 2" in check_dataset(changed(places, both)).warnings


def test_the_check_counts_labels(places):
    (places / LABELLED / "train" / "0_mm.png").unlink()
    report = check_dataset(changed(places, partial))
    assert report.ok
    train, val = report.splits
    assert {name: target.labelled for name, target in train.targets.items()} == {
        "segmentation": 2,
        "depth": 3,
        "normals": 2,
    }
    assert "depth: distance, 3 of 4 samples labelled" in report.to_text()
    assert val.targets["normals"].labelled == 0
    assert "val: normals has no valid pixel" in report.warnings


def set_in(*keys: Any, to: Any):
    def change(description: dict[str, Any]) -> None:
        place: Any = description
        for key in keys[:-1]:
            place = place[key]
        place[keys[-1]] = to

    return change


DEPTH, IDS = ("parts", 1, "targets", "depth"), ("parts", 1, "targets", "segmentation")
OTHER_NAMES = {**PARTS["parts"][0]["targets"]["segmentation"], "class_names": ["floor", "roof", "bed", "chair", "x"]}
FEWER = {"kind": "labels", "path": "{id}.png", "num_classes": 4}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (set_in("image", to="{id}.png"), "'image' stands beside parts; each part needs its own"),
        (set_in("targets", to={}), "'targets' stands beside parts"),
        (set_in("nam", to="x"), "unknown key 'nam'; did you mean 'name'"),
        (set_in("parts", to=[]), "'parts': .*at least 1"),
        (set_in("parts", to={"a": 1}), "'parts': must be a list"),
        (set_in("parts", 1, to=3), r"'parts\.1': must be a mapping"),
        (set_in("parts", 1, "splts", to={}), "part 2: unknown key 'splts'; did you mean 'splits'"),
        (set_in("parts", 1, "name", to="x"), "part 2: unknown key 'name'"),
        (set_in("parts", 1, "root", to="~"), "part 2: 'root': is no path"),
        (set_in("parts", 1, "image", to="x.png"), r"part 2: image 'x\.png' lacks \{id\}"),
        (set_in(*DEPTH, "partal", to=True), "part 2: target 'depth': unknown key 'partal'; did you mean 'partial'"),
        (set_in(*DEPTH, "partial", to="some"), "part 2: target 'depth': 'partial': .*boolean"),
        (set_in(*DEPTH, "kind", to="disparity"), "part 2: target 'depth': kind is 'disparity', but 'distance'"),
        (set_in(*DEPTH, "unit", to="feet"), "part 2: target 'depth': unit is 'feet', but 'm' in an earlier part"),
        (set_in(*IDS, to=FEWER), "part 2: target 'segmentation': num_classes is 4, but 5 in an earlier part"),
        (set_in(*IDS, to=OTHER_NAMES), "part 2: target 'segmentation': class_names is .*'roof'.*, but .*'wall'"),
    ],
)
def test_what_is_wrong_in_a_part_is_named(places, change, message):
    path = changed(places, change)
    with pytest.raises(ConfigError, match=message) as caught:
        open_dataset(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_documented_example_is_right(tmp_path):
    text = (Path(__file__).parents[2] / "docs" / "bring-your-own-data.md").read_text(encoding="utf-8")
    (example,) = (block for block in re.findall(r"```yaml\n(.*?)```", text, flags=re.DOTALL) if "parts:" in block)
    (tmp_path / "my.yaml").write_text(example, encoding="utf-8")
    description = read_folder_config(tmp_path / "my.yaml")
    assert description.split_names() == ("train", "val")
    assert [list(part.targets) for part in description.parts] == [["segmentation", "depth"], ["depth"]]
    assert [part.targets["depth"].partial for part in description.parts] == [True, False]
