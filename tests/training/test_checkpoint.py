import dataclasses
import json
import math
import resource
import sys

import pytest
import torch
from helpers.own_parts import BOTH, EXAMPLE, HEADS, example, known
from helpers.profiles import examples
from helpers.small_training import SIZE, TARGETS, make_batch, small_architecture
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ednas.arch import load_architecture
from ednas.exceptions import CheckpointError, EdnasError
from ednas.nn import MultiTaskNetwork, parts
from ednas.tasks import DepthTask, base, register_loss, register_task
from ednas.training import Normalisation, build_model, load_checkpoint, read_metrics, save_checkpoint
from ednas.training.checkpoint import find_metrics, run_name, trained_depths
from ednas.training.tensors import write_tensors

METRICS = {"protocol": "standard", "tasks": {"depth": {"abs_err": 1.0}}}
FILES = ("model.safetensors", "config.json")


@pytest.fixture
def folder(build, tmp_path):
    normalisation = Normalisation(mean=(0.1, 0.2, 0.3))
    model = build(normalisation=normalisation, task_options={"depth": {"loss": "jared"}}).with_training(steps=5, seed=2)
    return save_checkpoint(tmp_path / "checkpoint", model, METRICS)


def test_round_trip(build, tmp_path):
    model = build(seed=4, task_options={"depth": {"loss": "jared", "rel_weight": 0.5}}).with_training(steps=9, seed=4)
    model.network.train()
    model.forward(make_batch()["image"])  # moves the running statistics, which are part of a checkpoint
    model.network.eval()
    found = load_checkpoint(save_checkpoint(tmp_path / "c", model, METRICS))
    image = make_batch(1)["image"]
    for task, output in model.forward(image).items():
        assert torch.equal(output, found.forward(image)[task])
    assert found.architecture.to_dict() == model.architecture.to_dict()
    assert (list(found.tasks), found.targets) == (list(model.tasks), model.targets)
    assert (found.input_size, found.normalisation, found.dataset) == (
        model.input_size,
        model.normalisation,
        model.dataset,
    )
    assert (found.steps, found.seed, found.task_options) == (9, 4, model.task_options)
    assert found.class_names == ("road", "car", "tree", "sky")
    assert not found.network.training
    assert read_metrics(tmp_path / "c") == METRICS


def test_a_runs_folder_leads_to_its_checkpoint(folder):
    assert load_checkpoint(folder.parent).steps == 5
    assert read_metrics(folder.parent) == METRICS


def test_saving_replaces_a_checkpoint_but_nothing_else(build, folder, tmp_path):
    save_checkpoint(folder, build().with_training(steps=8, seed=0))
    assert load_checkpoint(folder).steps == 8
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "one.jpg").touch()
    with pytest.raises(CheckpointError, match="no checkpoint"):
        save_checkpoint(tmp_path / "photos", build())
    assert (tmp_path / "photos" / "one.jpg").exists()


def test_missing_files(folder, tmp_path):
    with pytest.raises(CheckpointError, match="no such folder"):
        load_checkpoint(tmp_path / "nothing")
    (folder / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match="model.safetensors: no such file"):
        load_checkpoint(folder)
    (folder / "config.json").unlink()
    with pytest.raises(CheckpointError, match="config.json is missing"):
        load_checkpoint(folder)


@settings(max_examples=examples(20), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(file=st.sampled_from(FILES), where=st.floats(0, 1, exclude_max=True))
def test_truncated_files_are_one_clear_error(folder, file, where):
    path = folder / file
    whole = path.read_bytes()
    path.write_bytes(whole[: int(where * len(whole.rstrip()))])
    try:
        with pytest.raises(CheckpointError) as error:
            load_checkpoint(folder)
    finally:
        path.write_bytes(whole)
    assert file in str(error.value)
    assert "\n" not in str(error.value)


@settings(max_examples=examples(25), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(file=st.sampled_from(FILES), where=st.floats(0, 1, exclude_max=True), byte=st.integers(0, 255))
def test_a_changed_byte_never_escapes_as_another_error(folder, file, where, byte):
    path = folder / file
    whole = path.read_bytes()
    # In the weights, the first bytes: those after the header are numbers, any of which may be right.
    index = int(where * min(len(whole), 4096))
    path.write_bytes(whole[:index] + bytes([byte]) + whole[index + 1 :])
    try:
        load_checkpoint(folder)
    except EdnasError as error:
        assert "\n" not in str(error)
    finally:
        path.write_bytes(whole)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"format": 2}, "format 2"),
        ({"input_size": [8, 8]}, "from 32"),
        ({"tasks": ["segmentation", "dpth"], "task_options": {}}, "did you mean 'depth'"),
        ({"tasks": [], "task_options": {}}, "at least one task"),
        ({"task_options": {"depth": {"loss": "l3"}}}, "l3"),
        ({"architecture": {"blocks": []}}, "0 blocks"),
        ({"normalisation": {"std": [0, 0, 0]}}, "std"),
        ({"targets": {}}, "the dataset has none"),
        ({"stesp": 1}, "did you mean 'steps'"),
        ({"tasks": ["depth"]}, "another network"),
    ],
)
def test_wrong_configurations(folder, change, said):
    file = folder / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **change}))
    with pytest.raises(CheckpointError) as error:
        load_checkpoint(folder)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", [b"[]", b"{}", b"\xff\xfe", b"", b"[" * 100_000])
def test_foreign_files_in_place_of_the_configuration(folder, content):
    (folder / "config.json").write_bytes(content)
    with pytest.raises(CheckpointError):
        load_checkpoint(folder)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_weights_that_are_not_finite_are_refused_by_name(build, tmp_path, bad):
    model = build()
    folder = save_checkpoint(tmp_path / "diverged", model)
    model.network.state_dict()["heads.depth.predict.weight"].view(-1)[3] = bad
    message = r"'heads\.depth\.predict\.weight' is NaN or infinite in 1 of \d+ numbers"
    with pytest.raises(CheckpointError, match=f"not saved: tensor {message}"):
        save_checkpoint(folder, model)
    load_checkpoint(folder)  # as it was
    write_tensors(folder / "model.safetensors", model.network.state_dict())
    with pytest.raises(CheckpointError, match=message) as error:
        load_checkpoint(folder)
    assert "\n" not in str(error.value)


@pytest.mark.slow
def test_a_foreign_tensor_is_refused_before_its_content_is_read(folder):
    path, size = folder / "model.safetensors", 1 << 30
    content = path.read_bytes()
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    name = next(key for key in header if key != "__metadata__")
    text = json.dumps({name: {"dtype": "F32", "shape": [size // 4], "data_offsets": [0, size]}}).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + size)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(CheckpointError, match="another network"):
        load_checkpoint(folder)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500_000  # KiB, of 1 GiB


def test_pickles_are_not_loaded(folder):
    torch.save({"weights": torch.ones(2)}, folder / "model.safetensors")
    with pytest.raises(CheckpointError, match="not a whole safetensors file"):
        load_checkpoint(folder)


def test_a_failed_save_leaves_the_old_checkpoint(build, folder, monkeypatch):
    before = (folder / "model.safetensors").read_bytes()

    def full_disk(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", full_disk)
    with pytest.raises(EdnasError, match="No space left"):
        save_checkpoint(folder, build(seed=9))
    monkeypatch.undo()
    assert (folder / "model.safetensors").read_bytes() == before
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_tasks_of_ones_own_round_trip(tmp_path, build, monkeypatch):
    monkeypatch.setattr(base, "_registry", dict(base._registry))

    class NearTask(DepthTask):
        name = "near"
        target = "depth"

    register_task("near", NearTask, replace=True)
    found = load_checkpoint(save_checkpoint(tmp_path / "c", build(("near", "segmentation"))))
    assert list(found.forward(make_batch()["image"])) == ["near", "segmentation"]


class Shouting(MultiTaskNetwork):
    """Has the tensors of an ordinary network and computes something else."""

    def predict_heads(self, image):
        return {task: 2 * output for task, output in super().predict_heads(image).items()}


def widened(network):
    network.encoder.stages[1][0].depthwise[0] = torch.nn.Conv2d(16, 16, 5, 2, 2, groups=16, bias=False)


def other_activation(network):
    network.heads["depth"].act = torch.nn.ReLU()


def other_type(network):
    network.double()


CHANNELS = {"segmentation": 4, "depth": 1, "normals": 3}


@pytest.mark.parametrize(
    ("network", "said"),
    [
        (torch.nn.Conv2d(3, 4, 1), "it is a Conv2d, no MultiTaskNetwork"),
        (Shouting(small_architecture(), CHANNELS), "it is a Shouting"),
        (MultiTaskNetwork(load_architecture("base"), CHANNELS), "where its architecture makes"),
        (widened, "where its architecture makes"),
        (other_activation, r"it has '\(act\): ReLU\(\)' where its architecture makes '\(act\): ReLU6\(\)'"),
        (other_type, "float64"),
    ],
)
def test_what_could_not_be_loaded_again_is_not_saved(build, folder, network, said):
    model = build()
    if isinstance(network, torch.nn.Module):
        model = dataclasses.replace(model, network=network)
    else:
        network(model.network)
    with pytest.raises(
        CheckpointError, match=f"not saved, since the network could not be loaded again.*{said}"
    ) as error:
        save_checkpoint(folder, model)
    assert "\n" not in str(error.value)
    assert load_checkpoint(folder).steps == 5


def test_parts_of_ones_own_round_trip(tmp_path):
    with example():
        options = {"depth": {"loss": "log_l1", "loss_options": {"floor": 0.1}}}
        model = build_model(
            load_architecture(BOTH),
            tuple(HEADS),
            TARGETS,
            input_size=SIZE,
            task_options=options,
            plugins=(str(EXAMPLE),),
        )
        model.network.eval()
        found = load_checkpoint(save_checkpoint(tmp_path / "c", model))
        image = make_batch(1)["image"]
        assert torch.equal(found.forward(image)["depth"], model.forward(image)["depth"])
        assert found.architecture.to_text() == "backbone:plain(width=4) decoder:top_down(width=8)"
        assert (found.plugins, found.task_options) == ((str(EXAMPLE),), options)


@pytest.mark.parametrize("part", ["backbone", "decoder", "loss"])
def test_loading_names_the_plugin_that_is_not_loaded(tmp_path, build, part, monkeypatch):
    with known():
        if part == "loss":
            register_loss("depth", "theirs", lambda prediction, target: (prediction - target).mean())
            model = build(("depth",), task_options={"depth": {"loss": "theirs"}}, plugins=("theirs.py",))
        else:
            with example():
                name = {"backbone": "plain", "decoder": "top_down"}[part]
                made = getattr(parts, f"_{part}s")[name]
            getattr(parts, f"register_{part}")("theirs", made)
            architecture = load_architecture(f"base {part}:theirs")
            model = build_model(architecture, ("depth",), TARGETS, input_size=SIZE, plugins=("theirs.py",))
        save_checkpoint(tmp_path / "c", model)
    with pytest.raises(
        CheckpointError, match=rf"unknown {part} 'theirs'.*its plugin may be theirs.py: give it by --plugin"
    ):
        load_checkpoint(tmp_path / "c")
    monkeypatch.setitem(sys.modules, "theirs", sys)
    config = json.loads((tmp_path / "c" / "config.json").read_text())
    (tmp_path / "c" / "config.json").write_text(json.dumps({**config, "plugins": ["theirs"]}))
    with pytest.raises(CheckpointError) as error:
        load_checkpoint(tmp_path / "c")
    assert "may be theirs" not in str(error.value)


def test_a_checkpoint_need_not_have_metrics(tmp_path, build):
    folder = save_checkpoint(tmp_path / "run" / "checkpoint", build(("depth",)))
    assert find_metrics(folder) is None
    assert trained_depths(folder) == {}
    assert (run_name(folder), run_name(folder.parent)) == ("run", "run")
