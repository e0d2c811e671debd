from __future__ import annotations

from xml.etree import ElementTree

import numpy as np
import pytest

from ednas.report.range_test import draw_range_test
from ednas.training.find_lr import RangeTest, judge

SVG = "{http://www.w3.org/2000/svg}"
RATES = np.geomspace(1e-6, 1.0, 100)


@pytest.fixture
def diverged() -> RangeTest:
    return judge(RATES, 4 - 3 / (1 + (RATES / 1e-3) ** -2) + np.where(RATES > 0.5, 1e6, 0))


def circles(drawing: str) -> list[tuple[float, float]]:
    return [
        (float(c.attrib["cx"]), float(c.attrib["cy"])) for c in ElementTree.fromstring(drawing).iter(f"{SVG}circle")
    ]


def test_the_rate_is_drawn_on_a_logarithmic_axis(diverged: RangeTest) -> None:
    drawing = draw_range_test(diverged)
    *points, (x, _) = circles(drawing)
    assert np.diff([place for place, _ in points]) == pytest.approx(np.diff([p for p, _ in points])[0], abs=0.02)
    left, right = points[0][0], 736
    assert (x - left) / (right - left) == pytest.approx(np.log10(diverged.suggestion / 1e-6) / 6, abs=1e-3)
    texts = [element.text for element in ElementTree.fromstring(drawing).iter(f"{SVG}text")]
    assert {"1e-06", "0.001", "1", f"{diverged.suggestion:g}"} <= set(texts)


def test_a_loss_that_explodes_stays_inside_the_picture(diverged: RangeTest) -> None:
    drawing = draw_range_test(diverged)
    for line in ElementTree.fromstring(drawing).iter(f"{SVG}polyline"):
        for point in line.attrib["points"].split():
            x, y = map(float, point.split(","))
            assert 0 <= x <= 760
            assert 0 <= y <= 420
    heights = [y for _, y in circles(drawing)]
    assert max(heights) - min(heights) > 200  # what falls is not squeezed by it
    assert len(heights) < len(RATES)
