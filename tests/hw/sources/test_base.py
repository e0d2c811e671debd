"""A latency source is named in one text."""

from __future__ import annotations

from pathlib import Path

import pytest

from ednas.arch import zoo
from ednas.exceptions import ConfigError, TargetError
from ednas.hw import Cost, LayerGraph, estimate, load_target, simulate, trace_network
from ednas.hw.sources import Source, base, load_source, register_source, source_names


def test_a_targets_name_means_the_simulator() -> None:
    graph = trace_network(zoo.architecture("base"), {"depth": 1}, (64, 64))
    source = load_source("coral_usb")
    assert source.name == "coral_usb"
    assert source.cost(graph) == simulate(graph, load_target("coral_usb"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("corel_usb", "did you mean 'coral_usb'"),
        ("litert:int7", "LiteRT measures int8 or float32"),
        ("table", "write table:FILE.csv"),
        ("edgetpu:0", "takes nothing after a colon"),
        ("vela:ethos-u99", "ethos-u99"),
    ],
)
def test_unknown_sources_are_refused(text: str, message: str) -> None:
    with pytest.raises(TargetError, match=message):
        load_source(text)


class PerMac(Source):
    """Latency by the multiply-accumulates alone."""

    name = "per_mac"

    def __init__(self, detail: str) -> None:
        self.factor = float(detail or 1)

    def cost(self, graph: LayerGraph, model: Path | None = None) -> Cost:
        return Cost(self.name, latency_ms=self.factor * graph.macs)


class TestRegistered:
    @pytest.fixture(autouse=True)
    def _forgotten_afterwards(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(base, "_registry", dict(base._registry))

    def test_a_users_own_is_found_by_its_name(self) -> None:
        register_source("per_mac", PerMac)
        graph = trace_network(zoo.architecture("base"), {"depth": 1}, (64, 64))
        assert "per_mac" in source_names()
        assert load_source("per_mac").cost(graph).latency_ms == graph.macs
        assert load_source("per_mac:3").cost(graph).latency_ms == 3 * graph.macs

    def test_a_cost_alone_makes_a_source(self) -> None:
        source = PerMac("2")
        graph = trace_network(zoo.architecture("base"), {"depth": 1}, (64, 64))
        assert source.network_cost(zoo.architecture("base"), {"depth": 1}, (64, 64)) == source.cost(graph)
        assert source.definition() == {"name": "per_mac"}
        assert source.target is None

    @pytest.mark.parametrize("name", ["litert", "edgetpu", "coral_usb", "mine"])
    def test_a_name_is_given_once(self, name: str) -> None:
        register_source("mine", PerMac)
        with pytest.raises(ConfigError, match=f"a source '{name}' exists already"):
            register_source(name, PerMac)
        register_source(name, PerMac, replace=True)
        assert load_source(f"{name}:1").name == "per_mac"

    @pytest.mark.parametrize("name", ["", "mine:fast"])
    def test_a_name_can_stand_before_a_colon(self, name: str) -> None:
        with pytest.raises(ConfigError, match="a name is not empty and has no colon"):
            register_source(name, PerMac)


def test_the_simulator_is_defined_by_what_decides_a_cost() -> None:
    source = load_source("coral_usb")
    assert source.target == load_target("coral_usb")
    assert source.definition() == load_target("coral_usb").model_dump(mode="json", exclude={"compiler"})
    architecture, heads = zoo.architecture("base"), {"depth": 1}
    assert source.network_cost(architecture, heads, (64, 64)) == estimate(architecture, heads, (64, 64), source.target)


@pytest.mark.parametrize(
    "text", ["litert", "litert:int8", "vela:ethos-u55-256", "edgetpu", "edgetpu_compiler", "table:x.csv"]
)
def test_what_measures_or_asks_is_defined_by_its_name(text: str) -> None:
    source = load_source(text)
    assert source.name == text
    assert source.target is None
    assert source.definition() == {"name": text}
