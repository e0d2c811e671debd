"""The table of metrics, and files of what was measured."""

from __future__ import annotations

import doctest
import json
import re

import pytest

import ednas.metrics
from ednas.exceptions import CheckpointError
from ednas.metrics import METRICS, ModelMetrics, load_metrics, merge_metrics, scored_metrics, unlike
from ednas.reproduce.paper import DEPTH, NORMALS, SEGMENTATION
from ednas.scoring import compare

GOOD = {"protocol": "standard", "tasks": {"depth": {"abs_err": 1, "rel_err": 0.25}}, "params": 3400000}


def metrics(name="model", protocol="standard", directions=None, **tasks):
    return ModelMetrics(name, protocol, tasks, directions or {})


def write(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(value if isinstance(value, str) else json.dumps(value))
    return path


class TestMetricsFiles:
    def test_reads_a_file_and_ignores_other_keys(self, tmp_path):
        found = load_metrics(write(tmp_path / "base.json", GOOD))
        assert found == ModelMetrics("base", "standard", {"depth": {"abs_err": 1.0, "rel_err": 0.25}})

    def test_reads_a_checkpoint_folder_and_names_it(self, tmp_path):
        write(tmp_path / "my_net" / "metrics.json", GOOD)
        assert load_metrics(tmp_path / "my_net").name == "my_net"
        assert load_metrics(tmp_path / "my_net" / "metrics.json").name == "my_net"
        assert load_metrics(tmp_path / "my_net", name="other").name == "other"

    def test_a_run_is_named_by_its_own_folder(self, tmp_path):
        write(tmp_path / "mine" / "checkpoint" / "metrics.json", GOOD)
        assert load_metrics(tmp_path / "mine" / "checkpoint").name == "mine"
        assert load_metrics(tmp_path / "mine") == load_metrics(tmp_path / "mine" / "checkpoint" / "metrics.json")
        write(tmp_path / "mine" / "metrics.json", GOOD)
        assert load_metrics(tmp_path / "mine").name == "mine"

    def test_runs_of_several_seeds_bring_the_values_of_each(self, tmp_path):
        values = {"abs_err": [1.0, 2.0, 1.5], "rel_err": [0.2, 0.2, 0.35]}
        summary = {"seeds": [3, 4, 5], "tasks": {"depth": {name: {"values": v} for name, v in values.items()}}}
        means = {"protocol": "standard", "tasks": {"depth": {"abs_err": 1.5, "rel_err": 0.25}}}
        write(tmp_path / "runs" / "metrics.json", means)
        write(tmp_path / "runs" / "summary.json", summary)
        found = load_metrics(tmp_path / "runs")
        assert found.by_seed[4] == {"depth": {"abs_err": 2.0, "rel_err": 0.2}}
        assert found.spread["depth"]["abs_err"] == pytest.approx(0.5)
        assert load_metrics(write(tmp_path / "one" / "metrics.json", GOOD)).spread == {}
        for damaged in ({}, {"seeds": [1], "tasks": {}}, {"seeds": [1, 2, 3, 4], "tasks": summary["tasks"]}):
            write(tmp_path / "runs" / "summary.json", damaged)
            with pytest.raises(CheckpointError, match=r"summary\.json: damaged"):
                load_metrics(tmp_path / "runs")

    def test_single_tasks_are_merged_seed_by_seed(self):
        depth = ModelMetrics(
            "d", "standard", {"depth": {"rel_err": 1}}, by_seed={s: {"depth": {"rel_err": s}} for s in (0, 1, 2)}
        )
        miou = ModelMetrics(
            "s", "standard", {"seg": {"miou": 1}}, by_seed={s: {"seg": {"miou": -s}} for s in (1, 2, 3)}
        )
        assert merge_metrics([depth, miou]).by_seed == {
            1: {"depth": {"rel_err": 1}, "seg": {"miou": -1}},
            2: {"depth": {"rel_err": 2}, "seg": {"miou": -2}},
        }

    @pytest.mark.parametrize(
        ("what", "value", "shown"),
        [
            ("dataset", "other", "dataset 'mine'"),
            ("split", "train", "split 'val'"),
            ("input_size", [64, 64], r"input size \[32, 64\]"),
            ("samples", 5, "a number of samples of 4"),
            ("digest", "b", "images and labels with the digest 'a'"),
        ],
    )
    def test_what_was_measured_on_something_else_is_not_alike(self, tmp_path, what, value, shown):
        facts = {"dataset": "mine", "split": "val", "input_size": [32, 64], "samples": 4, "digest": "a"}
        first = load_metrics(write(tmp_path / "a.json", {**GOOD, **facts}))
        assert unlike(first, load_metrics(write(tmp_path / "b.json", {**GOOD, **facts}))) == ""
        assert unlike(first, load_metrics(write(tmp_path / "c.json", GOOD))) == ""
        other = load_metrics(write(tmp_path / "d.json", {**GOOD, **facts, what: value}))
        assert re.fullmatch(f"'a' was measured on .*{shown}, 'd' on .*", unlike(first, other))

    def test_tiles_are_not_whole_images(self, tmp_path):
        tiled = {**GOOD, "tile": [32, 32], "overlap": 0.25}
        whole, a, b = (
            load_metrics(write(tmp_path / f"{name}.json", {**facts}))
            for name, facts in (("whole", GOOD), ("a", tiled), ("b", {**tiled, "overlap": 0.5}))
        )
        assert unlike(whole, a) == "'whole' was measured on whole images, 'a' on tiles of [32, 32]"
        assert unlike(a, b) == "'a' was measured on tiles with an overlap of 0.25, 'b' on tiles with an overlap of 0.5"

    def test_directions_and_units_are_read(self, tmp_path):
        values = {"depth": {"rmse": 0.5, "mine": 1.0}}
        own, units = {"mine": False, "rmse": False}, {"depth": {"rmse": "m"}}
        content = {"protocol": "adashare", "tasks": values, "higher_is_better": own, "units": units}
        found = load_metrics(write(tmp_path / "d.json", content))
        assert found == ModelMetrics("d", "adashare", values, own, units)
        other = metrics("s", "adashare", segmentation={"miou": 40.0})
        assert merge_metrics([other, found]).units == units

    def test_nan_survives_reading_and_fails_comparing(self, tmp_path):
        file = write(tmp_path / "n.json", '{"protocol": "standard", "tasks": {"depth": {"rel_err": NaN}}}')
        with pytest.raises(CheckpointError, match="not finite"):
            compare(metrics("b", depth={"rel_err": 0.2}), [load_metrics(file)])

    @pytest.mark.parametrize(
        ("content", "words"),
        [
            ('{"protocol": "stand', "not valid JSON"),
            ("[]", "holds list"),
            ({"tasks": {"depth": {"rel_err": 1}}}, "'protocol' is missing"),
            ({"protocol": "standard"}, "'tasks' must map"),
            ({"protocol": "standard", "tasks": {}}, "'tasks' must map"),
            ({"protocol": "standard", "tasks": {"depth": 0.3}}, "task 'depth'"),
            ({"protocol": "standard", "tasks": {"depth": {"rel_err": "0.3"}}}, "depth.rel_err"),
            ({"protocol": "standard", "tasks": {"depth": {"rel_err": True}}}, "depth.rel_err"),
            ({"protocol": "standard", "tasks": {"depth": {"rel_err": 10**400}}}, "too large"),
            ({"protocol": "standard", "tasks": {"a": {"b": 1}}, "higher_is_better": {"b": "yes"}}, "higher_is_better"),
            *[
                ({"protocol": "standard", "tasks": {"a": {"b": 1}}, "units": units}, "'units' must map")
                for units in ("m", {"a": "m"}, {"a": {"b": 1}})
            ],
        ],
    )
    def test_damaged_files(self, tmp_path, content, words):
        file = write(tmp_path / "bad.json", content)
        with pytest.raises(CheckpointError) as caught:
            load_metrics(file)
        assert words in str(caught.value)
        assert "bad.json" in str(caught.value)

    def test_missing_file(self, tmp_path):
        with pytest.raises(CheckpointError, match="no such file"):
            load_metrics(tmp_path / "none.json")
        with pytest.raises(CheckpointError, match=r"metrics\.json: no such file"):
            load_metrics(tmp_path)

    def test_single_task_files_make_one_baseline(self):
        whole = merge_metrics(
            [metrics("seg", segmentation={"miou": 40.04, "pixel_acc": 88.68}), metrics("dep", depth={"rel_err": 0.34})]
        )
        assert whole.name == "seg+dep"
        assert whole.tasks == {"segmentation": {"miou": 40.04, "pixel_acc": 88.68}, "depth": {"rel_err": 0.34}}
        model = metrics("m", segmentation={"miou": 46.52, "pixel_acc": 90.61}, depth={"rel_err": 0.34})
        assert compare(whole, [model]).models[0].tasks["segmentation"].delta == pytest.approx(9.2, abs=0.1)

    @pytest.mark.parametrize(
        ("parts", "words"),
        [
            ([], "no metrics"),
            ([metrics("a", depth={"rel_err": 1}), metrics("b", depth={"rel_err": 1})], "in 'a' and in 'b'"),
            ([metrics("a", depth={"rel_err": 1}), metrics("b", "adashare", x={"rel_err": 1})], "protocol"),
            (
                [metrics("a", directions={"f": True}, x={"f": 1}), metrics("b", directions={"f": False}, y={"f": 1})],
                "other way round",
            ),
        ],
    )
    def test_what_cannot_be_merged(self, parts, words):
        with pytest.raises(CheckpointError, match=words):
            merge_metrics(parts)


def test_the_papers_metrics_are_those_of_its_tables():
    assert scored_metrics(METRICS) == [*SEGMENTATION, *DEPTH, *NORMALS]


def test_percentages_are_higher_is_better():
    assert all(metric.higher_is_better for metric in METRICS.values() if metric.unit == "%")


def test_examples_in_docstrings():
    result = doctest.testmod(ednas.metrics)
    assert result.attempted > 0
    assert result.failed == 0
