"""Code of a user's own: it is run when it is asked for, once, and its errors name the line."""

from __future__ import annotations

import pickle

import pytest

from ednas.exceptions import ConfigError
from ednas.plugins import (
    all_plugins,
    configured_plugins,
    is_loaded,
    load_plugin,
    load_plugins,
    loaded_files,
    teacher_plugins,
)
from ednas.tasks import task_names

pytestmark = pytest.mark.usefixtures("clean_registry")


def test_file(tmp_path):
    file = tmp_path / "my_plugin.py"
    file.write_text("from ednas.tasks import register_task\nregister_task('mine', lambda info: None)\nX = 1\n")
    module = load_plugin(file)
    assert module.X == 1
    assert "mine" in task_names()
    assert load_plugin(str(file)) is module, "loading twice must not register twice"


def test_what_a_file_defines_can_be_pickled(tmp_path):
    file = tmp_path / "plugin_data.py"
    file.write_text(
        "from __future__ import annotations\nfrom dataclasses import dataclass\n"
        "@dataclass\nclass Point:\n    x: int = 3\n"
    )
    assert pickle.loads(pickle.dumps(load_plugin(file).Point())).x == 3


def test_module(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    package = tmp_path / "plugin_package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "tasks.py").write_text("X = 2\n")
    assert load_plugin("plugin_package.tasks").X == 2
    with pytest.raises(ConfigError, match=r"no module 'plugin_package\.task' can be imported"):
        load_plugin("plugin_package.task")


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("x = 1\nraise ValueError('bad\\nvalue')\n", "line 2: ValueError: bad value"),
        ("x = 1\ny = (\n", "line 2: "),
        (
            "import not_installed_anywhere\n",
            "line 1: ModuleNotFoundError: No module named 'not_installed_anywhere'",
        ),
        ("import sys\nsys.exit(3)\n", "line 2: SystemExit: 3"),
        ("from ednas.tasks import *\nregister_task('depth', int)\n", "line 2: ConfigError: a task 'depth' exists"),
    ],
)
def test_code_that_fails(tmp_path, monkeypatch, code, words):
    monkeypatch.syspath_prepend(str(tmp_path))
    file = tmp_path / "plugin_broken.py"
    file.write_text(code)
    with pytest.raises(ConfigError) as caught:
        load_plugin(file)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    with pytest.raises(ConfigError, match="plugin 'plugin_broken' cannot be imported"):
        load_plugin("plugin_broken")


@pytest.mark.parametrize("name", ["none.py", "folder/none", "no_such_module_here", "no_such.module"])
def test_missing(name):
    with pytest.raises(ConfigError, match=r"no such \.py file|can be imported"):
        load_plugin(name)


def test_what_is_loaded_is_known(tmp_path):
    file = tmp_path / "known_plugin.py"
    file.write_text("X = 1\n")
    assert not is_loaded(file)
    load_plugin(file)
    assert is_loaded(str(file))
    assert str(file) in loaded_files()
    assert is_loaded("ednas.plugins")
    assert not is_loaded("ednas.no_such_module")


def test_several_are_announced_before_they_are_run(tmp_path):
    first, second = tmp_path / "first_plugin.py", tmp_path / "second_plugin.py"
    first.write_text("X = 1\n")
    second.write_text("raise ValueError('no')\n")
    said = []
    with pytest.raises(ConfigError, match="second_plugin.py cannot be imported"):
        load_plugins([str(first), str(second)], announce=said.append)
    assert said == [f"running the plugin {first}", f"running the plugin {second}"]
    assert is_loaded(first)


def test_a_runs_folder_needs_a_permission(tmp_path):
    (tmp_path / "study.db").touch()
    file = tmp_path / "code" / "their_plugin.py"
    file.parent.mkdir()
    file.write_text("X = 1\n")
    with pytest.raises(ConfigError, match="lies in a run's folder"):
        load_plugins([str(file)], allowed=False)
    assert not is_loaded(file)
    load_plugins([str(file)])
    assert is_loaded(file)


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({}, []),
        ({"plugins": None}, []),
        ({"plugins": 3}, []),
        ({"plugins": ["a.py", 3, "b"]}, ["a.py", "b"]),
        ({"plugins": ("a.py",)}, ["a.py"]),
    ],
)
def test_plugins_of_a_configuration(values, named):
    assert configured_plugins(values) == named


@pytest.mark.parametrize(
    ("recipe", "named"),
    [
        (None, []),
        ("mini", []),
        ({"teacher": None}, []),
        ({"teacher": 3}, []),
        ({"teacher": "runs/teacher"}, []),
        ({"teacher": "mine.py:make"}, ["mine.py"]),
        ({"teacher": "package.mine:make"}, ["package.mine"]),
    ],
)
def test_a_teacher_that_is_a_function(recipe, named):
    assert teacher_plugins({"recipe": recipe}) == named


def test_a_folder_with_a_colon_is_no_code(tmp_path):
    folder = tmp_path / "at:noon"
    folder.mkdir()
    assert teacher_plugins({"recipe": {"teacher": str(folder)}}) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("own", "given", "together"),
    [(None, None, None), (["a"], None, None), (["a"], ["b"], ["a", "b"]), (None, ["b"], ["b"]), (3, ["b"], None)],
)
def test_plugins_of_a_file_and_of_the_command_line(own, given, together):
    assert all_plugins({"plugins": own}, given) == together
