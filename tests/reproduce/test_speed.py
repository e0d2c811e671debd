"""How fast networks are."""

from __future__ import annotations

import pytest

from ednas.arch import load_architecture
from ednas.exceptions import CheckpointError
from ednas.hw import estimate, load_target
from ednas.reproduce.speed import HERE, describe_speed, load_rounds, measure_here
from ednas.reproduce.table import NetworkRow, PlainNetwork

SINGLE = NetworkRow("single", "Single", tuple(PlainNetwork("base", (task,)) for task in ("segmentation", "depth")))
BASE = NetworkRow("base", "Base", (PlainNetwork("base", ("segmentation", "depth")),))


def test_networks_that_run_one_after_another_are_added_up():
    base, coral = load_architecture("base"), load_target("coral_usb")
    heads = ({"segmentation": 19}, {"depth": 1})
    each = [estimate(base, own, (256, 256), coral) for own in heads]
    found = describe_speed(SINGLE, [5.0, 6.0])
    assert found[0]["coral_usb"]["latency_ms"] == pytest.approx(sum(cost.latency_ms for cost in each))
    assert found[0]["coral_usb"]["latency_p90_ms"] == pytest.approx(sum(cost.latency_p90_ms for cost in each))
    assert {number: [*own] for number, own in found.items()} == {0: ["coral_usb", HERE], 1: [HERE]}
    assert [own[HERE]["latency_ms"] for own in found.values()] == [5.0, 6.0]


def test_what_was_not_measured_is_absent():
    assert [*describe_speed(BASE, [])[0]] == ["coral_usb"]


@pytest.mark.slow
def test_networks_are_measured_once(tmp_path):
    pytest.importorskip("ai_edge_litert")
    measure_here([SINGLE, BASE], tmp_path, 1)
    assert load_rounds(SINGLE, tmp_path)[0] > load_rounds(BASE, tmp_path)[0] > 0
    other = NetworkRow("base", "Another", (PlainNetwork("mobilenet_v2", ("depth",)),))
    assert load_rounds(other, tmp_path) == ()  # a key alone says not which network it is
    file = tmp_path / "speed" / "rounds.json"
    before = file.stat().st_mtime_ns
    measure_here([SINGLE, BASE], tmp_path, 1)
    measure_here([], tmp_path, 1)
    assert file.stat().st_mtime_ns == before


@pytest.mark.parametrize("text", ["{}", "[]"])
def test_a_damaged_file_is_named(tmp_path, text):
    assert load_rounds(BASE, tmp_path) == ()
    (tmp_path / "speed").mkdir()
    (tmp_path / "speed" / "rounds.json").write_text(text)
    with pytest.raises(CheckpointError, match=r"rounds\.json"):
        load_rounds(BASE, tmp_path)
