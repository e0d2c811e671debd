"""The page of a training: recipe, curves, pictures, and no text that is code."""

from __future__ import annotations

import json
import shutil

import pytest
from helpers.reports import HOSTILE, Page, curves

from ednas.report.training import collect_training
from ednas.report.training_page import describe_recipe, loss_panels, render_training, validation_panels
from ednas.training import Recipe


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


def test_without_logs_there_are_no_curves(one):
    shutil.rmtree(one / "logs")
    page = Page(render_training(collect_training(one)))
    assert not {"curves", "validation"} & set(page.sections)


def test_hostile_names_stay_text(one):
    file = one / "checkpoint" / "metrics.json"
    metrics = json.loads(file.read_text())
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
