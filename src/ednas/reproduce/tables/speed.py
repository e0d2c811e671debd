"""Speed: one pass against single tasks one after another, and what EDNAS's network takes beside the base."""

from __future__ import annotations

from ednas.reproduce.claims import AtMost
from ednas.reproduce.scales import TARGET, TWO_TASKS, Scale
from ednas.reproduce.speed import HERE
from ednas.reproduce.table import NetworkRow, PlainNetwork, Table
from ednas.reproduce.tables.methods import READINGS

PLACES = {TARGET: "on a Coral, estimated", HERE: "on this computer, in int8"}
AS_FAST = 1.1


def speed(scale: Scale) -> Table:  # noqa: ARG001 - the same networks at the same size at every scale
    """Return the declaration: whole networks at 256x256, as in Table 2."""
    alone = tuple(PlainNetwork("base", (task,)) for task in TWO_TASKS)
    claims = [
        claim
        for place, where in PLACES.items()
        for claim in (
            AtMost(f"One pass is faster than single tasks, {where}", "base", "single", f"{place}.latency_ms", "x1.2"),
            *(
                AtMost(
                    f"EDNAS is as fast as the base within 10 %, {where}",
                    f"ednas_{reading}",
                    "base",
                    f"{place}.latency_ms",
                    "x1.3 against x1.2",
                    reading,
                    AS_FAST,
                )
                for reading in READINGS
            ),
        )
    ]
    return Table(
        "speed",
        "Latency of whole networks at 256x256",
        (
            NetworkRow("single", "ST edge baseline, one after another", alone),
            NetworkRow("base", "MT edge baseline", (PlainNetwork("base", TWO_TASKS),)),
            *(
                NetworkRow(f"ednas_{reading}", f"EDNAS, {note}", (PlainNetwork(network, TWO_TASKS),), reading)
                for reading, (network, note) in READINGS.items()
            ),
        ),
        tuple(claims),
        notes=(
            "The paper measured a Coral, where parameters that do not fit its memory are streamed in every pass. Here "
            "the Coral is simulated, so that every round says the same; runs are rounds on this computer.",
        ),
    )
