"""Random choices: one stream a seed, with the distributions that they are named for."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from ednas.scenes.dice import Dice, darker

COUNT = 20_000


def test_a_seed_is_one_stream() -> None:
    first, again, other = ([dice.unit() for _ in range(5000)] for dice in map(Dice, (1, 1, 2)))
    assert first == again != other


def test_numbers_are_spread_as_asked() -> None:
    dice = Dice(0)
    uniform = [dice.uniform(-2, 4) for _ in range(COUNT)]
    assert -2 <= min(uniform) < -1.99
    assert 3.99 < max(uniform) <= 4
    assert np.mean(uniform) == pytest.approx(1, abs=0.06)
    normal = [dice.normal(3) for _ in range(COUNT)]
    assert np.std(normal) == pytest.approx(3, rel=0.03)
    assert max(map(abs, normal)) <= 3.5 * 3
    assert np.mean([dice.chance(0.2) for _ in range(COUNT)]) == pytest.approx(0.2, abs=0.02)


def test_choices_are_drawn_by_their_weights() -> None:
    dice = Dice(3)
    assert set(Counter(dice.integer(2, 5) for _ in range(2000))) == {2, 3, 4, 5}
    drawn = Counter(dice.choice("abc", (1, 0, 3)) for _ in range(COUNT))
    assert drawn["b"] == 0
    assert drawn["c"] / COUNT == pytest.approx(0.75, abs=0.02)
    plain = Counter(dice.choice("abcd") for _ in range(COUNT))
    assert min(plain.values()) / COUNT == pytest.approx(0.25, abs=0.02)


def test_colours_are_what_they_are_called() -> None:
    dice = Dice(4)
    for _ in range(500):
        color = dice.color(0.2, 0.5, saturation=0.3)
        assert 0.2 - 1e-9 <= max(color) <= 0.5 + 1e-9
        assert min(color) >= 0.7 * max(color) - 1e-9
        gray = dice.gray(0.3, 0.4, tint=0.02)
        assert max(gray) - min(gray) <= 0.04 + 1e-9
        assert max(abs(near / channel - 1) for near, channel in zip(dice.near(gray, 0.1), gray, strict=True)) < 0.16
    assert darker((0.5, 0.4, 0.2), 0.5) == (0.25, 0.2, 0.1)
