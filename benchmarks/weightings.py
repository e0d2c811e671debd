"""Weightings beside each other, from what `ednas compare-methods` trained: gains over single tasks, tested against one.

    ednas compare-methods base --data streets --input 64x128 --steps 400 --runs 5 --weighting fixed --weighting nash \
        ... --out runs/weightings
    python benchmarks/weightings.py runs/weightings --against fixed

p is of a paired t-test of Δ (Eq. 12), two-sided, and after Holm's correction for all rows.
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path

from rich.console import Console
from rich.table import Table
from scipy.stats import ttest_rel

from ednas.metrics import load_metrics, merge_metrics
from ednas.reproduce.claims import Measured, quantity
from ednas.runs import RunFolder

HARD, ALONE = "hard+", "alone_"
"""How the folders of weightings and of single tasks begin."""


def gains(run: RunFolder) -> dict[str, dict[int, float]]:
    """Return Δ of every weighting's trainings, by its name and seed."""
    folders = sorted(run.trained.iterdir())
    baseline = merge_metrics([load_metrics(folder) for folder in folders if folder.name.startswith(ALONE)])
    rows = {folder.name.removeprefix(HARD): load_metrics(folder) for folder in folders if folder.name.startswith(HARD)}
    return {name: quantity(Measured(metrics, baseline), "delta") for name, metrics in rows.items()}


def corrected(p_values: dict[str, float]) -> dict[str, float]:
    """Return p-values after Holm's correction."""
    result, largest = {}, 0.0
    for rank, (name, p_value) in enumerate(sorted(p_values.items(), key=lambda item: item[1])):
        largest = max(largest, min(1.0, p_value * (len(p_values) - rank)))
        result[name] = largest
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="folder of `ednas compare-methods`")
    parser.add_argument("--against", default="fixed", help="the weighting that the others are tested against")
    options = parser.parse_args()
    rows = {name: [own[seed] for seed in sorted(own)] for name, own in gains(RunFolder(options.run)).items()}
    first = rows[options.against]
    p_values = {name: float(ttest_rel(own, first).pvalue) for name, own in rows.items() if name != options.against}
    holm = corrected(p_values)
    table = Table("weighting", "Δ %", "p", "p (Holm)")
    for name, own in sorted(rows.items(), key=lambda item: -statistics.mean(item[1])):
        chances = (f"{p_values[name]:.4f}", f"{holm[name]:.4f}") if name in holm else ("", "")
        table.add_row(name, f"{statistics.mean(own):+.2f} ± {statistics.stdev(own):.2f}", *chances)
    Console().print(table)


if __name__ == "__main__":
    main()
