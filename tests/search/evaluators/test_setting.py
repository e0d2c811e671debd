"""Evaluators are found by their names; a plugin's like those of the package."""

from __future__ import annotations

import pytest

from ednas.config import StrictModel
from ednas.exceptions import ConfigError
from ednas.search.evaluators import setting
from ednas.search.evaluators.setting import EvaluatorConfig, evaluator_names, register_evaluator


class Options(StrictModel):
    images: int = 64


@pytest.fixture
def own(monkeypatch):
    evaluator_names()
    monkeypatch.setattr(setting, "_registry", dict(setting._registry))

    @register_evaluator("own", Options)
    def make(situation, options):
        return situation, options

    return make


def test_ones_own_is_made_with_its_options(own):
    assert "own" in evaluator_names()
    assert EvaluatorConfig(name="own").complete().options == {"images": 64}
    assert EvaluatorConfig(name="own", options={"images": 3}).make("here") == ("here", Options(images=3))


def test_a_name_is_taken_once(own):
    register_evaluator("own", Options)(own)  # the same, read again
    with pytest.raises(ConfigError, match="an evaluator 'own' exists already"):
        register_evaluator("own", Options)(lambda situation, options: None)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("supernets", {}, "unknown evaluator 'supernets'; did you mean 'supernet'"),
        ("own", {"image": 3}, "did you mean 'images'"),
        ("own", {"images": "many"}, "images"),
    ],
)
@pytest.mark.usefixtures("own")
def test_unknown_names_and_options(name, options, message):
    with pytest.raises(ConfigError, match=message):
        EvaluatorConfig(name=name, options=options).complete()
