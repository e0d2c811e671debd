"""The state of a broken-off run: whole, of this run, and finite, or refused."""

import pytest
from helpers.small_training import Batches

from ednas.exceptions import CheckpointError, TrainingError
from ednas.runs import RunFolder
from ednas.training import fit


def test_weights_that_are_not_finite_are_not_saved(build, short, tmp_path):
    model = build()

    def spoil(report):
        if report.step == 2:
            next(model.network.heads["normals"].parameters()).data.fill_(float("nan"))

    with pytest.raises(TrainingError, match="step"):
        fit(model.network, model.tasks, Batches(), short, callbacks=[spoil], checkpoint_folder=tmp_path)
    assert not RunFolder(tmp_path).state.exists()


def test_state_of_another_run_is_refused(build, short, tmp_path):
    model = build()
    fit(model.network, model.tasks, Batches(), short, checkpoint_folder=tmp_path, identity={"data": "a"})
    with pytest.raises(CheckpointError, match=r"another run \(data was 'a', is 'b'\)"):
        fit(
            model.network,
            model.tasks,
            Batches(),
            short,
            checkpoint_folder=tmp_path,
            identity={"data": "b"},
            resume=True,
        )
    other = build(("depth",))
    with pytest.raises(CheckpointError, match="another network"):
        fit(other.network, other.tasks, Batches(), short, checkpoint_folder=tmp_path, resume=True)


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.99])
def test_truncated_state(build, short, tmp_path, share):
    model = build()
    fit(model.network, model.tasks, Batches(), short, checkpoint_folder=tmp_path)
    file = RunFolder(tmp_path).state
    file.write_bytes(file.read_bytes()[: int(share * file.stat().st_size)])
    with pytest.raises(CheckpointError, match="truncated"):
        fit(model.network, model.tasks, Batches(), short, checkpoint_folder=tmp_path, resume=True)
