"""Methods that are chosen by name: a package's own, a file each, and those that plugins register."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar, cast

from ednas.config import StrictModel, parse
from ednas.exceptions import ConfigError, hint


class Method:
    """What a configuration names."""

    class Options(StrictModel):
        """Its own settings in a configuration; each has a default."""


Kind = TypeVar("Kind", bound=Method)
Class = TypeVar("Class", bound=type[Method])


class Registry(Generic[Kind]):
    """Subclasses of one kind of method, by name.

    Args:
        kind: What they are, for messages: ``controller``.
        package: Where ours are: every file of it is imported before a name is looked up.
    """

    def __init__(self, kind: str, package: str) -> None:
        self._kind = kind
        self._package = package
        self._known: dict[str, type[Kind]] = {}

    def register(self, name: str) -> Callable[[Class], Class]:
        """Make a class known by name; a decorator.

        Raises:
            ConfigError: The name is taken by another class.
        """

        def register(method: Class) -> Class:
            known = self._known.setdefault(name, cast("type[Kind]", method))
            if (known.__module__, known.__qualname__) != (method.__module__, method.__qualname__):
                raise ConfigError(f"a {self._kind} '{name}' exists already; choose another name")
            return method

        return register

    def names(self) -> tuple[str, ...]:
        """Names of all classes."""
        package = importlib.import_module(self._package)
        for module in pkgutil.iter_modules(package.__path__):
            importlib.import_module(f"{package.__name__}.{module.name}")
        return tuple(sorted(self._known))

    def find(self, name: str) -> type[Kind]:
        """Return a class.

        Raises:
            ConfigError: Unknown name, with the nearest known one.
        """
        known = self.names()
        if name not in known:
            raise ConfigError(f"unknown {self._kind} '{name}'; {hint(name, known)}")
        return self._known[name]

    def complete(self, name: str, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return the options of a class with every one spelled out, as JSON values.

        Raises:
            ConfigError: Unknown name or option, with the nearest known one, or a wrong value.
        """
        return parse(self.find(name).Options, options, f"{self._kind}.options").model_dump(mode="json")
