"""Code of the user's own: files and modules that register tasks, losses, backbones, formats, controllers.

A plugin's code is run. It is named by whoever starts a command, or by the configuration of a run; the latter may come
from somebody else, so that one in a run's folder needs a permission. A checkpoint only names the plugins that it may
need, and runs none.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import os
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from ednas.exceptions import ConfigError
from ednas.files import exists
from ednas.runs import CheckpointFolder, RunFolder

_PREFIX = "ednas_plugin_"
"""Of the names that files become modules by."""


def load_plugin(path_or_module: str | Path) -> ModuleType:
    """Import a user's module, so that what it registers is known: tasks, losses, backbones, formats, controllers.

    The module's code is run: load only files you trust. Loading the same file or module again is free.

    Args:
        path_or_module: A path that ends in ``.py``, or a module that Python can import (``package.module``).

    Raises:
        ConfigError: There is no such file or module, or it fails while being imported; names the line.
    """
    text = os.fspath(path_or_module)
    if _is_file(text):
        return _load_file(Path(text))
    try:
        return importlib.import_module(text)
    except ModuleNotFoundError as error:
        if error.name is not None and (text == error.name or text.startswith(f"{error.name}.")):
            raise ConfigError(
                f"no module '{error.name}' can be imported; install it, or give the path of a .py file"
            ) from error
        raise ConfigError(f"plugin '{text}' cannot be imported: {error}") from error
    except (Exception, SystemExit) as error:
        raise ConfigError(f"plugin '{text}' cannot be imported: {_describe_error(error)}") from error


def load_plugins(
    plugins: Iterable[str], *, allowed: bool = True, announce: Callable[[str], None] | None = None
) -> None:
    """Run the code of several plugins, in their order.

    Args:
        plugins: Files or modules.
        allowed: Whether they may lie in a run's folder, which may come from somebody else.
        announce: Called with a line before the code of each is run.

    Raises:
        ConfigError: One is not allowed, is missing, or fails.
    """
    for name in plugins:
        if not allowed and _lies_in_a_run(name):
            raise ConfigError(
                f"plugin {name}: lies in a run's folder, which may come from somebody else, and its code would be run; "
                "look at it, then add --allow-plugins"
            )
        if announce is not None:
            announce(f"running the plugin {name}")
        load_plugin(name)


def is_loaded(path_or_module: str | Path) -> bool:
    """Whether a plugin's code has been run in this process."""
    text = os.fspath(path_or_module)
    return (_module_name(Path(text)) if _is_file(text) else text) in sys.modules


def loaded_files() -> tuple[str, ...]:
    """Paths of the plugins whose files have been run in this process."""
    plugins = [module for name, module in sys.modules.items() if name.startswith(_PREFIX)]
    return tuple(str(module.__file__) for module in plugins)


def configured_plugins(values: Mapping[str, Any]) -> list[str]:
    """Return the plugins that a configuration, as it was read, lists; what is no text is left to be refused with it."""
    plugins = values.get("plugins")
    return [name for name in plugins if isinstance(name, str)] if isinstance(plugins, list | tuple) else []


def all_plugins(values: Mapping[str, Any], plugins: Sequence[str] | None) -> list[str] | None:
    """Return a configuration's plugins and those of the command line; None leaves what the configuration says."""
    own = values.get("plugins") or []
    return [*own, *plugins] if plugins and isinstance(own, list) else None


def teacher_plugins(values: Mapping[str, Any]) -> list[str]:
    """Return the file or module of a configuration's teacher, as it was read, where that is a function."""
    recipe = values.get("recipe")
    source = recipe.get("teacher") if isinstance(recipe, Mapping) else None
    place, colon, _ = source.rpartition(":") if isinstance(source, str) else ("", "", "")
    return [place] if colon and not exists(str(source)) else []


def _lies_in_a_run(plugin: str) -> bool:
    # A module may lie below the folder that Python is started in.
    path = Path(plugin) if plugin.endswith(".py") else Path(*plugin.split("."))
    places = {*path.absolute().parents, *path.resolve().parents}
    return any(_is_of_a_run(parent) for parent in places)


def _is_of_a_run(folder: Path) -> bool:
    run = RunFolder(folder)
    files = (run.study, run.state, run.checkpoint.weights, CheckpointFolder(folder).weights)
    return any(file.exists() for file in files)


def _is_file(plugin: str) -> bool:
    return plugin.endswith(".py") or os.sep in plugin


def _module_name(path: Path) -> str:
    """One name per file, the same in every process, so that what a plugin defines can be pickled."""
    return f"{_PREFIX}{path.stem}_{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:8]}"


def _load_file(path: Path) -> ModuleType:
    if not path.is_file() or path.suffix != ".py":
        raise ConfigError(f"plugin {path}: no such .py file")
    place, name = str(path.resolve()), _module_name(path)
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, place)
    if spec is None or spec.loader is None:
        raise ConfigError(f"plugin {path}: not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise ConfigError(f"plugin {path} cannot be imported: {_describe_error(error, place)}") from error
    return module


def _describe_error(error: BaseException, file: str | None = None) -> str:
    if isinstance(error, SyntaxError):
        return f"line {error.lineno}: {error.msg}"
    lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == file]
    where = f"line {lines[-1]}: " if lines else ""
    message = " ".join(str(error).split())
    return f"{where}{type(error).__name__}{': ' if message else ''}{message}"
