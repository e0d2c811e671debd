"""The report of a training: of one seed and of several, finished or not, with and without its data."""

from __future__ import annotations

import json
import re
import shutil
from statistics import mean, stdev

import pytest
from helpers.reports import HOSTILE, Page
from helpers.small_training import SIZE, small_architecture, write_dataset

from ednas.exceptions import EdnasError
from ednas.metrics import NO_NETWORK
from ednas.report.labels import show_metric, show_number
from ednas.report.training import collect_training, is_training
from ednas.report.training_page import describe_recipe, loss_panels, render_training, validation_panels
from ednas.training import Recipe, TrainConfig, train, train_runs


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with data, a cache, a run ``one`` and two runs ``two``."""
    root = tmp_path_factory.mktemp("trained")
    data = write_dataset(root / "data")
    recipe = Recipe(
        steps=6, batch_size=4, learning_rate=1e-2, input_size=SIZE, checkpoint_every=2, log_every=1, evaluate_every=2
    )
    config = TrainConfig(architecture=small_architecture().to_dict(), data=str(data), recipe=recipe)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EDNAS_CACHE", str(root / "cache"))
        train(config, root / "one", device="cpu")
        train_runs(config, root / "two", runs=2, device="cpu")
    return root


@pytest.fixture
def one(trained, tmp_path, monkeypatch):
    """A copy of the run, to change."""
    monkeypatch.setenv("EDNAS_CACHE", str(trained / "cache"))
    return shutil.copytree(trained / "one", tmp_path / "one")


@pytest.fixture
def two(trained, tmp_path, monkeypatch):
    monkeypatch.setenv("EDNAS_CACHE", str(trained / "cache"))
    return shutil.copytree(trained / "two", tmp_path / "two")


def read_metrics(folder):
    return json.loads((folder / "checkpoint" / "metrics.json").read_text())


def curves(text):
    """Horizontal places of the points of every curve on a page."""
    found = re.findall(r'<polyline points="([^"]+)"[^>]*stroke-width="1.4"', text)
    return [[float(pair.split(",")[0]) for pair in points.split()] for points in found]


def test_the_page_holds_what_was_measured(one):
    text = render_training(collect_training(one))
    page, metrics = Page(text), read_metrics(one)
    sections = ["results", "trained", "curves", "validation", "classes", "images", "configuration"]
    assert [name for name in page.sections if name != "warnings"] == sections
    for task, values in metrics["tasks"].items():
        for metric, value in values.items():
            assert show_metric(metric, value) in page.text
            assert show_metric(metric, metrics["trivial"]["tasks"][task][metric]) in page.text
    for name, values in metrics["classes"]["segmentation"].items():
        assert name in page.text
        assert show_number(values["iou"]) in page.text
    for fact in (
        NO_NETWORK,
        "Abs. error m ↓",
        "small",
        "tiny",
        "6 steps of 4 samples",
        "32×64",
        "4 samples of val",
        "cpu",
    ):
        assert fact in page.text, fact


def test_a_recipe_is_one_line():
    recipe = Recipe(name="mine", steps=3000, batch_size=12, learning_rate=1e-2, warmup_steps=100, init="imagenet")
    start = "mine: 3,000 steps of 12 samples, Adam at 0.01 (cosine after 100 steps), from imagenet"
    assert describe_recipe(recipe) == start
    assert describe_recipe(recipe.model_copy(update={"teacher": "runs/large"})) == f"{start}, imitating runs/large"


def test_curves_are_those_of_the_logs_and_go_right(one):
    report = collect_training(one)
    losses = {panel.title: panel.lines[0].points for panel in loss_panels(report)}
    assert list(losses) == ["loss of segmentation", "loss of depth", "weighted sum", "learning rate"]
    for points in losses.values():
        assert [step for step, _ in points] == [1, 2, 3, 4, 5, 6]
    assert losses["learning rate"][0][1] == pytest.approx(1e-2)
    [line] = next(panel for panel in validation_panels(report) if panel.title == "depth: Abs. error m ↓").lines
    assert [step for step, _ in line.points] == [2, 4]
    best = json.loads((one / "best" / "metrics.json").read_text())
    assert dict(line.points)[best["steps"]] == best["tasks"]["depth"]["abs_err"]
    assert line.marked == best["steps"]
    drawn = curves(render_training(report))
    assert len(drawn) == 4 + 4  # losses, rate; two scored metrics of each task
    assert all(places == sorted(set(places)) for places in drawn)


def test_pictures_are_of_the_validation_images(one):
    page = Page(render_training(collect_training(one)))
    pictures = [attrs for tag, attrs in page.elements if tag == "img"]
    assert len(pictures) == 2 * 4 * 4  # two tasks; four images; image, label, legend, prediction
    assert all(attrs["src"].startswith("data:image/png;base64,") and attrs["alt"] for attrs in pictures)
    assert "by mIoU % ↑ of 4 images" in page.text


def test_several_seeds_are_mean_and_spread_and_a_line_each(two):
    report = collect_training(two)
    page = Page(render_training(report))
    summary = json.loads((two / "summary.json").read_text())
    for values in summary["tasks"].values():
        for metric, found in values.items():
            assert show_metric(metric, found["mean"], found["std"]) in page.text
    assert all(len(panel.lines) == 2 for panel in [*loss_panels(report), *validation_panels(report)])
    assert len(curves(render_training(report))) == 2 * 8
    assert "network of seed 0" in page.text
    road = [read_metrics(two / f"seed_{seed}")["classes"]["segmentation"]["road"]["iou"] for seed in (0, 1)]
    assert f"{show_number(mean(road))} ± {show_number(stdev(road))}" in page.text


def test_a_seed_that_goes_on_is_told(two):
    shutil.rmtree(two / "seed_1" / "checkpoint")
    report = collect_training(two)
    page = Page(render_training(report))
    assert "seed 1 is not finished: step 6 of 6" in page.text
    assert report.spread is None
    assert show_metric("miou", read_metrics(two / "seed_0")["tasks"]["segmentation"]["miou"]) in page.text
    shutil.rmtree(two / "seed_0" / "checkpoint")
    page = Page(render_training(collect_training(two)))
    assert page.sections == ["warnings", "trained", "curves", "validation", "configuration"]


def test_without_data_or_configuration_the_page_says_why_there_are_no_pictures(one):
    config = one / "config.yaml"
    config.write_text(config.read_text().replace("dataset.yaml", "gone.yaml"))
    page = Page(render_training(collect_training(one)))
    assert "No pictures: " in page.text
    assert "gone.yaml" in page.text
    assert not [tag for tag, _ in page.elements if tag == "img"]
    config.unlink()
    assert "holds no config.yaml" in Page(render_training(collect_training(one))).text


def test_without_logs_there_are_no_curves(one):
    shutil.rmtree(one / "logs")
    page = Page(render_training(collect_training(one)))
    assert not {"curves", "validation"} & set(page.sections)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda m: "{", "not valid JSON"),
        (lambda m: [], "expected an object"),
        (lambda m: m | {"tasks": None}, "'tasks'"),
        (lambda m: m | {"tasks": {"depth": {"abs_err": "low"}}}, "abs_err"),
        (lambda m: m | {"confusion": {"segmentation": [[1]]}}, "a matrix of another size"),
        (lambda m: m | {"classes": {"segmentation": {"road": {"iou": 1.0}}}}, "lacks 'iou' or 'acc'"),
        (lambda m: m | {"trivial": {"tasks": {"depth": {"fame": 1.0}}}}, "not measured of the network"),
    ],
)
def test_broken_metrics_are_one_line(run, one, change, said):
    file = one / "checkpoint" / "metrics.json"
    changed = change(read_metrics(one))
    file.write_text(changed if isinstance(changed, str) else json.dumps(changed))
    code, _, err = run("report", one)
    assert code == 2
    assert len(err.strip().splitlines()) == 1
    assert "metrics.json" in err
    assert said in err


def test_seeds_of_other_classes_are_no_runs_of_one_training(two):
    file = two / "seed_1" / "checkpoint" / "metrics.json"
    file.write_text(file.read_text().replace('"road"', '"street"'))
    with pytest.raises(EdnasError, match="different classes"):
        collect_training(two)


def test_the_command_writes_the_page(run, two, tmp_path):
    code, out, _ = run("report", two, "--out", tmp_path / "page.html")
    assert (code, out.strip()) == (0, f"wrote {tmp_path / 'page.html'}")
    assert "Mean ± std" in (tmp_path / "page.html").read_text()
    (tmp_path / "empty").mkdir()
    code, _, err = run("report", tmp_path / "empty")
    assert code == 2
    assert len(err.strip().splitlines()) == 1
    assert "no run to report on" in err


def test_what_is_a_training(one, two, tmp_path):
    (tmp_path / "seed_x").mkdir()
    assert is_training(one)
    assert is_training(two)
    assert not is_training(tmp_path)


def test_hostile_names_stay_text(one):
    file = one / "checkpoint" / "metrics.json"
    metrics = read_metrics(one)
    metrics["classes"]["segmentation"][HOSTILE] = metrics["classes"]["segmentation"].pop("sky")
    metrics |= {"dataset": HOSTILE, "device": HOSTILE, "remarks": [HOSTILE], "units": {"depth": {"abs_err": HOSTILE}}}
    file.write_text(json.dumps(metrics))
    page = Page(render_training(collect_training(one)))
    assert not [tag for tag, attrs in page.elements if "onerror" in attrs or tag == "script"]
    assert HOSTILE in page.text


def test_nothing_is_loaded_from_elsewhere(one):
    for tag, attrs in Page(render_training(collect_training(one))).elements:
        for name in ("src", "href", "data", "srcset"):
            value = attrs.get(name) or ""
            assert value.startswith(("data:", "#")) or not value, (tag, name, value)
