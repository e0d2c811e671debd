"""The figures' data."""

from __future__ import annotations

from dataclasses import replace

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
    assert len(traces["too slow, not trained"]["x"]) == len(pruned)


def test_running_best_never_falls():
    points, line = plots.reward_figure(fake_report())["data"]
    assert line["y"] == [max(points["y"][: index + 1]) for index in range(len(points["y"]))]


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
