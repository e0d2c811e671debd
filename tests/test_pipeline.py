"""The main job from end to end, small: search, final trainings, comparison, report; and again after an interruption."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from ednas.arch import SpaceConfig, zoo
from ednas.data.readers.synthetic import SyntheticDataset
from ednas.data.writing import write_folder
from ednas.exceptions import ConfigError, StudyError
from ednas.pipeline import FOUND, MULTI_TASK, SINGLE_TASK, StudyConfig, run_study
from ednas.report import collect, render
from ednas.search import SearchCallback, SearchConfig
from ednas.search.trial import Trial
from ednas.training import TrainConfig, recipe


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StudyConfig:
    monkeypatch.setenv("EDNAS_CACHE", str(tmp_path / "cache"))
    splits = {
        split: SyntheticDataset(scene="rooms", split=split, count=count, size=(32, 64))
        for split, count in (("train", 6), ("val", 3))
    }
    data = write_folder(splits, tmp_path / "rooms")
    base = replace(zoo.architecture("base"), bifpn_width=8, bifpn_depth=1)
    tiny = recipe("mini", steps=2, batch_size=2, input_size=(32, 64))
    search = SearchConfig(
        training=TrainConfig(architecture=base.to_dict(), data=str(data), tasks=("segmentation", "depth"), recipe=tiny),
        space=SpaceConfig(multipliers=(0.5, 1.0), kernel_sizes=(3,)),
        prune_factor=None,
        trials=2,
        executor="inline",
    )
    return StudyConfig(search=search, recipe=tiny, runs=2, pictures=2)


@pytest.mark.slow
def test_the_whole_job_and_its_report(config: StudyConfig, tmp_path: Path) -> None:
    out = tmp_path / "run"
    table = run_study(config, out, device="cpu")
    assert [row.name for row in table.models] == [SINGLE_TASK, MULTI_TASK, FOUND]
    single, multi, found = table.models
    assert single.delta is None
    assert multi.delta is not None
    assert found.delta is not None
    # Two networks one after the other cost more than one that does both.
    assert (single.latency_ms or 0) > 1.5 * (multi.latency_ms or 0)
    assert (single.params or 0) > 1.5 * (multi.params or 0)
    assert found.spread.keys() == {"segmentation", "depth"}
    for name in ("config.yaml", "study.db", "best.json", "pareto.json", "comparison.json", "study.yaml"):
        assert (out / name).is_file(), name
    report = collect(out)
    assert len(report.trials) == 2
    assert {picture.task for picture in report.pictures} == {"segmentation", "depth"}
    assert len(report.pictures) == 4
    page = render(report)
    assert all(name in page for name in (SINGLE_TASK, MULTI_TASK, FOUND))

    before = json.loads((out / "comparison.json").read_text())
    run_study(config, out, resume=True, device="cpu")
    assert json.loads((out / "comparison.json").read_text()) == before
    longer = config.model_copy(update={"recipe": config.recipe.model_copy(update={"steps": 3})})
    with pytest.raises(ConfigError, match=r"another recipe \(recipe.steps: 2 and 3\)"):
        run_study(longer, out, resume=True, device="cpu")


@pytest.mark.slow
def test_what_was_finished_before_an_interruption_is_kept(config: StudyConfig, tmp_path: Path) -> None:
    class Impatient(SearchCallback):
        def on_trial(self, trial: Trial) -> None:
            if trial.scored:
                raise KeyboardInterrupt

    out = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        run_study(config, out, device="cpu", search_callbacks=[Impatient()])
    with pytest.raises(StudyError):
        run_study(config, out, device="cpu")
    run_study(config, out, resume=True, device="cpu")
    assert len(collect(out).trials) == 2
