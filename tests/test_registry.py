"""Classes by name."""

from __future__ import annotations

import pytest

from ednas.config import StrictModel
from ednas.exceptions import ConfigError
from ednas.registry import Method, Registry


class Plain(Method):
    pass


class Tuned(Method):
    class Options(StrictModel):
        strength: float = 1.0


@pytest.fixture
def registry() -> Registry[Method]:
    registry: Registry[Method] = Registry("filter", "ednas.mtl.weighting")
    registry.register("plain")(Plain)
    registry.register("tuned")(Tuned)
    return registry


def test_classes_are_found_by_name(registry):
    assert registry.names() == ("plain", "tuned")
    assert registry.find("tuned") is Tuned


def test_unknown_names_come_with_the_nearest(registry):
    with pytest.raises(ConfigError, match="unknown filter 'tunes'; did you mean 'tuned'"):
        registry.find("tunes")


def test_a_name_is_taken_once(registry):
    assert registry.register("plain")(Plain) is Plain  # as when a module is imported again
    with pytest.raises(ConfigError, match="a filter 'plain' exists already"):
        registry.register("plain")(Tuned)


def test_options_are_completed_and_checked(registry):
    assert registry.complete("tuned", {}) == {"strength": 1.0}
    assert registry.complete("plain", {}) == {}
    with pytest.raises(ConfigError, match=r"filter.options: .*did you mean 'strength'"):
        registry.complete("tuned", {"strenght": 2})
    with pytest.raises(ConfigError, match=r"filter.options: .*strength"):
        registry.complete("tuned", {"strength": "much"})
