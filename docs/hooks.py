"""What `mkdocs build` calls: pages made from the code, tables made from measurements, links to files beside docs/."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Any

from generate import api, commands, configuration, measurements
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
REFERENCE = "reference"

_log = logging.getLogger("mkdocs.hooks")

_TABLE = re.compile(r"<!-- table: ([\w-]+) -->")
_EXAMPLE = re.compile(r"\]\((?:\.\./)+examples/([\w./-]+)\)")
_ROLE = re.compile(r":(?:attr|class|data|func|meth):<code>")
_ELSEWHERE = re.compile(r"<(?:script|link|img|iframe)\b[^>]*\b(?:src|href)=[\"']?(?:https?:)?//[^>]*>")


def on_files(files: Files, config: Any) -> Files:
    """Add the pages that have no file in docs/."""
    pages = {
        f"{REFERENCE}/commands.md": commands.page(),
        **{f"{REFERENCE}/configuration/{name}.md": configuration.page(name) for name in configuration.PAGES},
        **{f"{REFERENCE}/api/{part}.md": api.page(part) for part in api.TITLES},
        "examples.md": _examples(),
        "changelog.md": (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"),
    }
    for path, content in pages.items():
        files.append(File.generated(config, path, content=content))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Put tables in their places, and lead links to the examples to their page."""
    markdown = _TABLE.sub(lambda match: measurements.TABLES[match[1]](), markdown)
    up = "../" * page.file.src_uri.count("/")
    return _EXAMPLE.sub(lambda match: f"]({up}examples.md#{_anchor(match[1])})", markdown)


def on_post_page(output: str, page: Any, **_: Any) -> None:
    """Warn of roles that nothing has turned into links, and of what a browser would fetch: no network is needed."""
    if _ROLE.search(output):
        _log.warning("%s: holds roles of Sphinx; is docs/generate/roles.py loaded?", page.file.src_uri)
    for found in _ELSEWHERE.findall(output):
        if "canonical" not in found:
            _log.warning("%s: fetches from elsewhere: %s", page.file.src_uri, found)


def _examples() -> str:
    """Return the page of all examples, which are read from ``examples/``."""
    parts = [
        "# Examples",
        "The files of the folder `examples/`. Each says at its top what it is for and what it needs.",
    ]
    folder = ROOT / "examples"
    for path in sorted(path for path in folder.rglob("*") if path.suffix in (".yaml", ".py")):
        name = path.relative_to(folder).as_posix()
        language = path.suffix.removeprefix(".")
        content = path.read_text(encoding="utf-8").rstrip()
        parts += [f"## {name} {{ #{_anchor(name)} }}", f"````{language}\n{content}\n````"]
    return "\n\n".join(parts) + "\n"


def _anchor(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower())
