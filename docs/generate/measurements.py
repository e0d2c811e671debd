"""Tables of measurements, by the benchmarks' own functions from the rows in ``benchmarks/results``."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

from ednas.report.formats import markdown

BENCHMARKS = str(Path(__file__).parents[2] / "benchmarks")


def benchmark(name: str) -> Any:
    """Return a script of ``benchmarks/`` as a module, which imports its neighbours."""
    if BENCHMARKS not in sys.path:
        sys.path.append(BENCHMARKS)
    return importlib.import_module(name)


def trainings(suite: str, data: str, *, short: bool = False) -> str:
    """Return the trainings of a suite of ``benchmarks/recipes.py`` that were done on some data.

    Args:
        suite: ``result``, ``choice`` or ``network``.
        data: Name of the data there.
        short: Of ``network``: the trainings of as few steps as a search's candidates have, else the others.
    """
    recipes = benchmark("recipes")
    done = recipes.load()
    jobs = [job for job in recipes.SUITES[suite]() if job.data == data and job.key in done]
    if suite == "network":
        jobs = [job for job in jobs if (job.changes.get("steps") == recipes.CANDIDATE_STEPS) == short]
    table = recipes.tabulate(data, jobs, done)
    del table.columns[-1]  # the losses on the way, too wide for a page
    return markdown(table)


def partial_labels() -> str:
    """Return what ``benchmarks/partial_labels.py`` prints."""
    script = benchmark("partial_labels")
    rows, verdicts = script.tabulate(script.load(), 800)
    return "\n\n".join([markdown(rows), *verdicts])


TABLES = {
    "recipes-result-streets": lambda: trainings("result", "streets"),
    "recipes-result-nyuv2": lambda: trainings("result", "nyuv2"),
    "recipes-choice-streets": lambda: trainings("choice", "streets:choice"),
    "recipes-choice-nyuv2": lambda: trainings("choice", "nyuv2:choice"),
    "recipes-rooms-nyuv2": lambda: trainings("choice", "nyuv2:rooms"),
    "recipes-network": lambda: trainings("network", "streets:choice"),
    "recipes-network-short": lambda: trainings("network", "streets:choice", short=True),
    "partial-labels": partial_labels,
}
"""What makes each table that a page asks for, as by ``<!-- table: partial-labels -->``."""
