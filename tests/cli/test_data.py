"""``ednas data``: guess, make, check and preview, as a user meets them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from helpers.cli import Run
from PIL import Image


@pytest.fixture
def folder(tmp_path):
    for part in ("images", "masks"):
        (tmp_path / "my data" / part).mkdir(parents=True)
    for i in range(4):
        Image.fromarray(np.full((8, 9, 3), i, np.uint8)).save(tmp_path / "my data" / "images" / f"{i}.jpg")
        Image.fromarray(np.eye(8, 9, dtype=np.uint8)).save(tmp_path / "my data" / "masks" / f"{i}.png")
    return tmp_path / "my data"


def test_a_proposal_is_written_and_checked(run, folder, tmp_path):
    out = tmp_path / "descriptions" / "my.yaml"
    code, written, report = run("data", "guess", folder, "--out", out)
    assert (code, written) == (0, f"wrote {out}\n")
    assert "train: 3 samples, 0 bad" in report
    assert yaml.safe_load(out.read_text())["root"] == "../my data"
    assert json.loads(run("data", "check", out, "--json")[1])["ok"]


def test_nothing_is_overwritten_unasked(run, folder, tmp_path):
    out = tmp_path / "my.yaml"
    out.write_text("precious")
    code, _, error = run("data", "guess", folder, "--out", out)
    assert (code, out.read_text()) == (2, "precious")
    assert "exists already; choose another file, or overwrite it with --force" in error
    assert run("data", "guess", folder, "--out", out, "--force")[0] == 0
    assert "targets:" in out.read_text()


def test_without_a_file_the_proposal_is_all_of_standard_output(run, folder, tmp_path):
    code, text, report = run("data", "guess", folder)
    assert code == 0
    assert yaml.safe_load(text)["root"] == str(folder)
    assert report.startswith(f"my data (folder) at {folder}\n")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["my data"]


def test_a_bad_file_is_told_and_the_proposal_is_there(run, folder, tmp_path):
    (folder / "masks" / "2.png").write_bytes(b"x")
    code, _, report = run("data", "guess", folder, "--out", tmp_path / "my.yaml")
    assert code == 2
    assert "masks/2.png: is not a PNG or JPEG picture" in report
    assert (tmp_path / "my.yaml").exists()


def test_nothing_found_is_one_line(run, tmp_path):
    code, out, error = run("data", "guess", tmp_path)
    assert (code, out) == (2, "")
    assert error.count("\n") == 1
    assert "holds no PNG, JPEG or NPY file" in error


def test_data_make_check_and_preview(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "rooms"
    assert run("data", "make", "rooms", "--out", folder, "--train", 3, "--val", 2, "--size", "32x64")[0] == 0
    code, out, _ = run("data", "check", folder, "--json")
    assert code == 0
    assert [split["samples"] for split in json.loads(out)["splits"]] == [3, 2]
    assert run("data", "preview", folder, "--out", tmp_path / "sheet.png", "--count", 2)[0] == 0
    assert Image.open(tmp_path / "sheet.png").width > 100
    image = next(folder.rglob("*.png"))
    image.write_bytes(image.read_bytes()[:40])
    code, out, _ = run("data", "check", folder)
    assert code == 2
    assert image.name in out


def test_data_are_checked_and_shown_with_options(run: Run, tmp_path: Path) -> None:
    options = ["--data-option", "count=3", "--data-option", "size=[32,64]"]
    code, printed, err = run("data", "check", "streets", "--json", *options)
    assert code == 0, err
    assert [split["samples"] for split in json.loads(printed)["splits"]] == [3, 3]
    code, _, err = run("data", "preview", "streets", "--out", tmp_path / "sheet.png", *options)
    assert code == 0, err
    assert (tmp_path / "sheet.png").is_file()
