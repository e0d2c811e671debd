"""A checkpoint or an exported model, told apart by its path."""

from __future__ import annotations

import pytest

from ednas.exceptions import CheckpointError, ConfigError, EdnasError
from ednas.export.predictor import open_predictor
from ednas.training import Model, save_checkpoint


def test_a_folder_is_a_checkpoint(trained, tmp_path):
    opened = open_predictor(save_checkpoint(tmp_path / "checkpoint", trained), "cpu")
    assert isinstance(opened, Model)
    assert opened.input_size == trained.input_size


def test_an_exported_model_runs_on_the_cpu(tmp_path):
    with pytest.raises(ConfigError, match="exported models run on the CPU"):
        open_predictor(tmp_path / "model.tflite", "cuda")
    with pytest.raises(EdnasError, match="no such file"):
        open_predictor(tmp_path / "model.tflite", "auto")


def test_what_is_not_there_is_no_checkpoint(tmp_path):
    with pytest.raises(CheckpointError, match="no such folder"):
        open_predictor(tmp_path / "none", "cpu")
