"""Table 5: stronger baselines, and joint search against searches for one task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ednas.reproduce.claims import Better
from ednas.reproduce.paper import printed
from ednas.reproduce.scales import Problem, Scale
from ednas.reproduce.table import Row, Table
from ednas.reproduce.tables.methods import READINGS
from ednas.tasks import loss_preset
from ednas.training import TrainConfig

JARED = "cityscapes_jared"


def table5(scale: Scale) -> Table:
    """Return the declaration: EDNAS's network is found here, by the paper's way to search; Table 6's stand below."""
    problem, rate = scale.two_tasks, scale.strong_rate
    learned = (problem.config(preset=JARED, learning_rate=rate),)
    strong = _alone(problem, rate, loss_preset(JARED).task_options["depth"])
    searches = {
        "joint": ("EDNAS+maxLR+JAReD, found here", problem.tasks, "EDNAS+maxLR+JAReD"),
        "from_segmentation": ("Transfer: NAS-Seg to MT, found here", ("segmentation",), "NAS-Seg to MT"),
        "from_depth": ("Transfer: NAS-Dep to MT, found here", ("depth",), "NAS-Dep to MT"),
    }
    found = [
        Row(key, title, learned, "single", printed("table5", model), search=scale.search(tasks))
        for key, (title, tasks, model) in searches.items()
    ]
    table6 = [
        Row(
            f"ednas_{reading}",
            f"EDNAS+maxLR+JAReD, {note}",
            (problem.config(network, preset=JARED, learning_rate=rate),),
            "single",
            printed("table5", "EDNAS+maxLR+JAReD"),
            reading,
        )
        for reading, (network, note) in READINGS.items()
    ]
    return Table(
        "table5",
        "Stronger baselines, and joint against transferred search",
        (
            Row("weak", "ST edge baseline", _alone(problem, scale.weak_rate), None, printed("table5", "ST edge")),
            Row("strong", "ST edge+maxLR", _alone(problem, rate), "weak", printed("table5", "ST edge+maxLR")),
            Row("strong_jared", "ST edge+maxLR+JAReD", strong, "weak", printed("table5", "ST edge+maxLR+JAReD")),
            Row("single", "ST edge+maxLR+JAReD, as the baseline", strong),
            Row("base", "MT edge+maxLR+JAReD", learned, "single", printed("table5", "MT edge+maxLR+JAReD")),
            *found,
            *table6,
        ),
        (
            Better("A higher learning rate improves single tasks", "strong", "weak", printed="+20.0"),
            Better("JAReD improves single tasks further", "strong_jared", "strong", printed="+9.7"),
            Better("Learning both tasks costs the base accuracy", "single", "base", printed="+1.1"),
            Better("What joint search finds is better than the base", "joint", "base", printed="+4.4"),
            Better("What joint search finds is better than single tasks", "joint", "single", printed="+3.3"),
            Better("What NAS-Seg finds is better than the base", "from_segmentation", "base", printed="+4.1"),
            Better("What NAS-Dep finds is better than the base", "from_depth", "base", printed="+3.4"),
            Better("Joint search finds better than NAS-Seg", "joint", "from_segmentation", printed="+0.3"),
            Better("Joint search finds better than NAS-Dep", "joint", "from_depth", printed="+1.0"),
            *(
                Better("EDNAS's network is better than the base", f"ednas_{reading}", "base", "delta", "+4.4", reading)
                for reading in READINGS
            ),
        ),
        notes=(
            "A search from each seed, by regularised evolution from random networks, which sees training images alone; "
            "what is found differs with the seed, too.",
            "No network slower than the base is trained in a search, so that all readings of Eq. 5 come to the same.",
            "By our simulator Table 6's networks are slower than the base (see speed): no search here could find them.",
        ),
    )


def _alone(problem: Problem, rate: float, depth: Mapping[str, Any] | None = None) -> tuple[TrainConfig, ...]:
    """Return each task alone, whose loss weighs 1; segmentation is the same with JAReD."""
    return tuple(
        problem.config(
            tasks=(task,), learning_rate=rate, task_options={"depth": depth} if depth and task == "depth" else {}
        )
        for task in problem.tasks
    )
