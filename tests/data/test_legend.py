"""Legends: their colours are the picture's, and they fit."""

from __future__ import annotations

import numpy as np
import pytest

from ednas.data.colors import NO_DEPTH, NO_LABEL, SKY, color_scale, color_target, palette
from ednas.data.legend import PAPER, Legend, draw_legend, target_legend, with_legend
from ednas.data.sample import TargetInfo

STREET = TargetInfo("labels", 3, ("road", "sky", "car"))


def colours(picture):
    return {tuple(colour) for colour in picture.reshape(-1, 3).tolist()}


def test_classes_have_the_colours_of_the_palette_and_their_names():
    legend = target_legend(STREET)
    assert [name for name, _ in legend.colors] == ["road", "sky", "car", "no label"]
    assert [color for _, color in legend.colors] == [*map(tuple, palette(3)[:3].tolist()), NO_LABEL]
    assert [name for name, _ in target_legend(TargetInfo("labels", 2)).colors] == ["class 0", "class 1", "no label"]


@pytest.mark.parametrize(("kind", "scale"), [("distance", (1.0, 9.0)), ("disparity", (9.0, 1.0))])
def test_a_depth_has_a_scale_from_near_to_far_in_its_unit(kind, scale):
    legend = target_legend(TargetInfo(kind, unit="m"), (1.0, 9.0))
    assert (legend.scale, legend.unit) == (scale, "m")
    assert dict(legend.colors) == {"sky": SKY, "no depth": NO_DEPTH}


def test_only_what_is_seen_is_named():
    picture = color_target(np.array([[0, 2]]), STREET)
    assert [name for name, _ in target_legend(STREET).seen_in([picture]).colors] == ["road", "car"]
    other = color_target(np.array([[255]]), STREET)
    assert [name for name, _ in target_legend(STREET).seen_in([picture, other]).colors] == ["road", "car", "no label"]


def test_all_colours_are_drawn_in_as_many_lines_as_they_need():
    legend = target_legend(TargetInfo("labels", 40))
    wide, narrow = draw_legend(legend, 1200), draw_legend(legend, 200)
    expected = {color for _, color in legend.colors}
    assert expected <= colours(wide)
    assert expected <= colours(narrow)
    assert (wide.shape[1], narrow.shape[1]) == (1200, 200)
    assert len(narrow) > 3 * len(wide)


def test_the_bar_runs_from_near_to_far():
    drawn = draw_legend(target_legend(TargetInfo("distance", unit="m"), (1.0, 9.0)), 240)
    places = [np.argwhere((drawn == color_scale(np.array([[end]]))[0, 0]).all(-1))[:, 1].mean() for end in (1, 0)]
    assert places[0] < places[1]


def test_a_picture_stays_as_it_is_above_its_legend():
    picture = np.full((40, 300, 3), 7, np.uint8)
    sheet = with_legend(picture, target_legend(STREET))
    assert sheet.shape[1:] == (300, 3)
    assert len(sheet) > 40
    assert np.array_equal(sheet[:40], picture)
    assert np.array_equal(with_legend(picture, Legend()), picture)
    small = with_legend(picture[:, :30], target_legend(STREET))
    assert small.shape[1] > 30
    assert np.array_equal(small[:40, :30], picture[:, :30])
    assert (small[:40, 30:] == PAPER).all()


def test_letters_grow_with_the_picture():
    small, large = (with_legend(np.zeros((10, width, 3), np.uint8), target_legend(STREET)) for width in (600, 3000))
    assert len(large) > 2 * len(small)


def test_letters_that_the_font_lacks_do_no_harm():
    assert draw_legend(Legend((("道路", (1, 2, 3)),)), 200).any()
