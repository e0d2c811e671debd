"""One result of the trainings of several seeds: means and spreads."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from ednas.exceptions import CheckpointError


def summarise(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Mean and standard deviation over the ``metrics.json`` of several runs.

    The standard deviation is the sample's (divided by n - 1), 0 for a single run.

    Returns:
        ``protocol``, ``runs``, ``seeds``, and ``tasks``: by task and metric ``mean``, ``std``, ``values``.

    Raises:
        CheckpointError: The runs were measured under different protocols, on different tasks or metrics, or trained or
            measured on different data.
    """
    first = runs[0]
    if any(_measured(run) != _measured(first) for run in runs):
        raise CheckpointError("the runs were measured under different protocols or on different tasks or metrics")
    if len({_data(run) for run in runs} - {(None, None)}) > 1:
        raise CheckpointError("the runs were trained or measured on different data; train them again in another folder")
    tasks = {
        task: {name: _spread([run["tasks"][task][name] for run in runs]) for name in values}
        for task, values in first["tasks"].items()
    }
    return {
        "protocol": first["protocol"],
        "runs": len(runs),
        "seeds": [run.get("seed") for run in runs],
        "tasks": tasks,
        "higher_is_better": first.get("higher_is_better", {}),
    }


def mean_metrics(runs: Sequence[dict[str, Any]], summary: Mapping[str, Any]) -> dict[str, Any]:
    """Return the ``metrics.json`` of several runs: that of the first, with means as values and without its classes.

    Args:
        runs: Their ``metrics.json``.
        summary: What :func:`summarise` says of them.
    """
    return {
        **{key: value for key, value in runs[0].items() if key not in ("classes", "confusion")},
        "tasks": {
            task: {name: value["mean"] for name, value in values.items()} for task, values in summary["tasks"].items()
        },
        "remarks": [remark for run in runs for remark in run.get("remarks", ())],
        "seed": None,
        "runs": len(runs),
    }


def _data(metrics: dict[str, Any]) -> tuple[str | None, str | None]:
    """Return what the data were that were trained and measured on; None where an earlier version did not write it."""
    return metrics.get("trained_on", {}).get("digest"), metrics.get("digest")


def _measured(metrics: dict[str, Any]) -> tuple[str, dict[str, set[str]]]:
    """Return under which protocol which metrics of which tasks were measured."""
    return metrics["protocol"], {task: set(values) for task, values in metrics["tasks"].items()}


def _spread(values: list[float]) -> dict[str, Any]:
    return {
        "mean": math.fsum(values) / len(values),
        "std": statistics.stdev(values) if len(values) > 1 else 0.0,
        "values": values,
    }
