from __future__ import annotations

from types import SimpleNamespace

import pytest
from helpers.dataset_files import make_folder

from ednas.data.formats import (
    FORMATS,
    dataset_splits,
    find_format,
    open_as_trained,
    open_dataset,
    register_format,
)
from ednas.data.reader import Format
from ednas.data.readers.synthetic import SyntheticDataset
from ednas.exceptions import ConfigError, DataError


def test_a_path_that_is_not_there_names_the_built_in_data(tmp_path):
    for path in (tmp_path / "nothing", str(tmp_path / "nothing"), "a\0b"):
        with pytest.raises(DataError, match="no such file or folder; built-in datasets are streets and rooms"):
            open_dataset(path)


def test_an_unknown_folder_names_what_was_looked_for(tmp_path):
    (tmp_path / "photo.jpg").touch()
    for path in (tmp_path, tmp_path / "photo.jpg"):
        with pytest.raises(DataError, match="holds no dataset of a known format") as caught:
            open_dataset(path)
        for entry in FORMATS.values():
            assert entry.looks_for in str(caught.value)
        for marker in (
            "dataset.yaml",
            "cityscape.json",
            "nyu_v2_3task.json",
            "train/image/*.npy",
            "leftImg8bit",
            ".mat",
        ):
            assert marker in str(caught.value)


def test_every_format_is_recognised_first_by_its_own_entry(made_once):
    # AdaShare's CityScapes has MTAN's folders and an index besides.
    found = [name for name, entry in FORMATS.items() if entry.find(made_once.path) is not None]
    assert found[0] == made_once.format


def test_a_new_reader_is_one_entry(tmp_path, monkeypatch):
    monkeypatch.setattr("ednas.data.formats.FORMATS", dict(FORMATS))
    opened = SimpleNamespace(info="mine")
    entry = Format(
        name="mine",
        looks_for="mine.bin",
        find=lambda path: path if (path / "mine.bin").is_file() else None,
        open=lambda path, split, options: opened,
        splits=lambda path: ("train",),
    )
    register_format(entry)
    (tmp_path / "mine.bin").touch()
    assert open_dataset(tmp_path) is opened
    assert dataset_splits(tmp_path) == ("train",)
    with pytest.raises(ConfigError, match="registered already"):
        register_format(entry)


def test_built_in_scenes_get_their_options(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = SyntheticDataset("rooms", "train", count=3, size=(32, 64), seed=7)
    assert open_dataset("rooms", count=3, size=(32, 64), seed=7).fingerprint() == made.fingerprint()
    assert open_dataset("streets", "val").fingerprint() == SyntheticDataset("streets", "val").fingerprint()
    assert dataset_splits("rooms") == ("train", "val")


def test_wrong_options_of_built_in_scenes_are_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="options of streets: unknown key 'cuont'; did you mean 'count'"):
        open_dataset("streets", cuont=3)
    with pytest.raises(ConfigError, match="count"):
        open_dataset("streets", count=0)
    with pytest.raises(DataError, match="streets: has no split 'test'"):
        open_dataset("streets", "test")


def test_options_of_a_training_are_those_of_the_same_dataset_unless_others_are_given():
    def size(trained_on, **options):
        trained_with = {"count": 3, "seed": 7}
        return len(open_as_trained("streets", "val", trained_on, trained_with, options))

    assert size("synthetic-streets") == 3
    assert size("synthetic-streets", count=2) == 2
    assert size("synthetic-rooms") == 768
    same = open_as_trained("streets", "val", "synthetic-streets", {"count": 3, "seed": 7}, {})
    assert same.fingerprint() == open_dataset("streets", "val", count=3, seed=7).fingerprint()


def test_a_folder_goes_before_a_built_in_name(tmp_path, monkeypatch):
    made = make_folder(tmp_path / "streets")
    monkeypatch.chdir(tmp_path)
    assert open_dataset("streets").info.name == "mine"
    assert find_format("streets")[0].name == made.format
