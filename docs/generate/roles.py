"""An extension of Griffe: docstrings of the Python interface with Markdown instead of Sphinx's roles."""

from __future__ import annotations

from typing import Any

from griffe import Extension, Object

from generate.text import as_markdown


class Roles(Extension):
    """Turns ``:class:`~ednas.hw.Target``` into a link, and literals into Markdown's."""

    def on_instance(self, *, obj: Object, **_: Any) -> None:
        """Rewrite the docstring of an object before anything parses it."""
        if obj.docstring:
            obj.docstring.value = as_markdown(obj.docstring.value)
