"""The best candidates are judged once more, each once whatever interrupts it, and the best on average wins."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.searches import FakeEvaluator, Misbehaving, Recorder, fake_cost, make_search, make_trial

from ednas.arch import Architecture
from ednas.exceptions import EdnasError
from ednas.search.again import SecondJudge, finalists
from ednas.search.evaluators.base import Evaluation
from ednas.search.executors import InlineExecutor, Outcome
from ednas.search.objective import Objective
from ednas.search.results import judged_again, summarise
from ednas.search.study import Study, StudyReader
from ednas.search.trial import Judgement, TrialState

LIMITS = {"latency_ms": 10.0}
OBJECTIVE = Objective(limits={})


def test_finalists_are_the_best_that_meet_the_limits() -> None:
    rewards = {0: 0.5, 1: 0.9, 2: 0.7, 3: 0.8, 4: 0.7}
    trials = [make_trial(number, reward=reward) for number, reward in rewards.items()]
    trials += [
        make_trial(5, reward=2.0, cost={"latency_ms": 10.1}),
        make_trial(6, state=TrialState.FAILED, reward=None),
    ]
    assert [trial.number for trial in finalists(trials, LIMITS, 4)] == [1, 3, 2, 4]
    assert finalists(trials, LIMITS, 0) == []


def test_the_best_on_average_is_chosen() -> None:
    trials = [make_trial(number, reward=reward, accuracy=reward) for number, reward in enumerate([0.9, 0.85, 0.8, 0.3])]
    base = Architecture.from_text(trials[3].architecture)
    trials[3] = make_trial(3, reward=0.3, accuracy=0.3, fingerprint=base.fingerprint())
    second = {0: Judgement(0.5, 0.5), 1: Judgement(0.75, 0.75), 3: Judgement(0.5, 0.5)}
    result = summarise(trials, LIMITS, base=base, judged=judged_again(trials, second, {}))
    assert (result.best.number, result.best.reward, result.best.accuracy) == (1, 0.8, 0.8)
    assert result.judged_twice
    assert result.baseline is not None
    assert result.baseline.reward == pytest.approx(0.4)
    alone = summarise(trials, LIMITS, base=base)
    assert (alone.best.number, alone.judged_twice) == (0, False)


class TestJudging:
    @pytest.fixture
    def study(self, tmp_path: Path) -> Study:
        study = Study(tmp_path / "study.db", {})
        make_search(study, trials=8).run()
        return study

    def test_each_trial_is_judged_once_by_the_other_seed_and_stored(self, study: Study, tmp_path: Path) -> None:
        log, recorder, told = tmp_path / "log", Recorder(), []
        recorder.on_again = lambda done, total: told.append((done, total))  # type: ignore[method-assign]
        executor = InlineExecutor(FakeEvaluator(log=log))
        trials = study.trials(TrialState.DONE)
        judge = SecondJudge(study, executor, OBJECTIVE, 77, (recorder,))
        found = judge.judge([trials[2], trials[0], trials[2]])
        assert [line.split() for line in log.read_text().splitlines()] == [
            [trials[2].fingerprint, "77"],
            [trials[0].fingerprint, "77"],
        ]
        assert told == [(0, 2), (1, 2)]
        assert found.keys() == {trials[0].number, trials[2].number}
        assert found[trials[0].number].accuracy == pytest.approx(trials[0].accuracy)
        again = judge.judge([trials[1], trials[0]])
        assert len(log.read_text().splitlines()) == 3
        study.close()
        with StudyReader(study.path) as reader:
            assert reader.judgements() == again

    def test_the_reward_counts_the_costs(self, study: Study) -> None:
        (trial, *_) = study.trials(TrialState.DONE)
        latency = fake_cost(Architecture.from_text(trial.architecture))["latency_ms"]
        judge = SecondJudge(study, InlineExecutor(FakeEvaluator()), Objective({"latency_ms": latency / 2}), 1)
        found = judge.judge([trial])[trial.number]
        assert found.reward == pytest.approx(found.accuracy * 2**-0.07)

    def test_what_fails_is_missing_but_data_that_fail_are_an_error(
        self, study: Study, caplog: pytest.LogCaptureFixture
    ) -> None:
        trials = study.trials(TrialState.DONE)
        assert SecondJudge(study, InlineExecutor(Misbehaving("raise")), OBJECTIVE, 1).judge(trials[:2]) == {}
        assert f"trial {trials[0].number} failed by another seed, and is out: ValueError: no good" in caplog.text

        class NaN:
            def evaluate(self, architecture: Architecture, seed: int) -> Evaluation:
                return Evaluation({"segmentation": {"miou": float("nan")}})

        assert SecondJudge(study, InlineExecutor(NaN()), OBJECTIVE, 1).judge(trials[:2]) == {}
        with pytest.raises(EdnasError, match=r"trial \d+ could not be judged again: 0.png: no such file"):
            SecondJudge(study, InlineExecutor(Misbehaving("data")), OBJECTIVE, 1).judge(trials[:2])

    def test_a_killed_worker_is_replaced_once(self, study: Study, caplog: pytest.LogCaptureFixture) -> None:
        (trial, *_) = study.trials(TrialState.DONE)

        class Killed(InlineExecutor):
            """Its first jobs are killed."""

            left = 1

            def wait(self) -> Outcome:
                job = self._jobs[0]
                outcome = super().wait()
                if self.left:
                    self.left -= 1
                    return Outcome(job.number, error="the worker process was killed by SIGKILL", fault="killed")
                return outcome

        executor = Killed(FakeEvaluator())
        found = SecondJudge(study, executor, OBJECTIVE, 1).judge([trial])
        assert found.keys() == {trial.number}
        assert "killed by SIGKILL; it is evaluated once more" in caplog.text
        executor.left = 2
        (_, other, *_) = study.trials(TrialState.DONE)
        with pytest.raises(EdnasError, match="could not be judged again: .*SIGKILL"):
            SecondJudge(study, executor, OBJECTIVE, 1).judge([other])

    def test_a_study_of_an_earlier_version_has_none(self, tmp_path: Path, study: Study) -> None:
        study._connection.execute("DROP TABLE judgements")
        assert study.judgements() == {}
        study.close()
        with Study(study.path, {}, resume=True) as again:
            again.add_judgement(1, Judgement(0.5, 0.25))
            assert again.judgements() == {1: Judgement(0.5, 0.25)}
