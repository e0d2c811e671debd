from __future__ import annotations

import numpy as np
import pytest
from helpers.dataset_files import make_folder, make_nyuv2

from ednas.data.formats import dataset_splits, open_dataset
from ednas.data.sample import DatasetInfo, Sample, TargetInfo
from ednas.data.writing import write_folder
from ednas.exceptions import ConfigError, DataError, EdnasError


def splits(path):
    return {split: open_dataset(path, split) for split in ("train", "val")}


def test_what_was_written_can_be_read_back(made_once, tmp_path):
    seen = []
    out = write_folder(splits(made_once.path), tmp_path / "out", lambda *state: seen.append(state))
    assert out == tmp_path / "out" / "dataset.yaml"
    assert seen == [("train", 1, 3), ("train", 2, 3), ("train", 3, 3), ("val", 1, 2), ("val", 2, 2)]
    assert dataset_splits(out) == ("train", "val")
    for split, before in splits(made_once.path).items():
        after = open_dataset(tmp_path / "out", split)
        assert after.info.targets == before.info.targets
        for old, new in zip(before, after, strict=True):
            np.testing.assert_array_equal(new.image, old.image)
            np.testing.assert_array_equal(new.targets["segmentation"], old.targets["segmentation"])
            np.testing.assert_array_equal(new.targets["depth"] == 0, old.targets["depth"] == 0)
            step = 1e-9 if before.info.targets["depth"].kind == "disparity" else 0.5 / 256 + 1e-6
            np.testing.assert_allclose(new.targets["depth"], old.targets["depth"], atol=step)
            if "normals" in old.targets:
                cosine = (new.targets["normals"] * old.targets["normals"]).sum(-1)
                valid = (old.targets["normals"] != 0).any(-1)
                assert (new.targets["normals"][~valid] == 0).all()
                assert np.degrees(np.arccos(np.clip(cosine[valid], -1, 1))).max() < 0.45


class OneSample:
    """A dataset of one given sample."""

    split = "train"

    def __init__(self, depth: np.ndarray) -> None:
        self.info = DatasetInfo("one", "test", {"depth": TargetInfo("distance", unit="m")})
        self.depth = depth.astype(np.float32)

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> Sample:
        return Sample(np.zeros((*self.depth.shape, 3), np.uint8), {"depth": self.depth})

    def source(self, index: int) -> str:
        return "one"

    def fingerprint(self) -> str:
        return "1"


def test_the_limits_of_written_depth(tmp_path):
    depth = np.array([[0, 1e-4, 1.5, 255.99, 256.5, 4000]])
    out = write_folder({"train": OneSample(depth)}, tmp_path / "out")
    found = open_dataset(out)[0].targets["depth"][0]
    np.testing.assert_allclose(found, [0, 1 / 256, 1.5, 255.99, 0, 0], atol=0.003)


def test_a_failure_leaves_nothing_behind(tmp_path):
    made = make_folder(tmp_path / "data")
    (made.path / "pictures" / "holdout" / "depth" / "1.png").write_bytes(b"x")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(DataError, match=r"holdout/depth/1\.png"):
        write_folder(splits(made.path), tmp_path / "out")
    assert sorted(tmp_path.rglob("*")) == before


def test_an_interruption_leaves_nothing_behind(tmp_path):
    made = make_folder(tmp_path / "data")
    before = sorted(tmp_path.rglob("*"))

    def stop(split: str, done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_folder(splits(made.path), tmp_path / "out", stop)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_folder_in_use_is_not_touched(tmp_path):
    made = make_folder(tmp_path / "data")
    for place in (made.path, made.path / "dataset.yaml"):
        with pytest.raises(ConfigError, match="exists already"):
            write_folder(splits(made.path), place)
    (tmp_path / "empty").mkdir()
    assert write_folder(splits(made.path), tmp_path / "empty").is_file()
    with pytest.raises(EdnasError, match="cannot write"):
        write_folder(splits(made.path), made.path / "dataset.yaml" / "out")


def test_splits_must_fit_together(tmp_path):
    first = open_dataset(make_folder(tmp_path / "a").path)
    second = open_dataset(make_nyuv2(tmp_path / "b").path)
    with pytest.raises(ConfigError, match="different targets"):
        write_folder({"train": first, "val": second}, tmp_path / "out")
    with pytest.raises(ConfigError, match="at least one split"):
        write_folder({}, tmp_path / "out")
