"""The reference of configurations: complete, and true to the models."""

from __future__ import annotations

import importlib
import pkgutil

import pytest
from generate import configuration
from generate.text import attributes

import ednas
from ednas.config import StrictModel

MODELS = [pytest.param(model, id=model.__qualname__) for model in configuration.homes()]

NOT_WRITTEN_BY_HAND = (
    "ednas.reproduce",  # results
    "ednas.data.readers.folder.reader",  # what a fingerprint is made of
    "ednas.search.filtering",  # filter.json
    "ednas.specialise",  # what the options of `ednas specialise` are put into
    "ednas.training.supernet.file",  # what a supernet's file says of itself
    "ednas.export",  # results, model.json, and what the options of `ednas export` are put into
    "ednas.training.checkpoint",
    "ednas.training.find_lr",  # a recipe with another schedule
)
"""Where models are that no file of a user's is read into."""


@pytest.mark.parametrize("model", MODELS)
def test_every_key_has_a_description(model: type) -> None:
    described = attributes(model)
    assert [key for key in model.model_fields if not described.get(key)] == []


@pytest.mark.parametrize("model", MODELS)
def test_every_key_has_a_row(model: type) -> None:
    page = configuration.page(configuration.homes()[model])
    section = page.partition(f"{{ #{model.__qualname__.lower().replace('.', '-')} }}")[2].partition("\n## ")[0]
    for key, field in model.model_fields.items():
        assert f"| `{field.alias or key}` |" in section


def test_no_configuration_is_forgotten() -> None:
    for module in pkgutil.walk_packages(ednas.__path__, "ednas."):
        if module.name != "ednas.__main__" and not module.name.endswith("_worker"):
            importlib.import_module(module.name)

    def models(model: type) -> list[type]:
        return [found for child in model.__subclasses__() for found in (child, *models(child))]

    bases = {base for model in configuration.homes() for base in model.__mro__[1:]}
    missing = [
        f"{model.__module__}.{model.__qualname__}"
        for model in models(StrictModel)
        if model not in configuration.homes() and model not in bases and model.__module__.startswith("ednas.")
        if model.model_fields and not model.__module__.startswith(NOT_WRITTEN_BY_HAND)
    ]
    assert missing == []


@pytest.mark.parametrize(
    ("page", "row"),
    [
        ("training", "| `batch_size` | whole number | `16` | ≥ 2, ≤ 100,000 |"),
        ("training", "| `ema_decay` | number or `null` | `null` | > 0, < 1 |"),
        ("training", "| `schedule` | `cosine`, `constant` | `cosine` |  |"),
        ("training", "| `mean` | [number, number, number] | `[0.5, 0.5, 0.5]` |  |"),
        ("search", "| `training` | [TrainConfig](training.md#trainconfig) | required |  |"),
        ("search", "| `population_size` | whole number | `50` | ≥ 1 |"),
        ("search", "| `space` | [SpaceConfig](#spaceconfig) | its defaults |  |"),
        ("dataset", "| `scale` | number | `1.0` | > 0 |"),
        ("dataset", "| `num_classes` | whole number | required | ≥ 1, ≤ 255 |"),
        ("device", "| `clock_mhz` | [PositiveFigure](#positivefigure) | required |  |"),
        ("device", "| `value` | number | required | ≥ 1 |"),
    ],
)
def test_types_defaults_and_ranges(page: str, row: str) -> None:
    assert row in configuration.page(page)


def test_named_recipes_show_what_they_set() -> None:
    rows = configuration.page("training").partition("## Named recipes")[2]
    assert "| Key | `mini` | `finetune` | `proxy` | `full` |" in rows
    assert "| `steps` | `800` | `3000` | `5000` | `20000` |" in rows
    assert "| `init` |  | `imagenet` |  |  |" in rows
