"""The Python of README and documentation runs as it stands, and what they say about files is true."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.parametrize("document", ["README.md", "docs/from-python.md", "docs/contributing.md"])
def test_python_examples_run(document: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / document).read_text(encoding="utf-8"), flags=re.DOTALL)
    assert blocks
    monkeypatch.setenv("EDNAS_CACHE", str(tmp_path / "cache"))
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    code = "\n".join(blocks)
    # In a process of its own: a script, as a user would run it.
    (tmp_path / "example.py").write_text(code, encoding="utf-8")
    done = subprocess.run([sys.executable, "example.py"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_linked_files_exist() -> None:
    links = re.findall(r"\]\((?!https?://|#)([^)#]+)\)", README)
    assert links
    for link in links:
        assert (ROOT / link).exists(), link


PAGES = sorted((ROOT / "docs").rglob("*.md"))
MADE = ("reference/", "examples.md")
"""Where the links to pages lead that are made when the site is built, which checks them."""


@pytest.mark.parametrize("document", PAGES, ids=lambda path: path.relative_to(ROOT / "docs").as_posix())
def test_links_of_the_documentation_exist(document: Path) -> None:
    for link in re.findall(r"\]\((?!https?://|#)([^)#]+)\)", document.read_text(encoding="utf-8")):
        if not link.removeprefix("../").startswith(MADE):
            assert (document.parent / link).exists(), link
