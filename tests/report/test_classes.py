from __future__ import annotations

import re
from xml.etree import ElementTree

import numpy as np
import pytest

from ednas.report.classes import collect_classes, confusions, draw_confusion

SVG = "{http://www.w3.org/2000/svg}"


def measured(matrix: np.ndarray, names: list[str]) -> dict:
    """What a ``metrics.json`` says of a confusion matrix."""
    hits, labelled, predicted = np.diag(matrix), matrix.sum(1), matrix.sum(0)
    classes = {}
    for index, name in enumerate(names):
        union = labelled[index] + predicted[index] - hits[index]
        classes[name] = {
            "iou": 100 * hits[index] / union if union else None,
            "acc": 100 * hits[index] / labelled[index] if labelled[index] else None,
        }
    return {"classes": {"segmentation": classes}, "confusion": {"segmentation": matrix.tolist()}}


def random_runs(count: int, runs: int = 2) -> list[dict]:
    rng = np.random.default_rng(0)
    names = [f"class {index}" for index in range(count)]
    return [measured(rng.integers(1, 1000, (count, count)), names) for _ in range(runs)]


def test_classes_are_means_over_the_runs_and_their_pixels_are_added():
    runs = random_runs(5)
    [found] = collect_classes(runs)
    total = sum(np.array(run["confusion"]["segmentation"]) for run in runs)
    assert np.array_equal(found.matrix, total)
    for row in found.rows:
        values = [run["classes"]["segmentation"][row.name] for run in runs]
        assert row.iou == pytest.approx(np.mean([value["iou"] for value in values]))
        assert row.spread == pytest.approx(np.std([value["iou"] for value in values], ddof=1))
        assert row.acc == pytest.approx(np.mean([value["acc"] for value in values]))
        assert row.share == pytest.approx(100 * total[int(row.name[6:])].sum() / total.sum())
    ious = [row.iou for row in found.rows]
    assert ious == sorted(ious, reverse=True)


def test_a_class_that_does_not_occur_is_last_and_without_numbers():
    matrix = np.array([[5, 0, 1], [0, 0, 0], [2, 0, 8]])
    [found] = collect_classes([measured(matrix, ["road", "ghost", "sky"])])
    assert [row.name for row in found.rows] == ["sky", "road", "ghost"]
    assert (found.rows[-1].iou, found.rows[-1].acc, found.rows[-1].share) == (None, None, 0)
    assert found.rows[0].spread is None
    draw_confusion(found)


def test_without_a_matrix_the_classes_remain():
    run = random_runs(3, 1)[0] | {"confusion": {}}
    [found] = collect_classes([run])
    assert found.matrix == ()
    assert [row.share for row in found.rows] == [None] * 3
    assert confusions(found) == []
    assert collect_classes([{"classes": {}, "confusion": {}}]) == []


def test_the_most_frequent_confusions_come_first():
    matrix = np.array([[50, 30, 0], [1, 9, 0], [4, 2, 100]])
    [found] = collect_classes([measured(matrix, ["road", "car", "sky"])])
    pairs = confusions(found)
    assert [(pair.label, pair.predicted, pair.pixels) for pair in pairs] == [
        ("road", "car", 30),
        ("sky", "road", 4),
        ("sky", "car", 2),
        ("car", "road", 1),
    ]
    assert pairs[0].share == pytest.approx(37.5)
    assert len(confusions(collect_classes(random_runs(40))[0])) == 8


def test_the_matrix_tells_each_share_of_a_row():
    matrix = np.array([[50, 30, 20], [1, 999, 0], [0, 0, 7]])
    [found] = collect_classes([measured(matrix, ["road", "car", "sky"])])
    root = ElementTree.fromstring(draw_confusion(found))
    hints = [title.text for rect in root.iter(f"{SVG}rect") for title in rect]
    assert hints == [  # one car in a thousand as road is too few to be drawn
        "road as road: 50.0 %",
        "road as car: 30.0 %",
        "road as sky: 20.0 %",
        "car as car: 99.9 %",
        "sky as sky: 100.0 %",
    ]
    numbers = [text.text for text in root.iter(f"{SVG}text") if text.attrib.get("font-size") == "11"]
    assert numbers == ["50", "30", "20", "100", "100"]


def test_forty_classes_are_readable():
    [found] = collect_classes(random_runs(40))
    root = ElementTree.fromstring(draw_confusion(found))
    assert float(root.attrib["width"]) <= 1000
    cells = [rect for rect in root.iter(f"{SVG}rect") if len(rect)]
    assert min(float(cell.attrib["width"]) for cell in cells) >= 15
    turned = [text for text in root.iter(f"{SVG}text") if "rotate(-90" in text.attrib.get("transform", "")]
    assert [text.text for text in turned] == [f"class {index}" for index in range(40)]
    assert all(re.fullmatch(r"#[0-9a-f]{6}", cell.attrib["fill"]) for cell in cells)
