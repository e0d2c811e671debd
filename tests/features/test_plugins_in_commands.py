"""Code of one's own from the command line: run where it is asked for, never unsaid, and not from a run's folder."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from helpers.cli import Run
from helpers.small_training import SIZE, small_architecture, write_dataset

from ednas.nn import parts
from ednas.search.controllers import base as controllers
from ednas.tasks import base as tasks
from ednas.tasks import losses

EDGES = Path(__file__).parents[2] / "examples" / "edge_task.py"
OWN = EDGES.with_name("own_network.py")

CONTROLLER = """
from ednas.search.controllers import RandomSearch, register_controller

@register_controller("mine")
class Mine(RandomSearch):
    pass
"""


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDNAS_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_dataset(tmp_path / "data")


@pytest.fixture
def train(data: Path, tmp_path: Path) -> list[object]:
    small = small_architecture().to_text()
    options = ["--tasks", "edges,depth", "--steps", 2, "--batch-size", 4, "--input", "x".join(map(str, SIZE))]
    return ["train", small, "--data", data, *options, "--out", tmp_path / "run", "--json"]


def forget() -> None:
    """Be as a process that has loaded no plugin."""
    tasks._registry.pop("edges", None)
    controllers._registry._known.pop("mine", None)
    for registry in (parts._backbones, parts._decoders, losses._registry):
        registry.clear()
    for name in [name for name in sys.modules if name.startswith("ednas_plugin_")]:
        del sys.modules[name]


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    """Let no test know what another one has loaded."""
    forget()
    yield
    forget()


def test_a_task_of_ones_own_all_the_way(run: Run, train: list[object], data: Path, tmp_path: Path) -> None:
    code, _, err = run(*train)
    assert code == 2
    assert "unknown task 'edges'" in err
    code, printed, err = run(*train, "--plugin", EDGES)
    assert code == 0, err
    assert f"running the plugin {EDGES}" in err
    metrics = json.loads(printed)
    assert metrics["tasks"].keys() == {"edges", "depth"}


def test_a_checkpoint_runs_no_code_but_says_whose_it_needs(
    run: Run, train: list[object], data: Path, tmp_path: Path
) -> None:
    assert run(*train, "--plugin", EDGES)[0] == 0
    forget()
    checkpoint, image = tmp_path / "run" / "checkpoint", data.parent / "val" / "image" / "0.png"
    evaluate = ["evaluate", checkpoint, "--data", data, "--json"]
    predict = ["predict", checkpoint, image, "--out", tmp_path / "seen"]
    for command in (evaluate, predict, ["export", checkpoint, "--data", data, "--out", tmp_path / "export"]):
        code, _, err = run(*command)
        assert (code, err.count("\n")) == (2, 1)
        assert f"unknown task 'edges'; known: depth, normals, segmentation; its plugin may be {EDGES}: give" in err
    code, printed, err = run(*evaluate, "--plugin", EDGES)
    assert code == 0, err
    assert json.loads(printed)["tasks"] == json.loads((checkpoint / "metrics.json").read_text())["tasks"]
    assert run(*predict, "--plugin", EDGES)[0] == 0
    assert np.load(tmp_path / "seen" / "0_edges.npy").shape == SIZE


def test_a_plugin_in_a_runs_folder_is_not_run_unasked(run: Run, train: list[object], tmp_path: Path) -> None:
    folder = tmp_path / "theirs"
    (folder / "code").mkdir(parents=True)
    (folder / "study.db").touch()
    plugin = Path(shutil.copy(EDGES, folder / "code"))
    plugin.write_text(f"{plugin.read_text()}\nopen({str(tmp_path / 'was_here')!r}, 'w').close()\n")
    (folder / "config.yaml").write_text(f"plugins: [{plugin}]\n")
    command = [*train, "--config", folder / "config.yaml"]
    code, _, err = run(*command)
    assert (code, err.count("\n")) == (2, 1)
    assert f"plugin {plugin}: lies in a run's folder" in err
    assert not (tmp_path / "was_here").exists()
    code, _, err = run(*command, "--allow-plugins")
    assert code == 0, err
    assert f"running the plugin {plugin}" in err
    assert (tmp_path / "was_here").exists()


@pytest.mark.parametrize("place", ["a link", "a module"])
def test_a_plugin_in_a_runs_folder_by_another_name(
    run: Run, train: list[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    folder = tmp_path / "theirs"
    folder.mkdir()
    (folder / "study.db").touch()
    plugin = Path(shutil.copy(EDGES, folder / "code.py"))
    (tmp_path / "link.py").symlink_to(plugin)
    monkeypatch.chdir(tmp_path)
    name = "link.py" if place == "a link" else "theirs.code"
    (tmp_path / "config.yaml").write_text(f"plugins: [{name}]\n")
    code, _, err = run(*train, "--config", "config.yaml")
    assert (code, err.count("\n")) == (2, 1)
    assert f"plugin {name}: lies in a run's folder" in err


@pytest.mark.parametrize("command", ["train", "search"])
def test_a_teacher_that_is_code_is_a_plugin(run: Run, data: Path, tmp_path: Path, command: str) -> None:
    folder = tmp_path / "theirs"
    folder.mkdir()
    (folder / "state.safetensors").touch()
    teacher = folder / "teacher.py"
    teacher.write_text(f"open({str(tmp_path / 'was_here')!r}, 'w').close()\ndef make(): raise RuntimeError('no')\n")
    recipe = f"{{name: mini, steps: 1, batch_size: 2, teacher: '{teacher}:make'}}"
    training = f"{{data: '{data}', tasks: [depth], recipe: {recipe}}}"
    (folder / "config.yaml").write_text(f"training: {training}" if command == "search" else training)
    words = [command, "--config", folder / "config.yaml", "--out", tmp_path / "run"]
    code, _, err = run(*words)
    assert (code, err.count("\n")) == (2, 1)
    assert f"plugin {teacher}: lies in a run's folder" in err
    assert not (tmp_path / "was_here").exists()
    if command == "search":
        return
    code, _, err = run(*words, "--allow-plugins")
    assert code == 2
    assert f"running the plugin {teacher}" in err
    assert "fails (RuntimeError: no)" in err
    assert "Traceback" not in err


def test_the_name_of_a_plugin_does_not_act_on_the_terminal(run: Run, train: list[object], tmp_path: Path) -> None:
    plugin = tmp_path / "a\x1b[2K\rharmless.py"
    shutil.copy(EDGES, plugin)
    code, _, err = run(*train, "--plugin", plugin)
    assert code == 0, err
    assert "a\\x1b[2K\\rharmless.py" in err


def test_plugins_of_a_file_and_of_the_command_line(run: Run, train: list[object], tmp_path: Path) -> None:
    file = tmp_path / "train.yaml"
    file.write_text("plugins:\n")
    code, _, err = run(*train, "--config", file, "--plugin", EDGES)
    assert code == 0, err
    file.write_text("plugins: 3\n")
    code, _, err = run(*train, "--config", file, "--plugin", EDGES, "--out", tmp_path / "other")
    assert code == 2
    assert "'plugins': must be a list" in err


def test_a_controller_of_ones_own(run: Run, data: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(CONTROLLER)
    (tmp_path / "search.yaml").write_text(
        "trials: 1\nspace: {kinds: [ibn], kernel_sizes: [3], multipliers: [0.5, 1.0]}\nexecutor: inline\n"
        f"controller: {{name: mine}}\ntraining:\n  data: {data}\n"
        "  recipe: {name: mini, steps: 1, batch_size: 2, input_size: [32, 64]}\n"
        f"  plugins: [{tmp_path / 'mine.py'}]\n"
    )
    text = (tmp_path / "search.yaml").read_text()
    (tmp_path / "without.yaml").write_text(text.partition("  plugins:")[0])
    code, _, err = run("search", "--config", tmp_path / "without.yaml", "--out", tmp_path / "other")
    assert (code, err.count("\n")) == (2, 1)
    assert "unknown controller 'mine'" in err
    code, printed, err = run("search", "--config", tmp_path / "search.yaml", "--out", tmp_path / "found", "--json")
    assert code == 0, err
    assert json.loads(printed)["best"]["trial"] == 0


@pytest.mark.slow
def test_a_network_of_ones_own_all_the_way(run: Run, data: Path, tmp_path: Path) -> None:
    text = "base backbone:plain(width=4) decoder:top_down(width=8)"
    options = ["--data", data, "--tasks", "depth", "--steps", 2, "--batch-size", 4, "--input", "32x64"]
    command = ["train", text, *options, "--out", tmp_path / "run", "--json"]
    code, _, err = run(*command)
    assert (code, err.count("\n")) == (2, 1)
    assert "unknown backbone 'plain'; known: none; give the file that registers it by --plugin" in err
    code, printed, err = run(*command, "--plugin", OWN)
    assert code == 0, err
    assert json.loads(printed)["params"] == json.loads(run("arch", "show", tmp_path / "run" / "checkpoint",
        "--tasks", "depth", "--json")[1])["params"]  # fmt: skip
    forget()
    checkpoint, image = tmp_path / "run" / "checkpoint", data.parent / "val" / "image" / "0.png"
    evaluate = ["evaluate", checkpoint, "--data", data, "--json"]
    predict = ["predict", checkpoint, image, "--out", tmp_path / "seen"]
    export = ["export", checkpoint, "--data", data, "--out", tmp_path / "export"]
    for command in (evaluate, predict, export):
        code, _, err = run(*command)
        assert (code, err.count("\n")) == (2, 1)
        assert f"its plugin may be {OWN}: give it by --plugin" in err
    for command in (["latency", checkpoint], ["arch", "show", checkpoint], ["benchmark", checkpoint]):
        code, _, err = run(*command)
        assert code == 2
        assert "unknown backbone 'plain'" in err
    code, printed, err = run(*evaluate, "--plugin", OWN)
    assert code == 0, err
    assert json.loads(printed)["tasks"] == json.loads((checkpoint / "metrics.json").read_text())["tasks"]
    assert run(*predict, "--plugin", OWN)[0] == 0
    code, printed, err = run("latency", checkpoint, "--plugin", OWN, "--json")
    assert code == 0, err
    assert json.loads(printed)["latency_ms"] > 0
    forget()
    assert run("report", tmp_path / "run")[0] == 0
    assert "backbone" in (tmp_path / "run" / "report.html").read_text()
