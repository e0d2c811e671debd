"""What a search settles before its first candidate."""

from __future__ import annotations

import pickle

import pytest
import torch
from helpers.small_searches import small_search
from helpers.small_training import small_architecture

from ednas.search.beginning import begin, find_start


@pytest.fixture(autouse=True)
def _small(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDNAS_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
    torch.set_num_threads(1)


def begun(stored=(), **changes):
    space = {"kinds": ["ibn"], "multipliers": [0.5, 1.0], "expand_ratios": [2, 3]}
    config = small_search(architecture=small_architecture().to_dict(), space=space, **changes)
    return begin(config, None, dict(stored), None)


def test_costs_travel_to_other_processes():
    found = begun()
    cost = pickle.loads(pickle.dumps(found.cost))
    assert cost(found.space.base) == found.cost(found.space.base)


@pytest.mark.parametrize("limit", ["baseline", "0.98 * baseline", "none"])
def test_the_start_is_the_base_or_another_network_within_the_limits(limit):
    found = begun(target_latency_ms=limit)
    start = find_start(found.space, found.cost, found.objective)
    cost = found.cost(found.space.decode(start))
    assert all(cost[name] <= most for name, most in found.objective.limits.items())
    assert (start == found.space.encode(found.space.base)) is ("*" not in limit)


def test_a_quantity_that_is_new_makes_no_other_search():
    known = begun().identity
    assert "energy_mj" in known["baseline"]
    before = {**known, "baseline": {name: cost for name, cost in known["baseline"].items() if name != "energy_mj"}}
    assert begun(before).identity == before
    other = {**before, "baseline": {**before["baseline"], "latency_ms": 1.0}}
    assert begun(other).identity["baseline"] == before["baseline"]  # what the study refuses


def test_the_evaluator_is_part_of_what_a_search_is():
    assert begun().identity["evaluator"] == {"name": "proxy", "options": {"rungs": 1, "eta": 4}}
    found = begun(evaluator={"name": "supernet", "options": {"steps": 7}}).identity["evaluator"]
    options = {"steps": 7, "at_once": 4, "networks": 1000, "sandwich": True, "calibration": 256, "folder": None}
    assert found == {"name": "supernet", "options": options}
    assert "bank" not in begun(bank="b.jsonl").identity


def test_networks_that_differ_as_wholes_are_drawn_once():
    first = begun(varied=3)
    known = first.identity
    assert [first.space.decode(genes).to_text() for genes in first.initial] == known["varied networks"]
    other = {**known, "varied networks": known["varied networks"][:2]}  # as drawn by another cost model
    assert begun(other, varied=3).identity == other
    assert "varied networks" not in begun().identity
