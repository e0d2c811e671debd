"""Ctrl-C and SIGTERM wait for the end of a step."""

import signal
import threading

import pytest
from helpers.small_training import Batches, assert_same_weights, stop_at

from ednas.runs import RunFolder
from ednas.training import fit
from ednas.training.tensors import read_tensors


@pytest.mark.slow
def test_ctrl_c_waits_for_the_step_and_saves_it(build, short, whole, tmp_path):
    model = build()

    def press(step, batch):
        if step == 4:
            signal.raise_signal(signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        fit(model.network, model.tasks, Batches(press), short, checkpoint_folder=tmp_path)
    assert signal.getsignal(signal.SIGINT) is before
    assert read_tensors(RunFolder(tmp_path).state)[1]["step"] == 5
    model = build(seed=99)
    fit(model.network, model.tasks, Batches(), short, checkpoint_folder=tmp_path, resume=True)
    assert_same_weights(model.network, whole)


def test_sigterm_saves_and_exits_with_143(build, short, tmp_path):
    model = build()

    def terminate(step, batch):
        if step == 1:
            signal.raise_signal(signal.SIGTERM)

    with pytest.raises(SystemExit) as error:
        fit(model.network, model.tasks, Batches(terminate), short, checkpoint_folder=tmp_path)
    assert error.value.code == 143
    assert read_tensors(RunFolder(tmp_path).state)[1]["step"] == 2


def test_an_interrupt_from_a_callback_is_saved_too(build, short, tmp_path):
    model = build()
    with pytest.raises(KeyboardInterrupt):
        fit(
            model.network,
            model.tasks,
            Batches(),
            short,
            callbacks=[stop_at(4, KeyboardInterrupt)],
            checkpoint_folder=tmp_path,
        )
    assert read_tensors(RunFolder(tmp_path).state)[1]["step"] == 4


def test_outside_the_main_thread_no_signal_is_touched(build, short):
    model, results = build(), []
    thread = threading.Thread(target=lambda: results.append(fit(model.network, model.tasks, Batches(), short)))
    thread.start()
    thread.join()
    assert results[0].steps == 8
