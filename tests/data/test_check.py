from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from helpers.dataset_files import make_adashare_nyuv2, make_folder, save_png
from PIL import Image

from ednas.data.check import check_dataset
from ednas.exceptions import ConfigError, DataError


@pytest.fixture
def made(tmp_path):
    return make_folder(tmp_path / "data")


def test_numbers_are_those_of_the_labels(made):
    report = check_dataset(made.path)
    assert (report.ok, report.name, report.format) == (True, "mine", "folder")
    scenes = made.scenes["train"]
    train = report.splits[0]
    assert (train.samples, train.bad, train.sizes) == (3, 0, {(12, 16): 3})
    labels = np.stack([scene.segmentation for scene in scenes])
    counts = np.bincount(labels[labels != 255], minlength=5)
    np.testing.assert_allclose(train.targets["segmentation"].frequencies, counts / counts.sum())
    assert train.targets["segmentation"].invalid == pytest.approx((labels == 255).mean())
    depth = np.stack([scene.depth for scene in scenes])
    found = train.targets["depth"]
    assert found.invalid == pytest.approx((depth == 0).mean())
    assert (found.minimum, found.maximum, found.mean) == pytest.approx(
        (depth[depth > 0].min(), depth.max(), depth[depth > 0].mean()), abs=1e-3
    )
    assert train.targets["normals"].invalid == pytest.approx(3 / (12 * 16))
    assert train.targets["normals"].facing > 0.97


def test_every_bad_file_is_listed(made):
    pictures = made.path / "pictures"
    (pictures / "train" / "image" / "0.png").write_bytes(b"x")
    (pictures / "train" / "depth" / "0.png").unlink()
    (pictures / "train" / "label" / "2_ids.png").write_bytes(b"")
    (pictures / "holdout" / "normal" / "1.png").write_bytes(b"y")
    steps = []
    report = check_dataset(made.path, lambda *state: steps.append(state))
    assert not report.ok
    assert len(steps) == 5
    assert [(split.bad, len(split.problems)) for split in report.splits] == [(2, 3), (1, 1)]
    for name in ("train/image/0.png", "train/depth/0.png", "train/label/2_ids.png", "holdout/normal/1.png"):
        assert sum(name in problem for problem in report.problems) == 1
    assert report.splits[0].sizes == {(12, 16): 1}


def test_a_name_does_not_act_on_the_terminal(made):
    pictures = made.path / "pictures" / "train"
    for folder, end in (("image", ".png"), ("depth", ".png"), ("label", "_ids.png"), ("normal", ".png")):
        (pictures / folder / f"2{end}").rename(pictures / folder / f"2\x1b[2J{end}")
    (pictures / "image" / "2\x1b[2J.png").write_bytes(b"x")
    text = check_dataset(made.path).to_text()
    assert "\x1b" not in text
    assert r"2\x1b[2J.png" in text


def test_a_split_that_cannot_be_opened_does_not_hide_the_other(made):
    (made.path / "pictures" / "train" / "image").rename(made.path / "elsewhere")
    report = check_dataset(made.path)
    assert [split.samples for split in report.splits] == [0, 2]
    assert "train/image" in report.problems[0]
    assert report.name == "mine"


def test_a_dataset_without_any_readable_split(made):
    (made.path / "pictures").rename(made.path / "elsewhere")
    report = check_dataset(made.path)
    assert len(report.problems) == 2
    assert json.loads(json.dumps(report.to_json()))["ok"] is False


def test_shared_samples_are_noticed(tmp_path):
    made = make_adashare_nyuv2(tmp_path / "data")
    path = made.path / "nyu_v2_3task.json"
    index = json.loads(path.read_text())
    index["test"].append(index["train"][0])
    path.write_text(json.dumps(index))
    assert "'train' and 'val' share samples: 1" in check_dataset(made.path).warnings


def test_absent_classes_and_empty_targets_are_noticed(made):
    for i in range(3):
        pictures = made.path / "pictures" / "train"
        save_png(pictures / "label" / f"{i}_ids.png", np.full((12, 16), 10, np.uint8))
        save_png(pictures / "depth" / f"{i}.png", np.full((12, 16), 65535, np.uint16))
    warnings = check_dataset(made.path).warnings
    assert "train: segmentation: 4 classes never occur (1, 2, 3, 4)" in warnings
    assert "train: depth has no valid pixel" in warnings


def write_depth(made, split, change):
    folder = made.path / "pictures" / {"train": "train", "val": "holdout"}[split] / "depth"
    for file in folder.iterdir():
        save_png(file, change(np.asarray(Image.open(file))).astype(np.uint16))


def test_depth_that_nobody_meant_is_noticed(made):
    def warnings():
        return [line for line in check_dataset(made.path).warnings if "depth" in line]

    assert warnings() == []
    write_depth(made, "train", lambda stored: stored // 256)  # 8 bits, in one split
    assert any("in 'val'" in line and "are both stored alike?" in line for line in warnings())
    write_depth(made, "train", lambda stored: np.where(np.arange(stored.size).reshape(stored.shape) < 9, 60000, 3000))
    (saturated, *_) = [line for line in warnings() if line.startswith("train")]
    assert "4.7% of the valid pixels have the largest value, 60 m: if that means 'too far'" in saturated
    write_depth(made, "train", lambda stored: np.where(np.arange(stored.size).reshape(stored.shape) < 1, 65000, 3000))
    assert "0.5% of the valid pixels have the largest value, 65 m" in str(warnings())


def test_depth_of_8_and_16_bits_in_one_split_is_noticed(made):
    write_depth(made, "train", lambda stored: 2000 + stored % 3000)
    file = made.path / "pictures" / "train" / "depth" / "1.png"
    save_png(file, (np.asarray(Image.open(file)) // 256).astype(np.uint8))
    warnings = check_dataset(made.path).warnings
    assert any("train: depth: 1 samples hold values of less than a 20th of the others'" in line for line in warnings)


def test_the_scale_of_stored_millimetres_is_proposed(made):
    yaml_file = made.path / "dataset.yaml"
    yaml_file.write_text(yaml_file.read_text().replace("scale: 0.001", "scale: 1.0").replace("invalid: 65535", ""))
    for split in ("train", "val"):
        write_depth(
            made, split, lambda stored: np.where(np.arange(stored.size).reshape(stored.shape) < 60, 65535, 2500)
        )
    warnings = check_dataset(made.path).warnings
    assert "train: depth: the mean is 2,500 m; these look like millimetres: scale: 0.001 (or 0.001 times" in str(
        warnings
    )
    assert "31.2% of the valid pixels have the largest value, 65,535 m" in str(warnings)
    yaml_file.write_text(yaml_file.read_text().replace("scale: 1.0", "scale: 0.000001"))
    assert "val: depth: the mean is 0.0025 m; is the scale right? It is 1 for stored metres" in str(
        check_dataset(made.path).warnings
    )


def test_depth_comes_with_its_unit(made):
    report = check_dataset(made.path)
    target = report.splits[0].targets["depth"]
    assert f"{target.minimum:.4g} to {target.maximum:.4g} m, mean {target.mean:.4g} m" in report.to_text()
    assert report.to_json()["splits"][0]["targets"]["depth"]["unit"] == "m"


def test_a_fault_of_many_files_is_one_line(made):
    pictures = made.path / "pictures"
    for i in range(3, 20):
        for folder, end in (("image", ".png"), ("label", "_ids.png"), ("depth", ".png"), ("normal", ".png")):
            shutil.copy(pictures / "train" / folder / f"0{end}", pictures / "train" / folder / f"{i}{end}")
    for i in range(15):
        (pictures / "train" / "depth" / f"{i}.png").unlink()
        save_png(pictures / "train" / "label" / f"{i}_ids.png", np.full((12, 16), 60 + i, np.uint8))
    (pictures / "holdout" / "depth" / "0.png").unlink()
    report = check_dataset(made.path)
    assert len(report.problems) == 31
    missing, odd = [line for line in report.to_text().splitlines() if line.startswith("problem")]
    assert odd.startswith(f"problem: 15 files ({pictures / 'train' / 'label' / '0_ids.png'}, ")
    assert " and 12 more): holds class id 60 in 192 pixels; allowed are" in odd
    assert missing.startswith(f"problem: 16 files ({pictures / 'train' / 'depth' / '0.png'}, ")
    assert missing.endswith(" and 13 more): no such file")
    assert "nan" not in report.to_text()


def test_the_report_as_text_and_json(made_once):
    report = check_dataset(made_once.path)
    value = json.loads(json.dumps(report.to_json(), allow_nan=False))
    assert value["ok"] is True
    assert value["splits"][0]["sizes"] == {"12x16": 3}
    assert set(value["splits"][0]["targets"]) == set(made_once.targets)
    text = report.to_text()
    assert "train: 3 samples, 0 bad; 12 x 16" in text
    assert "nan" not in text


def test_what_cannot_be_checked(made, tmp_path):
    with pytest.raises(DataError, match="no such file"):
        check_dataset(tmp_path / "nothing")
    with pytest.raises(ConfigError, match="unknown key"):
        check_dataset(made.path, depht=3)
