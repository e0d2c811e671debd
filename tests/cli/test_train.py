"""``ednas train``, and what is done with its checkpoint."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers.cli import Run
from helpers.small_training import small_architecture, write_dataset
from PIL import Image

from ednas.arch import save_architecture, zoo
from ednas.training import load_checkpoint, load_config


@pytest.mark.slow
def test_train_evaluate_predict_and_resume(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDNAS_CACHE", str(tmp_path / "cache"))
    folder, out = tmp_path / "rooms", tmp_path / "run"
    run("data", "make", "rooms", "--out", folder, "--train", 4, "--val", 2, "--size", "32x64")
    small = replace(zoo.architecture("base"), bifpn_width=8, bifpn_depth=1)
    train = ["train", small.to_text(), "--data", folder, "--tasks", "segmentation,depth,normals", "--out", out]
    train += ["--steps", 2, "--batch-size", 2, "--input", "32x64", "--json"]
    code, printed, err = run(*train)
    assert code == 0, err
    metrics = json.loads(printed)
    assert metrics == json.loads((out / "checkpoint" / "metrics.json").read_text())
    assert set(metrics["tasks"]) == set(metrics["trivial"]["tasks"]) == {"segmentation", "depth", "normals"}

    code, _, err = run(*train)
    assert code == 2
    assert "holds a finished run" in err
    assert json.loads(run(*train, "--resume")[1]) == metrics

    code, _, err = run(*train, "--teacher", out, "--out", tmp_path / "taught")
    assert code == 0, err
    assert "in segmentation, depth, normals" in (tmp_path / "taught" / "log.txt").read_text()
    code, _, err = run(*train, "--teacher", tmp_path / "nobody", "--out", tmp_path / "untaught")
    assert code == 2
    assert "nobody': no such folder" in err

    again = ["train", out / "checkpoint", *train[2:], "--out", tmp_path / "again"]
    code, _, err = run(*again)
    assert code == 0
    assert f"only the architecture of {out / 'checkpoint'} is taken; --init {out / 'checkpoint'} starts" in err
    code, _, err = run(*again[:-1], tmp_path / "from_weights", "--init", out / "checkpoint")
    assert code == 0
    assert "only the architecture" not in err

    code, printed, err = run("evaluate", out / "checkpoint", "--data", folder, "--protocol", "adashare", "--json")
    assert code == 0, err
    assert json.loads(printed)["protocol"] == "adashare"
    assert json.loads(printed)["trivial"]["samples"] == 4  # the training split was decoded by the training
    classes = json.loads(printed)["classes"]["segmentation"]
    for options, is_shown in (([], False), (["--per-class"], True)):
        code, printed, err = run("evaluate", out / "checkpoint", "--data", folder, *options)
        assert code == 0, err
        assert "RMSE m" in printed
        assert all((name in printed) is is_shown for name in classes)

    image = next((folder / "val").rglob("*.png")) if (folder / "val").exists() else next(folder.rglob("*.png"))
    code, _, err = run("predict", out / "checkpoint", image, "--out", tmp_path / "seen")
    assert code == 0, err
    depth = np.load(next((tmp_path / "seen").glob("*_depth.npy")))
    assert depth.shape[:2] == np.asarray(Image.open(image)).shape[:2]

    (tmp_path / "mixed").mkdir()
    for name in ("a.png", "b.png"):
        shutil.copy(image, tmp_path / "mixed" / name)
    (tmp_path / "mixed" / "bad.png").write_bytes(image.read_bytes()[:200])
    code, _, err = run("predict", out / "checkpoint", tmp_path / "mixed", "--out", tmp_path / "most")
    assert (code, err.count("\n")) == (0, 1)
    assert "bad.png: cannot be decoded" in err
    assert len(list((tmp_path / "most").glob("[ab]_depth.npy"))) == 2

    image = tmp_path / "large.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (70, 100, 3), dtype=np.uint8)).save(image)
    code, _, err = run("predict", out / "checkpoint", image, "--tile", "auto", "--out", tmp_path / "tiled")
    assert code == 0, err
    assert np.load(tmp_path / "tiled" / "large_depth.npy").shape == (70, 100)

    tiled = ["evaluate", out / "checkpoint", "--data", folder, "--json", "--tile", "32x32", "--overlap", "0.5"]
    for options, size in (([], [32, 64]), (["--input", "64x96"], [64, 96])):
        code, printed, err = run(*tiled, *options)
        assert code == 0, err
        metrics = json.loads(printed)
        assert (metrics["input_size"], metrics["tile"], metrics["overlap"]) == (size, [32, 32], 0.5)

    for options, message in (
        (["--tile", "16x64"], "tile '16x64': write HEIGHTxWIDTH in pixels, 32 to 8192"),
        (["--tile", "full"], "tile 'full': write HEIGHTxWIDTH"),
        (["--tile", "auto", "--overlap", "0.95"], "overlap 0.95: must be a share of the tile from 0 to 0.9"),
        (["--overlap", "0.5"], "--overlap: is that of tiles; give --tile too"),
        (["--tile", "auto", "--model-size"], "size 'model': tiles cover a picture at its own size"),
    ):
        code, _, err = run("predict", out / "checkpoint", image, "--out", tmp_path / "refused", *options)
        assert (code, err.count("\n")) == (2, 1)
        assert message in err
    assert not (tmp_path / "refused").exists()


def test_options_of_the_data_travel_with_the_checkpoint(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDNAS_CACHE", str(tmp_path / "cache"))
    small = replace(zoo.architecture("base"), bifpn_width=8, bifpn_depth=1).to_text()
    (tmp_path / "c.yaml").write_text("data: streets\ndata_options: {count: 9, seed: 3}\n")
    train = ["train", small, "--config", tmp_path / "c.yaml", "--tasks", "depth", "--steps", 2, "--batch-size", 2]
    train += ["--data-option", "count=5", "--data-option", "size=[32, 64]", "--json", "--out", tmp_path / "run"]
    code, printed, err = run(*train)
    assert code == 0, err
    metrics = json.loads(printed)
    assert (metrics["samples"], metrics["input_size"]) == (5, [32, 64])
    evaluate = ["evaluate", tmp_path / "run" / "checkpoint", "--data", "streets", "--json"]
    code, printed, err = run(*evaluate)
    assert code == 0, err
    again = json.loads(printed)
    assert (again["tasks"], again["trivial"]) == (metrics["tasks"], metrics["trivial"])
    assert json.loads(run(*evaluate, "--data-option", "count=3")[1])["samples"] == 3
    other = json.loads(run(*evaluate, "--data-option", "seed=4")[1])
    assert other["samples"] == 5
    assert other["tasks"] != metrics["tasks"]

    for option, message in (
        ("count", "data option 'count': write each option once, NAME=VALUE"),
        ("count=[", "data option 'count=[': the value cannot be read"),
        ("cuont=3", "unknown key 'cuont'; did you mean 'count'"),
    ):
        code, _, err = run(*evaluate, "--data-option", option)
        assert (code, err.count("\n")) == (2, 1)
        assert message in err


@pytest.mark.slow
def test_train_several_seeds_reports_mean_and_spread(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDNAS_CACHE", str(tmp_path / "cache"))
    config = tmp_path / "train.yaml"
    small = replace(zoo.architecture("base"), bifpn_width=8, bifpn_depth=1)
    config.write_text(
        f"architecture: {small.to_text()}\ndata: streets\ndata_options: {{count: 4}}\ntasks: [depth]\n"
        "recipe: {name: mini, steps: 1, batch_size: 2, input_size: [32, 64]}\n"
    )
    code, out, err = run("train", "--config", config, "--runs", 2, "--out", tmp_path / "runs")
    assert code == 0, err
    assert "±" in out
    assert "no network (mean label)" in out
    assert json.loads((tmp_path / "runs" / "summary.json").read_text())["seeds"] == [0, 1]
    again = ["train", "--config", config, "--runs", 2, "--out", tmp_path / "runs", "--resume"]
    code, _, err = run(*again, "--steps", 2)
    assert code == 0, err
    assert err.count("lengthening 1 steps to 2: from there the optimizer starts again") == 2
    assert json.loads((tmp_path / "runs" / "metrics.json").read_text())["steps"] == 2
    code, _, err = run(*again)
    assert (code, err.count("\n")) == (2, 1)
    assert "holds a run of 2 steps, 1 are asked for" in err


@pytest.mark.slow
def test_train_says_first_at_which_size_and_why(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDNAS_CACHE", str(tmp_path / "cache"))
    small = replace(zoo.architecture("base"), bifpn_width=8, bifpn_depth=1, name="small")
    found = {"trial": 3, "input_size": [64, 64], "architecture": small.to_dict()}
    (tmp_path / "best.json").write_text(json.dumps(found))
    folder = tmp_path / "rooms"
    run("data", "make", "rooms", "--out", folder, "--train", 4, "--val", 2, "--size", "144x192")
    train = ["train", tmp_path / "best.json", "--data", folder, "--tasks", "depth", "--steps", 1, "--batch-size", 2]
    for options, line in (
        ([], "64x64 (what the architecture is for; the data's 144x192 STRETCHED, by 0.44 in height and 0.33 in width)"),
        (["--input", "72x96"], "72x96 (set by --input or the configuration; the data's 144x192 scaled by 0.50)"),
    ):
        code, _, err = run(*train, *options, "--out", tmp_path / f"run{len(options)}")
        assert code == 0, err
        assert err.splitlines()[0] == f"training small at {line}"
    code, _, err = run("train", small.to_text(), *train[2:], "--out", tmp_path / "own")
    assert code == 0, err
    shrunk = "96x128 (about the 8192 pixels of recipe mini; the data's 144x192 scaled by 0.67)"
    assert err.splitlines()[0] == f"training a network at {shrunk}"


@pytest.fixture
def range_test(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[object]:
    monkeypatch.setenv("EDNAS_CACHE", str(tmp_path / "cache"))
    data = write_dataset(tmp_path / "data")
    save_architecture(small_architecture(), tmp_path / "small.json")
    return ["train", tmp_path / "small.json", "--data", data, "--steps", 20, "--batch-size", 4, "--input", "32x64"]


@pytest.mark.slow
def test_find_lr_suggests_and_draws_and_trains_nothing(run: Run, range_test: list[object], tmp_path: Path) -> None:
    out = tmp_path / "rate"
    code, printed, err = run(*range_test, "--find-lr", "--out", out)
    assert code == 0, err
    found = json.loads((out / "find_lr.json").read_text())
    assert f"take it by --lr {found['suggestion']:g}" in printed
    assert f"wrote {out / 'find_lr.svg'}" in printed
    assert sorted(path.name for path in out.iterdir()) == ["find_lr.json", "find_lr.svg"]
    assert (out / "find_lr.svg").read_text().startswith("<svg")
    assert json.loads(run(*range_test, "--find-lr", "--json", "--out", out)[1]) == found

    code, _, err = run(*range_test, "--lr", "auto", "--out", tmp_path / "run", "--json")
    assert code == 0, err
    assert load_config(tmp_path / "run" / "config.yaml").recipe.learning_rate == found["suggestion"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--lr", "fast"], "train: 'recipe.learning_rate': write a number above 0, or auto (got 'fast')"),
        (["--lr", "-1"], "'recipe.learning_rate': write a number above 0, or auto (got '-1')"),
        (["--lr", "auto", "--steps", 3], "recipe.steps: 3: a range test needs 20 at least"),
        (["--find-lr", "--runs", 2], "--find-lr: trains no run; leave --resume and --runs out"),
        (["--find-lr", "--resume"], "--find-lr: trains no run; leave --resume and --runs out"),
    ],
)
def test_mistakes_of_a_range_test_are_one_line(
    run: Run, range_test: list[object], tmp_path: Path, options: list[object], message: str
) -> None:
    code, _, err = run(*range_test, "--out", tmp_path / "run", *options)
    assert (code, err.count("\n")) == (2, 1)
    assert message in err


def test_a_weighting_is_chosen_and_logged(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDNAS_CACHE", str(tmp_path / "cache"))
    train = ["train", small_architecture().to_text(), "--data", write_dataset(tmp_path / "data"), "--steps", 4]
    train += ["--batch-size", 2, "--out", tmp_path / "run"]
    code, _, err = run(*train, "--weighting", "dwa(window=2)")
    assert code == 0, err
    recipe = load_config(tmp_path / "run" / "config.yaml").recipe
    assert (recipe.weighting.name, recipe.weighting.options) == ("dwa", {"window": 2, "temperature": 2.0})
    header = (tmp_path / "run" / "logs" / "steps.csv").read_text().partition("\n")[0]
    assert "weight/segmentation,weight/depth" in header


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--weighting", "dwaa"], "unknown weighting 'dwaa'; did you mean 'dwa'"),
        (["--weighting", "dwa(windo=2)"], "did you mean 'window'"),
        (["--weighting", "stch(window=0)"], "window"),
        (["--weighting", "dwa(window=2"], "'dwa(window=2' names no weighting"),
    ],
)
def test_mistakes_of_a_weighting_are_one_line(run: Run, tmp_path: Path, options: list[str], said: str) -> None:
    code, _, err = run("train", "base", "--data", "streets", "--out", tmp_path / "run", *options)
    assert code == 2
    assert said in err
    assert err.count("\n") == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_way_to_share_is_chosen_kept_and_refused(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDNAS_CACHE", str(tmp_path / "cache"))
    train = ["train", small_architecture().to_text(), "--data", write_dataset(tmp_path / "data"), "--steps", 2]
    train += ["--batch-size", 2]
    code, _, err = run(*train, "--sharing", "single", "--out", tmp_path / "single")
    assert code == 0, err
    assert load_checkpoint(tmp_path / "single" / "checkpoint").architecture.sharing == "single"
    code, _, err = run(
        *train, "--sharing", "nddr(rate=2)", "--init", tmp_path / "single" / "checkpoint", "--out", tmp_path / "nddr"
    )
    assert code == 0, err
    assert "taken whole: stem, block 1" in (tmp_path / "nddr" / "log.txt").read_text()
    code, _, err = run(*train, "--sharing", "mtann", "--out", tmp_path / "wrong")
    assert code == 2
    assert "unknown sharing 'mtann'; did you mean 'mtan'" in err
    assert err.count("\n") == 1
