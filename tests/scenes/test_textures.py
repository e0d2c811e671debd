"""Patterns: ranges, fading with distance, independence of neighbours."""

from __future__ import annotations

import numpy as np
import pytest

from ednas.scenes import SCENES, describe_scene
from ednas.scenes.textures import Pattern, Points, mix, noise

COUNT = 4000


def points(params: tuple[float, ...], footprint: float, seed: int = 0) -> Points:
    generator = np.random.default_rng(seed)
    u, v, across, up, phase = generator.random((5, COUNT)).astype(np.float32)
    values = np.tile(np.array((*params, 0, 0, 0, 0)[:4], np.float32), (COUNT, 1))
    spread = np.full(COUNT, footprint, np.float32)
    return Points(20 * u, 6 * v, across, up, spread, values, 0 * phase + 17)


def used_params() -> dict[Pattern, set[tuple[float, ...]]]:
    """What the scenes really ask for."""
    found: dict[Pattern, set[tuple[float, ...]]] = {pattern: set() for pattern in Pattern}
    for name in SCENES:
        for seed in range(30):
            surfaces = describe_scene(name, seed).surfaces
            for pattern, params in zip(surfaces.pattern, surfaces.params, strict=True):
                if len(found[Pattern(int(pattern))]) < 20:
                    found[Pattern(int(pattern))].add(tuple(float(value) for value in params))
    return found


@pytest.fixture(scope="module")
def params() -> dict[Pattern, set[tuple[float, ...]]]:
    return used_params()


@pytest.mark.parametrize("pattern", list(Pattern))
@pytest.mark.parametrize("footprint", [0.001, 0.1, 5.0])
def test_values_stay_in_range(params: dict, pattern: Pattern, footprint: float) -> None:
    assert params[pattern], "no scene uses this pattern"
    for values in params[pattern]:
        weight, shade = mix(pattern, points(values, footprint))
        assert weight.shape in ((COUNT,), (COUNT, 3))
        assert shade.shape == (COUNT,)
        assert weight.min() >= 0
        assert weight.max() <= 1.001
        assert shade.min() >= 0
        assert shade.max() < 3


@pytest.mark.parametrize(
    ("pattern", "params"),
    [
        (Pattern.BRICK, (0.5, 0.2)),
        (Pattern.FACADE, (2.5, 3.0, 0.5, 0.5)),
        (Pattern.TILES, (0.4, 0.4, 0.05)),
        (Pattern.CHECKER, (0.35,)),
        (Pattern.STRIPES, (0.3, 0.5)),
        (Pattern.CLOTH, (0.3, 0.8)),
        (Pattern.BOOKS, (0.04,)),
    ],
)
def test_patterns_fade_instead_of_aliasing(pattern: Pattern, params: tuple[float, ...]) -> None:
    near, _ = mix(pattern, points(params, 0.001))
    far, _ = mix(pattern, points(params, 50.0))
    # A façade's ground floor stays apart from the others: it is large.
    assert far.std() < (0.1 if pattern is Pattern.FACADE else 0.05)
    assert near.std() > 0.1
    assert far.mean() == pytest.approx(near.mean(), abs=0.15)


def test_noise_is_smooth_and_spread_over_its_range() -> None:
    x = np.linspace(0, 30, 40_000, dtype=np.float32)
    values = noise(x, np.full_like(x, 3.3))
    assert values.min() >= 0
    assert values.max() <= 1
    assert np.abs(np.diff(values)).max() < 0.02
    assert 0.2 < values.std() < 0.35
