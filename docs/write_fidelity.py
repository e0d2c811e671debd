"""Writes docs/fidelity.md from the stored results of `ednas reproduce`.

python docs/write_fidelity.py
"""

from __future__ import annotations

from pathlib import Path

from ednas.files import write_text
from ednas.reproduce.collect import collect
from ednas.reproduce.finished import Finished
from ednas.reproduce.page import fidelity
from ednas.reproduce.result import TableResult, load_table
from ednas.reproduce.scales import make_scale
from ednas.reproduce.tables import TABLES

PAGE = Path(__file__).with_name("fidelity.md")
RESULTS = Path(__file__).parents[1] / "benchmarks" / "results" / "reproduce"
SCALE = "mini"


def page() -> str:
    """Return the page."""
    return fidelity([_result(name) for name in TABLES])


def _result(name: str) -> TableResult:
    """Return what is stored of a table, or the table with nothing in it."""
    file = RESULTS / SCALE / f"{name}.json"
    if file.is_file():
        return load_table(file)
    scale = make_scale(SCALE, {})
    return collect(TABLES[name](scale), scale, Finished(None))


if __name__ == "__main__":
    write_text(PAGE, page())
    print(f"wrote {PAGE}")
