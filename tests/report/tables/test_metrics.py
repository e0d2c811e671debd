from __future__ import annotations

from helpers.reports import rows, show

from ednas.report.tables.metrics import classes_table, metrics_table


def test_the_metrics_table_begins_with_the_papers():
    metrics = {
        "tasks": {"depth": {"rmse": 0.5, "abs_err": 0.25, "delta_1": 80.0}, "edges": {"f1": 0.5}},
        "higher_is_better": {"f1": True},
        "units": {"depth": {"abs_err": "m", "rmse": "m"}},
    }
    assert rows(show(metrics_table(metrics))) == [
        ["depth", "Abs. error m ↓", "0.2500"],
        ["", "RMSE m ↓", "0.5000"],
        ["", "δ1 % ↑", "80.00"],
        ["edges", "f1 ↑", "0.5000"],
    ]
    spread = {"depth": {"abs_err": 0.125, "rmse": 0, "delta_1": 0}, "edges": {"f1": 0}}
    assert rows(show(metrics_table(metrics, spread)))[0][2] == "0.2500 ± 0.1250"


def test_a_class_that_does_not_occur_has_a_dash():
    classes = {"road": {"iou": 50.0, "acc": 75.0}, "[red]sky": {"iou": None, "acc": None}}
    assert rows(show(classes_table("segmentation", classes))) == [["road", "50.00", "75.00"], ["[red]sky", "–", "–"]]
