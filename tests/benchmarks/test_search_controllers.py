"""The comparison of controllers: its measures, on a few evaluations."""

from __future__ import annotations

import importlib
from operator import itemgetter
from pathlib import Path

import numpy as np
import pytest

from ednas.search import ControllerConfig, lowest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def benchmark(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("search_controllers")


@pytest.mark.slow
def test_the_front_is_the_mean_over_latencies_of_the_best_accuracy(benchmark):
    problem = benchmark.paper_problem(benchmark.surrogate_accuracy, noise=0.05)
    trials = benchmark.search(problem, ControllerConfig(name="random"), 60, seed=0)
    lowest_ms = lowest(problem.space, problem.cost, itemgetter("latency_ms"))[1]["latency_ms"]
    seem_best = [
        trial
        for trial in trials
        if not any(
            other.cost["latency_ms"] < trial.cost["latency_ms"] and other.accuracy > trial.accuracy for other in trials
        )
    ]
    known = [(trial.cost["latency_ms"], problem.judge(trial).accuracy) for trial in seem_best]
    latencies = np.linspace(lowest_ms, problem.target_ms, 4_000)
    values = [max((accuracy for ms, accuracy in known if ms <= at), default=0.0) for at in latencies]
    assert benchmark.front_value(problem, trials, lowest_ms) == pytest.approx(np.mean(values), abs=1e-3)


@pytest.mark.slow
def test_refused_candidates_do_not_count(benchmark):
    problem = benchmark.paper_problem(benchmark.surrogate_accuracy, prune_factor=1.0, initial=True)
    trials = benchmark.search(problem, ControllerConfig(name="random"), 4, seed=0)
    assert len(trials) == 4
    assert all(trial.meets(problem.objective.limits) for trial in trials)
    assert trials[0].genes == problem.space.encode(benchmark.BASE)
    assert trials[-1].number > 10


def test_it_says_which_options_are_whose(benchmark):
    read = benchmark.read_options(["ppo.batch_size=8", "ppo.clip=0.1", "local_search.kick=null"])
    assert read == {"ppo": {"batch_size": 8, "clip": 0.1}, "local_search": {"kick": None}}
