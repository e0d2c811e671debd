"""An exported model: where its operators run, and how far it is from the network that it was made of."""

from __future__ import annotations

from rich.table import Table

from ednas.export.audit import Audit
from ednas.export.check import CheckReport
from ednas.report.labels import metric_heading, show_metric
from ednas.report.tables.layout import new_table, numbers


def audit_table(audit: Audit) -> Table:
    """Return where a device runs each operator of a model, and why."""
    title = f"{audit.target}: {audit.operators} operators, {audit.host_ops} not on the accelerator"
    table = new_table(title, "operator", *numbers("version", "count"), "where", "why")
    for row in audit.rows:
        table.add_row(row.op, str(row.version), str(row.count), row.where, row.why)
    return table


def check_table(report: CheckReport) -> Table:
    """Return how far an exported model is from the network that it was made of, by task."""
    of = "" if report.metrics is None else f", {report.metrics.samples} samples of {report.metrics.split}"
    title = f"{report.model}: {report.precision}, {report.runtime}{of}"
    table = new_table(title, "task", "what", *numbers("PyTorch", "exported", "worse by"))
    for task, error in report.parity.items():
        table.add_row(task, "largest error of the float model, relative", "", f"{error:.1e}", "")
        if task in report.snr_db:
            table.add_row("", "int8 against float, signal to noise", "", f"{report.snr_db[task]:.1f} dB", "")
        for drop in report.metrics.drops if report.metrics else ():
            if drop.task == task:
                heading = metric_heading(drop.metric, unit=drop.unit)
                before, after = (show_metric(drop.metric, value) for value in (drop.before, drop.after))
                table.add_row("", heading, before, after, f"{drop.drop_percent:+.2f} %")
    return table
