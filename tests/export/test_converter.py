"""Which formats there are, and what a new one may be called."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import pytest

from ednas.exceptions import ConfigError, ExportError
from ednas.export import converter
from ednas.export.converter import Converter, by_suffix, converter_of, converters, find_converter, register_converter
from ednas.export.formats.onnx import ONNX

OWN = replace(ONNX, name="own", suffix=".own", packages=("numpy", "no_such_package"), extra="", quantise={})


@pytest.fixture
def own() -> Iterator[Converter]:
    register_converter(OWN)
    yield OWN
    converter._registry.pop("own")


def test_the_packages_own_are_there_without_being_named_anywhere() -> None:
    assert list(converters()) == ["litert", "onnx"]
    files = {path.stem for path in Path(converter.__file__).with_name("formats").glob("*.py")}
    assert files == {"__init__", *converters()}


def test_a_format_is_found_by_its_name_and_by_its_files(own: Converter) -> None:
    assert list(converters()) == ["litert", "onnx", "own"]
    assert find_converter("own") is converter_of(Path("model.OWN")) is by_suffix()[".own"] is own


def test_unknown_ones_are_refused_with_those_that_are_known(own: Converter) -> None:
    with pytest.raises(ConfigError, match=r"unknown format 'tensorrt'; known: litert, onnx, own; .* by --plugin"):
        find_converter("tensorrt")
    with pytest.raises(ExportError, match=r"model\.h5: is no exported model; give a \.tflite or \.onnx or \.own file"):
        converter_of(Path("model.h5"))


def test_names_and_suffixes_are_taken_once(own: Converter) -> None:
    for name in ("own", "onnx"):
        with pytest.raises(ConfigError, match=f"an export format '{name}' exists already; .* pass replace=True"):
            register_converter(replace(OWN, name=name))
    with pytest.raises(ConfigError, match=r"\.own files are those of format 'own'; choose another suffix"):
        register_converter(replace(OWN, name="other"))
    again = replace(OWN, fuse=True)
    register_converter(again, replace=True)
    assert find_converter("own") is again


def test_what_is_missing_is_named_with_what_to_install(own: Converter) -> None:
    with pytest.raises(ExportError, match="^format own needs no_such_package; pip install no_such_package$"):
        own.check_installed()
    with pytest.raises(ExportError, match=r'^format own needs no_such_package; pip install "ednas\[mine\]"$'):
        replace(OWN, extra="mine").check_installed()
    assert own.versions() == {"numpy": version("numpy")}


def test_what_a_format_lacks() -> None:
    assert find_converter("litert").lacks == ()
    assert ONNX.lacks == ("io", "targets", "fuse")
    assert OWN.lacks == ("int8", "io", "targets", "fuse")
