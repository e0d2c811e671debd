"""Quantities as people read them."""

from __future__ import annotations

import pytest

from ednas.hw.quantities import show


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("latency_ms", 0.001, "latency 0.001 ms"),
        ("latency_ms", 0.1, "latency 0.10 ms"),
        ("latency_ms", 12.3456, "latency 12.35 ms"),
        ("latency_ms", 0.0, "latency 0.00 ms"),
        ("peak_memory_kb", 0.4, "peak memory 0.4 KiB"),
        ("params", 3_000_000, "parameters 3,000,000"),
    ],
)
def test_a_small_quantity_is_not_rounded_away(name: str, value: float, text: str) -> None:
    assert show(name, value) == text
