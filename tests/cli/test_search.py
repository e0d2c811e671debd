"""``ednas search``: limits, objectives, and mistakes in the configuration."""

from __future__ import annotations

import inspect
import json
import time
from pathlib import Path

import pytest
import yaml
from helpers.cli import Run

from ednas.cli.search import search
from ednas.search.controllers import controller_names


def test_wrong_yaml_key_names_the_nearest(run: Run, tmp_path: Path) -> None:
    (tmp_path / "search.yaml").write_text("training: {data: streets}\ntrails: 3\n")
    code, _, err = run("search", "--config", tmp_path / "search.yaml", "--out", tmp_path / "out")
    assert code == 2
    assert "search.yaml: unknown key 'trails'; did you mean 'trials'?" in err
    assert not (tmp_path / "out").exists()


def test_impossible_latency_says_what_is_possible(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDNAS_CACHE", str(tmp_path / "cache"))
    (tmp_path / "s.yaml").write_text(
        "training: {data: streets, data_options: {count: 4}, recipe: mini}\ntarget_latency_ms: 0.01\n"
        "space: {kinds: [ibn], kernel_sizes: [3], multipliers: [1.0], expand_ratios: [3, 6]}\n"
    )
    code, _, err = run("search", "--config", tmp_path / "s.yaml", "--out", tmp_path / "out")
    assert code == 2
    assert "the limit is latency 0.01 ms, but the lowest found in this space is latency" in err
    assert err.count("\n") == 1


def test_search_under_limits(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDNAS_CACHE", str(tmp_path / "cache"))
    (tmp_path / "s.yaml").write_text(
        "training:\n  data: streets\n  data_options: {count: 4, size: [32, 64]}\n"
        "  recipe: {name: mini, steps: 1, batch_size: 2, input_size: [32, 64]}\n"
        "target_latency_ms: 0.01\nlimits: {params: 1.0, macs: 2 * baseline}\nprune_factor: 1.0\n"
        "space: {kinds: [ibn], kernel_sizes: [3], multipliers: [0.5, 1.0]}\ntrials: 2\nexecutor: inline\n"
        "controller: {options: {population_size: 7, mutations: 2}}\n"
    )
    search = ["search", "--config", tmp_path / "s.yaml", "--out", tmp_path / "out", "--device", "cpu", "--json"]
    search += ["--limit", "params=0.9*baseline", "--limit", "latency_ms=2*baseline", "--prune-factor", "1.1"]
    search += ["--controller-option", "tournament_size=3", "--varied", "1"]
    code, out, err = run(*search, "--objectives", "accuracy,params")
    assert code == 0, err
    config = yaml.safe_load((tmp_path / "out" / "config.yaml").read_text())
    assert config["varied"] == 1
    options = config["controller"]["options"]
    assert options == {"population_size": 7, "tournament_size": 3, "mutations": 2, "initial_mutations": None}
    result = json.loads(out)
    limits, cost = result["limits"], result["best"]["cost"]
    assert limits.keys() == {"latency_ms", "params", "macs"}
    assert result["target_ms"] == limits["latency_ms"]
    assert all(cost[name] <= 1.1 * limit for name, limit in limits.items())
    assert result["objectives"] == ["accuracy", "params"]
    assert result["feasible"] == all(cost[name] <= limit for name, limit in limits.items())

    search.remove("--json")  # the Pareto set may be drawn anew when a search is resumed, its limits stay
    code, out, err = run(*search, "--resume", "--objectives", "accuracy,macs,latency_ms")
    assert code == 0, err
    assert f"(limit {limits['params']:,.0f})" in out
    assert json.loads((tmp_path / "out" / "pareto.json").read_text())["objectives"] == [
        "accuracy",
        "macs",
        "latency_ms",
    ]
    search[search.index("latency_ms=2*baseline")] = "latency_ms=3*baseline"
    code, _, err = run(*search, "--resume")
    assert code == 2
    assert "belongs to another search: 'target_latency_ms' was" in err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--controller", "evolutoin"], "unknown controller 'evolutoin'; did you mean 'evolution'?"),
        (["--controller-option", "popullation_size=3"], "did you mean 'population_size'?"),
        (["--controller", "nsga2", "--controller-option", "ofspring=3"], "did you mean 'offspring'?"),
        (["--controller", "ppo", "--controller-option", "clip=wide"], "'clip': Input should be a valid number"),
        (["--controller-option", "population_size"], "write each option once, NAME=VALUE, like population_size=20"),
    ],
)
def test_a_wrong_controller_is_one_line_that_helps(run: Run, tmp_path: Path, options: list[str], said: str) -> None:
    code, _, err = run("search", "--data", "streets", "--out", tmp_path / "out", *options)
    assert code == 2
    assert said in err
    assert err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_the_help_names_every_controller() -> None:
    described = inspect.get_annotations(search, eval_str=True)["controller"].__metadata__[0].help
    assert [name for name in controller_names() if name not in described] == []


def test_retrying_is_for_a_search_that_is_there(run: Run, tmp_path: Path) -> None:
    code, _, err = run("search", "--data", "streets", "--retry-failed", "--out", tmp_path / "run")
    assert (code, err) == (2, "error: --retry-failed: is about the search in --out; add --resume\n")


@pytest.mark.slow
def test_an_address_where_nobody_answers_is_said_in_one_line(run: Run, tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'ednas[ray]'")
    options = ["--data", "streets", "--executor", "ray", "--ray-address", "127.0.0.1:1", "--out", tmp_path / "run"]
    started = time.monotonic()
    code, out, err = run("search", *options)
    assert (code, out) == (2, "")
    assert err.startswith("error: ray_address '127.0.0.1:1': nobody answers at ")
    assert err.count("\n") == 1
    assert time.monotonic() - started < 60
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--reward-by", "loss"], "'reward.by': Input should be 'metrics' or 'training_loss'"),
        (["--finalists-longer", "inf"], "finalists_longer"),
        (["--filter", "zero_cst"], "did you mean 'zero_cost'"),
        (["--filter-share", "0.5"], "key 'filter.name' is missing"),
        (["--evaluator", "stack", "--filter", "zero_cost"], "evaluator 'stack' does not train each candidate"),
        (["--evaluator", "supernett"], "unknown evaluator 'supernett'; did you mean 'supernet'"),
        (["--evaluator", "stack", "--evaluator-option", "anchor=9"], "did you mean 'anchors'"),
        (["--check-option", "networks=9"], "add --check-proxy"),
        (["--check-proxy", "--check-option", "network=9"], "did you mean 'networks'"),
        (["--check-proxy", "--check-option", "networks=3"], "networks"),
    ],
)
def test_a_wrong_evaluator_or_check_is_one_line(run: Run, tmp_path: Path, options: list[str], said: str) -> None:
    code, _, err = run("search", "--data", "streets", *options, "--out", tmp_path / "out")
    assert code == 2
    assert said in err
    assert err.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_check_prints_what_can_be_trusted(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDNAS_CACHE", str(tmp_path / "cache"))
    (tmp_path / "s.yaml").write_text(
        "training:\n  data: streets\n  data_options: {count: 6, size: [32, 64]}\n"
        "  recipe: {name: mini, steps: 1, batch_size: 2, input_size: [32, 64]}\n"
        "space: {kinds: [ibn], kernel_sizes: [3], multipliers: [0.5, 1.0]}\nexecutor: inline\n"
    )
    check = ["search", "--config", tmp_path / "s.yaml", "--out", tmp_path / "out", "--device", "cpu", "--check-proxy"]
    check += ["--check-option", "networks=8", "--check-option", "doubles=2", "--check-option", "supernet=null"]
    code, out, err = run(*check)
    assert code == 0, err
    assert "a perfect evaluator would reach a tau" in out
    assert "few networks" in out
    code, again, _ = run(*check, "--json")
    assert code == 0
    found = json.loads(again)
    assert Path(found.pop("report")).is_file()
    assert found == json.loads((tmp_path / "out" / "check.json").read_text())
