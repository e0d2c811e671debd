"""Energies and areas are sums of published costs, so that the parts add up to the whole."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ednas.config import parse
from ednas.exceptions import TargetError
from ednas.hw import load_target
from ednas.hw.model.energy import AreaConfig, EnergyConfig


def figure(value: float) -> dict[str, object]:
    return {"value": value, "provenance": "assumed", "source": "test"}


def energy(**changes: float) -> EnergyConfig:
    values = {
        "mac_pj": 0.3,
        "on_chip_pj_per_byte": 12.5,
        "off_chip_pj_per_byte": 160.0,
        "link_pj_per_byte": 100.0,
        "idle_mw": 200.0,
        "host_mw": 1500.0,
        "uncertainty": 2.0,
    }
    return parse(EnergyConfig, {key: figure(value) for key, value in (values | changes).items()}, "test", TargetError)


def inference_mj(costs: EnergyConfig, quantities: Mapping[str, float]) -> float:
    """Add up an inference with one layer on the accelerator and one on the host."""
    given = defaultdict(int, quantities)
    layer_mj = costs.layer_mj(given["macs"], given["on_chip_bytes"], given["off_chip_bytes"])
    return layer_mj + costs.host_mj(given["host_ms"]) + costs.fixed_mj(given["link_bytes"], given["latency_ms"])


def area(**changes: float) -> AreaConfig:
    values = {"technology_nm": 45.0, "mac_um2": 1000.0, "on_chip_um2_per_kib": 5000.0, "overhead_factor": 1.5}
    return parse(AreaConfig, {key: figure(value) for key, value in (values | changes).items()}, "test", TargetError)


@pytest.mark.parametrize(
    ("quantity", "amount", "expected_mj"),
    [
        ("macs", 10**9, 0.3),  # 1e9 * 0.3 pJ
        ("on_chip_bytes", 10**6, 0.0125),  # 1e6 * 12.5 pJ
        ("off_chip_bytes", 10**6, 0.16),
        ("link_bytes", 10**6, 0.1),
        ("latency_ms", 10.0, 2.0),  # 10 ms of 0.2 W
        ("host_ms", 10.0, 15.0),
    ],
)
def test_each_quantity_costs_what_its_unit_says(quantity: str, amount: float, expected_mj: float) -> None:
    assert inference_mj(energy(), {}) == 0
    assert inference_mj(energy(), {quantity: amount}) == pytest.approx(expected_mj)


counts = st.integers(0, 10**10)
layers = st.lists(st.tuples(counts, counts, counts), max_size=20)


@given(layers, st.lists(st.floats(0, 100), max_size=5), counts, st.floats(0, 1000))
def test_the_layers_add_up_to_the_inference(
    accelerated: list[tuple[int, int, int]], host_ms: list[float], link_bytes: int, latency_ms: float
) -> None:
    costs = energy()
    parts = [costs.layer_mj(*layer) for layer in accelerated] + [costs.host_mj(ms) for ms in host_ms]
    macs, on_chip, off_chip = (sum(layer[field] for layer in accelerated) for field in range(3))
    sums = {"macs": macs, "on_chip_bytes": on_chip, "off_chip_bytes": off_chip, "host_ms": sum(host_ms)}
    whole = inference_mj(costs, {**sums, "link_bytes": link_bytes, "latency_ms": latency_ms})
    assert math.fsum([*parts, costs.fixed_mj(link_bytes, latency_ms)]) == pytest.approx(whole, rel=1e-12)


def test_the_rule_for_other_widths_is_near_the_published_costs() -> None:
    # Horowitz, ISSCC 2014, 45 nm: float32 3.7 + 0.9 pJ, float16 1.1 + 0.4 pJ, int8 0.2 + 0.1 pJ.
    mac = energy().layer_mj(10**9, 0, 0)
    assert energy().layer_mj(10**9, 0, 0, mac_bits=32) / mac == pytest.approx((3.7 + 0.9) / 0.3, rel=0.25)
    assert energy().layer_mj(10**9, 0, 0, mac_bits=16) / mac == pytest.approx((1.1 + 0.4) / 0.3, rel=0.25)


def test_the_width_of_operands_changes_only_the_multiplications() -> None:
    assert energy().layer_mj(0, 7, 9, mac_bits=32) == energy().layer_mj(0, 7, 9)


def test_an_area_is_the_sum_of_its_parts_times_the_overhead() -> None:
    # 1000 * 1000 um2 + 100 * 5000 um2 = 1.5 mm2, times 1.5.
    assert area().area_mm2(macs_per_cycle=1000, on_chip_kib=100) == pytest.approx(2.25)


def test_gemminis_own_area_comes_out() -> None:
    # Genc et al., DAC 2021, without the core: 16 x 16 multipliers, 320 KiB, 1,029,000 - 171,000 um2.
    gemmini = area(mac_um2=116_000 / 256, on_chip_um2_per_kib=690_000 / 320, overhead_factor=1.065)
    assert gemmini.area_mm2(macs_per_cycle=256, on_chip_kib=320) == pytest.approx(0.858, rel=0.001)


def test_memory_that_is_shared_counts() -> None:
    alone, shared = area(), area(shared_kib=100.0)
    assert shared.area_mm2(macs_per_cycle=1000, on_chip_kib=0) == alone.area_mm2(macs_per_cycle=1000, on_chip_kib=100)


@pytest.mark.parametrize("name", ["coral_usb", "ethos_u55_256", "ethos_u65_512", "ethos_u85_1024", "systolic_64x64_os"])
def test_multipliers_of_built_in_accelerators_cost_what_one_rule_says(name: str) -> None:
    target = load_target(name)
    assert target.energy
    assert target.area
    arithmetic = 0.3 * target.area.technology_nm.value / 45
    assert target.energy.mac_pj.value / arithmetic == pytest.approx(4.3, rel=0.02)


def test_a_coral_at_its_peak_takes_what_its_datasheet_says() -> None:
    energy = load_target("coral_usb").energy
    assert energy
    macs = 2 * 10**9  # of a millisecond at 4 TOPS
    moved = macs // 125  # as a 1 x 1 convolution of 256 channels moves
    assert energy.layer_mj(macs, moved, 0) + energy.fixed_mj(0, 1.0) == pytest.approx(2.0, rel=0.1)


@pytest.mark.parametrize("wrong", [{"overhead_factor": 0.9}, {"mac_um2": 0.0}, {"mac_um2": -1.0}])
def test_an_impossible_area_is_an_error(wrong: dict[str, float]) -> None:
    with pytest.raises(TargetError, match=rf"^test: '{next(iter(wrong))}\.value': Input should be greater"):
        area(**wrong)


def test_a_negative_energy_is_an_error() -> None:
    with pytest.raises(TargetError, match=r"^test: 'mac_pj\.value': Input should be greater"):
        energy(mac_pj=-0.1)
