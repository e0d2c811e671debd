"""Jobs, outcomes and packed evaluators; every executor of ``search/test_executors.py`` calls :func:`run_job`."""

from __future__ import annotations

import pickle

import pytest
from helpers.searches import BASE_TEXT, FakeEvaluator, fake_metrics

from ednas.arch import load_architecture
from ednas.exceptions import ConfigError, DataError, EdnasError, TrainingError
from ednas.search.executors.base import Job, Packed, is_environments, one_line, run_job

JOB = Job(3, BASE_TEXT, 0)


def test_what_is_packed_is_the_same_evaluator_elsewhere() -> None:
    packed = pickle.loads(pickle.dumps(Packed.of(Packed.of(FakeEvaluator()))))
    assert packed.run(JOB).evaluation == run_job(FakeEvaluator(), JOB).evaluation
    assert packed.run(JOB).evaluation.tasks == fake_metrics(load_architecture("base"))


def test_what_cannot_be_packed_is_refused_and_what_cannot_be_unpacked_is_an_outcome() -> None:
    with pytest.raises(ConfigError, match="cannot be sent to a worker process"):
        Packed.of(lambda: None)  # type: ignore[arg-type]
    outcome = Packed(b"no pickle").run(JOB)
    assert (outcome.number, outcome.fault, outcome.elsewhere) == (3, "environment", False)
    assert "cannot be loaded in a worker process" in outcome.error


def test_a_text_that_is_no_architecture_is_the_candidates_fault() -> None:
    outcome = run_job(FakeEvaluator(), Job(0, "nonsense", 0))
    assert outcome.evaluation is None
    assert outcome.fault == "candidate"


@pytest.mark.parametrize(
    ("error", "environments", "line"),
    [
        (ValueError("a\nb"), False, "ValueError: a b"),
        (KeyError(), False, "KeyError"),
        (MemoryError(), False, "out of memory"),
        (TrainingError("diverged"), False, "diverged"),
        (DataError("0.png: gone"), True, "0.png: gone"),
        (EdnasError("cannot write"), True, "cannot write"),
        (OSError(28, "No space left"), True, "OSError: [Errno 28] No space left"),
    ],
)
def test_errors(error: Exception, environments: bool, line: str) -> None:
    assert is_environments(error) == environments
    assert one_line(error) == line
