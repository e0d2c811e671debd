"""One suite for all readers: the contract of ``DenseDataset``, checked against the scenes that were written."""

from __future__ import annotations

import os
import pickle
import time

import numpy as np
import pytest
from helpers.dataset_files import save_npy, save_png
from helpers.profiles import examples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ednas.data.check import check_dataset
from ednas.data.formats import dataset_splits, open_dataset
from ednas.data.rasters import require_file
from ednas.data.reader import choose_split, relative_path
from ednas.exceptions import ConfigError, DataError


def test_every_sample_follows_the_contract(made_once):
    for split in ("train", "val"):
        dataset = open_dataset(made_once.path, split)
        assert dataset.split == split
        assert {name: info.kind for name, info in dataset.info.targets.items()} == made_once.targets
        for sample in (dataset[i] for i in range(len(dataset))):
            assert sample.image.dtype == np.uint8
            assert sample.image.ndim == 3
            assert sample.image.shape[2] == 3
            assert set(sample.targets) == set(dataset.info.targets)
            for name, info in dataset.info.targets.items():
                values = sample.targets[name]
                assert values.shape[:2] == sample.image.shape[:2]
                if info.kind == "labels":
                    assert values.dtype == np.uint8
                    assert values.ndim == 2
                    assert ((values < info.num_classes) | (values == 255)).all()
                    assert len(info.class_names) in (0, info.num_classes)
                elif info.kind == "normals":
                    assert values.dtype == np.float32
                    assert values.ndim == 3
                    length = np.linalg.norm(values, axis=-1)
                    assert np.allclose(length[length > 0], 1, atol=1e-5)
                else:
                    assert values.dtype == np.float32
                    assert values.ndim == 2
                    assert np.isfinite(values).all()
                    assert (values >= 0).all()


def test_samples_are_what_was_written(made_once):
    for split, scenes in made_once.scenes.items():
        dataset = open_dataset(made_once.path, split)
        assert len(dataset) == len(scenes)
        for sample, scene in zip(list(dataset), scenes, strict=True):
            np.testing.assert_array_equal(sample.image, scene.image)
            np.testing.assert_array_equal(sample.targets["segmentation"], scene.segmentation)
            np.testing.assert_array_equal(sample.targets["depth"] == 0, scene.depth == 0)
            np.testing.assert_allclose(sample.targets["depth"], scene.depth, atol=made_once.depth_tolerance)
            if "normals" in sample.targets:
                np.testing.assert_allclose(sample.targets["normals"], scene.normals, atol=made_once.normal_tolerance)


def test_the_format_is_recognised_and_named(made_once):
    assert open_dataset(made_once.path).info.format == made_once.format
    assert open_dataset(str(made_once.path)).info.format == made_once.format
    assert dataset_splits(made_once.path) == ("train", "val")


def test_indices_are_those_of_a_sequence(made_once):
    dataset = open_dataset(made_once.path)
    np.testing.assert_array_equal(dataset[-1].image, dataset[len(dataset) - 1].image)
    np.testing.assert_array_equal(dataset[np.int64(1)].image, dataset[1].image)
    for index in (len(dataset), -len(dataset) - 1):
        with pytest.raises(IndexError):
            dataset[index]
        with pytest.raises(IndexError):
            dataset.source(index)


def test_sources_are_unique_names(made_once):
    dataset = open_dataset(made_once.path)
    names = [dataset.source(i) for i in range(len(dataset))]
    assert len(set(names)) == len(names)
    assert all(isinstance(name, str) and name and not name.startswith("/") for name in names)


def test_a_reader_survives_the_way_to_a_worker_process(made_once):
    dataset = open_dataset(made_once.path, "val")
    copy = pickle.loads(pickle.dumps(dataset))
    assert copy.fingerprint() == dataset.fingerprint()
    np.testing.assert_array_equal(copy[0].image, dataset[0].image)


def test_unknown_splits_and_options_are_named(made_once):
    with pytest.raises(DataError, match=r"'tset'.*train, val"):
        open_dataset(made_once.path, "tset")
    with pytest.raises(ConfigError, match="unknown key 'num_clases'"):
        open_dataset(made_once.path, num_clases=7)


def fingerprints(path):
    return [open_dataset(path, split).fingerprint() for split in ("train", "val")]


def test_the_fingerprint_tells_data_apart(made):
    first = fingerprints(made.path)
    assert first == fingerprints(made.path)
    assert first[0] != first[1]
    files = {path for path in made.path.rglob("*") if path.is_file()}
    image = next(path for path in sorted(files) if path.suffix in (".png", ".npy", ".mat") and "val" not in str(path))
    state = image.stat()
    os.utime(image, ns=(state.st_atime_ns, state.st_mtime_ns + 1_000_000_000))
    assert fingerprints(made.path) != first


def test_a_file_of_the_same_name_size_and_time_is_told_apart(made):
    first = fingerprints(made.path)
    files = {path for path in made.path.rglob("*") if path.is_file()}
    image = next(path for path in sorted(files) if path.suffix in (".png", ".npy", ".mat") and "val" not in str(path))
    before = image.stat()
    content = image.read_bytes()
    time.sleep(0.02)  # clocks of file systems may tick no oftener
    image.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    os.utime(image, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (image.stat().st_size, image.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    assert fingerprints(made.path) != first


def test_a_missing_and_an_empty_file_are_named(made):
    if made.format == "nyuv2":
        pytest.skip("one file holds everything")
    dataset = open_dataset(made.path)
    for part in dataset.info.targets:
        path = dataset._paths(dataset._records[1])[part]
        content = path.read_bytes()
        path.write_bytes(b"")
        with pytest.raises(DataError, match=f"{path.name}: is empty"):
            dataset[1]
        path.unlink()
        with pytest.raises(DataError, match=f"{path.name}: no such file"):
            dataset[1]
        assert len(dataset.problems(1)) == 1
        assert dataset[0].image.shape == dataset[2].image.shape
        path.mkdir()
        with pytest.raises(DataError, match="is a folder"):
            dataset[1]
        path.rmdir()
        path.write_bytes(content)
    assert dataset.problems(1) == ()


def test_labels_of_another_size_than_the_image_are_named(made):
    if made.format == "nyuv2":
        pytest.skip("one array holds all images")
    dataset = open_dataset(made.path)
    paths = dataset._paths(dataset._records[0])
    values = np.zeros((10, 16), np.uint8)
    save = save_npy if paths["segmentation"].suffix == ".npy" else save_png
    save(paths["segmentation"], values)
    if made.format == "cityscapes":
        save(paths["segmentation"], values + 7)
    with pytest.raises(DataError) as caught:
        dataset[0]
    for text in (str(paths["segmentation"]), "10 x 16", str(paths["image"]), "12 x 16"):
        assert text in str(caught.value)


def test_a_label_out_of_range_is_named_with_the_allowed_range(made):
    if made.format == "nyuv2":
        pytest.skip("its ids are tested with its class map")
    dataset = open_dataset(made.path)
    path = dataset._paths(dataset._records[0])["segmentation"]
    values = np.full((12, 16), 77, np.uint8)
    (save_npy if path.suffix == ".npy" else save_png)(path, values)
    with pytest.raises(DataError, match=rf"{path.name}: holds class id 77 in 192 pixels; allowed are \d+.*void"):
        dataset[0]


def test_check_finds_nothing_wrong(made_once):
    report = check_dataset(made_once.path)
    assert report.ok, report.problems
    assert [split.samples for split in report.splits] == [3, 2]


def damage(content: bytes, how: str, place: float, junk: bytes) -> bytes:
    """Truncate, overwrite or replace a file's content."""
    at = int(place * len(content))
    if how == "truncate":
        return content[:at]
    if how == "replace":
        return junk
    return content[:at] + junk + content[at + len(junk) :]


def attempt(action):
    """The result of ``action`` and no message, or nothing and the message of an error of ours."""
    try:
        return action(), ""
    except (DataError, ConfigError) as error:
        return None, str(error)


@settings(max_examples=examples(40), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    which=st.floats(0, 1, exclude_max=True),
    how=st.sampled_from(["truncate", "replace", "overwrite"]),
    place=st.floats(0, 1, exclude_max=True),
    junk=st.binary(min_size=0, max_size=60),
)
def test_damaged_files_give_data_errors_and_nothing_else(made_once, which, how, place, junk):
    files = sorted(path for path in made_once.path.rglob("*") if path.is_file())
    victim = files[int(which * len(files))]
    if victim.suffix == ".mat" and how == "overwrite":
        how = "truncate"  # the HDF5 library itself is not made for forged files
    content = victim.read_bytes()
    try:
        victim.write_bytes(damage(content, how, place, junk))
        for split in ("train", "val"):
            dataset, message = attempt(lambda split=split: open_dataset(made_once.path, split))
            assert "\n" not in message
            if dataset is None:
                continue
            dataset.fingerprint()
            for index in range(len(dataset)):
                _, message = attempt(lambda dataset=dataset, index=index: dataset[index])
                assert "\n" not in message
    finally:
        victim.write_bytes(content)


@given(st.text(max_size=30))
def test_a_path_from_a_file_never_leaves_the_folder(text):
    try:
        path = relative_path(text, "index")
    except DataError:
        return
    assert not path.startswith("/")
    assert ".." not in path.split("/")


@pytest.mark.parametrize(
    "text", ["", "/etc/passwd", "../a", "a/../../b", "a\0b", "\ud800", "C:/a", "..\\a", 3, None, ["a"]]
)
def test_hostile_paths_are_refused(text):
    with pytest.raises(DataError, match="index"):
        relative_path(text, "index")


def test_an_ordinary_path_is_kept():
    assert relative_path("a/b c/d.png", "index") == "a/b c/d.png"
    assert relative_path("./a//b.png", "index") == "a/b.png"


def test_choose_split_names_what_there_is():
    assert choose_split("val", ("train", "val"), "x") == "val"
    with pytest.raises(DataError, match="x: has no split 'val'; it has train"):
        choose_split("val", ("train",), "x")


def test_an_unreachable_name_is_a_data_error(tmp_path):
    with pytest.raises(DataError, match="cannot be read"):
        require_file(tmp_path / ("a" * 5000))
