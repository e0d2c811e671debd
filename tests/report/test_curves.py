from __future__ import annotations

import math
from xml.etree import ElementTree

import pytest

from ednas.report.curves import Line, Panel, draw_panel, thin

SVG = "{http://www.w3.org/2000/svg}"


def curves(panel: Panel) -> list[list[tuple[float, float]]]:
    """Points of the panel's curves: the lines that have a colour of a run."""
    root = ElementTree.fromstring(draw_panel(panel))
    return [
        [tuple(map(float, pair.split(","))) for pair in line.attrib["points"].split()]
        for line in root.iter(f"{SVG}polyline")
        if line.attrib["stroke-width"] == "1.4"
    ]


def test_few_points_stay_and_many_are_means_of_their_neighbours():
    points = [(float(step), float(step % 7)) for step in range(1, 1001)]
    assert thin(points, 1000) == points
    thinned = thin(points, 300)
    assert len(thinned) == 250
    assert thinned[0] == (2.5, (1 + 2 + 3 + 4) / 4)
    steps = [step for step, _ in thinned]
    assert steps == sorted(set(steps))
    assert math.fsum(value for _, value in thinned) * 4 == pytest.approx(math.fsum(value for _, value in points))


def test_a_curve_goes_right_and_up_with_steps_and_values():
    panel = Panel("mIoU % ↑", (Line("seed 0", ((10, 1.0), (20, 3.0), (40, 2.0))),))
    [[first, second, third]] = curves(panel)
    assert first[0] < second[0] < third[0]
    assert (third[0] - second[0]) == pytest.approx(2 * (second[0] - first[0]), abs=0.05)
    assert second[1] < third[1] < first[1]
    assert (first[1] - third[1]) == pytest.approx(third[1] - second[1], abs=0.05)


def test_losses_that_span_much_are_on_a_logarithmic_axis():
    lines = (Line("seed 0", ((1, 100.0), (2, 10.0), (3, 1.0))),)
    [[first, second, third]] = curves(Panel("loss", lines, may_be_logarithmic=True))
    assert second[1] - first[1] == pytest.approx(third[1] - second[1], abs=0.05)
    [[first, second, third]] = curves(Panel("loss", lines))
    assert second[1] - first[1] > 5 * (third[1] - second[1])
    draw_panel(Panel("loss", (Line("", ((1, 100.0), (2, 0.0))),), may_be_logarithmic=True))


def test_every_run_is_a_line_and_the_best_step_has_a_ring():
    lines = tuple(
        Line(f"seed {seed}", tuple((10.0 * step, seed + 1.0 / step) for step in range(1, 5)), marked=20.0)
        for seed in range(3)
    )
    picture = draw_panel(Panel("Abs. error m ↓", lines))
    assert len(curves(Panel("x", lines))) == 3
    rings = [c for c in ElementTree.fromstring(picture).iter(f"{SVG}circle") if c.attrib.get("stroke")]
    assert [ring.find(f"{SVG}title").text for ring in rings] == [f"seed {n}: {n}.5 at step 20" for n in range(3)]
    assert "last 0.25 to 2.25" in picture


def test_values_that_are_not_finite_are_left_out_and_one_point_is_enough():
    [points] = curves(Panel("loss", (Line("", ((1, math.nan), (2, 1.0), (3, math.inf), (4, 2.0))),)))
    assert len(points) == 2
    assert "last 5" in draw_panel(Panel("loss", (Line("", ((1, 5.0),)),)))


@pytest.mark.parametrize("values", [(0.0, 0.0), (1e-9, 2e-9), (-3.0, 5.0), (1e12, 1.0), (7.0, 7.0)])
def test_axes_have_ticks_for_any_values(values):
    root = ElementTree.fromstring(draw_panel(Panel("x", (Line("", tuple(enumerate(values, 1))),), True)))
    left = [text for text in root.iter(f"{SVG}text") if float(text.attrib["x"]) == 52]
    assert 1 <= len(left) <= 8
    assert all(30 < float(text.attrib["y"]) < 210 for text in left)
