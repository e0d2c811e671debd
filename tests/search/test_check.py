"""A check of the evaluators: which networks it takes, what it keeps, what it says."""

from __future__ import annotations

import json
import shlex
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.small_searches import small_search
from helpers.small_training import small_architecture

from ednas.cli.options import parse_values
from ednas.exceptions import ConfigError
from ednas.search.bank import Bank
from ednas.search.beginning import begin
from ednas.search.check import CheckOptions, check_evaluators, choose_networks
from ednas.search.evaluators.setting import EvaluatorConfig, evaluator_names
from ednas.search.evaluators.supernet import SupernetOptions

OPTIONS = CheckOptions(networks=9, doubles=2, supernet=SupernetOptions(steps=2, at_once=2, networks=4, calibration=4))


@pytest.fixture(autouse=True)
def _small(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDNAS_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
    torch.set_num_threads(1)


def config(**changes: Any):
    return small_search(architecture=small_architecture().to_dict(), **changes)


@pytest.mark.parametrize("limit", ["baseline", "0.99 * baseline"])
def test_networks_are_within_the_limits_and_near_them_in_turns(limit):
    begun = begin(config(target_latency_ms=limit), None, {}, None)
    most = begun.objective.limits["latency_ms"]
    found = choose_networks(begun, 20, seed=0)
    assert len({candidate.architecture.to_text() for candidate in found}) == 20
    ratios = [candidate.cost["latency_ms"] / most for candidate in found]
    assert all(ratio <= 1.1 for ratio in ratios)
    assert sum(0.9 <= ratio <= 1.1 for ratio in ratios) >= 10
    assert sum(ratio <= 1 for ratio in ratios) >= 10
    assert [c.genes for c in choose_networks(begun, 20, seed=0)] == [c.genes for c in found]
    assert [c.genes for c in choose_networks(begun, 20, seed=1)] != [c.genes for c in found]


def test_without_limits_all_networks_may_be_taken():
    begun = begin(config(target_latency_ms="none", prune_factor=None), None, {}, None)
    assert len(choose_networks(begun, 12, seed=0)) == 12


@pytest.mark.slow
def test_a_check_is_kept_goes_on_and_is_the_same_again(tmp_path):
    folder = tmp_path / "check"
    own = config(finalists_input_size=[32, 96])
    check = check_evaluators(own, folder, OPTIONS)
    written = json.loads((folder / "check.json").read_text())
    assert written == json.loads(json.dumps(check.to_json()))
    names = [row["name"] for row in written["rows"]]
    assert {"proxy, 2 steps", "gradient norm", "NASWOT", "predictor", "supernet, 2 steps", "stack"} <= set(names)
    assert names[-1] in ("chance", "MACs", "Parameters", "Latency")
    assert (len(written["judged"]), written["doubles"], written["steps"], written["reference_steps"]) == (9, 2, 2, 8)
    assert [(floor["task"], floor["metric"]) for floor in written["floors"]] == [
        ("segmentation", "miou"),
        ("segmentation", "pixel_acc"),
        ("depth", "abs_err"),
        ("depth", "rel_err"),
    ]
    depth = {floor["metric"]: floor for floor in written["floors"]}["abs_err"]
    at_first = [anchor.evaluation.tasks["depth"]["abs_err"] for anchor in [*Bank(folder / "bank.jsonl").anchors()][:9]]
    assert depth["short"] == pytest.approx(sum(value < depth["trivial"] for value in at_first) / 9)
    bank = Bank(folder / "bank.jsonl")
    sizes = [tuple(anchor.context["input_size"]) for anchor in bank.anchors()]
    assert sizes == [(32, 64)] * 9 + [(32, 96)] * (9 + 2)  # the reference is trained as finalists are
    found = {row["name"]: row["options"] for row in written["rows"] if row["options"]}
    for options in found.values():  # each is what a command line takes, and a search can do
        words = shlex.split(options)
        given = dict(zip(words[::2], words[1::2], strict=True))
        assert given["--evaluator"] in evaluator_names()
        named = [word for flag, word in pairwise(words) if flag == "--evaluator-option"]
        chosen = parse_values(named, "evaluator option", "anchors=24")
        EvaluatorConfig(name=given["--evaluator"], options=chosen).complete()
    assert len(found) == 9
    first = next(row for row in written["rows"] if row["name"] == "proxy, 2 steps")
    assert set(first["tasks"]) == {"segmentation", "depth"}
    before = bank.path.read_bytes()
    again = check_evaluators(own, folder, OPTIONS)
    assert bank.path.read_bytes() == before  # nothing is trained twice
    assert again.to_json() == check.to_json()


def test_a_space_without_enough_networks_is_refused(tmp_path):
    space = {"kinds": ["ibn"], "kernel_sizes": [3], "multipliers": [1.0], "expand_ratios": [2], "bifpn_depths": [1, 2]}
    with pytest.raises(ConfigError, match="only 2 networks to judge within the limits"):
        check_evaluators(config(space=space, target_latency_ms="none", prune_factor=None), tmp_path / "check", OPTIONS)


def test_a_folder_of_a_search_is_left_alone(tmp_path: Path):
    (tmp_path / "study.db").touch()
    with pytest.raises(ConfigError, match="holds a run"):
        check_evaluators(config(), tmp_path, OPTIONS)
    assert [path.name for path in tmp_path.iterdir()] == ["study.db"]
