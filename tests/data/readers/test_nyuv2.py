from __future__ import annotations

import importlib
import json

import h5py
import numpy as np
import pytest
from helpers.dataset_files import make_nyuv2

from ednas.data.formats import open_as_trained, open_dataset
from ednas.data.readers import nyuv2
from ednas.exceptions import ConfigError, DataError

NAME = "nyu_depth_v2_labeled.mat"


@pytest.fixture
def made(tmp_path):
    return make_nyuv2(tmp_path / "data")


def test_the_split_picks_the_images_by_their_number_from_1(made):
    dataset = open_dataset(made.path / NAME)
    assert [dataset.source(i) for i in range(3)] == [f"{NAME}[{n}]" for n in (5, 1, 3)]
    assert dataset.info.targets["segmentation"].num_classes == 40


def test_raw_depth(made):
    filled, raw = open_dataset(made.path), open_dataset(made.path, depth="raw")
    np.testing.assert_allclose(raw[0].targets["depth"] * 2, filled[0].targets["depth"], rtol=1e-6)
    assert filled.fingerprint() != raw.fingerprint()


def test_files_of_matlab_before_7_3(made):
    scipy_io = pytest.importorskip("scipy.io")
    class_map = json.loads((made.path / "class_map.json").read_text())
    scipy_io.savemat(made.path / "classMapping40.mat", {"mapClass": np.array([class_map], np.uint8)})
    numbers = {"trainNdxs": np.array([[5], [1], [3]]), "testNdxs": np.array([[2], [4]])}
    scipy_io.savemat(made.path / "splits.mat", numbers)
    (made.path / "class_map.json").unlink()
    (made.path / "splits.json").unlink()
    for split, scenes in made.scenes.items():
        for sample, scene in zip(open_dataset(made.path, split), scenes, strict=True):
            np.testing.assert_array_equal(sample.targets["segmentation"], scene.segmentation)


def test_files_of_matlab_7_3(made):
    with h5py.File(made.path / "splits.mat", "w", userblock_size=512) as file:
        file["trainNdxs"], file["testNdxs"] = np.array([[5.0, 1.0, 3.0]]), np.array([[2.0, 4.0]])
    (made.path / "splits.json").unlink()
    np.testing.assert_array_equal(open_dataset(made.path)[0].image, made.scenes["train"][0].image)


@pytest.mark.parametrize(
    ("name", "option", "names"),
    [
        ("class_map.json", "class_map", "classMapping40.mat or class_map.json"),
        ("splits.json", "splits", "splits.mat or splits.json"),
    ],
)
def test_what_is_missing_is_named_and_can_be_given(made, tmp_path, name, option, names):
    (made.path / name).rename(tmp_path / "elsewhere.json")
    with pytest.raises(DataError, match=f"needs the .*{names}.* as '{option}'"):
        open_dataset(made.path)
    given = {option: str(tmp_path / "elsewhere.json")}
    dataset = open_dataset(made.path, **given)
    assert open_as_trained(made.path, "train", dataset.info.name, given, {}).fingerprint() == dataset.fingerprint()
    for name, options in (("another", {}), (dataset.info.name, {"depth": "wrong"})):
        with pytest.raises((DataError, ConfigError), match=f"needs the .*{names}|depth"):
            open_as_trained(made.path, "train", name, given, options)
    np.testing.assert_array_equal(dataset[0].targets["segmentation"], made.scenes["train"][0].segmentation)


@pytest.mark.parametrize(
    "content", ["[]", "{}", "[1, 2.5]", "[-1, 3]", "[0, 0]", "[999]", '["a"]', "3e400", "[[1], [1, 2]]", "{"]
)
def test_a_bad_class_map_is_a_data_error(made, content):
    (made.path / "class_map.json").write_text(content)
    with pytest.raises(DataError, match=r"class_map\.json"):
        open_dataset(made.path)


@pytest.mark.parametrize(
    "content",
    [
        "[]",
        '{"test": [1]}',
        '{"train": []}',
        '{"train": [0]}',
        '{"train": [6]}',
        '{"train": [1.5]}',
        '{"train": "all"}',
    ],
)
def test_a_bad_split_is_a_data_error(made, content):
    (made.path / "splits.json").write_text(content)
    with pytest.raises(DataError, match=r"splits\.json"):
        open_dataset(made.path)


def test_an_object_class_beyond_the_map_is_named(made):
    (made.path / "class_map.json").write_text(json.dumps(list(range(1, 31))))
    with pytest.raises(DataError, match=r"image 5: holds class id \d+ .*allowed are 1\.\.30 and 0 for void"):
        open_dataset(made.path)[0]


@pytest.mark.parametrize("share", [0.001, 0.05, 0.5, 0.9, 0.99])
def test_a_truncated_file_is_a_data_error(made, share):
    path = made.path / NAME
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(DataError, match="HDF5"):
        open_dataset(made.path)[0]


def test_another_hdf5_file_is_a_data_error(made):
    with h5py.File(made.path / NAME, "w") as file:
        file["images"] = np.zeros((5, 3, 4, 4), np.uint8)
        file["depths"] = np.zeros((5, 4, 4), np.float32)
    with pytest.raises(DataError, match="no variable 'labels'"):
        open_dataset(made.path)
    with h5py.File(made.path / NAME, "a") as file:
        file["labels"] = np.zeros((4, 4, 4), np.uint16)
    with pytest.raises(DataError, match="different numbers of images"):
        open_dataset(made.path)
    with h5py.File(made.path / NAME, "a") as file:
        del file["labels"]
        file["labels"] = np.zeros((5, 4), np.uint16)
    with pytest.raises(DataError, match="'labels' has shape"):
        open_dataset(made.path)


def test_without_h5py_the_extra_is_named(made, monkeypatch):
    def missing(name):
        if name in ("h5py", "scipy.io"):
            raise ImportError(name)
        return importlib.import_module(name)

    monkeypatch.setattr(nyuv2, "import_module", missing)
    with pytest.raises(ConfigError, match=r'pip install "ednas\[mat\]"'):
        open_dataset(made.path)


def test_without_scipy_an_old_file_names_the_ways_out(made, monkeypatch):
    (made.path / "splits.mat").write_bytes(b"MATLAB 5.0 MAT-file" + b" " * 200)

    def missing(name):
        if name == "scipy.io":
            raise ImportError(name)
        return importlib.import_module(name)

    monkeypatch.setattr(nyuv2, "import_module", missing)
    with pytest.raises(
        ConfigError, match=r"splits\.mat: is an old MATLAB file, which needs SciPy.*or give its numbers as JSON"
    ):
        open_dataset(made.path)


def test_a_damaged_old_file_is_a_data_error(made):
    pytest.importorskip("scipy.io")
    for content in (b"MATLAB 5.0 MAT-file" + b" " * 200, b"x", b"\0" * 600):
        (made.path / "splits.mat").write_bytes(content)
        with pytest.raises(DataError, match=r"splits\.mat"):
            open_dataset(made.path)


def test_a_file_under_another_name_is_found(made):
    (made.path / NAME).rename(made.path / "nyu.mat")
    assert len(open_dataset(made.path)) == 3
