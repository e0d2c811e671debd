"""The descriptions in ``examples`` against the real data that they describe."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml

from ednas.data.classes import CITYSCAPES_19, NYU_40
from ednas.data.formats import open_dataset
from ednas.data.readers.folder import read_folder_config

EXAMPLES = Path(__file__).parents[2] / "examples"


def described(name: str, shared_data: Path, tmp_path: Path) -> Path:
    """The example with the folder that the tests are told of."""
    if not (shared_data / name).is_dir():
        pytest.skip(f"real data not found at {shared_data / name}")
    description = yaml.safe_load((EXAMPLES / f"{name}.yaml").read_text())
    assert description["root"] == f"../../shared/data/{name}"
    path = tmp_path / f"{name}.yaml"
    path.write_text(yaml.safe_dump({**description, "root": str(shared_data / name)}))
    return path


@pytest.mark.parametrize(("name", "names"), [("nyuv2", NYU_40), ("streets", CITYSCAPES_19)])
def test_class_names(name, names):
    description = read_folder_config(EXAMPLES / f"{name}.yaml")
    assert description.targets["segmentation"].class_names == names
    assert description.split_names() == ("train", "val")


def test_nyuv2(shared_data, tmp_path):
    path = described("nyuv2", shared_data, tmp_path)
    assert (len(open_dataset(path)), len(open_dataset(path, "val"))) == (795, 200)
    dataset = open_dataset(path, "val")
    for index in range(0, 200, 40):
        sample = dataset[index]
        assert sample.image.shape == (144, 192, 3)
        assert 0.5 < sample.targets["depth"].min() < sample.targets["depth"].max() <= 10
        length = np.linalg.norm(sample.targets["normals"], axis=-1)
        assert (np.isclose(length, 1, atol=1e-5) | (length == 0)).all()
        assert (length > 0).mean() > 0.999


def test_streets(shared_data, tmp_path):
    path = described("streets", shared_data, tmp_path)
    dataset = open_dataset(path)
    for index in range(0, len(dataset), 100):
        sample = dataset[index]
        assert sample.image.shape == (128, 256, 3)
        sky = sample.targets["segmentation"] == CITYSCAPES_19.index("sky")
        assert ((sample.targets["depth"] == 0) == sky).mean() > 0.999
        assert ((sample.targets["normals"] == 0).all(-1) == sky).mean() > 0.999
        road = sample.targets["segmentation"] == CITYSCAPES_19.index("road")
        assert sample.targets["normals"][road].mean(axis=0)[1] < -0.9, "the road faces up: y is down"


def test_normals_of_nyuv2_fit_its_depth(shared_data, tmp_path):
    """Recomputed with the camera of NYUv2 at 0.3 of its size, as they were derived."""
    dataset = open_dataset(described("nyuv2", shared_data, tmp_path), "val")
    angles = []
    for index in range(0, 200, 20):
        sample = dataset[index]
        depth = sample.targets["depth"].astype(np.float64)
        v, u = np.indices(depth.shape)
        points = np.stack([(u - 97.4) / 155.7 * depth, (v - 75.9) / 155.8 * depth, depth], -1)
        right, down = (np.roll(points, -2, axis) - np.roll(points, 2, axis) for axis in (1, 0))
        expected = np.cross(down, right)
        expected /= np.linalg.norm(expected, axis=-1, keepdims=True)
        cosine = (expected * sample.targets["normals"]).sum(-1)[4:-4, 4:-4]
        angles.append(np.degrees(np.arccos(np.clip(cosine, -1, 1))).mean())
    assert np.mean(angles) < 15
