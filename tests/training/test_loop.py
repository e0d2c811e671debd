import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from helpers.small_training import Batches, Stop, assert_same_weights, double_width, stop_at

from ednas.exceptions import ConfigError, TrainingError
from ednas.runs import RunFolder
from ednas.training import fit
from ednas.training.device import make_fabric
from ednas.training.tensors import read_tensors

TESTS = Path(__file__).parents[1]


def test_same_seed_same_weights(build, short, whole):
    model = build()
    fit(model.network, model.tasks, Batches(), short, device="cpu")
    assert_same_weights(model.network, whole)


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"optimizer": "AdamW", "decay_all": False, "grad_clip": 0.5, "warmup_steps": 4, "encoder_rate": 0.3},
        {"optimizer": "SGD", "optimizer_options": {"momentum": 0.9}, "schedule": "constant"},
        {"ema_decay": 0.9},
    ],
)
def test_resuming_ends_with_the_same_weights_bit_for_bit(build, short, tmp_path, options):
    recipe = short.model_copy(update=options)
    expected, model = build(), build()
    fit(expected.network, expected.tasks, Batches(), recipe, device="cpu")
    with pytest.raises(Stop):
        fit(model.network, model.tasks, Batches(), recipe, callbacks=[stop_at(4)], checkpoint_folder=tmp_path)
    model, batches = build(seed=99), Batches()
    result = fit(model.network, model.tasks, batches, recipe, checkpoint_folder=tmp_path, resume=True)
    assert (result.resumed_at, result.steps, batches.asked) == (3, 8, [3, 4, 5, 6, 7])
    assert_same_weights(model.network, expected.network)


SCRIPT = """
import sys, time
from pathlib import Path
import torch
from helpers.small_training import SIZE, TARGETS, Batches, small_architecture
from ednas.training import Recipe, build_model, fit
torch.set_num_threads(1)
model = build_model(small_architecture(), ("segmentation", "depth"), TARGETS, input_size=SIZE)
recipe = Recipe(steps=40, batch_size=4, learning_rate=1e-2, checkpoint_every=1, log_every=1)
slow = lambda report: time.sleep(0.05)
options = {"callbacks": [slow], "checkpoint_folder": Path(sys.argv[1]), "resume": True}
fit(model.network, model.tasks, Batches(), recipe, device="cpu", **options)
"""


@pytest.mark.slow
def test_a_killed_process_resumes_bit_for_bit(build, short, tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(TESTS)}
    process = subprocess.Popen([sys.executable, "-c", SCRIPT, str(tmp_path)], env=environment, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 120
    while not RunFolder(tmp_path).state.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(0.3)
    process.kill()
    _, errors = process.communicate()
    assert process.returncode == -signal.SIGKILL, errors.decode()
    reached = read_tensors(RunFolder(tmp_path).state)[1]["step"]
    assert 0 < reached < 40

    recipe = short.model_copy(update={"steps": 40, "checkpoint_every": 100})
    expected, resumed = (build(("segmentation", "depth"), seed=seed) for seed in (0, 5))
    fit(expected.network, expected.tasks, Batches(), recipe, device="cpu")
    result = fit(resumed.network, resumed.tasks, Batches(), recipe, checkpoint_folder=tmp_path, resume=True)
    assert result.resumed_at == reached
    assert_same_weights(resumed.network, expected.network)


def test_a_finished_state_trains_no_further(build, short, whole, tmp_path):
    model = build()
    fit(model.network, model.tasks, Batches(), short, checkpoint_folder=tmp_path)
    batches = Batches()
    again = build(seed=3)
    result = fit(again.network, again.tasks, batches, short, checkpoint_folder=tmp_path, resume=True)
    assert (result.resumed_at, batches.asked, result.losses) == (8, [], {})
    assert_same_weights(again.network, whole)


def test_a_loss_that_is_not_finite_stops_and_keeps_the_last_good_state(build, short, tmp_path):
    def poison(step, batch):
        if step == 4:
            batch["image"][:] = float("nan")

    model = build()
    with pytest.raises(TrainingError, match=r"^step 5: the loss of task 'segmentation' is nan"):
        fit(model.network, model.tasks, Batches(poison), short, checkpoint_folder=tmp_path)
    tensors, notes = read_tensors(RunFolder(tmp_path).state)
    assert notes["step"] == 3
    assert all(torch.isfinite(tensor).all() for tensor in tensors.values())


def test_the_diverged_task_is_named(build, short):
    class Broken:
        def __init__(self, task):
            self.task, self.target = task, task.target

        def loss(self, prediction, target):
            return self.task.loss(prediction, target) * float("inf")

    model = build(("segmentation", "depth"))
    tasks = {"segmentation": model.tasks["segmentation"], "depth": Broken(model.tasks["depth"])}
    with pytest.raises(TrainingError, match="step 1: the loss of task 'depth' is inf"):
        fit(model.network, tasks, Batches(), short)


def test_a_late_look_finds_the_first_step_that_diverged(build, short, tmp_path):
    """As on a GPU, where losses are looked at only now and then."""
    from ednas.training.loop import _Watch

    watch = _Watch(("segmentation", "depth"), {"segmentation": 1.0, "depth": 1.0}, short, 0)
    for step, values in enumerate([(1.0, 1.0), (1.0, float("inf")), (float("nan"), float("nan"))]):
        watch.add(step, torch.tensor(values))
    with pytest.raises(TrainingError, match="step 2: the loss of task 'depth' is inf"):
        watch.check()


@pytest.mark.slow
@pytest.mark.parametrize("tasks", [("segmentation",), ("depth",), ("normals",), ("segmentation", "depth", "normals")])
def test_any_mix_of_tasks_overfits_one_batch(build, short, tasks):
    model, reports = build(tasks), []
    recipe = short.model_copy(update={"steps": 120, "log_every": 1, "weight_decay": 0.0})
    fit(model.network, model.tasks, Batches(repeat=True), recipe, callbacks=[reports.append])
    assert list(reports[0].losses) == list(tasks)
    for task in tasks:
        assert reports[-1].losses[task] < 0.5 * reports[0].losses[task], task


def test_reports(build, short):
    model, reports = build(("segmentation", "depth")), []
    recipe = short.model_copy(update={"steps": 5, "loss_weights": {"depth": 3.0}})
    result = fit(model.network, model.tasks, Batches(), recipe, callbacks=[reports.append])
    assert [report.step for report in reports] == [2, 4, 5]
    last = reports[-1]
    assert last.loss == pytest.approx(last.losses["segmentation"] + 3 * last.losses["depth"])
    assert (last.steps, last.eta_seconds, last.learning_rate) == (5, 0, recipe.learning_rate_at(4))
    assert reports[0].eta_seconds > 0
    assert min(report.images_per_second for report in reports) > 0
    assert result.losses == last.losses


def test_a_callback_may_switch_the_network_to_evaluation(build, short, whole):
    model = build()
    fit(model.network, model.tasks, Batches(), short, callbacks=[lambda report: model.network.eval()])
    assert_same_weights(model.network, whole)


@pytest.mark.slow
def test_a_compiled_network_trains_alike(build, short, whole, monkeypatch):
    """Traced by PyTorch's compiler; what generates the code is left out, which would take minutes."""
    graphs = []

    def backend(graph, inputs):
        graphs.append(graph)
        return graph.forward

    compiler = torch.compile
    monkeypatch.setattr(torch, "compile", lambda network, **options: compiler(network, backend=backend))
    model = build()
    looks = [lambda report: model.network.eval()]
    fit(model.network, model.tasks, Batches(), short, callbacks=looks, device="cpu", compiled=True)
    assert len(graphs) == 1  # the whole network, and not anew after a callback's evaluation
    assert_same_weights(model.network, whole)


@pytest.mark.slow
def test_without_a_compiler_it_is_one_line(build, short, monkeypatch):
    def backend(graph, inputs):
        raise RuntimeError("no C++ compiler\nis found")

    compiler = torch.compile
    monkeypatch.setattr(torch, "compile", lambda network, **options: compiler(network, backend=backend))
    model = build()
    with pytest.raises(ConfigError, match=r"cannot be compiled here \(.*no C\+\+ compiler is found\)") as error:
        fit(model.network, model.tasks, Batches(), short, device="cpu", compiled=True)
    assert "\n" not in str(error.value)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device: CUDA graphs are not tested here")
def test_cuda_graphs_learn_alike(build, short):
    losses = []
    for compiled in (False, True):
        model = build(("segmentation", "depth"))
        recipe = short.model_copy(update={"steps": 20, "precision": "32-true"})
        result = fit(model.network, model.tasks, Batches(), recipe, device="cuda", compiled=compiled)
        losses.append(list(result.losses.values()))
    assert losses[1] == pytest.approx(losses[0], rel=0.02)


@pytest.mark.slow
def test_bfloat16_on_the_cpu(build, short):
    model = build(("segmentation", "depth"))
    recipe = short.model_copy(update={"precision": "bf16-mixed", "steps": 60, "weight_decay": 0.0})
    batches = Batches(double_width, repeat=True)
    first = fit(model.network, model.tasks, batches, recipe.model_copy(update={"steps": 1}), device="cpu")
    last = fit(model.network, model.tasks, batches, recipe, device="cpu")
    assert last.losses["segmentation"] < 0.7 * first.losses["segmentation"]
    assert {parameter.dtype for parameter in model.network.parameters()} == {torch.float32}


def test_narrow_images_are_refused_in_bfloat16(build, short):
    model = build()
    with pytest.raises(ConfigError, match="more than 64 pixels wide, not 64"):
        fit(model.network, model.tasks, Batches(), short.model_copy(update={"precision": "bf16-mixed"}), device="cpu")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device: mixed precision on a GPU is not tested here")
@pytest.mark.parametrize("precision", ["auto", "bf16-mixed", "16-mixed"])
@pytest.mark.parametrize("grad_clip", [None, 1.0])
def test_mixed_precision_on_cuda_learns_and_resumes(build, short, tmp_path, precision, grad_clip):
    model = build()
    recipe = short.model_copy(
        update={"precision": precision, "steps": 60, "weight_decay": 0.0, "log_every": 5, "grad_clip": grad_clip}
    )
    reports = []
    arguments = {"device": "cuda", "checkpoint_folder": tmp_path}
    with pytest.raises(Stop):
        fit(
            model.network,
            model.tasks,
            Batches(repeat=True),
            recipe,
            callbacks=[reports.append, stop_at(30)],
            **arguments,
        )
    model = build(seed=9)
    result = fit(model.network, model.tasks, Batches(repeat=True), recipe, resume=True, **arguments)
    assert result.resumed_at > 0
    assert result.losses["segmentation"] < 0.7 * reports[0].losses["segmentation"]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device: late checks of losses are not tested here")
def test_divergence_on_cuda_keeps_the_last_good_state(build, short, tmp_path):
    def poison(step, batch):
        if step == 4:
            batch["image"][:] = float("nan")

    model = build()
    with pytest.raises(TrainingError, match="step 5"):
        fit(model.network, model.tasks, Batches(poison), short, device="cuda", checkpoint_folder=tmp_path)
    assert read_tensors(RunFolder(tmp_path).state)[1]["step"] == 3


@pytest.mark.parametrize(
    ("device", "precision", "said"),
    [("gpu", "auto", "write auto"), ("cuda:99", "auto", "CUDA devices"), ("meta", "auto", "write auto"),
     ("cpu", "16-mixed", "needs a CUDA device")],
)  # fmt: skip
def test_wrong_devices(device, precision, said):
    with pytest.raises(ConfigError, match=said):
        make_fabric(device, precision)


def test_fabric_on_one_cpu_is_silent_and_alone(capfd):
    fabric = make_fabric("cpu")
    assert (fabric.world_size, fabric.device.type, fabric._precision.precision) == (1, "cpu", "32-true")
    assert capfd.readouterr() == ("", "")


def test_a_validation_that_would_never_be_called_is_refused(build, short):
    model = build()
    with pytest.raises(ConfigError, match="validate: would never be called"):
        fit(model.network, model.tasks, Batches(), short, validate=lambda network, step: None)
