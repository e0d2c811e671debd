"""The whole search with a fake evaluator: what it stores, when it ends, and that nothing interrupts it for good."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ClassVar

import pytest
from helpers.profiles import examples
from helpers.searches import (
    IDENTITY,
    SIZES,
    TARGET_MS,
    FakeEvaluator,
    Misbehaving,
    Recorder,
    evolution,
    facts,
    fake_cost,
    fake_metrics,
    make_search,
    space,
    uninterrupted,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ednas.arch import Architecture
from ednas.exceptions import ConfigError, EdnasError, StudyError, TargetError
from ednas.scoring import accuracy, limited_reward, reward
from ednas.search.controllers import RandomSearch, replay
from ednas.search.evaluators.base import Evaluation
from ednas.search.executors import InlineExecutor, Outcome, ProcessExecutor
from ednas.search.study import Study, StudyReader
from ednas.search.trial import Trial, TrialState


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "study.db"


def cost_without_fused(architecture: Architecture) -> dict[str, float]:
    """Costs on a target that cannot run networks whose second block is fused."""
    if architecture.blocks[1].kind == "fused":
        raise TargetError("no memory")
    return dict(fake_cost(architecture))


class TestWhatIsStored:
    def test_every_trial_is_costed_evaluated_and_scored(self, path: Path) -> None:
        trials = uninterrupted(path, 20)
        assert [trial.number for trial in trials] == list(range(20))
        for trial in trials:
            architecture = Architecture.from_text(trial.architecture)
            metrics = fake_metrics(architecture)
            assert trial.fingerprint == architecture.fingerprint() == space().decode(trial.genes).fingerprint()
            assert trial.cost == fake_cost(architecture)
            assert trial.metrics == metrics
            assert trial.accuracy == accuracy(metrics)
            assert trial.latency_ms is not None
            assert trial.reward == reward(accuracy(metrics), trial.latency_ms, TARGET_MS)

    def test_callbacks_hear_of_every_trial_twice(self, path: Path) -> None:
        recorder = Recorder()
        trials = uninterrupted(path, 5, callbacks=(recorder,))
        assert [(t.number, t.state) for t in recorder.events] == [
            (number, state) for number in range(5) for state in (TrialState.RUNNING, TrialState.DONE)
        ]
        assert recorder.events[1::2] == trials
        assert recorder.reason == "all trials are done"

    def test_a_row_is_there_before_the_evaluation_and_the_result_before_the_next_proposal(self, path: Path) -> None:
        seen: list[list[TrialState]] = []

        class Watching(InlineExecutor):
            def wait(self) -> Outcome:
                with StudyReader(path) as reader:
                    seen.append([trial.state for trial in reader.trials()])
                return super().wait()

        uninterrupted(path, 4, executor=Watching(FakeEvaluator()))
        assert seen == [[TrialState.DONE] * number + [TrialState.RUNNING] for number in range(4)]

    @pytest.mark.parametrize("executor", [InlineExecutor, ProcessExecutor])
    def test_what_is_remarked_of_a_trial_stays_with_it(
        self, path: Path, caplog: pytest.LogCaptureFixture, executor: type[InlineExecutor | ProcessExecutor]
    ) -> None:
        with Study(path, IDENTITY) as study:
            make_search(study, trials=1, executor=executor(Misbehaving("all road"))).run()
            (trial,) = study.trials()
        assert (trial.state, trial.error) == (TrialState.DONE, "all road")
        assert trial.scored
        assert "trial 0: all road" in caplog.text


class TestSlowCandidates:
    def test_they_are_pruned_without_an_evaluation_and_do_not_count(self, path: Path, tmp_path: Path) -> None:
        log = tmp_path / "log"
        factor = 1.1
        trials = uninterrupted(path, 20, executor=InlineExecutor(FakeEvaluator(log=log)), prune_factor=factor)
        pruned = [trial for trial in trials if trial.state is TrialState.PRUNED]
        assert pruned
        for trial in trials:
            assert trial.latency_ms is not None
            assert (trial.latency_ms > factor * TARGET_MS) == (trial.state is TrialState.PRUNED)
        assert all("is above 1.1 times the limit of latency 26.00 ms" in trial.error for trial in pruned)
        assert len(trials) - len(pruned) == 20 == len(log.read_text().splitlines())

    def test_they_are_never_parents_once_there_is_a_population(self, path: Path) -> None:
        trials = uninterrupted(path, 40, prune_factor=1.0)
        full = next(t.number for t in trials if sum(u.state is TrialState.DONE for u in trials[: t.number]) == 8)
        assert all(trials[t.parent].state is TrialState.DONE for t in trials[full:] if t.parent is not None)

    def test_a_limit_that_nothing_meets_ends_the_search(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("ednas.search.loop.HOPELESS_PRUNED", 30)
        with pytest.raises(StudyError, match=r"30 candidates in a row .* is above 0.01 times the limit"):
            uninterrupted(path, 20, prune_factor=0.01)


class TestLimits:
    BASE = fake_cost(space().base)

    @settings(max_examples=examples(15), suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(
        shares=st.dictionaries(st.sampled_from(["latency_ms", "macs", "peak_memory_kb"]), st.floats(0.8, 2.0)),
        factor=st.floats(1.0, 2.0),
    )
    def test_nothing_above_a_limit_by_more_than_the_factor_is_ever_evaluated(
        self, tmp_path: Path, shares: dict[str, float], factor: float
    ) -> None:
        limits = {name: share * self.BASE[name] for name, share in shares.items()}
        evaluated: list[Architecture] = []

        class Watching(FakeEvaluator):
            def evaluate(self, architecture: Architecture, seed: int) -> Evaluation:
                evaluated.append(architecture)
                return super().evaluate(architecture, seed)

        with TemporaryDirectory(dir=tmp_path) as folder:
            trials = uninterrupted(
                Path(folder) / "study.db", 6, executor=InlineExecutor(Watching()), limits=limits, prune_factor=factor
            )
        assert len(evaluated) == 6
        for architecture in evaluated:
            assert all(fake_cost(architecture)[name] <= factor * limit for name, limit in limits.items())
        for trial in trials:
            above = [name for name, limit in limits.items() if trial.cost[name] > factor * limit]
            assert (trial.state is TrialState.PRUNED) == bool(above)
            assert len(trial.error.split("; ")) == max(1, len(above))

    def test_the_reward_has_a_factor_for_each_limit(self, path: Path) -> None:
        limits = {"latency_ms": 20.0, "peak_memory_kb": 1000.0}
        for trial in uninterrupted(path, 10, limits=limits):
            assert trial.reward == limited_reward(trial.accuracy or 0, trial.cost, limits)

    def test_without_any_limit_the_reward_is_the_accuracy(self, path: Path) -> None:
        assert all(trial.reward == trial.accuracy for trial in uninterrupted(path, 10, limits={}, prune_factor=1.0))

    @pytest.mark.slow
    def test_a_resumed_search_equals_an_uninterrupted_one(self, path: Path, tmp_path: Path) -> None:
        """With limits so tight that candidates are bred from refused ones, whose order the limits decide."""
        limits = {name: 0.7 * self.BASE[name] for name in ("latency_ms", "peak_memory_kb")}
        whole = uninterrupted(tmp_path / "whole.db", 24, limits=limits, prune_factor=1.0)
        assert any(trial.parent is not None and trials_before(whole, trial) < 8 for trial in whole)
        for trials in (3, 9, 10, 24):
            with Study(path, IDENTITY, resume=True) as study:
                make_search(study, trials=trials, limits=limits, prune_factor=1.0).run()
        with StudyReader(path) as reader:
            assert facts(reader.trials()) == facts(whole)

    @pytest.mark.parametrize("value", [None, float("nan"), float("inf"), -1.0])
    def test_a_candidate_whose_cost_is_not_known_fails(self, path: Path, value: float | None) -> None:
        def cost(architecture: Architecture) -> dict[str, float]:
            known = {**fake_cost(architecture)}
            if architecture.blocks[1].kind == "fused":
                del known["macs"]
                known |= {} if value is None else {"macs": value}
            return known

        with Study(path, IDENTITY) as study:
            replace(make_search(study, trials=20, limits={"macs": 1e9}), cost=cost).run()
            errors = {trial.error for trial in study.trials(TrialState.FAILED)}
        assert errors == {f"macs is not known for this network (got {value})"}


def trials_before(trials: Sequence[Trial], trial: Trial) -> int:
    """Count the evaluated trials before one."""
    return sum(other.state is TrialState.DONE for other in trials[: trial.number])


class TestFailures:
    def test_they_are_recorded_and_the_search_goes_on(self, path: Path) -> None:
        modes = {0: "raise", 1: "nan", 2: "memory"}
        trials = uninterrupted(path, 40, executor=InlineExecutor(FakeEvaluator(modes=modes)))
        for trial in trials:
            fused = sum(block.kind == "fused" for block in Architecture.from_text(trial.architecture).blocks)
            mode = modes.get(fused % 8)
            assert (trial.state is TrialState.FAILED) == (mode is not None)
            assert (trial.reward is None) == (mode is not None)
            expected = {"raise": "ValueError: no good", "memory": "out of memory", None: ""}
            assert trial.error == expected[mode] if mode != "nan" else "'depth.abs_err' is nan" in trial.error
        assert {trial.state for trial in trials} == {TrialState.DONE, TrialState.FAILED}
        failed = {trial.number for trial in trials if trial.state is TrialState.FAILED}
        assert not failed & {trial.parent for trial in trials}

    def test_when_all_fail_the_search_stops_with_the_reason(self, path: Path) -> None:
        with pytest.raises(StudyError, match="all 5 trials failed; the last one: ValueError: no good"):
            uninterrupted(path, 100, executor=InlineExecutor(Misbehaving("raise")))
        with StudyReader(path) as reader:
            assert len(reader.trials()) == 5

    @pytest.mark.parametrize("mode", ["data", "disk", "write"])
    def test_data_or_a_disk_that_fails_stops_the_search_and_is_no_candidates_failure(
        self, path: Path, tmp_path: Path, mode: str
    ) -> None:
        expected = uninterrupted(tmp_path / "whole.db", 20)
        executor = InlineExecutor(FakeEvaluator(modes={0: mode}))
        with pytest.raises(EdnasError, match=r"trial \d+ could not be evaluated: .*; put that right and resume"):
            uninterrupted(path, 20, executor=executor)
        with StudyReader(path) as reader:
            counts = reader.counts()
        assert counts[TrialState.FAILED] == 0
        assert counts[TrialState.RUNNING] == 1
        with Study(path, IDENTITY, resume=True) as study:
            make_search(study, trials=20).run()
            assert [trial.genes for trial in study.trials()] == [trial.genes for trial in expected]
            assert study.counts()[TrialState.DONE] == 20

    def test_a_worker_that_is_killed_is_tried_once_more(self, path: Path, tmp_path: Path) -> None:
        class Dying(InlineExecutor):
            """Says that the worker of trial 2 was killed at first, and always that of trial 5."""

            seen: ClassVar[list[int]] = []

            def wait(self) -> Outcome:
                outcome = super().wait()
                self.seen.append(outcome.number)
                if outcome.number == 5 or (outcome.number == 2 and self.seen.count(2) == 1):
                    return Outcome(outcome.number, error="ended by SIGKILL", fault="killed")
                return outcome

        trials = uninterrupted(path, 8, executor=Dying(FakeEvaluator()))
        assert Dying.seen == [0, 1, 2, 2, 3, 4, 5, 5, 6, 7]
        assert [trial.number for trial in trials if trial.state is TrialState.FAILED] == [5]

    def test_after_the_cause_is_mended_it_goes_on(self, path: Path) -> None:
        with pytest.raises(StudyError):
            uninterrupted(path, 100, executor=InlineExecutor(Misbehaving("raise")))
        with Study(path, IDENTITY, resume=True) as study:
            make_search(study, trials=12).run()
            assert study.counts()[TrialState.DONE] == 7

    def test_a_candidate_that_the_target_cannot_run_fails(self, path: Path) -> None:
        with Study(path, IDENTITY) as study:
            replace(make_search(study, trials=20), cost=cost_without_fused).run()
            errors = {trial.error for trial in study.trials(TrialState.FAILED)}
        assert errors == {"no memory"}

    def test_a_configuration_that_cannot_be_scored_stops_the_search(self, path: Path) -> None:
        class Unknown:
            def evaluate(self, architecture: Architecture, seed: int) -> Evaluation:
                return Evaluation({"mine": {"goodness": 1.0}})

        with pytest.raises(ConfigError, match="say whether higher is better"):
            uninterrupted(path, 20, executor=InlineExecutor(Unknown()))


class TestRetries:
    """A search whose failed candidates are evaluated anew is still one that can be replayed."""

    def test_what_failed_is_evaluated_anew_and_first(self, path: Path) -> None:
        failing = FakeEvaluator(modes={2: "memory", 5: "memory"})
        before = uninterrupted(path, 20, executor=InlineExecutor(failing))
        failed = [trial.number for trial in before if trial.state is TrialState.FAILED]
        assert 2 <= len(failed) < 10
        with Study(path, IDENTITY, resume=True) as study:
            assert study.retry_failed() == len(failed)
            assert study.retry_failed() == 0
            make_search(study, trials=20).run()
            after = study.trials()
        for old, new in zip(before, after, strict=True):
            assert (old.genes, old.asked_after, old.parent) == (new.genes, new.asked_after, new.parent)
            assert new.scored
            if old.number not in failed:
                assert new == replace(old, seconds=new.seconds)
        # They end after all others, and later proposals follow from what they taught.
        assert sorted(after[number].done_order or 0 for number in failed) == list(range(20, 20 + len(failed)))
        with Study(path, IDENTITY, resume=True) as study:
            make_search(study, trials=40).run()
            trials, retried = study.trials(), study.retried()
        assert len(trials) == 40
        assert retried == {trial.done_order for trial in before if trial.number in failed}
        replay(evolution(), trials, retried)
        with pytest.raises(StudyError, match="gap"):
            replay(evolution(), trials)

    def test_what_fails_again_can_be_tried_again(self, path: Path) -> None:
        failing = FakeEvaluator(modes={2: "memory", 5: "memory"})
        uninterrupted(path, 20, executor=InlineExecutor(failing))
        for executor in (InlineExecutor(failing), InlineExecutor(FakeEvaluator())):
            with Study(path, IDENTITY, resume=True) as study:
                assert study.retry_failed() >= 2
                make_search(study, trials=20, executor=executor).run()
        with Study(path, IDENTITY, resume=True) as study:
            assert study.retry_failed() == 0
            replay(evolution(), study.trials(), study.retried())

    def test_what_the_target_cannot_run_is_left(self, path: Path) -> None:
        with Study(path, IDENTITY) as study:
            replace(make_search(study, trials=10), cost=cost_without_fused).run()
            assert study.counts()[TrialState.FAILED]
            assert study.retry_failed() == 0


class TestEnds:
    def test_a_small_space_is_searched_completely(self, path: Path) -> None:
        small = space(small=True)
        recorder = Recorder()
        sizes = [len(decision.candidates) for decision in small.decisions]
        trials = uninterrupted(path, 100, search_space=small, controller=RandomSearch(sizes), callbacks=(recorder,))
        assert len(trials) == small.size == 6
        assert recorder.reason == "every network of the space was tried"

    def test_more_trials_can_be_asked_for_later(self, tmp_path: Path) -> None:
        whole = uninterrupted(tmp_path / "whole.db", 30)
        uninterrupted(tmp_path / "parts.db", 10)
        with Study(tmp_path / "parts.db", IDENTITY, resume=True) as study:
            recorder = Recorder()
            make_search(study, trials=30, callbacks=(recorder,)).run()
            assert facts(study.trials()) == facts(whole)
            assert facts(recorder.resumed) == facts(whole[:10])

    def test_a_finished_search_has_nothing_left_to_do(self, path: Path) -> None:
        before = uninterrupted(path, 10)
        with Study(path, IDENTITY, resume=True) as study:
            make_search(study, trials=10, executor=InlineExecutor(Misbehaving("kill"))).run()
            assert study.trials() == before

    def test_another_controller_cannot_go_on(self, path: Path) -> None:
        uninterrupted(path, 10)
        with Study(path, IDENTITY, resume=True) as study, pytest.raises(StudyError, match="not what this search"):
            make_search(study, trials=20, controller=RandomSearch(SIZES, seed=8)).run()


class TestInterruptions:
    @pytest.mark.parametrize("moment", range(0, 18, 3))
    def test_ctrl_c_leaves_a_study_that_goes_on_as_if_nothing_was(self, tmp_path: Path, moment: int) -> None:
        class Interrupted(InlineExecutor):
            def wait(self) -> Outcome:
                nonlocal moment
                moment -= 1
                if moment < 0:
                    raise KeyboardInterrupt
                return super().wait()

        path = tmp_path / "study.db"
        with Study(path, IDENTITY) as study, pytest.raises(KeyboardInterrupt):
            make_search(study, trials=20, executor=Interrupted(FakeEvaluator())).run()
        with Study(path, IDENTITY, resume=True) as study:
            make_search(study, trials=20).run()
            assert facts(study.trials()) == facts(uninterrupted(tmp_path / "whole.db", 20))

    def test_many_workers(self, tmp_path: Path) -> None:
        """Completion order is up to the machine; the proposals follow from it, and the store tells how."""
        path = tmp_path / "study.db"
        modes = {3: "kill", 5: "raise"}
        evaluator = FakeEvaluator(modes=modes, delay_s=0.02, log=tmp_path / "log")
        with Study(path, IDENTITY) as study:
            make_search(study, trials=16, executor=ProcessExecutor(evaluator, workers=3)).run()
        with Study(path, IDENTITY, resume=True) as study:
            make_search(study, trials=28, executor=ProcessExecutor(evaluator, workers=4)).run()
            trials = study.trials()
        assert len({trial.genes for trial in trials}) == len(trials) == 28
        assert {trial.state for trial in trials} <= {TrialState.DONE, TrialState.FAILED}
        killed = sum("SIGKILL" in trial.error for trial in trials)
        assert killed
        assert len((tmp_path / "log").read_text().splitlines()) == 28 + killed  # each once, and those once more
        assert max(t.number - t.asked_after for t in trials) == 3  # up to four in hand
        replay(evolution(), trials)  # raises where a proposal does not follow from what is stored
