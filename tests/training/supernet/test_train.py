"""A supernet is trained once, and goes on where it was broken off."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from helpers.small_supernets import NETWORKS, SPACE, small_config, small_supernet
from helpers.small_training import small_architecture

from ednas.exceptions import ArchitectureError, CheckpointError
from ednas.nn.supernet import place_of
from ednas.training import prepare_judgement, save_checkpoint
from ednas.training.init import initialise, load_weights
from ednas.training.supernet.file import FILE, TrainedSupernet


@pytest.fixture(autouse=True)
def _small(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDNAS_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
    torch.set_num_threads(1)


@pytest.mark.slow
def test_one_that_was_broken_off_ends_with_the_same_weights(tmp_path):
    whole = TrainedSupernet.load(small_supernet(tmp_path / "whole")).tensors
    for step in (1, 3):

        def stop(report, last=step):
            if report.step == last:
                raise KeyboardInterrupt

        folder = tmp_path / str(step)
        with pytest.raises(KeyboardInterrupt):
            small_supernet(folder, callbacks=[stop])
        steps = []
        small_supernet(folder, callbacks=[lambda report, seen=steps: seen.append(report.step)])
        resumed = TrainedSupernet.load(folder).tensors
        assert steps == list(range(step + 1, 5))
        assert all(torch.equal(whole[name], resumed[name]) for name in whole)
        assert [path.name for path in folder.iterdir()] == [FILE]
    other = TrainedSupernet.load(small_supernet(tmp_path / "other", learning_rate=0.5)).tensors
    assert not all(torch.equal(whole[name], other[name]) for name in whole)


def test_a_trained_one_is_not_trained_again_and_another_ones_is_refused(tmp_path):
    small_supernet(tmp_path)
    before = (tmp_path / FILE).stat().st_mtime_ns
    small_supernet(tmp_path, callbacks=[lambda report: pytest.fail("a step was made")])
    for changes in ({"steps": 9}, {"networks": NETWORKS[::-1]}, {"learning_rate": 0.5}):
        with pytest.raises(CheckpointError, match="is another supernet"):
            small_supernet(tmp_path, **changes)
    assert (tmp_path / FILE).stat().st_mtime_ns == before


def test_weights_of_a_network_start_it(tmp_path):
    """A supernet that makes no step to speak of holds the weights that it began with."""
    config = small_config()
    model = prepare_judgement(config)[0]
    checkpoint = save_checkpoint(tmp_path / "checkpoint", model)
    folder = small_supernet(tmp_path / "supernet", init=str(checkpoint), learning_rate=1e-12, steps=1)
    tensors, base = TrainedSupernet.load(folder).tensors, model.network.state_dict()
    for name in ("encoder.stages.1.0.project.0.weight", "neck.lateral.0.0.weight", "heads.depth.predict.weight"):
        whole, own = tensors[place_of(name, model.architecture)], base[name]
        assert torch.allclose(whole[: own.shape[0], : own.shape[1]], own, atol=1e-6), name


def test_a_network_starts_from_a_supernet(tmp_path):
    folder = small_supernet(tmp_path)
    architecture = SPACE.decode([1] * len(SPACE.decisions))
    model = prepare_judgement(small_config().with_architecture(architecture))[0]
    taken = initialise(model, load_weights(str(folder), architecture))
    assert not taken.sliced
    assert not taken.fresh
    expected = TrainedSupernet.load(folder).cut(architecture).state_dict()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in model.network.state_dict().items())
    with pytest.raises(ArchitectureError, match="was not made for this network"):
        load_weights(str(folder), replace(small_architecture(), bifpn_width=64))
