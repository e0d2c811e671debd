from __future__ import annotations

from helpers.reports import fake_comparison, rows, show

from ednas.metrics import METRICS, ModelMetrics
from ednas.report.comparison import tabulate
from ednas.report.tables.comparison import chances_table, comparison_table


def test_the_comparison_table_shows_values_gains_and_costs():
    text = show(comparison_table(fake_comparison()))
    for fact in ("46.52 ± 0.31 (+16.2)", "0.3100 ± 0.0040 (−2.3)", "+7.9", "mIoU % ↑", "Latency ms", "3.42 M"):
        assert fact in text


def test_the_comparison_table_leaves_out_unknown_costs():
    single = ModelMetrics("single", "standard", {"depth": {"abs_err": 0.5, "rel_err": 0.2}})
    multi = ModelMetrics("multi [bold]x[/bold]", "standard", {"depth": {"abs_err": 0.4, "rel_err": 0.19}})
    text = show(comparison_table(tabulate(single, [multi])))
    assert "multi [bold]x[/bold]" in text
    assert "+12.5" in text
    assert "Latency" not in text


def test_three_tasks_fit_into_80_characters():
    metrics = {
        "segmentation": dict.fromkeys(list(METRICS)[:3], 40.0),
        "depth": dict.fromkeys(list(METRICS)[3:10], 50.0),
        "normals": dict.fromkeys(list(METRICS)[10:], 90.0),
    }
    one, other = (ModelMetrics(name, "standard", metrics, units={"depth": {"rmse": "m"}}) for name in "ab")
    text = show(comparison_table(tabulate(one, [other])), 80)
    assert "…" not in text
    assert len(rows(text)) == len(METRICS) + 3 + 1
    found = [row[1] for row in rows(text)]
    assert found.index("Rel. error ↓") < found.index("Δ %", 4) < found.index("RMSE m ↓")
    assert "(" not in next(line for line in text.splitlines() if "RMSE m" in line)


def test_chances_have_a_column_for_each_model():
    chances = [{"depth": {"abs_err": 0.25}}, {"depth": {"rel_err": 0.5}}]
    text = show(chances_table(["a", "[b]other[/b]"], chances))
    assert "[b]other[/b]" in text
    assert rows(text) == [["depth", "Abs. error ↓", "0.250", "–"], ["depth", "Rel. error ↓", "–", "0.500"]]
