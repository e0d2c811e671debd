"""Several runs of one training: mean, spread, and what has none."""

import json

import numpy as np
import pytest

from ednas.exceptions import ConfigError, EdnasError
from ednas.metrics import load_metrics
from ednas.training import (
    summarise,
    train_runs,
)


@pytest.mark.slow
def test_several_runs_have_numpys_mean_and_deviation(config, tmp_path):
    result = train_runs(config.model_copy(update={"seed": 5}), tmp_path, runs=3, logs=False)
    assert [run.metrics["seed"] for run in result.runs] == [5, 6, 7]
    assert json.loads((tmp_path / "summary.json").read_text()) == result.summary
    for task, values in result.summary["tasks"].items():
        for name, found in values.items():
            each = [run.metrics["tasks"][task][name] for run in result.runs]
            assert found["values"] == each
            assert found["mean"] == pytest.approx(np.mean(each))
            assert found["std"] == pytest.approx(np.std(each, ddof=1))
            assert load_metrics(tmp_path / "metrics.json").tasks[task][name] == found["mean"]
    assert not {"classes", "confusion"} & result.metrics.keys()  # of one seed, beside means over all
    again = train_runs(config.model_copy(update={"seed": 5}), tmp_path, runs=3, resume=True, logs=False)
    assert again.summary == result.summary


def test_one_run_has_no_spread(config, tmp_path):
    result = train_runs(config, tmp_path, runs=1, logs=False)
    assert result.summary["tasks"]["depth"]["abs_err"]["std"] == 0
    assert result.metrics["tasks"] == result.runs[0].metrics["tasks"]
    with pytest.raises(ConfigError, match="at least 1"):
        train_runs(config, tmp_path, runs=0)


def test_runs_of_different_protocols_are_not_averaged():
    first = {"protocol": "standard", "tasks": {"depth": {"abs_err": 1.0}}}
    with pytest.raises(EdnasError, match="different protocols"):
        summarise([first, {**first, "protocol": "adashare"}])
    with pytest.raises(EdnasError, match="different tasks or metrics"):
        summarise([{**first, "tasks": {"depth": {"abs_err": 1.0, "rmse": 2.0}}}, first])
