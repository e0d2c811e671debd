from __future__ import annotations

from helpers.reports import rows, show

from ednas.export.audit import Audit, AuditRow
from ednas.export.check import CheckReport, MetricDrop, MetricsCheck
from ednas.report.tables.export import audit_table, check_table


def test_an_audit_says_who_runs_what_and_why() -> None:
    audited = Audit("coral_usb", (AuditRow("CONV_2D", 3, 5, "mapped"), AuditRow("ARG_MAX", 2, 1, "host", "because")))
    text = show(audit_table(audited))
    assert "coral_usb: 6 operators, 1 not on the accelerator" in text
    assert rows(text) == [["CONV_2D", "3", "5", "mapped", ""], ["ARG_MAX", "2", "1", "host", "because"]]


def test_a_check_shows_errors_noise_and_metrics() -> None:
    drop = MetricDrop(task="depth", metric="abs_err", before=0.25, after=0.5, drop_percent=100.0, unit="m")
    report = CheckReport(
        model="model", runtime="litert", precision="int8", images=4, real_images=True, parity={"depth": 1e-6},
        parity_limit=1e-3, snr_db={"depth": 30.0}, layers=(), worst=drop, drop_limit_percent=1.0, passed=False,
        failures=("depth",),
        metrics=MetricsCheck(protocol="standard", dataset="streets", split="val", samples=8, drops=(drop,)),
    )  # fmt: skip
    text = show(check_table(report))
    assert "model: int8, litert, 8 samples of val" in text
    assert rows(text) == [
        ["depth", "largest error of the float model, relative", "", "1.0e-06", ""],
        ["", "int8 against float, signal to noise", "", "30.0 dB", ""],
        ["", "Abs. error m ↓", "0.2500", "0.5000", "+100.00 %"],
    ]
