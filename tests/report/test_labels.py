from __future__ import annotations

import pytest

from ednas.hw import load_target, target_names
from ednas.report import labels


@pytest.mark.parametrize(
    ("key", "unit"),
    [
        ("clock_mhz", "MHz"), ("off_chip_gb_per_s", "GB/s"), ("dispatch_ms", "ms"), ("element_ns", "ns"),
        ("instruction_bytes_per_layer", "B/layer"), ("on_chip_um2_per_kib", "µm²/KiB"), ("mac_pj", "pJ"),
        ("link_pj_per_byte", "pJ/byte"), ("convolution_gmac_per_s", "GMAC/s"), ("pointwise_factor", ""),
    ],
)  # fmt: skip
def test_units_are_those_of_the_keys(key, unit):
    assert labels.show_unit(key) == unit


def test_every_rate_has_a_unit():
    keys = {path.rpartition(".")[2] for name in target_names() for path in load_target(name).figures()}
    without = {key for key in keys if not labels.show_unit(key)}
    assert not {key for key in without if "_per_" in key}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (float("nan"), "–"),
        (0, "0"),
        (999, "999"),
        (1234, "1.23 k"),
        (45_600_000, "45.6 M"),
        (7.5e9, "7.50 G"),
    ],
)
def test_counts(value, text):
    assert labels.show_count(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(None, "–"), (0.0123, "0.0123"), (1.5, "1.50"), (12.34, "12.3"), (123.4, "123"), (0, "0")]
)
def test_latencies(value, text):
    assert labels.show_latency(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(None, "–"), (9.24, "+9.2"), (-0.5, "−0.5"), (0.04, "0.0"), (-0.04, "0.0")]
)
def test_deltas(value, text):
    assert labels.show_delta(value) == text
