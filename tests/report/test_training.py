"""The report of a training: of one seed and of several, finished or not, with and without its data."""

from __future__ import annotations

import json
import shutil
from statistics import mean, stdev

import pytest
from helpers.reports import Page, curves

from ednas.exceptions import EdnasError
from ednas.metrics import NO_NETWORK
from ednas.report.labels import show_metric, show_number
from ednas.report.training import collect_training, is_training
from ednas.report.training_page import loss_panels, render_training, validation_panels


def read_metrics(folder):
    return json.loads((folder / "checkpoint" / "metrics.json").read_text())


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


def test_a_page_of_a_run_that_goes_on_reloads_and_looks_at_no_image(one):
    report = collect_training(one, progress=lambda *_: pytest.fail("looked at an image"), pictures=False)
    page = Page(render_training(report, reload_s=10))
    assert "this page reloads every 10 s" in page.text
    assert "No pictures: the run goes on" in page.text
    assert any("location.reload()" in script for script in page.scripts)
    page = Page(render_training(collect_training(one)))
    assert "reloads" not in page.text
    assert not any("location.reload()" in script for script in page.scripts)


def test_what_is_a_training(one, two, tmp_path):
    (tmp_path / "seed_x").mkdir()
    assert is_training(one)
    assert is_training(two)
    assert not is_training(tmp_path)
