"""The pages of the Python interface: the public names, by the part of the package that they come from."""

from __future__ import annotations

import ednas

TITLES = {
    "arch": "Architectures and the search space",
    "nn": "Networks",
    "tasks": "Tasks, losses and metrics",
    "data": "Data",
    "training": "Training",
    "search": "Search",
    "hw": "Cost on a device",
    "export": "Export",
    "metrics": "Results",
    "scoring": "Comparison",
    "report": "Pictures",
    "plugins": "Plugins",
    "exceptions": "Errors",
}
"""Titles of the pages, by the part of the package."""


def public_names() -> dict[str, list[str]]:
    """Return the paths of all public objects, by the part of the package that they come from."""
    found: dict[str, list[str]] = {part: [] for part in TITLES}
    for name in ednas.__all__:
        target = getattr(ednas, name)
        found[target.__module__.split(".")[1]].append(f"{target.__module__}.{target.__qualname__}")
    return found


def page(part: str) -> str:
    """Return the page of one part as Markdown that mkdocstrings fills."""
    entries = [f"::: {path}" for path in public_names()[part]]
    return "\n\n".join([f"# {TITLES[part]}", f"Names of the package `ednas`, from `ednas.{part}`.", *entries]) + "\n"
