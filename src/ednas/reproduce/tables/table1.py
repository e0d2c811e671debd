"""Table 1: how much depth fluctuates over trainings, by L1 and by JAReD."""

from __future__ import annotations

from ednas.reproduce.claims import Better, Steadier
from ednas.reproduce.paper import printed_noise
from ednas.reproduce.scales import Scale
from ednas.reproduce.table import Row, Table

RUNS = 8
"""The paper's three runs cannot tell standard deviations apart: of three, each is known to a factor of about three."""


def table1(scale: Scale) -> Table:
    """Return the declaration: the base network, with the two losses of depth and nothing else changed."""
    problem = scale.two_tasks
    steady = {
        "segmentation.miou": ("mIoU", "-36.0 % of spread"),
        "depth.abs_err": ("AbsE", "-56.8 % of spread"),
        "depth.rel_err": ("RelE", "-87.8 % of spread"),
    }
    better = {
        "depth.rel_err": ("RelE", "+8.6 % better"),
        "depth.abs_err": ("AbsE", "+4.7 % better"),
        "segmentation.miou": ("mIoU", "+0.8 % better"),
    }
    return Table(
        "table1",
        "Noise of depth estimation, and JAReD",
        (
            Row("l1", "L1", (problem.config(preset="table9_l1"),), printed=printed_noise("L1")),
            Row("jared", "JAReD", (problem.config(preset="table9_950_050"),), "l1", printed_noise("JAReD")),
        ),
        (
            *(
                Steadier(f"JAReD lowers the spread of {name}", "jared", "l1", metric, found)
                for metric, (name, found) in steady.items()
            ),
            *(
                Better(f"JAReD improves {name}", "jared", "l1", metric, found)
                for metric, (name, found) in better.items()
            ),
        ),
        RUNS,
        (
            "Both weigh segmentation by 0.5 (Table 9), so that the loss of depth is all that differs; the paper does "
            "not say what its two rows are weighed by.",
            "Eight pairs tell spreads apart where one is less than about half of the other.",
        ),
    )
