"""Weights & Biases and MLflow behind fakes of Lightning's loggers: neither package is needed, and nothing is sent."""

import json
import logging
import sys
from types import ModuleType

import pytest
from lightning.pytorch import loggers

from ednas.exceptions import ConfigError, EdnasError
from ednas.training import train


class FakeLogger:
    """Keeps what it gets; its run is its own experiment."""

    made: list["FakeLogger"] = []  # noqa: RUF012
    fails_at: int | None = None

    def __init__(self, **options):
        self.options = options
        self.version = options.get("id") or options.get("run_id") or "new"
        self.params = {}
        self.values = {}
        self.ended = []
        self.experiment = self
        FakeLogger.made.append(self)

    def log_hyperparams(self, params):
        self.params = params

    def log_metrics(self, metrics, step):
        if step == self.fails_at:
            raise ConnectionError("server\nis down")
        self.values[step] = {**self.values.get(step, {}), **metrics}

    def finalize(self, status):
        self.ended.append(status)

    def finish(self, exit_code):
        self.ended.append(exit_code)


@pytest.fixture(autouse=True)
def fakes(monkeypatch):
    """Installs both, and returns the loggers that are made."""
    for name, logger in (("wandb", "WandbLogger"), ("mlflow", "MLFlowLogger")):
        monkeypatch.setattr(loggers, logger, FakeLogger)
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    for name in ("WANDB_MODE", "WANDB_PROJECT", "MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(FakeLogger, "made", [])
    monkeypatch.setattr(FakeLogger, "fails_at", None)
    return FakeLogger.made


def longer(config, steps):
    return config.model_copy(update={"recipe": config.recipe.model_copy(update={"steps": steps})})


@pytest.mark.slow
def test_both_get_settings_reports_and_metrics_and_a_resumed_run_is_the_same_there(config, tmp_path, fakes):
    run = tmp_path / "run"
    result = train(config, run, loggers=["wandb", "mlflow"])
    wandb, mlflow = fakes
    for made in fakes:
        assert made.params["recipe"]["steps"] == 6
        assert list(made.values) == [2, 4, 6]
        assert {"loss", "loss/segmentation", "loss/depth", "learning_rate"} < made.values[2].keys()
        assert made.values[6]["val/depth/rmse"] == result.metrics["tasks"]["depth"]["rmse"]
    assert (wandb.options["mode"], wandb.options["save_dir"]) == ("offline", run / "logs")
    assert wandb.options["name"] == mlflow.options["run_name"] == str(run)
    assert (wandb.ended, mlflow.ended) == ([0], ["success"])
    assert (run / "logs" / "steps.csv").exists()

    train(longer(config, 8), run, resume=True, loggers=["wandb", "mlflow"])
    assert fakes[2].options["id"] == wandb.version == json.loads((run / "logs" / "trackers.json").read_text())["wandb"]
    assert fakes[3].options["run_id"] == "new"
    assert (fakes[2].params["recipe"]["steps"], fakes[3].params) == (8, {})  # MLflow's cannot be changed


def test_the_environment_decides_where_things_go(config, tmp_path, fakes, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "online")
    monkeypatch.setenv("WANDB_PROJECT", "streets")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://there")
    train(config, tmp_path, loggers=["wandb", "mlflow"], logs=False)
    assert (fakes[0].options["mode"], fakes[0].options["project"]) == ("online", "streets")
    assert fakes[1].options["tracking_uri"] == "http://there"


def test_a_tracker_that_fails_does_not_end_the_training(config, tmp_path, fakes, monkeypatch, caplog):
    monkeypatch.setattr(FakeLogger, "fails_at", 4)
    with caplog.at_level(logging.WARNING):
        assert train(config, tmp_path, loggers=["mlflow"], logs=False).metrics["steps"] == 6
    assert list(fakes[0].values) == [2]
    (line,) = [record.getMessage() for record in caplog.records if "mlflow" in record.getMessage()]
    assert line.endswith("server is down")


def test_a_training_that_stops_is_no_success_there(config, tmp_path, fakes):
    def stop(report):
        raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        train(config, tmp_path, loggers=["wandb", "mlflow"], logs=False, callbacks=[stop])
    assert [made.ended for made in fakes] == [[1], ["failed"]]


def test_mistakes_are_one_line(config, tmp_path, monkeypatch):
    with pytest.raises(ConfigError, match="unknown logger 'wandbb'; did you mean 'wandb'"):
        train(config, tmp_path, loggers=["wandbb"])
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(ConfigError, match=r"logger 'mlflow': it is not installed; pip install 'ednas\[mlflow\]'"):
        train(config, tmp_path, loggers=["mlflow"])
    assert not any(tmp_path.iterdir())

    def refuse(self, params):
        raise ConnectionError("not\nlogged in")

    monkeypatch.setattr(FakeLogger, "log_hyperparams", refuse)
    with pytest.raises(EdnasError, match="logger 'wandb' does not start: not logged in"):
        train(config, tmp_path, loggers=["wandb"])
