"""Methods, a row each."""

from __future__ import annotations

from ednas.report.content import ComparisonTable, ModelRow
from ednas.report.formats import markdown
from ednas.report.tables.methods import methods_table


def test_a_method_is_a_row_of_gains_metrics_and_costs() -> None:
    baseline = ModelRow("single-task", {"depth": {"abs_err": 0.5, "rmse": 1.0}}, latency_ms=4.0, params=2_000)
    method = ModelRow(
        "mtan, [dwa]",
        {"depth": {"abs_err": 0.4, "rmse": 0.9}},
        {"depth": {"abs_err": 0.01}},
        20.0,
        {"depth": 20.0},
        latency_ms=3.0,
        params=1_000,
        params_shared=800,
        macs=5_000,
        runs=1,
        training_seconds=12.4,
    )
    content = ComparisonTable((baseline, method), {"depth": ("abs_err", "rmse")}, baseline="single-task")
    text = markdown(methods_table(content))
    assert (
        "| Method | Δ % | Δ depth % | Abs. error ↓ | Latency ms | Params | Shared | MACs | Runs | Training s |" in text
    )
    assert "| single-task | – | – | 0.5000 | 4.00 | 2.00 k | – | – | – | – |" in text
    assert "| mtan, [dwa] | +20.0 | +20.0 | 0.4000 ± 0.0100 | 3.00 | 1.00 k | 800 | 5.00 k | 1 | 12 |" in text
