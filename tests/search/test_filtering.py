"""A search that leaves out what a cheap evaluator thinks little of: real scores of tiny networks, real trainings."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.searches import FakeEvaluator, fake_metrics, space
from helpers.small_searches import small_search

from ednas.arch import Architecture
from ednas.exceptions import ConfigError, EdnasError, StudyError
from ednas.report.collect import collect
from ednas.report.html import render
from ednas.scoring import accuracy
from ednas.search import Bank, StudyReader, TrialState, filtering, run_search
from ednas.search.evaluators.zero_cost import ZeroCostEvaluator
from ednas.search.filtering import Filter, FilterConfig
from ednas.search.objective import Objective
from ednas.search.sampling import draw

FEW = 6
NASWOT = {"name": "zero_cost", "options": {"scores": ["naswot"]}, "share": 0.5}


@pytest.fixture(autouse=True)
def _small(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDNAS_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
    monkeypatch.setattr(filtering, "NETWORKS", FEW)
    torch.set_num_threads(1)


def networks(count: int = 20) -> list[Architecture]:
    drawn = draw(space(), lambda _: {}, lambda _: True, count, (0,) * len(space().decisions), seed=0)
    return [candidate.architecture for candidate in drawn]


def by_metrics(scorer: FakeEvaluator, least: float, always: tuple[Architecture, ...] = ()) -> Filter:
    texts = frozenset(own.to_text() for own in always)
    return Filter(FilterConfig(name="fake", share=0.25), scorer, Objective({}), least, texts, seed=0)


class TestFilter:
    def test_it_refuses_what_is_below_the_threshold(self) -> None:
        values = [accuracy(fake_metrics(own)) for own in networks()]
        refuse = by_metrics(FakeEvaluator(), sorted(values)[5])
        for own, value in zip(networks(), values, strict=True):
            assert bool(refuse(own)) == (value < refuse.least)
        worst = networks()[values.index(min(values))]
        assert refuse(worst) == "filter 'fake': among the worst 25%"

    def test_what_was_asked_for_is_never_refused(self) -> None:
        first = networks()[0]
        assert by_metrics(FakeEvaluator(), 1e9)(first)
        assert not by_metrics(FakeEvaluator(), 1e9, (first,))(first)

    def test_what_it_cannot_judge_is_left_to_the_training(self) -> None:
        assert not by_metrics(FakeEvaluator(dict.fromkeys(range(8), "raise")), 1e9)(networks()[0])

    def test_a_full_disk_is_no_candidates_fault(self) -> None:
        class Full(FakeEvaluator):
            def evaluate(self, architecture: Architecture, seed: int):
                raise OSError(28, "No space left on device")

        with pytest.raises(EdnasError, match=r"filter 'fake': .*No space left.*; put that right and resume"):
            by_metrics(Full(), 1e9)(networks()[0])


def test_the_threshold_is_settled_by_networks_that_are_drawn(tmp_path: Path) -> None:
    run_search(small_search(filter=NASWOT, initial=["baseline"], trials=1), tmp_path)
    settled = json.loads((tmp_path / "filter.json").read_text())
    scores = [
        own.evaluation.tasks["untrained"]["naswot"] for own in Bank(tmp_path / "evaluator/scores.jsonl").anchors()
    ]
    assert (settled["networks"], settled["least"]) == (FEW, pytest.approx(np.quantile(scores, 0.5)))


@pytest.mark.slow
def test_the_worst_are_not_trained_and_the_page_says_so(tmp_path: Path) -> None:
    config = small_search(filter=NASWOT, controller={"name": "random"}, initial=["baseline"], trials=2)
    least = 59.8  # a few random networks pass
    for folder in (tmp_path, tmp_path / "whole"):
        run_search(config.model_copy(update={"trials": 1}), folder)
        settled = json.loads((folder / "filter.json").read_text())
        (folder / "filter.json").write_text(json.dumps({**settled, "least": least}))
    run_search(config, tmp_path, resume=True)
    with StudyReader(tmp_path / "study.db") as reader:
        trials = reader.trials()
    scorer = ZeroCostEvaluator(config.train_config(space().base), "cpu", ("naswot",))
    refused = [trial for trial in trials if trial.error == "filter 'zero_cost': among the worst 50%"]
    trained = [trial for trial in trials if trial.state is TrialState.DONE]
    assert refused
    assert len(trained) == 2
    for trial in (*refused, *trained[1:]):
        scores = scorer.evaluate(Architecture.from_text(trial.architecture), 0).tasks["untrained"]
        assert (scores["naswot"] < least) == (trial in refused)
        assert (trial.state is TrialState.PRUNED) == (trial in refused)
    assert f"{len(refused)} by the filter" in render(collect(tmp_path))

    longer = config.model_copy(update={"trials": 3})
    run_search(longer, tmp_path, resume=True)
    run_search(longer, tmp_path / "whole", resume=True)
    found = []
    for folder in (tmp_path, tmp_path / "whole"):
        with StudyReader(folder / "study.db") as reader:
            found.append([(trial.genes, trial.state, trial.reward) for trial in reader.trials()])
    assert found[0] == found[1]

    with pytest.raises(StudyError, match="'filter' was .*, is null"):
        run_search(config.model_copy(update={"filter": None}), tmp_path, resume=True)
    (tmp_path / "filter.json").write_text('{"search": "", "networks": 6}')
    with pytest.raises(ConfigError, match=r"filter\.json: key 'least' is missing"):
        run_search(config.model_copy(update={"trials": 4}), tmp_path, resume=True)
