from __future__ import annotations

import re
from dataclasses import replace

import pytest
import yaml
from helpers.reports import IDENTITY, fake_comparison, fake_trials, png, write_study

from ednas.arch import Architecture, load_architecture
from ednas.exceptions import CheckpointError, ConfigError, DataError, EdnasError, StudyError
from ednas.files import read_json, write_json, write_text
from ednas.hw import Cost, load_target, simulate
from ednas.hw.graph.trace import trace_network
from ednas.report import collect, render
from ednas.report.comparison import save_comparison
from ednas.report.content import Picture
from ednas.report.pictures import save_pictures
from ednas.search.results import pareto, summarise, write_results
from ednas.search.trial import TrialState

FACTS = {
    "training": {"data": "streets", "tasks": ["segmentation", "depth"]},
    "trials": 30,
    "target": "coral_usb",
    "target_latency_ms": 7.0,
    "prune_factor": None,
}
CONFIG = f"# a made-up search\n{yaml.safe_dump(FACTS)}"


@pytest.fixture
def run(tmp_path):
    """A finished run with everything in it."""
    folder = tmp_path / "streets"
    folder.mkdir()
    trials = fake_trials(20)
    write_study(folder, trials)
    write_results(summarise(trials, {"latency_ms": 7.0}), folder)
    write_text(folder / "config.yaml", CONFIG)
    save_comparison(fake_comparison(), folder / "comparison.json")
    picture = Picture("scene", "depth", png((1, 2, 3)), png((4, 5, 6)), (("found", png((7, 8, 9))),))
    save_pictures([picture], folder / "predictions")
    return folder


def test_a_finished_run(run):
    report = collect(run)
    assert report.title == "Search in streets"
    assert report.config == CONFIG
    assert (report.target, report.target_latency_ms, report.planned_trials) == ("coral_usb", 7.0, 30)
    assert report.baseline_latency_ms == 11.6
    assert [trial.number for trial in report.trials] == list(range(20))
    assert set(report.pareto) <= {trial.number for trial in report.trials if trial.scored}
    assert report.choices
    assert report.winners == 5
    assert report.comparison == fake_comparison()
    assert [(picture.sample, picture.task) for picture in report.pictures] == [("scene", "depth")]


def test_why_candidates_were_pruned_and_what_to_run_next(run):
    report = collect(run)
    pruned = [trial for trial in report.trials if trial.state is TrialState.PRUNED]
    assert report.pruned_by == {"latency_ms": sum(trial.cost["latency_ms"] > 7.0 for trial in pruned)}
    config = FACTS | {"training": {"data": "my data", "tasks": ["depth"], "data_options": {"count": 8}}}
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    assert collect(run).next_command == (
        f"ednas train {run}/best.json --data 'my data' --data-option count=8 --tasks depth --out {run}/trained"
    )
    (run / "config.yaml").write_text(
        yaml.safe_dump({**config, "training": {**config["training"], "plugins": ["my tasks.py"]}})
    )
    assert "--data-option count=8 --plugin 'my tasks.py' --tasks depth" in collect(run).next_command


def test_what_no_network_scores(run):
    assert collect(run).trivial == {}
    assert "no network" not in render(collect(run))
    tasks = {"segmentation": {"miou": 9.84}, "depth": {"abs_err": 0.0448}}
    write_json(run / "trivial.json", {"protocol": "standard", "tasks": tasks, "samples": 5, "accuracy": 0.125})
    report = collect(run)
    assert (report.trivial, report.trivial_accuracy) == (tasks, 0.125)
    row = re.search(r"<tr>[^\n]*no network \(mean label\).*?</tr>", render(report), re.DOTALL)[0]
    for shown in ("0.1250", "9.84", "0.0448"):
        assert f"<td>{shown}</td>" in row
    write_json(run / "trivial.json", {"protocol": "standard", "tasks": tasks, "samples": 5, "accuracy": None})
    assert collect(run).trivial_accuracy is None
    write_text(run / "trivial.json", "[]")
    with pytest.raises(CheckpointError, match=r"trivial\.json"):
        collect(run)


def test_the_best_model_is_counted_where_heads_and_size_are_known(run):
    best = collect(run).best
    assert best.tasks == ("segmentation", "depth")
    assert best.input_size == (64, 128)
    assert best.params == sum(row.params for row in best.rows)
    assert best.macs == sum(row.macs for row in best.rows)
    assert [row.index for row in best.rows[:17]] == [str(index) for index in range(17)]
    assert best.rows[-1].layer == "Head: depth"


def test_without_the_heads_the_rest_is_counted(run):
    (run / "study.db").unlink()
    write_study(run, fake_trials(20), identity={"input_size": [64, 128]})
    best = collect(run).best
    assert [row.layer for row in best.rows[-2:]] == ["BiFPN ×4", "Lateral 1/4"]
    assert all(row.params for row in best.rows)
    assert best.params_backbone == sum(row.params for row in best.rows[:-2])
    assert best.params is None  # the made-up trials' costs do not hold it


def test_the_baseline_s_latency_is_known_where_it_is_the_target(run):
    write_text(
        run / "config.yaml", yaml.safe_dump(FACTS | {"target_latency_ms": "baseline", "target": "my/stick.yaml"})
    )
    (run / "study.db").unlink()
    write_study(run, fake_trials(20), identity={"target_latency_ms": 8.25, "target definition": {"name": "stick"}})
    (run / "best.json").unlink()
    report = collect(run)
    assert report.baseline_latency_ms == report.target_latency_ms == 8.25
    assert report.target == "stick"


def test_the_baseline_s_latency_is_known_whatever_the_target(run):
    (run / "study.db").unlink()
    (run / "comparison.json").unlink()
    write_study(run, fake_trials(20), identity={**IDENTITY, "baseline": {"latency_ms": 6.5}})
    report = collect(run)
    assert (report.baseline_latency_ms, report.target_latency_ms) == (6.5, 7.0)


@pytest.mark.parametrize("is_over", [True, False])
def test_the_pareto_set_is_drawn_over_what_the_search_drew_it_over(run, is_over):
    trials = [replace(trial, cost={**trial.cost, "params": 1e6 + trial.number}) for trial in fake_trials(20)]
    objectives = ("accuracy", "latency_ms", "params")
    (run / "study.db").unlink()
    (run / "best.json").unlink()
    write_study(run, trials)
    write_text(run / "config.yaml", f"{CONFIG}limits: {{params: 2000000}}\n")
    if is_over:
        write_results(summarise(trials, {"latency_ms": 7.0, "params": 2e6}, objectives), run)
    report = collect(run)
    assert report.objectives == objectives
    assert report.pareto == tuple(trial.number for trial in pareto(trials, objectives))
    assert len(report.pareto) > len(pareto(trials))
    assert "no other one beats in accuracy, latency_ms, params" in render(report)


def test_the_cost_of_the_best_model_is_told_layer_by_layer(run):
    best = collect(run).best
    coral = load_target("coral_usb")
    graph = trace_network(best.architecture, {"segmentation": 19, "depth": 1}, (64, 128))
    assert best.target == coral
    assert best.cost.layers == simulate(graph, coral).layers
    recorded = read_json(run / "best.json")["latency_ms"]
    *_, note = best.cost.notes
    assert note == f"the search recorded {recorded:.3g} ms, with another version of the cost model or the device"
    page = render(collect(run))
    assert 'id="cost"' in page
    assert "What one inference costs" in page
    assert f"The 12 slowest of {len(best.cost.layers)} layers" in page


def test_the_device_is_the_one_that_the_search_stored(run):
    definition = load_target("coral_usb").model_dump(mode="json") | {"name": "stick"}
    definition["link"]["dispatch_ms"]["value"] = 5.0
    (run / "study.db").unlink()
    write_study(run, fake_trials(20), identity={**IDENTITY, "target definition": definition})
    best = collect(run).best
    assert (best.cost.target, best.cost.dispatch_ms) == ("stick", 5.0)


@pytest.mark.parametrize("target", ["litert", "nowhere.yaml", "no_such_device"])
def test_a_device_that_is_not_simulated_leaves_the_totals(run, target):
    write_text(run / "config.yaml", yaml.safe_dump(FACTS | {"target": target}))
    best = collect(run).best
    assert best.target is None
    assert best.cost == Cost(target, read_json(run / "best.json")["latency_ms"])
    assert 'id="cost"' in render(collect(run))


def test_a_damaged_definition_leaves_the_totals(run):
    (run / "study.db").unlink()
    write_study(run, fake_trials(20), identity={**IDENTITY, "target definition": {"name": "old", "clock_mhz": 500}})
    assert collect(run).best.cost.layers == ()


def test_a_running_search_shows_its_best_so_far(tmp_path):
    trials = tuple(
        replace(trial, state=TrialState.RUNNING) if trial.number > 11 else trial for trial in fake_trials(14)
    )
    write_study(tmp_path, trials, identity={"target_latency_ms": 7.0})
    report = collect(tmp_path)
    assert sum(trial.state is TrialState.RUNNING for trial in report.trials) == 2
    scored = [trial for trial in report.trials if trial.scored and trial.latency_ms <= 7.0]
    assert report.best.number == max(scored, key=lambda trial: trial.reward).number
    assert report.best.tasks == ("segmentation", "depth")
    assert report.best.params is None
    assert (report.comparison, report.pictures, report.config) == (None, (), "")
    assert "Best architecture" in render(report)


def test_a_search_without_a_result_has_no_best_model(tmp_path):
    trials = tuple(replace(trial, state=TrialState.RUNNING) for trial in fake_trials(3))
    write_study(tmp_path, trials)
    report = collect(tmp_path)
    assert report.best is None
    assert report.pareto == ()


@pytest.mark.parametrize("name", ["study.db", "best.json", "config.yaml", "comparison.json", "predictions/index.json"])
def test_each_part_may_be_missing(run, name):
    (run / name).unlink()
    render(collect(run))


def test_an_architecture_alone_can_be_reported(tmp_path):
    architecture = replace(load_architecture("nas_depth"), input_size=(96, 160))
    write_json(tmp_path / "best.json", {"architecture": architecture.to_dict(), "heads": {"depth": 1}})
    best = collect(tmp_path).best
    assert best.architecture.fingerprint() == architecture.fingerprint()
    assert best.input_size == (96, 160)
    assert best.number is None


def test_filters_are_multiples_of_the_space_s_own_base(run):
    base = load_architecture("base")
    blocks = [replace(block, filters=2 * block.filters) for block in base.blocks]
    wide = Architecture(blocks=blocks, name="wide").to_dict()
    write_text(run / "config.yaml", "")
    (run / "config.yaml").unlink()
    (run / "study.db").unlink()
    write_study(run, fake_trials(20), identity={**IDENTITY, "data": "streets", "architecture": wide})
    values = {share.value for share in collect(run).choices if share.field == "filters"}
    assert values == {"×0.25", "×0.38", "×0.5", "×0.75"}


def test_no_run_at_all(tmp_path):
    with pytest.raises(StudyError, match="no run to report on"):
        collect(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("name", "content", "error"),
    [
        ("best.json", "{}", StudyError),
        ("best.json", "{", StudyError),
        ("best.json", '{"architecture": {"blocks": ["nonsense"]}}', EdnasError),
        ("config.yaml", "a: [", ConfigError),
        ("config.yaml", "training: {data: streets, architecture: no_such_architecture}", EdnasError),
        ("config.yaml", "training: {data: streets}\ntrials: many", ConfigError),
        ("config.yaml", "trials: 3", ConfigError),
        ("comparison.json", "[]", CheckpointError),
        ("predictions/index.json", '{"format": 2}', DataError),
        ("study.db", "not a database", StudyError),
    ],
)
def test_damaged_files_are_errors_of_one_line(run, name, content, error):
    if "no_such_architecture" in content:
        (run / "study.db").unlink()
    (run / name).write_text(content, encoding="utf-8")
    with pytest.raises(error) as caught:
        collect(run)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("identity", [{"heads": 3}, {"input_size": "wide"}, {"baseline": {"latency_ms": "fast"}}])
def test_a_damaged_identity_is_an_error_of_one_line(tmp_path, identity):
    write_study(tmp_path, fake_trials(3), identity=identity)
    with pytest.raises(StudyError, match=next(iter(identity))) as caught:
        collect(tmp_path)
    assert "\n" not in str(caught.value)
