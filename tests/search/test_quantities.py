"""Limits as a configuration writes them."""

from __future__ import annotations

from typing import Any

import pytest

from ednas.search.config import SearchConfig
from ednas.search.quantities import resolve
from ednas.training import TrainConfig


@pytest.mark.parametrize(
    ("written", "read", "number"),
    [
        (7, 7.0, 7.0),
        ("1e3", 1000.0, 1000.0),
        ("baseline", "baseline", 20.0),
        (" 0.75*baseline ", "0.75 * baseline", 15.0),
        ("1 * baseline", "baseline", 20.0),
        ("0.1234567890123 * baseline", "0.1234567890123 * baseline", 0.1234567890123 * 20.0),
        (0, 0.0, 0.0),
    ],
)
def test_a_limit_is_a_number_or_a_multiple_of_the_baselines(written: Any, read: Any, number: float) -> None:
    config = SearchConfig(training=TrainConfig(data="streets"), limits={"params": written})
    assert config.limits["params"] == read
    assert SearchConfig.model_validate(config.model_dump()) == config
    assert resolve(config.limits["params"], 20.0) == number
