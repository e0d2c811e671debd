import csv
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from helpers.small_training import Stop, stop_at, with_recipe

from ednas.exceptions import ConfigError, DataError, EdnasError
from ednas.metrics import load_metrics
from ednas.training import (
    Recipe,
    TrainConfig,
    load_checkpoint,
    load_config,
    train,
)
from ednas.training.logs import RunLogs, read_log


def weights(folder):
    return load_checkpoint(folder).network.state_dict()


def test_a_run_leaves_a_complete_folder(config, tmp_path):
    result = train(config, tmp_path / "run")
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == [
        "checkpoint",
        "config.yaml",
        "log.txt",
        "logs",
    ]
    assert load_config(tmp_path / "run" / "config.yaml") == config.standalone()
    assert result.checkpoint == tmp_path / "run" / "checkpoint"
    metrics = json.loads((result.checkpoint / "metrics.json").read_text())
    assert metrics == result.metrics
    assert load_metrics(result.checkpoint).tasks == result.metrics["tasks"]
    assert {task: list(values) for task, values in metrics["tasks"].items()} == {
        "segmentation": ["miou", "pixel_acc", "mean_acc"],
        "depth": ["abs_err", "rel_err", "rmse", "log_rmse", "delta_1", "delta_2", "delta_3"],
    }
    assert metrics["units"] == {"depth": {"abs_err": "m", "rmse": "m"}}
    assert list(metrics["classes"]["segmentation"]) == ["road", "car", "tree", "sky"]
    assert np.shape(metrics["confusion"]["segmentation"]) == (4, 4)
    assert "depth" not in metrics["classes"]
    assert (metrics["protocol"], metrics["steps"], metrics["seed"], metrics["input_size"]) == (
        "standard",
        6,
        0,
        [32, 64],
    )
    assert metrics["higher_is_better"]["miou"] is True
    assert metrics["higher_is_better"]["rel_err"] is False
    assert metrics["params"] == sum(p.numel() for p in load_checkpoint(tmp_path / "run").network.parameters())
    log = (tmp_path / "run" / "log.txt").read_text()
    assert "training small" in log
    assert "finished" in log


def test_a_resumed_run_is_the_uninterrupted_one(config, tmp_path):
    train(config, tmp_path / "whole")
    with pytest.raises(Stop):
        train(config, tmp_path / "broken", callbacks=[stop_at(4)])
    assert "stopped: Stop" in (tmp_path / "broken" / "log.txt").read_text()
    with pytest.raises(ConfigError, match="broken off; resume it"):
        train(config, tmp_path / "broken")
    result = train(config, tmp_path / "broken", resume=True)
    assert result.metrics == train(config, tmp_path / "whole", resume=True).metrics
    ours, theirs = weights(tmp_path / "broken"), weights(tmp_path / "whole")
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in ours.items())
    assert not (tmp_path / "broken" / "state.safetensors").exists()
    with (tmp_path / "broken" / "logs" / "steps.csv").open(newline="") as file:
        assert [int(row["step"]) for row in csv.DictReader(file)] == [2, 4, 6]


def test_a_finished_run_is_not_trained_again(config, tmp_path):
    first = train(config, tmp_path / "run", logs=False)
    assert not (tmp_path / "run" / "logs").exists()
    stamp = (first.checkpoint / "model.safetensors").stat().st_mtime_ns
    with pytest.raises(ConfigError, match="finished run"):
        train(config, tmp_path / "run")
    again = train(with_recipe(config, log_every=1), tmp_path / "run", resume=True, callbacks=[stop_at(0)])
    assert again.metrics == first.metrics
    assert (first.checkpoint / "model.safetensors").stat().st_mtime_ns == stamp
    with pytest.raises(ConfigError, match=r"another configuration \(recipe.batch_size: 4 and 2\)"):
        train(with_recipe(config, batch_size=2, steps=9), tmp_path / "run", resume=True)


@pytest.mark.slow
def test_its_config_file_repeats_a_run(config, tmp_path, monkeypatch):
    train(config, tmp_path / "first", logs=False)
    monkeypatch.chdir(tmp_path)
    train(load_config("first/config.yaml"), "second", logs=False)
    ours, theirs = weights(tmp_path / "first"), weights(tmp_path / "second")
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in ours.items())


@pytest.mark.slow
@pytest.mark.parametrize("tasks", [("segmentation",), ("depth",), ("normals", "segmentation", "depth")])
def test_single_and_multi_task_are_one_setting_apart(config, tmp_path, tasks):
    result = train(config.model_copy(update={"tasks": tasks}), tmp_path / "run", logs=False)
    assert list(result.metrics["tasks"]) == list(tasks)
    assert list(load_checkpoint(result.checkpoint).network.heads) == list(tasks)


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        ({"tasks": ("segmentation", "dpeth")}, ConfigError, "did you mean 'depth'"),
        ({"data": "nowhere"}, DataError, "nowhere"),
        ({"architecture": "bse"}, EdnasError, "did you mean 'base'"),
        ({"plugins": ("nothing.py",)}, ConfigError, "nothing.py"),
        ({"data_options": {"x": 1}}, ConfigError, "x"),
    ],
)
def test_mistakes_are_one_line(config, tmp_path, change, error, said):
    with pytest.raises(error) as found:
        train(config.model_copy(update=change), tmp_path / "run")
    assert said in str(found.value)
    assert "\n" not in str(found.value)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"depth": {"lss": "l1"}}, "did you mean 'loss'"),
        ({"dpeth": {"loss": "l1"}}, "did you mean 'depth'"),
        ({"depth": {"class_weights": "frequency"}}, "needs class labels"),
        ({"depth": {"abs_weight": 2}}, "abs_weight belongs to loss 'jared', but the loss is 'l1'"),
    ],
)
def test_wrong_options_of_a_task_are_one_line(config, tmp_path, options, said):
    with pytest.raises(ConfigError) as found:
        train(with_recipe(config, task_options=options), tmp_path / "run")
    assert said in str(found.value)
    assert "\n" not in str(found.value)


@pytest.mark.usefixtures("clean_registry")
def test_a_plugins_task_is_trained(config, tmp_path):
    plugin = tmp_path / "near_task.py"
    plugin.write_text(
        "from ednas.tasks import DepthTask, register_task\n"
        "class NearTask(DepthTask):\n"
        "    name = 'nearness'\n"
        "    target = 'depth'\n"
        "register_task('nearness', NearTask, replace=True)\n"
    )
    mine = config.model_copy(update={"tasks": ("nearness",), "plugins": (str(plugin),)})
    result = train(mine, tmp_path / "run", logs=False)
    assert list(result.metrics["tasks"]) == ["nearness"]
    saved = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())
    assert saved["plugins"] == [str(plugin)]


@pytest.mark.slow
def test_two_processes_train_together(config, tmp_path):
    """DDP on the CPU: every process takes its rows of the batch, gradients are averaged, one writes the files."""
    script = tmp_path / "run.py"
    config.save(tmp_path / "config.yaml")
    script.write_text(
        "import sys, torch\n"
        "torch.set_num_threads(1)\n"
        "from ednas.training import load_config, train\n"
        "train(load_config(sys.argv[1]), sys.argv[2], device='cpu', devices=2)\n"
    )
    command = [sys.executable, str(script), str(tmp_path / "config.yaml"), str(tmp_path / "run")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert load_checkpoint(tmp_path / "run").steps == 6
    assert (tmp_path / "run" / "log.txt").read_text().count("finished") >= 1


@pytest.mark.slow
def test_processes_that_train_together_stop_together(config, tmp_path):
    """A scheduler's SIGTERM reaches the first process alone; none may wait for another for ever."""
    with_recipe(config, steps=100_000, log_every=1).save(tmp_path / "config.yaml")
    program = tmp_path / "program.py"  # Fabric starts the others by the program's path
    program.write_text("from ednas.cli import main\nmain()\n")
    command = [sys.executable, str(program), "train", "--config", str(tmp_path / "config.yaml")]
    command += ["--out", str(tmp_path / "run"), "--device", "cpu", "--devices", "2", "--threads", "1"]
    run = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        log = tmp_path / "run" / "logs" / "steps.csv"
        for _ in range(600):
            if log.is_file() and log.read_text().count("\n") > 3:
                break
            time.sleep(0.2)
        run.send_signal(signal.SIGTERM)
        assert run.wait(60) == 128 + signal.SIGTERM, run.stderr.read()
    finally:
        run.kill()
    said = run.stderr.read()  # both processes': it ends when both have
    assert "Traceback" not in said
    assert said.count("stopped; what was finished is kept") <= 1
    assert (tmp_path / "run" / "state.safetensors").is_file()


def test_defaults_name_a_base_network():
    assert TrainConfig(data="streets").load_architecture().name == "base"


@pytest.mark.slow
def test_validation_while_training_holds_out_a_part_and_keeps_the_best(config, tmp_path):
    run = tmp_path / "run"
    result = train(with_recipe(config, evaluate_every=2), run)
    best = json.loads((run / "best" / "metrics.json").read_text())
    assert best["split"] == "train (held out)"
    assert best["steps"] in (2, 4)
    assert best["samples"] < 6
    assert result.metrics["split"] == "val"
    assert "held out" in (run / "log.txt").read_text()
    assert load_checkpoint(run / "best").steps == best["steps"]


def validation_log(run):
    return (run / "logs" / "validation.csv").read_text()


def test_validations_are_rows_of_a_file(config, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = tmp_path / "run"
    train(with_recipe(config, evaluate_every=2, log_every=3), run)
    rows = read_log(run / "logs" / "validation.csv")
    assert [row["step"] for row in rows] == [2, 4]
    best = json.loads((run / "best" / "metrics.json").read_text())
    row = next(row for row in rows if row["step"] == best["steps"])
    assert {name: value for name, value in row.items() if name != "step"} == {
        f"{task}/{name}": value for task, values in best["tasks"].items() for name, value in values.items()
    }
    board = EventAccumulator(str(run / "logs"))
    board.Reload()
    assert [event.step for event in board.Scalars("val/depth/abs_err")] == [2, 4, 6]
    assert [event.step for event in board.Scalars("loss/depth")] == [3, 6]


@pytest.mark.slow
@pytest.mark.parametrize("checkpoint_every", [2, 3])  # the state of step 4, and one from before its validation
def test_a_resumed_run_has_each_validation_once(config, tmp_path, checkpoint_every):
    own = with_recipe(config, evaluate_every=2, checkpoint_every=checkpoint_every)
    train(own, tmp_path / "whole")
    with pytest.raises(Stop):
        train(own, tmp_path / "broken", callbacks=[stop_at(4)])
    assert len(read_log(tmp_path / "broken" / "logs" / "validation.csv")) == 2
    train(own, tmp_path / "broken", resume=True)
    assert validation_log(tmp_path / "broken") == validation_log(tmp_path / "whole")


@pytest.mark.slow
def test_a_run_that_dies_in_a_validation_makes_up_for_it(config, tmp_path, monkeypatch):
    own = with_recipe(config, evaluate_every=2, checkpoint_every=2)
    train(own, tmp_path / "whole")

    def die_at_4(self, metrics, step):
        if step == 4:
            raise Stop
        write(self, metrics, step)

    write = RunLogs.write_validation
    monkeypatch.setattr(RunLogs, "write_validation", die_at_4)
    with pytest.raises(Stop):
        train(own, tmp_path / "broken")
    monkeypatch.undo()
    monkeypatch.setenv("EDNAS_CACHE", str(tmp_path / "cache"))
    train(own, tmp_path / "broken", resume=True)
    assert validation_log(tmp_path / "broken") == validation_log(tmp_path / "whole")


@pytest.mark.slow
def test_validation_does_not_change_what_is_learned(config, tmp_path):
    rare, often = (train(with_recipe(config, evaluate_every=n), tmp_path / str(n)) for n in (5, 1))
    for name, tensor in weights(rare.checkpoint).items():
        assert torch.equal(tensor, weights(often.checkpoint)[name]), name


@pytest.mark.slow
def test_callbacks_see_the_model_and_the_metrics_of_each_validation(config, tmp_path):
    reports = []

    def watch(report):
        assert not report.model.network.training
        weights = {name: tensor.clone() for name, tensor in report.model.network.state_dict().items()}
        reports.append((report, weights))

    train(with_recipe(config, evaluate_every=2), tmp_path / "run", validation_callbacks=[watch])
    assert [report.step for report, _ in reports] == [2, 4]
    assert [report.model.steps for report, _ in reports] == [2, 4]
    best, weights = [found for found in reports if found[0].is_best][-1]
    assert best.accuracy == max(report.accuracy for report, _ in reports)
    kept = load_checkpoint(tmp_path / "run" / "best").network.state_dict()
    assert all(torch.equal(tensor, kept[name]) for name, tensor in weights.items())
    assert best.metrics["tasks"] == load_metrics(tmp_path / "run" / "best").tasks


def test_a_validation_callback_can_end_the_run(config, tmp_path):
    def stop(report):
        raise Stop

    with pytest.raises(Stop):
        train(with_recipe(config, evaluate_every=2), tmp_path / "run", validation_callbacks=[stop])


def test_validation_callbacks_that_would_never_be_called_are_refused(config, tmp_path):
    with pytest.raises(ConfigError, match="set the recipe's evaluate_every"):
        train(config, tmp_path / "run", validation_callbacks=[print])
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_run_with_metrics_of_ones_own_is_resumed_after_a_validation(config, tmp_path):
    edges = Path(__file__).parents[2] / "examples" / "edge_task.py"
    own = with_recipe(config, evaluate_every=2, checkpoint_every=1).model_copy(
        update={"tasks": ("edges",), "plugins": (str(edges),)}
    )
    with pytest.raises(Stop):
        train(own, tmp_path / "run", callbacks=[stop_at(4)])
    assert train(own, tmp_path / "run", resume=True).metrics["tasks"]["edges"]["edge_f1"] >= 0


def test_a_run_with_partial_labels(remove, tmp_path):
    config = remove("train/segmentation/0", "train/depth/1", "train/depth/2", "val/depth/1", "val/segmentation/0")
    result = train(config, tmp_path / "run", logs=False)
    assert result.metrics["tasks"].keys() == {"segmentation", "depth"} == result.metrics["trivial"]["tasks"].keys()
    assert all(np.isfinite(value) for task in result.metrics["tasks"].values() for value in task.values())


PLUGIN = """
from ednas.mtl.weighting import LossWeighting, register_weighting

@register_weighting("test_halves")
class Halves(LossWeighting):
    def weigh(self, losses, step):
        return 0 * losses + 0.5
"""


def test_a_weighting_of_a_plugin(config, tmp_path):
    (tmp_path / "theirs.py").write_text(PLUGIN)
    recipe = Recipe.model_validate({**config.recipe.model_dump(), "weighting": "test_halves"})
    own = config.model_copy(update={"recipe": recipe, "plugins": (str(tmp_path / "theirs.py"),)})
    reports = []
    train(own, tmp_path / "run", callbacks=[reports.append], device="cpu")
    assert reports[-1].task_weights == {"segmentation": 0.5, "depth": 0.5}
    recipe = Recipe.model_validate({**config.recipe.model_dump(), "weighting": "test_halvs"})
    with pytest.raises(ConfigError, match="did you mean 'test_halves'"):
        train(own.model_copy(update={"recipe": recipe}), tmp_path / "other", device="cpu")
