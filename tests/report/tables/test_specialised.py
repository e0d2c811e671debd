from __future__ import annotations

from pathlib import Path

from helpers.reports import show

from ednas.report.tables.specialised import DeviceRow, specialised_table


def test_each_device_has_its_latencies_metrics_and_model():
    metrics = {"segmentation": {"miou": 41.25}, "depth": {"rel_err": 0.2345}}
    rows = [
        DeviceRow("coral_usb [x]", 5.25, 5.75, 7, metrics, {}, Path("out/model.tflite")),
        DeviceRow("ethos", 6.5, None, 1, metrics, {}, None),
    ]
    text = show(specialised_table(rows))
    for fact in ("coral_usb [x]", "5.25", "5.75", "mIoU % ↑", "41.25", "0.2345", "out/model.tflite", "–"):
        assert fact in text
