"""What the paper's tables print: measured values, the relative gains beside them, and costs.

Metrics stand in the order of the columns. Gains are there as far as a table prints them: by metric, by task, overall.

Table 5's two transfer rows are recorded with their per-metric gains swapped back: the table prints
(+5.4, +0.5, -2.9, +6.2) in the row NAS-Seg and (+5.7, +0.5, -1.8, +7.4) in the row NAS-Dep, but each set follows from
the metrics of the other row, while the task and overall gains are in their right rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ednas.metrics import TaskValues

SEGMENTATION = ("miou", "pixel_acc")
DEPTH = ("abs_err", "rel_err")
NORMALS = ("mean_angle", "within_11", "within_22", "within_30")
TWO_TASKS = {"segmentation": SEGMENTATION, "depth": DEPTH}
THREE_TASKS = TWO_TASKS | {"normals": NORMALS}


@dataclass(frozen=True)
class PrintedRow:
    """One row of a table.

    Attributes:
        table: For example ``table2``.
        model: As printed.
        baseline: Values of the row that the gains are relative to.
        values: The row's own values.
        overall: Printed overall gain; None in the row that the gains are relative to.
        by_task: Printed gains of the tasks; empty where the table has no such columns.
        by_metric: Printed gains of the metrics; empty where the table has no such columns.
    """

    table: str
    model: str
    baseline: tuple[float, ...]
    values: tuple[float, ...]
    overall: float | None
    by_task: tuple[float, ...] = ()
    by_metric: tuple[float, ...] = ()

    def tasks(self, values: tuple[float, ...]) -> dict[str, dict[str, float]]:
        """Sort values in the order of the columns by task and metric."""
        layout = TWO_TASKS if len(values) == 4 else THREE_TASKS
        names = [(task, metric) for task, metrics in layout.items() for metric in metrics]
        result: dict[str, dict[str, float]] = {task: {} for task in layout}
        for (task, metric), value in zip(names, values, strict=True):
            result[task][metric] = value
        return result


ST_RESNET = (40.20, 74.70, 0.0170, 0.330)
ST_EDGE = (40.04, 88.68, 0.0157, 0.340)
ST_STRONG = (55.02, 92.29, 0.0116, 0.168)
NYU_ST_EDGE = (23.1, 58.3, 0.50, 0.20, 13.8, 50.8, 81.2, 90.8)
NYU_ST_RESNET = (27.5, 58.9, 0.62, 0.25, 17.5, 34.9, 73.3, 85.7)
NYU_MT_RESNET = (24.1, 57.2, 0.58, 0.23, 16.6, 42.5, 73.2, 84.6)
NYU_MT_EDGE = (19.5, 54.8, 0.55, 0.22, 16.5, 41.9, 73.0, 85.1)


def _row(
    table: str,
    model: str,
    baseline: tuple[float, ...],
    values: tuple[float, ...],
    printed: tuple[float, ...],
) -> PrintedRow:
    tasks = 2 if len(values) == 4 else 3
    by_metric, by_task = printed[: -tasks - 1], printed[-tasks - 1 : -1]
    return PrintedRow(table, model, baseline, values, printed[-1], by_task, by_metric)


ROWS = (
    _row("table2", "MT baseline", ST_RESNET, (37.70, 73.80, 0.0180, 0.340), (-6.2, -1.2, -5.9, -3.0, -3.7, -4.5, -4.1)),
    _row("table2", "Cross-Stitch", ST_RESNET, (40.30, 74.30, 0.0150, 0.300), (0.2, -0.5, 11.8, 9.1, -0.1, 10.4, 5.1)),
    _row("table2", "Sluice", ST_RESNET, (39.80, 74.20, 0.0160, 0.310), (-1.0, -0.7, 5.9, 6.1, -0.8, 6.0, 2.6)),
    _row("table2", "NDDR-CNN", ST_RESNET, (41.50, 74.20, 0.0170, 0.310), (3.2, -0.7, 0.0, 6.1, 1.3, 3.0, 2.2)),
    _row("table2", "MTAN", ST_RESNET, (40.80, 74.30, 0.0150, 0.320), (1.5, -0.5, 11.8, 3.0, 0.5, 7.4, 3.9)),
    _row("table2", "DEN", ST_RESNET, (38.00, 74.20, 0.0170, 0.370), (-5.5, -0.7, 0.0, -12.1, -3.1, -6.1, -4.6)),
    _row("table2", "AdaShare", ST_RESNET, (41.50, 74.90, 0.0160, 0.330), (3.2, 0.3, 5.9, 0.0, 1.8, 2.9, 2.3)),
    _row("table2", "MT edge", ST_EDGE, (38.64, 88.49, 0.0171, 0.354), (-3.5, -0.2, -8.5, -4.1, -1.9, -6.3, -4.1)),
    _row("table2", "EDNAS", ST_EDGE, (46.52, 90.61, 0.0143, 0.316), (16.2, 2.2, 8.9, 6.9, 9.2, 7.9, 8.5)),
    _row("table2", "EDNAS+JAReD", ST_EDGE, (46.11, 90.47, 0.0143, 0.281), (15.1, 2.0, 9.1, 17.4, 8.6, 13.3, 10.9)),
    PrintedRow("table3", "MT edge", NYU_ST_EDGE, NYU_MT_EDGE, -11.3),
    PrintedRow("table3", "MT", NYU_ST_RESNET, NYU_MT_RESNET, 2.0),
    PrintedRow("table3", "MT edge against ResNet", NYU_ST_RESNET, NYU_MT_EDGE, -0.1),
    _row(
        "table4",
        "Cross-Stitch",
        NYU_MT_RESNET,
        (25.4, 57.6, 0.58, 0.23, 17.2, 41.4, 70.5, 82.9),
        (3.0, 0.0, -3.0, 0.0),
    ),
    _row("table4", "Sluice", NYU_MT_RESNET, (23.8, 56.9, 0.58, 0.24, 17.2, 38.9, 71.8, 83.9), (-0.9, -2.2, -3.7, -2.3)),
    _row(
        "table4",
        "NDDR-CNN",
        NYU_MT_RESNET,
        (21.6, 53.9, 0.66, 0.26, 17.1, 37.4, 73.7, 85.6),
        (-8.1, -13.4, -3.3, -8.3),
    ),
    _row("table4", "MTAN", NYU_MT_RESNET, (26.0, 57.2, 0.57, 0.25, 16.6, 43.7, 73.3, 84.4), (3.9, -3.5, 0.7, 0.4)),
    _row("table4", "DEN", NYU_MT_RESNET, (23.9, 54.9, 0.97, 0.31, 17.1, 36.0, 73.4, 85.9), (-2.4, -51.0, -4.1, -19.2)),
    _row("table4", "AdaShare", NYU_MT_RESNET, (30.2, 62.4, 0.55, 0.20, 16.6, 45.0, 71.7, 83.0), (17.2, 9.1, 0.5, 8.9)),
    _row("table4", "EDNAS", NYU_MT_EDGE, (22.1, 57.7, 0.51, 0.20, 14.3, 49.5, 79.2, 89.4), (9.3, 8.2, 11.3, 9.6)),
    _row(
        "table4", "EDNAS+JAReD", NYU_MT_EDGE, (22.1, 58.1, 0.51, 0.20, 12.6, 56.1, 83.9, 92.4), (9.7, 8.2, 20.3, 12.7)
    ),
    _row("table5", "ST edge+maxLR", ST_EDGE, (55.02, 92.29, 0.0121, 0.288), (37.4, 4.1, 23.2, 15.3, 20.7, 19.3, 20.0)),
    _row("table5", "ST edge+maxLR+JAReD", ST_EDGE, ST_STRONG, (37.4, 4.1, 26.7, 50.5, 20.7, 38.6, 29.7)),
    _row(
        "table5",
        "MT edge+maxLR+JAReD",
        ST_STRONG,
        (53.80, 91.94, 0.0124, 0.159),
        (-2.2, -0.4, -7.4, 5.7, -1.3, -0.9, -1.1),
    ),
    _row("table5", "NAS-Seg to MT", ST_STRONG, (58.17, 92.78, 0.0118, 0.156), (5.7, 0.5, -1.8, 7.4, 3.1, 2.8, 3.0)),
    _row("table5", "NAS-Dep to MT", ST_STRONG, (57.97, 92.73, 0.0119, 0.158), (5.4, 0.5, -2.9, 6.2, 2.9, 1.6, 2.3)),
    _row(
        "table5",
        "EDNAS+maxLR+JAReD",
        ST_STRONG,
        (58.54, 92.78, 0.0117, 0.156),
        (6.4, 0.5, -1.3, 7.4, 3.5, 3.1, 3.3),
    ),
    _row("table9", "1.000/0.000", ST_EDGE, (38.64, 88.49, 0.0171, 0.354), (-1.9, -6.3, -4.1)),
    _row("table9", "0.999/0.001", ST_EDGE, (46.78, 90.62, 0.0149, 0.323), (9.5, 5.1, 7.3)),
    _row("table9", "0.990/0.010", ST_EDGE, (46.83, 90.56, 0.0144, 0.304), (9.5, 9.5, 9.5)),
    _row("table9", "0.950/0.050", ST_EDGE, (46.11, 90.47, 0.0143, 0.281), (8.6, 13.3, 10.9)),
    _row("table9", "0.900/0.010", ST_EDGE, (46.41, 90.56, 0.0146, 0.300), (9.0, 9.5, 9.3)),
)
"""Every row that has a printed gain."""

BASELINES = (
    PrintedRow("table2", "ST baseline", ST_RESNET, ST_RESNET, None),
    PrintedRow("table2", "ST edge", ST_EDGE, ST_EDGE, None),
    PrintedRow("table3", "ST edge", NYU_ST_EDGE, NYU_ST_EDGE, None),
    PrintedRow("table3", "ST", NYU_ST_RESNET, NYU_ST_RESNET, None),
    PrintedRow("table4", "MT", NYU_MT_RESNET, NYU_MT_RESNET, None),
    PrintedRow("table4", "MT edge", NYU_MT_EDGE, NYU_MT_EDGE, None),
    PrintedRow("table5", "ST edge", ST_EDGE, ST_EDGE, None),
    PrintedRow("table9", "ST edge", ST_EDGE, ST_EDGE, None),
)
"""The rows that gains are relative to."""


@dataclass(frozen=True)
class PrintedCost:
    """What a table prints of a network at 256x256.

    Attributes:
        params: Parameters, millions.
        gflop: Operations of all tasks together, thousand millions; a multiply-accumulate is two.
        speed: How many times as fast as the single-task edge networks; None where it is not printed.
    """

    params: float
    gflop: float
    speed: float | None = None


COSTS: Mapping[tuple[str, str], PrintedCost] = {
    ("table2", "ST baseline"): PrintedCost(42.6, 87.1),
    ("table2", "MT baseline"): PrintedCost(21.3, 43.6),
    ("table2", "Cross-Stitch"): PrintedCost(42.6, 48.4),
    ("table2", "Sluice"): PrintedCost(42.6, 48.4),
    ("table2", "NDDR-CNN"): PrintedCost(44.1, 50.1),
    ("table2", "MTAN"): PrintedCost(51.3, 57.9),
    ("table2", "DEN"): PrintedCost(23.9, 51.2),
    ("table2", "AdaShare"): PrintedCost(21.3, 87.1),
    ("table2", "ST edge"): PrintedCost(3.4, 2.3, 1.0),
    ("table2", "MT edge"): PrintedCost(3.4, 1.2, 1.2),
    ("table2", "EDNAS"): PrintedCost(4.3, 4.1, 1.3),
    ("table2", "EDNAS+JAReD"): PrintedCost(4.3, 4.1, 1.3),
    ("table5", "ST edge"): PrintedCost(3.4, 2.3, 1.0),
    ("table5", "ST edge+maxLR"): PrintedCost(3.4, 2.3, 1.0),
    ("table5", "ST edge+maxLR+JAReD"): PrintedCost(3.4, 2.3, 1.0),
    ("table5", "MT edge+maxLR+JAReD"): PrintedCost(3.4, 1.2, 1.2),
    ("table5", "NAS-Seg to MT"): PrintedCost(4.1, 2.5, 1.3),
    ("table5", "NAS-Dep to MT"): PrintedCost(3.6, 2.5, 1.3),
    ("table5", "EDNAS+maxLR+JAReD"): PrintedCost(4.3, 4.1, 1.3),
}
"""Costs by table and model."""


@dataclass(frozen=True)
class PrintedNoise:
    """A row of Table 1: what a loss comes to, over three runs.

    Attributes:
        values: Means by metric.
        spread: Standard deviations by metric, percent of the mean.
    """

    values: Mapping[str, float]
    spread: Mapping[str, float]


NOISE: Mapping[str, PrintedNoise] = {
    "L1": PrintedNoise(
        {"miou": 38.6, "abs_err": 0.01763, "rel_err": 0.3541}, {"miou": 2.5, "abs_err": 4.4, "rel_err": 4.1}
    ),
    "JAReD": PrintedNoise(
        {"miou": 38.9, "abs_err": 0.01680, "rel_err": 0.3237}, {"miou": 1.6, "abs_err": 1.9, "rel_err": 0.5}
    ),
}
"""Table 1."""


@dataclass(frozen=True)
class Printed:
    """All that the paper prints of a network in a table.

    Attributes:
        values: By task and metric.
        spread: Standard deviations by task and metric, where there are any.
        delta: The overall gain, percent.
        task_deltas: Gains by task, percent.
        cost: Costs.
        runs: Trainings that these are means of.
    """

    values: TaskValues
    spread: TaskValues = field(default_factory=dict)
    delta: float | None = None
    task_deltas: Mapping[str, float] = field(default_factory=dict)
    cost: PrintedCost | None = None
    runs: int = 3


def printed(table: str, model: str) -> Printed:
    """Return what a table prints of a network."""
    row = next(row for row in (*ROWS, *BASELINES) if (row.table, row.model) == (table, model))
    values = row.tasks(row.values)
    gains = dict(zip(values, row.by_task, strict=True)) if row.by_task else {}
    return Printed(values, {}, row.overall, gains, COSTS.get((table, model)))


def printed_noise(loss: str) -> Printed:
    """Return what Table 1 prints of a loss, with standard deviations in the metrics' own units."""
    noise = NOISE[loss]
    layout = {"segmentation": ("miou",), "depth": DEPTH}
    values = {task: {metric: noise.values[metric] for metric in metrics} for task, metrics in layout.items()}
    spread = {
        task: {metric: noise.values[metric] * noise.spread[metric] / 100 for metric in metrics}
        for task, metrics in layout.items()
    }
    return Printed(values, spread)


BACKBONES: Mapping[str, Mapping[str, float]] = {
    "joint": {"fused_percent": 100 * 14 / 16, "ibn_2_percent": 80.0, "ibn_7_percent": 100.0},
    "segmentation": {"fused_percent": 100 * 12 / 16},
    "depth": {"fused_percent": 100 * 11 / 16},
}
"""What Tables 6 and 7 and the text beside them say of found backbones, by what was searched for: the blocks of one that
are Fused-IBN, and in how many of the best five blocks 2 and 7 are IBN, percent."""
