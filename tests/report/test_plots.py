"""The figures' data."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from helpers.reports import fake_report, fake_trials

from ednas.report import plots
from ednas.search.trial import TrialState


def test_plotly_accepts_the_figures():
    graph_objects = pytest.importorskip("plotly.graph_objects")
    report = fake_report()
    for figure in (plots.pareto_figure(report), plots.reward_figure(report), plots.choices_figure(report)):
        graph_objects.Figure(figure)


def test_pareto_points_are_the_scored_trials_and_the_slow_ones_are_marked():
    report = fake_report()
    traces = {trace.get("name"): trace for trace in plots.pareto_figure(report)["data"]}
    scored = [trial for trial in report.trials if trial.scored]
    slow = [trial for trial in scored if trial.latency_ms > report.target_latency_ms]
    names = ("candidate", "slower than the target", "Pareto front")
    assert sum(len(traces[name]["x"]) for name in names) == len(scored)
    hollow = traces["Pareto front"]["marker"]["symbol"].count("circle-open")
    assert len(traces["slower than the target"]["x"]) + hollow == len(slow)
    pruned = [trial for trial in report.trials if trial.state is TrialState.PRUNED]
    assert len(traces["not trained"]["x"]) == len(pruned)


def test_running_best_never_falls():
    points, line = plots.reward_figure(fake_report())["data"]
    assert line["x"][-1] == len(points["y"])
    for place in range(1, len(points["y"]) + 1):
        (*_, reached) = (y for x, y in zip(line["x"], line["y"], strict=True) if x <= place)
        assert reached == max(points["y"][:place])


def test_of_very_many_trials_the_front_the_best_and_evenly_spaced_others_are_drawn(monkeypatch):
    report = fake_report(400)
    scored = [trial for trial in report.trials if trial.scored]
    best = sorted(scored, key=lambda trial: -trial.reward)[:5]
    monkeypatch.setattr(plots, "MAX_DRAWN", 60)
    monkeypatch.setattr(plots, "MAX_DETAILED", 30)
    monkeypatch.setattr(plots, "_BEST_DETAILED", len(best))

    traces = {trace.get("name"): trace for trace in plots.pareto_figure(report)["data"]}
    named = ("candidate", "slower than the target", "Pareto front")
    drawn = {int(number): text for name in named for number, text in zip(*_texts(traces[name]), strict=True)}
    assert len(best) + len(report.pareto) < len(drawn) <= 60
    assert {*report.pareto, *(trial.number for trial in best)} <= drawn.keys()
    assert sum(map(bool, drawn.values())) <= 30
    others = [place for place, trial in enumerate(scored) if trial.number in drawn]
    assert max(after - before for before, after in pairwise(others)) < 4 * len(scored) / 60
    assert len(traces["not trained"]["x"]) <= 60

    points, line = plots.reward_figure(report)["data"]
    assert len(points["x"]) <= 60
    assert line["x"][-1] == len(scored)
    assert line["y"][-1] == pytest.approx(best[0].reward, rel=1e-5)
    rewards = {place: trial.reward for place, trial in enumerate(_in_order(scored), start=1)}
    assert points["y"] == pytest.approx([rewards[place] for place in points["x"]], rel=1e-5)


def _texts(trace):
    return trace["text"], trace["customdata"]


def _in_order(trials):
    return sorted(trials, key=lambda trial: trial.number if trial.done_order is None else trial.done_order)


def test_hover_shows_all_blocks_and_metrics():
    trial = next(trial for trial in fake_trials(10) if trial.scored)
    text = plots.details(trial)
    for block in trial.architecture.split():
        assert block in text
    assert "mIoU" in text
    assert text.count("<br>") > 8


def test_the_baseline_is_a_point_where_its_accuracy_is_known():
    report = replace(fake_report(20), baseline_accuracy=0.31)
    trace = plots.pareto_figure(report)["data"][-1]
    assert (trace["name"], trace["x"], trace["y"]) == ("baseline", [11.6], [0.31])
