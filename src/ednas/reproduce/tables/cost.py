"""What it costs to search: one search for all tasks, against one search a task."""

from __future__ import annotations

from ednas.reproduce.claims import Better
from ednas.reproduce.scales import Scale
from ednas.reproduce.searches import SEARCH
from ednas.reproduce.table import SearchRow, Table


def cost(scale: Scale) -> Table:
    """Return the declaration: the searches of Table 5."""
    alone = {task: scale.search((task,)) for task in scale.two_tasks.tasks}
    return Table(
        "cost",
        "Computation of searches",
        (
            SearchRow("joint", "One search for all tasks", (scale.search(scale.two_tasks.tasks),)),
            *(SearchRow(task, f"Search for {task}", (search,)) for task, search in alone.items()),
            SearchRow("each", "One search a task", tuple(alone.values())),
        ),
        (Better("One search for all tasks is cheaper than one a task", "joint", "each", f"{SEARCH}.seconds"),),
        notes=(
            'The abstract\'s "1/10th of the computation" is that of the found networks against ResNets (Table 2: 4.1 '
            "against 43.6 GFLOP); of searches the paper gives no figure but their days.",
        ),
    )
