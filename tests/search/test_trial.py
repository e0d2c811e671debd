"""Which trials count: scored, and within limits."""

from __future__ import annotations

import pytest
from helpers.searches import make_trial

from ednas.search.trial import TrialState


@pytest.mark.parametrize(
    ("state", "reward", "scored"),
    [
        (TrialState.DONE, 0.5, True),
        (TrialState.DONE, float("inf"), False),
        (TrialState.DONE, None, False),
        (TrialState.FAILED, None, False),
        (TrialState.PRUNED, None, False),
        (TrialState.RUNNING, None, False),
    ],
)
def test_only_a_finite_reward_is_compared(state: TrialState, reward: float | None, scored: bool) -> None:
    assert make_trial(0, state=state, reward=reward).scored is scored


def test_a_limit_may_be_reached_but_not_passed() -> None:
    trial = make_trial(0, cost={"latency_ms": 10.0, "params": 5.0})
    assert trial.latency_ms == 10.0
    assert trial.meets({})
    assert trial.meets({"latency_ms": 10.0, "params": 6.0})
    assert not trial.meets({"latency_ms": 10.0, "params": 4.9})
    assert make_trial(1, cost={}).latency_ms is None
