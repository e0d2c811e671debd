from __future__ import annotations

from dataclasses import replace

import pytest
from helpers.reports import fake_trials

from ednas.arch import load_architecture
from ednas.exceptions import ArchitectureError
from ednas.report.content import choice_shares, select_winners


def test_the_winners_are_the_best_tenth_by_reward():
    trials = fake_trials(110)
    scored = [trial for trial in trials if trial.scored]
    winners = select_winners(trials)
    assert len(winners) == -(-len(scored) // 10)
    worst = min(trial.reward for trial in winners)
    assert all(trial.reward <= worst for trial in scored if trial not in winners)


def test_few_trials_have_five_winners_or_as_many_as_there_are():
    assert len(select_winners(fake_trials(20))) == 5
    assert len(select_winners(fake_trials(3))) == 3
    assert select_winners(()) == ()


def test_choice_shares_count_values_of_winners_and_of_all():
    trials = fake_trials(110)
    winners = select_winners(trials)
    shares = choice_shares(winners, trials, load_architecture("base"))
    by_place: dict[tuple[int, str], list[float]] = {}
    for share in shares:
        by_place.setdefault((share.block, share.field), []).append(share.winners)
    assert all(sum(values) == pytest.approx(1) for values in by_place.values())
    share = next(share for share in shares if (share.block, share.field, share.value) == (4, "kind", "FusedIBN"))
    fused = [trial.architecture.split()[4].startswith("fused") for trial in winners]
    assert share.winners == pytest.approx(sum(fused) / len(fused))
    assert {share.value for share in shares if share.field == "filters"} == {"×0.5", "×0.75", "×1", "×1.5"}


def test_what_was_not_searched_is_left_out():
    shares = choice_shares(select_winners(fake_trials(60)), fake_trials(60), load_architecture("base"))
    assert not [share for share in shares if share.block == 1 and share.field == "expansion"]
    assert [share for share in shares if share.block == 2 and share.field == "expansion"]


def test_no_trials_share_nothing():
    assert choice_shares((), (), load_architecture("base")) == ()


def test_a_damaged_architecture_is_an_error_of_one_line():
    trials = tuple(replace(trial, architecture="stem_c32 nonsense") for trial in fake_trials(6))
    with pytest.raises(ArchitectureError, match="nonsense"):
        choice_shares(select_winners(trials), trials, load_architecture("base"))
