"""What is known of a candidate before it is trained, as numbers for a predictor."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from ednas.arch import Architecture
from ednas.arch.block import Block


def describe(architecture: Architecture, cost: Mapping[str, float]) -> dict[str, float]:
    """Return a candidate's costs and structure as named features.

    Costs are logarithms. Blocks are summed up by stage and by kind, since a few dozen trainings cannot tell what each
    single block does: the genes are for that.

    Args:
        architecture: The candidate.
        cost: Quantities by name.
    """
    found = {f"log {name}": math.log(value) for name, value in cost.items() if value > 0}
    channels, shortcuts = architecture.stem_filters, 0
    for stage, blocks in enumerate(architecture.stages(), start=1):
        for block in blocks:
            shortcuts += block.stride == 1 and block.filters == channels
            channels = block.filters
        found[f"stage {stage}: log filters"] = _mean([math.log(block.filters) for block in blocks])
    found["shortcuts"] = float(shortcuts)
    for kind in sorted({block.kind for block in architecture.blocks}):
        found[f"share of {kind}"] = _mean([float(block.kind == kind) for block in architecture.blocks])
    found["mean kernel"] = _mean([_widest(block) for block in architecture.blocks])
    found["mean expansion"] = _mean([float(block.values.get("expand_ratio", 1)) for block in architecture.blocks])
    if not architecture.decoder:
        found["log bifpn width"] = math.log(architecture.bifpn_width)
        found["bifpn depth"] = float(architecture.bifpn_depth)
        found["head lateral"] = float(architecture.head_lateral > 0)
    return found


def tabulate(rows: Sequence[Mapping[str, float]], names: Sequence[str]) -> npt.NDArray[np.float64]:
    """Return features by their names as a table ``(N, D)``; 0 for what a candidate lacks or is no finite number."""
    table = np.array([[row.get(name, 0.0) for name in names] for row in rows], dtype=np.float64)
    return np.where(np.isfinite(table), table, 0.0)


def _widest(block: Block) -> float:
    """Return a block's largest kernel."""
    return float(max((value for name, value in block.values.items() if name.endswith("kernel_size")), default=1))


def _mean(values: Sequence[float]) -> float:
    return sum(values) / max(1, len(values))
