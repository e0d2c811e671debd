"""Fixtures of the tests of searches."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture(scope="module")
def ray() -> Iterator[None]:
    """Have a Ray on this machine, for all tests of a module: executors use what their program is connected to."""
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'ednas[ray]'")
    from ednas.search.executors.ray import own_ray

    with own_ray(processors=4):
        yield
