"""The public interface: complete, lazy, documented."""

from __future__ import annotations

import doctest
import subprocess
import sys

import pytest

import ednas


@pytest.mark.parametrize("name", ednas.__all__)
def test_every_public_name_exists_and_is_documented(name: str) -> None:
    assert getattr(ednas, name).__doc__


def test_unknown_names_are_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        ednas.nothing  # noqa: B018


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = "import ednas, sys; sys.exit(' '.join({'torch', 'lightning', 'pyglove', 'numpy'} & set(sys.modules)))"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False).stderr.strip() == ""
    )


def test_the_example_in_the_docstring_holds() -> None:
    assert doctest.testmod(ednas).failed == 0
