from __future__ import annotations

import pytest
from helpers.reports import fake_comparison

from ednas import scoring
from ednas.exceptions import CheckpointError
from ednas.files import read_json, write_json
from ednas.metrics import ModelMetrics
from ednas.report.comparison import ModelCost, load_comparison, mean_cost, save_comparison, tabulate

BASELINE = ModelMetrics(
    "single", "standard", {"segmentation": {"miou": 40.0}, "depth": {"abs_err": 0.02, "rel_err": 0.3}}
)
MODEL = ModelMetrics("multi", "standard", {"segmentation": {"miou": 44.0}, "depth": {"abs_err": 0.01, "rel_err": 0.33}})


def test_values_and_gains_stand_side_by_side():
    table = tabulate(
        BASELINE, [MODEL], costs={"multi": ModelCost(6.2, 3, macs=4)}, spread={"multi": {"depth": {"abs_err": 0.1}}}
    )
    baseline, model = table.models
    assert (baseline.delta, baseline.metric_deltas) == (None, {})
    assert model.values == MODEL.tasks
    assert model.metric_deltas["segmentation"]["miou"] == pytest.approx(10)
    assert model.task_deltas["depth"] == pytest.approx((50 - 10) / 2)
    assert model.delta == pytest.approx((10 + 20) / 2)
    assert (model.latency_ms, model.params, model.macs) == (6.2, 3, 4)
    assert model.spread == {"depth": {"abs_err": 0.1}}
    assert table.metrics == {"segmentation": ("miou",), "depth": ("abs_err", "rel_err")}


def test_costs_are_added_up_and_averaged():
    first = ModelCost(6.0, 10, 4, 100, 1, 30.0)
    second = ModelCost(7.0, 13, 4, 140, 1, None)
    assert first + second == ModelCost(13.0, 23, 8, 240, 2, None)
    assert mean_cost([first, second]) == ModelCost(6.5, 12, 4, 120, 1, None)
    assert mean_cost([first]) == first


def test_metrics_beside_the_papers_are_shown_without_a_gain(tmp_path):
    depth = {"rmse": 0.5, **MODEL.tasks["depth"]}
    model = ModelMetrics("multi", "standard", {**MODEL.tasks, "depth": depth}, units={"depth": {"rmse": "m"}})
    table = tabulate(BASELINE, [model])
    assert set(table.metrics["depth"]) == {"abs_err", "rel_err", "rmse"}
    assert table.models[1].metric_deltas == tabulate(BASELINE, [MODEL]).models[1].metric_deltas
    assert table.units == model.units
    save_comparison(table, tmp_path / "comparison.json")
    assert load_comparison(tmp_path / "comparison.json") == table


def test_a_comparison_of_some_tasks_shows_these_only():
    comparison = scoring.compare(BASELINE, [MODEL], tasks=["depth"])
    assert tabulate(BASELINE, [MODEL], comparison).metrics == {"depth": ("abs_err", "rel_err")}


def test_saving_and_loading_gives_the_same_table(tmp_path):
    for table in (fake_comparison(), tabulate(BASELINE, [MODEL])):
        save_comparison(table, tmp_path / "comparison.json")
        assert load_comparison(tmp_path / "comparison.json") == table


def test_the_file_extends_what_compare_prints(tmp_path):
    save_comparison(tabulate(BASELINE, [MODEL]), tmp_path / "comparison.json")
    written = read_json(tmp_path / "comparison.json")["models"][1]
    for key, value in scoring.compare(BASELINE, [MODEL]).to_json()["models"][0].items():
        assert written[key] == value


def test_what_compare_prints_can_be_read(tmp_path):
    write_json(tmp_path / "c.json", scoring.compare(BASELINE, [MODEL]).to_json())
    table = load_comparison(tmp_path / "c.json")
    assert table.models[0].delta == pytest.approx(15)
    assert table.metrics == {"segmentation": ("miou",), "depth": ("abs_err", "rel_err")}
    assert table.models[0].values == {}


@pytest.mark.parametrize(
    "content",
    [
        [], {}, {"models": 3}, {"models": [3]}, {"models": [{}]}, {"models": [{"name": 3}]},
        {"models": [{"name": "a", "delta": "big"}]}, {"models": [{"name": "a", "tasks": []}]},
        {"models": [{"name": "a", "tasks": {"depth": 3}}]},
        {"models": [{"name": "a", "values": {"depth": {"x": "y"}}}]},
        {"models": [], "baseline": 3}, {"models": [], "higher_is_better": {"x": 1}},
        {"models": [], "units": {"depth": "m"}},
    ],
)  # fmt: skip
def test_damaged_files_are_named(tmp_path, content):
    write_json(tmp_path / "broken.json", content)
    with pytest.raises(CheckpointError, match=r"broken\.json"):
        load_comparison(tmp_path / "broken.json")
