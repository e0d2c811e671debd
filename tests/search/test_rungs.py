"""Candidates that do badly are stopped on the way."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from helpers.small_searches import small_search

from ednas.exceptions import ConfigError, StudyError
from ednas.search import StudyReader, run_search
from ednas.search.evaluators.base import Evaluation
from ednas.search.objective import Objective
from ednas.search.rungs import Rungs

CONTEXT = {"data": "abc"}


def rungs(path: Path, first: int = 50, eta: int = 4) -> Rungs:
    return Rungs(path / "rungs.jsonl", CONTEXT, Objective({}), first, eta)


def found(miou: float) -> Evaluation:
    return Evaluation({"segmentation": {"miou": miou}})


def test_where_the_rungs_are(tmp_path: Path) -> None:
    assert [step for step in range(1, 3300) if step in rungs(tmp_path)] == [50, 200, 800, 3200]
    assert [step for step in range(1, 20) if step in rungs(tmp_path, first=2, eta=2)] == [2, 4, 8, 16]


def test_one_in_eta_goes_on(tmp_path: Path) -> None:
    """While there are fewer than eta, only one that is better than all before it."""
    own = rungs(tmp_path)
    values = [20.0, 10.0, 30.0, 5.0, 6.0, 7.0, 25.0, 24.0]
    assert [own.goes_on(f"n{i}", 0, 50, found(value)) for i, value in enumerate(values)] == [
        True, False, True, False, False, False, False, False
    ]  # fmt: skip
    assert own.goes_on("n8", 0, 50, found(28.0))  # the second of nine
    assert own.goes_on("n0", 0, 200, found(1.0))  # each rung is on its own


def test_a_candidate_is_not_compared_with_itself(tmp_path: Path) -> None:
    own = rungs(tmp_path)
    own.goes_on("a", 0, 50, found(10.0))
    assert own.goes_on("b", 0, 50, found(20.0))
    content = own.path.read_text()
    assert own.goes_on("b", 0, 50, found(20.0))
    assert own.path.read_text() == content


def test_other_data_and_damage(tmp_path: Path) -> None:
    own = rungs(tmp_path)
    own.goes_on("a", 0, 50, found(10.0))
    assert Rungs(own.path, {"data": "other"}, Objective({}), 50, 4).goes_on("b", 0, 50, found(1.0))
    own.path.write_text("no json\n")
    with pytest.raises(StudyError, match=r"rungs.jsonl, line 1"):
        own.goes_on("c", 0, 50, found(1.0))


@pytest.mark.slow
def test_a_search_stops_the_worse_half(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDNAS_CACHE", str(tmp_path / "cache"))
    torch.set_num_threads(1)
    recipe = {"name": "mini", "steps": 8, "batch_size": 2, "input_size": [32, 64], "schedule": "constant"}
    config = small_search(
        recipe={**recipe, "ema_decay": 0.5},
        evaluator={"name": "proxy", "options": {"rungs": 2, "eta": 2}},
        controller={"name": "random", "options": {}},
        trials=6,
        finalists=1,
    )
    result = run_search(config, tmp_path / "run")
    with StudyReader(tmp_path / "run" / "study.db") as reader:
        remarks = [trial.error for trial in reader.trials() if trial.scored]
    assert set(remarks) == {"", "stopped after 4 of 8 steps"}
    assert remarks[0] == ""
    assert result.judged_twice  # in full


@pytest.mark.parametrize(
    ("changes", "options", "message"),
    [
        ({"steps": 6}, {"rungs": 3, "eta": 2}, "3 rungs: the recipe's 6 steps must be a multiple of 4"),
        ({"steps": 4}, {"rungs": 3, "eta": 2}, "and two of them at least"),
        ({"steps": 4}, {"rungs": 2, "eta": 2}, "before the learning rate has fallen, metrics say little"),
    ],
)
def test_recipes_that_cannot_be_divided(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, int], options: dict[str, int], message: str
) -> None:
    monkeypatch.setenv("EDNAS_CACHE", str(tmp_path / "cache"))
    recipe = {"name": "mini", "batch_size": 2, "input_size": [32, 64], **changes}
    with pytest.raises(ConfigError, match=message):
        run_search(small_search(recipe=recipe, evaluator={"name": "proxy", "options": options}), tmp_path / "run")
