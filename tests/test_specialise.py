"""One supernet, several devices: a search, a fine-tuning and an export each, kept where they are finished."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from helpers.cli import Run
from helpers.small_searches import small_search
from helpers.small_training import small_architecture

from ednas.exceptions import ConfigError
from ednas.search import run_search
from ednas.search.bank import Bank
from ednas.specialise import SpecialiseConfig, specialise

TARGETS = ("coral_usb", "ethos_u85_1024")


@pytest.fixture(autouse=True)
def _small(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDNAS_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def supernet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("supernet") / "run"
    options = {"steps": 2, "at_once": 2, "networks": 4, "calibration": 4}
    space = {"kinds": ["ibn"], "kernel_sizes": [3, 5], "multipliers": [0.5, 1.0], "expand_ratios": [2, 3]}
    config = small_search(
        architecture=small_architecture().to_dict(),
        space=space,
        evaluator={"name": "supernet", "options": options},
        trials=1,
        finalists=0,
    )
    run_search(config, folder)
    return folder


def config(**changes) -> SpecialiseConfig:
    return SpecialiseConfig(**{"targets": TARGETS, "trials": 6, "steps": 2, "export": False, **changes})


@pytest.mark.slow
def test_each_device_gets_a_network_within_its_limit(supernet, tmp_path):
    found = list(specialise(supernet, tmp_path, config()))
    assert [one.target for one in found] == list(TARGETS)
    for one in found:
        assert one.result.feasible
        assert one.row.latency_ms <= one.row.base_ms
        assert one.folder.path == tmp_path / one.target
        assert set(one.metrics["tasks"]) == {"segmentation", "depth"}
        assert one.metrics["steps"] == 2
    scores = supernet / "evaluator" / "supernet" / "scores.jsonl"
    judged = Bank(scores).anchors()
    assert len(judged) < 1 + 2 * 6  # the base, and what both have proposed, is judged once
    before = scores.read_bytes()

    class Unwanted:
        def __getattr__(self, name):
            return (lambda *args: None) if name != "on_trial" else (lambda trial: pytest.fail("it is finished"))

    again = list(specialise(supernet, tmp_path, config(), search_callbacks=[Unwanted()]))
    assert [one.metrics for one in again] == [one.metrics for one in found]
    assert scores.read_bytes() == before


@pytest.mark.slow
def test_from_the_command_line_with_a_model(supernet, tmp_path, run: Run):
    out = tmp_path / "out"
    code, text, _ = run(
        "specialise", str(supernet), "-t", "coral_usb", "--trials", "3", "--steps", "2", "--out", str(out)
    )
    assert code == 0
    assert "coral_usb" in text
    assert (out / "coral_usb" / "model" / "model.tflite").is_file()
    assert (out / "coral_usb" / "report.html").is_file()


def test_what_is_wrong_is_one_line(supernet, tmp_path, run: Run):
    code, _, error = run("specialise", str(tmp_path), "--target", "coral_usb")
    assert code == 2
    assert "holds no trained supernet" in error
    with pytest.raises(ConfigError, match="would share a folder"):
        next(specialise(supernet, tmp_path, config(targets=("coral_usb", "coral_usb"))))
    code, _, error = run("specialise", str(supernet), "--target", "coral_usbb", "--out", str(tmp_path / "out"))
    assert code == 2
    assert "coral_usb" in error
