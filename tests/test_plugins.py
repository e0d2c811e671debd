"""Plugins: files and modules of the user's own."""

from __future__ import annotations

import pickle
import sys

import pytest

from ednas.exceptions import ConfigError
from ednas.plugins import load_plugin
from ednas.tasks import base, task_names, task_target


@pytest.fixture(autouse=True)
def _clean_registry(monkeypatch):
    """Undo what a test registers and imports."""
    task_target("segmentation"), task_target("depth"), task_target("normals")
    monkeypatch.setattr(base, "_registry", dict(base._registry))
    before = set(sys.modules)
    yield
    for name in {name for name in sys.modules if "plugin" in name} - before:
        del sys.modules[name]


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
