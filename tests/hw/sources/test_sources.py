"""A latency source is named in one text."""

from __future__ import annotations

import pytest

from ednas.arch import zoo
from ednas.exceptions import TargetError
from ednas.hw import load_target, simulate, trace_network
from ednas.hw.sources import load_source


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
