"""The YAML files of ``examples``: each is read, says what it needs, and those on built-in data run."""

from __future__ import annotations

from pathlib import Path

import pytest

from ednas.config import parse, read_yaml
from ednas.data.readers.folder import read_folder_config
from ednas.search import SearchConfig, run_search
from ednas.training import TrainConfig, train

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples").rglob("*.yaml"))


def read(path: Path) -> object:
    """Read an example as what it is: a dataset, a search or a training."""
    values = read_yaml(path)
    if "targets" in values or "parts" in values:
        return read_folder_config(path)
    return parse(SearchConfig if "trials" in values else TrainConfig, values, str(path))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_examples_are_read_and_say_what_they_need(path: Path) -> None:
    assert read(path)
    comments = [line for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("# ")]
    assert any(line.startswith("# Needs: ") for line in comments)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_the_data_of_an_example_are_built_in_or_described_beside_it(path: Path) -> None:
    config = read(path)
    if isinstance(config, SearchConfig):
        config = config.training
    if isinstance(config, TrainConfig):
        assert config.data == "streets" or (ROOT / config.data) in EXAMPLES


def small(name: str) -> dict[str, object]:
    """Return the values of an example with few samples and steps."""
    values = read_yaml(ROOT / "examples" / name)
    training = values.get("training", values)
    training["data_options"] |= {"count": 12}
    training["recipe"] |= {"steps": 1, "batch_size": 2, "input_size": [32, 64]}
    return values


@pytest.mark.slow
def test_the_search_on_built_in_data_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDNAS_CACHE", str(tmp_path / "cache"))
    changes = {"trials": 2, "finalists": 0, "executor": "inline", "prune_factor": None}
    config = SearchConfig(**{**small("builtin_search.yaml"), **changes})
    assert run_search(config, tmp_path / "run").best.reward is not None


@pytest.mark.slow
def test_the_training_on_built_in_data_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDNAS_CACHE", str(tmp_path / "cache"))
    result = train(TrainConfig(**small("builtin_train.yaml")), tmp_path / "run")
    assert set(result.metrics["tasks"]) == {"segmentation", "depth"}
