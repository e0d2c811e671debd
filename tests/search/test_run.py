"""A whole search on tiny scenes: real data, real training of a few steps, the real simulator."""

from __future__ import annotations

import json
import os
import signal
import statistics
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.searches import Recorder
from helpers.small_searches import small_search
from helpers.small_training import write_dataset

from ednas.arch import Architecture, load_architecture
from ednas.exceptions import ConfigError, EdnasError, StudyError
from ednas.hw import Cost, LayerGraph, estimate, load_target
from ednas.hw.sources import Source, base, register_source
from ednas.hw.targets.files import target_text
from ednas.metrics import load_metrics
from ednas.report.collect import collect
from ednas.report.html import render
from ednas.scoring import accuracy
from ednas.search import (
    Bank,
    SearchCallback,
    StudyReader,
    Trial,
    TrialState,
    load_search_config,
    pareto,
    run_search,
)
from ednas.search.evaluators.base import Evaluation
from ednas.search.evaluators.proxy import ProxyEvaluator
from ednas.training import prepare_judgement, train
from ednas.training.trivial import measure_trivial

HEADS = {"segmentation": 19, "depth": 1}


@pytest.fixture(autouse=True)
def _small(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDNAS_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
    torch.set_num_threads(1)


@pytest.mark.slow
def test_a_search_from_its_configuration_to_its_folder(tmp_path: Path) -> None:
    recorder = Recorder()
    result = run_search(small_search(), tmp_path / "run", callbacks=[recorder])
    assert recorder.reason == "all trials are done"
    with StudyReader(tmp_path / "run" / "study.db") as reader:
        trials = reader.trials()
    done = [trial for trial in trials if trial.state is TrialState.DONE]
    assert len(done) == 4
    base = load_architecture("base")
    target_ms = estimate(base, HEADS, (32, 64), load_target("coral_usb")).latency_ms
    assert result.target_ms == target_ms
    assert all((trial.latency_ms or 0) <= 2 * target_ms for trial in done)
    for trial in trials:
        architecture = load_architecture(trial.architecture)
        cost = estimate(architecture, HEADS, (32, 64), load_target("coral_usb"))
        assert trial.latency_ms == cost.latency_ms
        assert trial.cost["accelerator_cycles"] == cost.accelerator_cycles
        assert trial.cost["params"] > 100_000
    assert json.loads((tmp_path / "run" / "best.json").read_text())["trial"] == result.best.number
    assert load_architecture(tmp_path / "run" / "best.json").to_text() == result.best.architecture

    found = json.loads((tmp_path / "run" / "best.json").read_text())
    heads, size = found["heads"], tuple(found["input_size"])
    assert (heads, size) == (HEADS, (32, 64))
    best = load_architecture(tmp_path / "run" / "best.json")
    assert estimate(best, heads, size, load_target("coral_usb")).latency_ms == found["latency_ms"]

    written = load_search_config(tmp_path / "run" / "config.yaml")
    again = run_search(written, tmp_path / "again")
    assert [t.genes for t in again.pareto] == [t.genes for t in result.pareto]

    run_search(written.model_copy(update={"trials": 5}), tmp_path / "run", resume=True)
    with StudyReader(tmp_path / "run" / "study.db") as reader:
        assert reader.trials()[: len(trials)] == trials
        assert reader.counts()[TrialState.DONE] == 5
    other = written.model_copy(update={"training": written.training.model_copy(update={"seed": 1})})
    with pytest.raises(StudyError, match="belongs to another search: 'seed' was 0, is 1"):
        run_search(other, tmp_path / "run", resume=True)
    with pytest.raises(StudyError, match="holds a search already"):
        run_search(written, tmp_path / "run")


@pytest.mark.slow
def test_a_search_goes_on_where_its_data_have_been_moved_but_not_with_others(tmp_path: Path) -> None:
    write_dataset(tmp_path / "before")
    changes: dict[str, Any] = {"data_options": {}, "trials": 1}
    run_search(small_search(data=str(tmp_path / "before" / "dataset.yaml"), **changes), tmp_path / "run")
    (tmp_path / "before").rename(tmp_path / "after")
    moved = small_search(data=str(tmp_path / "after" / "dataset.yaml"), **{**changes, "trials": 2})
    run_search(moved, tmp_path / "run", resume=True)
    with StudyReader(tmp_path / "run" / "study.db") as reader:
        assert len(reader.trials()) == 2
    image = tmp_path / "after" / "train" / "image" / "0.png"
    image.write_bytes((tmp_path / "after" / "train" / "image" / "1.png").read_bytes())
    with pytest.raises(StudyError, match="belongs to another search: 'data' was"):
        run_search(moved, tmp_path / "run", resume=True)


def test_it_says_what_the_mean_label_scores(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    told: list[float] = []
    recorder = Recorder()
    recorder.on_trivial = told.append  # type: ignore[method-assign]
    run_search(small_search(trials=1), tmp_path / "run", callbacks=[recorder])
    trivial = json.loads((tmp_path / "run" / "trivial.json").read_text())
    model, train_split, held_out = prepare_judgement(small_search().train_config(load_architecture("base")))
    assert trivial["tasks"] == measure_trivial(model.tasks, train_split, held_out)["tasks"]
    assert load_metrics(tmp_path / "run" / "trivial.json").tasks == trivial["tasks"]
    assert told == [trivial["accuracy"]] == [accuracy(trivial["tasks"])]
    with StudyReader(tmp_path / "run" / "study.db") as reader:
        (trial,) = reader.trials()
    assert (trial.accuracy or 0) < trivial["accuracy"]  # after two steps
    warning = f"(accuracy {trial.accuracy:.4f} at most) is better than the mean training label of each pixel"
    assert warning in caplog.text


@pytest.mark.slow
def test_it_says_how_much_is_chance(tmp_path: Path) -> None:
    run_search(small_search(trials=3, repeats=2), tmp_path / "run")
    noise = json.loads((tmp_path / "run" / "noise.json").read_text())
    with StudyReader(tmp_path / "run" / "study.db") as reader:
        trials = reader.trials()
    assert noise["candidates"] == pytest.approx(statistics.stdev(trial.accuracy or 0 for trial in trials))
    assert noise["repeated"] == 2
    assert noise["ratio"] == pytest.approx(noise["candidates"] / noise["seeds"])


@pytest.mark.slow
def test_a_search_on_data_that_have_changed_is_not_gone_on_with(tmp_path: Path) -> None:
    data = write_dataset(tmp_path / "data")
    own = {"data": str(data), "data_options": {}}
    run_search(small_search(**own, trials=1), tmp_path / "run")
    for file in data.parent.rglob("*.png"):
        file.touch()
    run_search(small_search(**own, trials=2), tmp_path / "run", resume=True)
    label = data.parent / "train" / "depth" / "0.npy"
    np.save(label, 2 * np.load(label))
    with pytest.raises(StudyError, match="'data digest' was"):
        run_search(small_search(**own, trials=3), tmp_path / "run", resume=True)


@pytest.mark.slow
def test_data_that_change_while_it_runs_stop_a_search(tmp_path: Path) -> None:
    data = write_dataset(tmp_path / "data")

    class Change(SearchCallback):
        def on_trial(self, trial: Trial) -> None:
            if trial.state is TrialState.DONE:
                data.write_text(data.read_text().replace("kind: distance", "kind: disparity"))

    with pytest.raises(EdnasError, match=r"trial 1 could not be evaluated: .*the training data have changed since"):
        run_search(small_search(data=str(data), data_options={}, trials=3), tmp_path / "run", callbacks=[Change()])
    with StudyReader(tmp_path / "run" / "study.db") as reader:
        assert [trial.state for trial in reader.trials()] == [TrialState.DONE, TrialState.RUNNING]


@pytest.mark.slow
def test_a_search_and_a_training_keep_out_of_each_others_folders(tmp_path: Path) -> None:
    run_search(small_search(trials=1), tmp_path / "search")
    training = small_search().train_config(load_architecture("base"))
    with pytest.raises(ConfigError, match="holds a search"):
        train(training, tmp_path / "search", logs=False)
    train(training, tmp_path / "training", logs=False)
    with pytest.raises(ConfigError, match="holds a training"):
        run_search(small_search(trials=1), tmp_path / "training")


@pytest.mark.slow
def test_the_base_network_is_judged_beside_what_is_found(tmp_path: Path) -> None:
    result = run_search(small_search(trials=3, initial=["baseline"]), tmp_path / "run")
    base = load_architecture("base")
    assert result.baseline is not None
    assert (result.baseline.number, result.baseline.architecture) == (0, base.to_text())
    assert (result.best.reward or 0) >= (result.baseline.reward or 0)
    report = collect(tmp_path / "run")
    assert report.baseline_accuracy == result.baseline.accuracy
    assert report.baseline_latency_ms == result.baseline.latency_ms
    assert report.gain is not None
    assert report.gain.seeds == 1

    # By name it is the same network, but without it, it is another search.
    run_search(small_search(trials=3, initial=["base"]), tmp_path / "run", resume=True)
    with pytest.raises(StudyError, match="'initial' was"):
        run_search(small_search(trials=3), tmp_path / "run", resume=True)


@pytest.mark.slow
def test_networks_that_differ_as_wholes_are_judged_after_the_initial_ones(tmp_path: Path) -> None:
    config = small_search(trials=4, initial=["baseline"], varied=2, controller={"name": "random"})
    run_search(config, tmp_path / "run")
    with StudyReader(tmp_path / "run" / "study.db") as study:
        trials, identity = study.trials(), study.identity
    assert [trial.architecture for trial in trials[1:3]] == identity["varied networks"]
    assert all(trial.meets(identity["limits"]) for trial in trials[1:3])
    run_search(config.model_copy(update={"trials": 5}), tmp_path / "run", resume=True)
    with pytest.raises(StudyError, match="'varied"):
        run_search(config.model_copy(update={"varied": 3}), tmp_path / "run", resume=True)


def test_networks_are_not_drawn_by_thousands_of_measurements(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"varied: to draw networks takes the latencies of thousands"):
        run_search(small_search(varied=2, target="litert"), tmp_path / "run")


def test_a_network_that_is_not_in_the_space_cannot_be_judged(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"initial: blocks\[1\].filters is 36, not in the search space"):
        run_search(small_search(initial=["ednas_cityscapes"]), tmp_path / "run")


@pytest.mark.slow
def test_finalists_are_judged_again_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    searched = small_search(trials=4, finalists=2, repeats=2, initial=["baseline"])
    result = run_search(searched, tmp_path / "run")
    with StudyReader(tmp_path / "run" / "study.db") as reader:
        trials, judgements = {trial.number: trial for trial in reader.trials()}, reader.judgements()
    best = json.loads((tmp_path / "run" / "best.json").read_text())
    first, second = trials[result.best.number], judgements[result.best.number]
    assert best["reward"] == result.best.reward == pytest.approx(((first.reward or 0) + second.reward) / 2)
    assert 0 in judgements
    assert result.judged_twice
    assert result.baseline is not None
    gain = collect(tmp_path / "run").gain
    assert gain is not None
    assert gain.percent == pytest.approx(100 * ((result.best.accuracy or 0) / (result.baseline.accuracy or 1) - 1))
    assert gain.seeds == 2
    monkeypatch.setattr(ProxyEvaluator, "evaluate", lambda *_: pytest.fail("judged already"))
    assert run_search(searched, tmp_path / "run", resume=True) == result


@pytest.mark.slow
def test_a_transfer_search_judges_by_one_task_what_will_learn_two(tmp_path: Path) -> None:
    """Table 5: what a network costs is that of the one with both heads."""
    recipe = {"name": "mini", "steps": 2, "batch_size": 2, "input_size": [32, 64]}
    searched = small_search(
        trials=2, tasks=["segmentation"], final_tasks=["segmentation", "depth"], initial=["baseline"], recipe=recipe
    )
    result = run_search(searched, tmp_path / "run")
    with StudyReader(tmp_path / "run" / "study.db") as reader:
        trials, heads = reader.trials(), reader.identity["heads"]
    assert all(trial.metrics.keys() == {"segmentation"} for trial in trials if trial.scored)
    assert heads == result.heads == HEADS
    assert result.target_ms == trials[0].latency_ms
    assert (
        trials[0].latency_ms
        == estimate(load_architecture("base"), HEADS, (32, 64), load_target("coral_usb")).latency_ms
    )
    assert "--tasks segmentation,depth" in collect(tmp_path / "run").next_command


def test_what_cannot_be_learned_in_the_end_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="unknown task 'dpth'"):
        run_search(small_search(final_tasks=["dpth"]), tmp_path / "run")


@pytest.mark.slow
def test_finalists_are_trained_for_longer_and_that_alone_counts(tmp_path: Path) -> None:
    searched = small_search(
        trials=4,
        finalists=2,
        finalists_longer=2,
        finalists_input_size=[32, 96],
        reward={"by": "training_loss"},
        initial=["baseline"],
    )
    result = run_search(searched, tmp_path / "run")
    assert result.target_ms == estimate(load_architecture("base"), HEADS, (32, 96), load_target("coral_usb")).latency_ms
    with StudyReader(tmp_path / "run" / "study.db") as reader:
        trials, judgements = {trial.number: trial for trial in reader.trials()}, reader.judgements()
    assert (result.best.accuracy, result.best.reward) == (
        judgements[result.best.number].accuracy,
        judgements[result.best.number].reward,
    )
    # What is computed from losses is not the accuracy of the metrics, which are stored beside it.
    assert all(trial.accuracy != pytest.approx(accuracy(trial.metrics)) for trial in trials.values())
    assert 0 in judgements  # the base network
    assert len(judgements) in (2, 3)  # with two finalists, of which it may be one
    gain = collect(tmp_path / "run").gain
    assert gain is not None
    assert gain.seeds == 1
    page = render(collect(tmp_path / "run"))
    assert "Candidates are compared by their training losses" in page
    assert "The best ones were trained in the end" in page
    trained = [anchor.context for anchor in Bank(tmp_path / "run" / "bank.jsonl").anchors()]
    assert [(own["recipe"]["steps"], own["input_size"]) for own in trained] == [(4, [32, 96])] * len(judgements)
    assert len({own["data"] for own in trained}) == 1
    with pytest.raises(StudyError, match="finalists_longer"):
        run_search(searched.model_copy(update={"finalists_longer": 3}), tmp_path / "run", resume=True)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_results_of_an_interrupted_search_are_written(tmp_path: Path, number: signal.Signals) -> None:
    class Impatient(Recorder):
        def on_trial(self, trial: Any) -> None:
            if trial.state is TrialState.DONE:
                os.kill(os.getpid(), number)

    before = signal.getsignal(signal.SIGTERM)
    # A shell starts jobs in the background with Ctrl-C ignored, which children inherit.
    ignored = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises((KeyboardInterrupt, SystemExit)) as ended:
            run_search(small_search(), tmp_path, callbacks=[Impatient()])
    finally:
        signal.signal(signal.SIGINT, ignored)
    if number == signal.SIGTERM:
        assert ended.value.args == (143,)
    assert signal.getsignal(signal.SIGTERM) is before
    assert json.loads((tmp_path / "best.json").read_text())["reward"] > 0
    result = run_search(small_search(), tmp_path, resume=True)
    assert result.best.reward is not None


def test_a_full_disk_does_not_hide_why_a_search_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken(Recorder):
        def on_trial(self, trial: Any) -> None:
            if trial.state is TrialState.DONE:
                raise EdnasError("the study cannot be written: the disk is full")

    def full(result: object, folder: Path) -> None:
        raise EdnasError(f"cannot write {folder}")

    monkeypatch.setattr("ednas.search.run.write_results", full)
    with pytest.raises(EdnasError, match="the study cannot be written: the disk is full"):
        run_search(small_search(), tmp_path, callbacks=[Broken()])


@pytest.mark.slow
def test_several_limits_and_objectives(tmp_path: Path) -> None:
    limits = {"params": "0.9 * baseline", "macs": 1e9}
    changes = {"limits": limits, "target_latency_ms": "2 * baseline", "prune_factor": 1.1, "reward": {"mode": "hard"}}
    result = run_search(small_search(**changes, objectives=("accuracy", "params", "latency_ms")), tmp_path)
    assert result.limits.keys() == {"latency_ms", "params", "macs"}
    with StudyReader(tmp_path / "study.db") as reader:
        trials, identity = reader.trials(TrialState.DONE), reader.identity
    for trial in trials:
        assert all(trial.cost[name] <= 1.1 * limit for name, limit in result.limits.items())
        met = all(trial.cost[name] <= limit for name, limit in result.limits.items())
        assert trial.reward == (trial.accuracy if met else 0.0)
    assert identity["target_latency_ms"] == result.limits["latency_ms"]
    assert identity["limits"] == {name: result.limits[name] for name in limits}
    assert result.pareto == pareto(trials, ("accuracy", "params", "latency_ms"))
    for name in ("best.json", "pareto.json"):
        written = json.loads((tmp_path / name).read_text())
        assert written["target_ms"] == result.limits["latency_ms"]
        assert written["limits"] == result.limits
        assert written["objectives"] == ["accuracy", "params", "latency_ms"]


@pytest.mark.slow
def test_objectives_that_the_controller_follows_stay_the_same(tmp_path: Path) -> None:
    search = small_search(controller={"name": "nsga2", "options": {"population_size": 2, "offspring": 1}}, trials=3)
    run_search(search, tmp_path)
    with pytest.raises(StudyError, match="belongs to another search: 'objectives' was"):
        run_search(search.model_copy(update={"objectives": ("accuracy", "macs")}), tmp_path, resume=True)
    same = search.model_copy(update={"objectives": ("accuracy", "latency_ms"), "trials": 4})
    assert run_search(same, tmp_path, resume=True).objectives == ("accuracy", "latency_ms")


def test_without_a_target_latency(tmp_path: Path) -> None:
    result = run_search(small_search(limits={"params": "baseline"}, target_latency_ms=None, trials=2), tmp_path)
    assert result.target_ms is None
    assert result.limits.keys() == {"params"}
    assert json.loads((tmp_path / "best.json").read_text())["target_ms"] is None


@pytest.mark.slow
def test_costs_may_come_from_a_source_that_measures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Measurements of one network differ, and know less than the simulator; a resumed search keeps its limits."""
    measured: list[float] = []

    class Stopwatch(Source):
        name = "stopwatch"

        def cost(self, graph: LayerGraph, model: Path | None = None) -> Cost:
            measured.append(sum(layer.macs for layer in graph.layers) * (1 + len(measured) / 100))
            return Cost("stopwatch", latency_ms=measured[-1])

    monkeypatch.setattr(base, "_registry", dict(base._registry))
    register_source("stopwatch", lambda detail: Stopwatch())
    loose = small_search(target="stopwatch", target_latency_ms="2 * baseline", trials=2)
    result = run_search(loose, tmp_path)
    assert result.target_ms == 2 * measured[0]
    with StudyReader(tmp_path / "study.db") as reader:
        trials = reader.trials()
    assert len(measured) == 1 + len(trials)  # each network once, the base among them
    assert trials[0].cost.keys() == {"latency_ms", "params", "macs"}
    assert run_search(loose.model_copy(update={"trials": 3}), tmp_path, resume=True).target_ms == 2 * measured[0]
    with pytest.raises(ConfigError, match=r"stopwatch does not model host_ms.*models latency_ms, params, macs\)"):
        run_search(small_search(target="stopwatch", limits={"host_ms": 0}), tmp_path / "other")


def test_a_search_can_keep_to_the_upper_end_of_an_estimate(tmp_path: Path) -> None:
    target = "raspberry_pi_4_ncnn_fp32"
    limits = {"latency_p90_ms": "baseline"}
    search = small_search(target=target, target_latency_ms=None, limits=limits, prune_factor=1.0, trials=2)
    result = run_search(search, tmp_path)
    (error,) = load_target(target).errors
    assert result.best.cost["latency_p90_ms"] == pytest.approx(error.high * result.best.cost["latency_ms"])
    assert result.best.cost["latency_p90_ms"] <= result.limits["latency_p90_ms"]


def test_a_file_of_a_search_that_was_killed_at_once_does_not_hinder_resuming(tmp_path: Path) -> None:
    (tmp_path / "study.db").touch()
    assert run_search(small_search(trials=1), tmp_path, resume=True).best.number == 0


@pytest.mark.slow
def test_candidates_are_trained_in_processes_of_their_own(tmp_path: Path) -> None:
    parallel = run_search(
        small_search(executor="process", workers=2, trials=2, controller={"name": "random"}), tmp_path / "a"
    )
    inline = run_search(small_search(trials=2, controller={"name": "random"}), tmp_path / "b")
    assert parallel.best.genes == inline.best.genes
    assert parallel.best.metrics == inline.best.metrics


class TestMistakes:
    def test_a_target_that_nothing_in_the_space_reaches(self, tmp_path: Path) -> None:
        message = (
            r"the limit is latency 0\.10 ms, but the lowest found in this space is latency \d+\.\d\d ms on coral_usb"
        )
        with pytest.raises(ConfigError, match=message):
            run_search(small_search(target_latency_ms=0.1), tmp_path)
        assert not (tmp_path / "study.db").exists()

    def test_what_no_network_changes(self, tmp_path: Path) -> None:
        message = r"the limit is area 10\.00 mm², but coral_usb has area .* whatever network it runs; .* another target"
        with pytest.raises(ConfigError, match=message):
            run_search(small_search(limits={"area_mm2": 10}), tmp_path)

    @pytest.mark.parametrize(
        ("changes", "key"),
        [({"limits": {"energy_mj": 1}}, "limits"), ({"objectives": ["accuracy", "energy_mj"]}, "obj")],
    )
    def test_what_the_device_does_not_model(self, tmp_path: Path, changes: dict[str, Any], key: str) -> None:
        device = tmp_path / "no_energy.yaml"
        text = target_text("coral_usb")
        device.write_text(text[: text.index("\nenergy:")] + text[text.index("\narea:") :])
        with pytest.raises(
            ConfigError, match=rf"^{key}.*: .*no_energy.yaml does not model energy_mj; leave it out, or"
        ) as error:
            run_search(small_search(target=str(device), **changes), tmp_path)
        assert "latency_ms" in str(error.value)
        assert not (tmp_path / "study.db").exists()

    @pytest.mark.parametrize(
        ("reward", "message"),
        [
            ({"weights": {"depth": {"relerr": 1.0}}}, r"reward\.weights: 'depth\.relerr' is not measured; there is"),
            ({"reference": {"normals": {"mean_angle": 9.0}}}, "no task 'normals' is searched for"),
        ],
    )
    def test_a_weight_of_no_metric(self, tmp_path: Path, reward: dict[str, Any], message: str) -> None:
        with pytest.raises(ConfigError, match=message):
            run_search(small_search(reward=reward), tmp_path)


@pytest.mark.slow
def test_failed_candidates_are_evaluated_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    evaluate = ProxyEvaluator.evaluate

    def fails_for_the_base(self: ProxyEvaluator, architecture: Architecture, seed: int) -> Evaluation:
        if architecture == load_architecture("base"):
            raise MemoryError
        return evaluate(self, architecture, seed)

    own = small_search(trials=3, initial=["baseline"])
    with monkeypatch.context() as patch:
        patch.setattr(ProxyEvaluator, "evaluate", fails_for_the_base)
        run_search(own, tmp_path)
    with StudyReader(tmp_path / "study.db") as reader:
        assert [trial.state for trial in reader.trials()] == [TrialState.FAILED, TrialState.DONE, TrialState.DONE]
    result = run_search(own, tmp_path, resume=True, retry_failed=True)
    assert result.baseline is not None
    assert run_search(own, tmp_path, resume=True) == result
