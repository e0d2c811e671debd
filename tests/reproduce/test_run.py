"""Tables from nothing to their files: each training once, in any number of pieces."""

from __future__ import annotations

import shutil
from dataclasses import replace

import pytest
from helpers.small_reproduction import small_scale, small_table
from helpers.small_training import Stop

from ednas.exceptions import CheckpointError, EdnasError, TrainingError
from ednas.files import read_json, write_json
from ednas.reproduce import run, speed
from ednas.reproduce.result import load_table
from ednas.reproduce.run import look_at, reproduce, table_file
from ednas.reproduce.scales import make_scale
from ednas.training import jobs, train


def trained(out):
    """When each training was finished."""
    return {path: path.stat().st_mtime_ns for path in out.glob("trainings/*/seed_*/checkpoint/model.safetensors")}


def make(scale, out, *names, **options):
    return list(reproduce(names or ("small",), scale, out, device="cpu", **options))


def show(scale, out, *names):
    return list(look_at(names or ("small",), scale, out))


def files(out):
    return {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()}


@pytest.mark.slow
def test_a_table_holds_every_row_and_verdict(made):
    result, out = made
    assert load_table(out / "small" / "small.json") == result
    assert [row.key for row in result.rows] == ["single", "base", "heavy"]
    assert [sorted(row.measured["standard"]) for row in result.rows] == [[0, 1]] * 3
    assert [claim.verdicts["standard"].outcome for claim in result.claims] == ["undecided"] * 3
    assert (result.claims[0].verdicts["standard"].runs, result.wanted, result.scale) == (2, 3, "small")
    assert result.notes == ("It is small.", "All is small.")
    assert result.command == "ednas reproduce small --scale small"


@pytest.mark.slow
def test_rows_are_what_their_trainings_measured(made):
    result, out = made
    row = result.row("single")
    for task in ("segmentation", "depth"):
        (folder,) = out.glob(f"trainings/*-{task}-*")
        for seed in (0, 1):
            stored = read_json(folder / f"seed_{seed}" / "checkpoint" / "metrics.json")["tasks"][task]
            assert row.measured["standard"][seed][task].items() <= stored.items()
            other = read_json(folder / f"seed_{seed}" / "metrics_adashare.json")
            assert (other["protocol"], other["samples"]) == ("adashare", result.measured_on["samples"])
            assert row.measured["adashare"][seed][task].items() <= other["tasks"][task].items()
    assert row.cost.runs == 2
    assert row.cost.params > result.row("base").cost.params
    assert row.cost.latency_ms > result.row("base").cost.latency_ms


@pytest.mark.slow
def test_trainings_of_different_devices_are_said_to_be_that(made, tmp_path, monkeypatch):
    _, out = made
    monkeypatch.setattr(run, "TABLES", {"small": small_table})
    shutil.copytree(out, tmp_path / "out")
    file = next((tmp_path / "out").glob("trainings/*/seed_1/checkpoint/metrics.json"))
    write_json(file, read_json(file) | {"device": "an accelerator"})
    (result,) = show(small_scale(out / "data"), tmp_path / "out")
    (note,) = result.notes[2:]
    assert note.startswith("Trained on different devices: ")
    assert "an accelerator" in note


@pytest.mark.slow
def test_it_goes_on_where_it_was_broken_off(scale, tmp_path):
    out, begun = tmp_path / "out", []

    def stop_third(name):
        begun.append(name)
        if len(begun) == 3:
            raise Stop
        return []

    with pytest.raises(Stop):
        make(scale, out, runs=1, callbacks=stop_third)
    first = trained(out)
    assert len(first) == 2
    before = files(out)
    (part,) = show(scale, out)
    assert files(out) == before
    assert [len(row.measured["standard"]) for row in part.rows] == [1, 0, 0]  # of single tasks, both are there
    assert part.claims[0].verdicts == {}
    said: list[str] = []
    (whole,) = make(scale, out, runs=1, announce=said.append)
    assert {path: trained(out)[path] for path in first} == first
    first_line, *_, last, measuring = said
    assert first_line == "small: 2 of 4 trainings are done"
    assert last == "small, Both, read otherwise, seed 0: done, 4 of 4"
    assert measuring == "small: measuring under AdaShare's protocol, 0 of 4 done"
    assert [len(row.measured["standard"]) for row in whole.rows] == [1, 1, 1]
    assert show(scale, out) == [whole]


@pytest.mark.slow
def test_one_reading_leaves_out_the_other(scale, tmp_path):
    (result,) = make(scale, tmp_path / "out", runs=1, reading="printed")
    assert [len(row.measured["standard"]) for row in result.rows] == [1, 1, 0]  # all rows are kept
    read = result.read("printed")
    assert [row.key for row in read.rows] == ["single", "base"]
    assert [claim.text for claim in read.claims] == ["Both are better", "Both spread less"]


@pytest.mark.slow
def test_what_searches_find_is_trained_and_described(scale, tmp_path):
    out, said = tmp_path / "out", []
    (result,) = make(scale, out, "searched", announce=said.append)
    found, joint, random = result.rows
    assert sum(": searched, " in line for line in said) == 2
    assert [len(row.measured["standard"]) for row in (found, joint, random)] == [2, 2, 2]
    assert joint.measured["standard"][0]["search"]["seconds"] > 0
    assert 20 < random.measured["standard"][0]["backbone"]["fused_percent"] < 80
    assert found.measured.keys() == {"standard", "adashare"}
    before = trained(out)
    assert make(scale, out, "searched") == [result]
    assert trained(out) == before


@pytest.mark.slow
def test_data_that_changed_are_refused(scale, tmp_path):
    out = tmp_path / "out"
    make(scale, out, runs=1)
    file = next(out.glob("trainings/*/seed_0/checkpoint/metrics.json"))
    write_json(file, {**read_json(file), "digest": "another"})
    with pytest.raises(CheckpointError, match="the table. was measured on images and labels with the digest"):
        show(scale, out)
    write_json(file, {})
    with pytest.raises(CheckpointError, match=r"metrics\.json"):
        show(scale, out)


@pytest.mark.slow
def test_fewer_runs_or_a_failure_lose_nothing(scale, tmp_path, monkeypatch):
    out = tmp_path / "out"
    make(scale, out, runs=2)

    def diverge(config, folder, **options):
        if config.seed == 2 and len(config.tasks) == 2:
            raise TrainingError("the loss is nan")
        return train(config, folder, **options)

    monkeypatch.setattr(jobs, "train", diverge)
    made = reproduce(("small",), scale, out, device="cpu")
    result = next(made)
    with pytest.raises(TrainingError, match=r"small, Both, seed 2: the loss is nan, and 1 more; the other trainings"):
        next(made)
    assert [len(row.measured["standard"]) for row in result.rows] == [3, 2, 2]
    (again,) = make(scale, out, runs=1)
    assert again.rows == result.rows


def test_data_are_looked_for_before_anything_is_trained(scale, tmp_path, monkeypatch):
    table = replace(
        small_table(scale), rows=small_table(replace(scale, two_tasks=replace(scale.two_tasks, data="nowhere"))).rows
    )
    monkeypatch.setattr(run, "TABLES", {"small": small_table, "later": lambda _: table})
    with pytest.raises(EdnasError, match="nowhere"):
        make(scale, tmp_path / "out", "small", "later")
    assert not (tmp_path / "out").exists()


def test_speed_can_be_made_again(tmp_path, monkeypatch):
    scale = make_scale("mini", {})
    out = tmp_path / "out"
    monkeypatch.setattr(speed, "find_spec", lambda name: None)  # as where LiteRT is not installed
    said: list[str] = []
    (first,) = reproduce(["speed"], scale, out, announce=said.append)
    assert "it is estimated alone" in said[0]
    assert list(reproduce(["speed"], scale, out)) == list(look_at(["speed"], scale, out)) == [first]
    estimated, here = first.claims[0].verdicts["standard"], first.claims[-1].verdicts["standard"]
    assert (estimated.outcome, estimated.runs, estimated.wanted) == ("holds", 1, 1)
    assert (here.outcome, here.runs, here.wanted) == ("undecided", 0, 3)


def test_tables_of_other_sizes_are_beside_one_another(tmp_path):
    scales = [make_scale("mini", {}), make_scale("mini", {}, 7), make_scale("mini", {"nyuv2": "a b/my.yaml"})]
    found = {table_file(tmp_path, scale, "table1").relative_to(tmp_path).as_posix() for scale in scales}
    assert found == {"mini/table1.json", "mini_steps_7/table1.json", "mini_data_nyuv2=my.yaml/table1.json"}
