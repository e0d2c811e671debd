"""A re-enactment that takes seconds: a small network, few steps, a table of its own."""

from __future__ import annotations

from pathlib import Path

from ednas.reproduce.claims import Better, Steadier
from ednas.reproduce.paper import printed
from ednas.reproduce.scales import Budget, Problem, Scale
from ednas.reproduce.table import Row, SearchRow, Table
from ednas.training import Recipe
from helpers.small_training import SIZE, small_architecture, write_dataset

TASKS = ("segmentation", "depth")


def small_scale(folder: Path) -> Scale:
    recipe = Recipe(steps=2, batch_size=4, learning_rate=1e-2, input_size=SIZE, log_every=1)
    data = folder / "dataset.yaml" if folder.exists() else write_dataset(folder)
    problem = Problem("streets", str(data), TASKS, recipe)
    return Scale("small", problem, problem, 1e-3, 1e-2, Budget(2, 2, 1, 2), "All is small.")


def small_table(scale: Scale) -> Table:
    """Two rows, one of them of two trainings, and a claim of each kind."""
    problem, network = scale.two_tasks, small_architecture().to_text()
    alone = tuple(problem.config(network, tasks=(task,)) for task in TASKS)
    return Table(
        "small",
        "A small table",
        (
            Row("single", "Single tasks", alone, printed=printed("table2", "ST edge")),
            Row("base", "Both", (problem.config(network),), "single", printed("table2", "MT edge")),
            Row("heavy", "Both, read otherwise", (problem.config(network, steps=3),), "single", reading="counted"),
        ),
        (
            Better("Both are better", "base", "single", printed="+1"),
            Better("Depth is better", "heavy", "base", "depth.rel_err", reading="counted"),
            Steadier("Both spread less", "base", "single", "depth.abs_err"),
        ),
        runs=3,
        notes=("It is small.",),
    )


def searched_table(scale: Scale) -> Table:
    """What a search finds, as blocks and trained."""
    search = scale.search(TASKS)
    search = search.model_copy(
        update={"training": search.training.model_copy(update={"architecture": small_architecture().to_text()})}
    )
    return Table(
        "searched",
        "A search",
        (
            Row("found", "Found", (scale.two_tasks.config(small_architecture().to_text()),), search=search),
            SearchRow("joint", "Its blocks", (search,)),
            SearchRow("random", "Random blocks", (search,), random=True),
        ),
        (Better("More Fused-IBN", "joint", "random", "backbone.fused_percent"),),
        runs=2,
    )
