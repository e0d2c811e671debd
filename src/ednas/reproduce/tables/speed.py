"""Speed: one pass against single tasks one after another, and what EDNAS's network takes beside the base."""

from __future__ import annotations

from collections.abc import Iterator

from ednas.reproduce.claims import TIMES, AtMost, Reading
from ednas.reproduce.scales import TARGET, TWO_TASKS, Scale
from ednas.reproduce.speed import HERE
from ednas.reproduce.table import NetworkRow, PlainNetwork, Table
from ednas.reproduce.tables.methods import READINGS

PLACES = {TARGET: "on a Coral, estimated", HERE: "on this computer, in int8"}
AS_FAST = 1.1


def speed(scale: Scale) -> Table:  # noqa: ARG001 - the same networks at the same size at every scale
    """Return the declaration: whole networks at 256x256, as in Table 2."""
    alone = tuple(PlainNetwork("base", (task,)) for task in TWO_TASKS)
    claims = [claim for place in PLACES for claim in _claims(place)]
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
            "The paper measured a Coral, on which parameters that do not fit its memory are streamed in every pass. "
            "Here it is simulated, once; p10 and p90 say how far that may be off. Runs are rounds on this computer.",
            "That as fast means within 10 % is our reading.",
        ),
    )


def _claims(place: str) -> Iterator[AtMost]:
    """Yield the claims on a device; the paper's figures are of a Coral."""
    is_coral = place == TARGET
    by, where, rounds = f"{place}.latency_ms", PLACES[place], 1 if is_coral else None

    def at_most(text: str, row: str, than: str, times: float, reading: Reading | None, factor: float = 1.0) -> AtMost:
        printed = f"{times:.2f} {TIMES}" if is_coral else ""
        return AtMost(f"{text}, {where}", row, than, by, printed, reading, factor, rounds)

    yield at_most("One pass is faster than single tasks", "base", "single", 1 / 1.2, None)
    for reading in READINGS:
        network = f"ednas_{reading}"
        yield at_most("EDNAS is faster than single tasks", network, "single", 1 / 1.3, reading)
        yield at_most("EDNAS is as fast as the base", network, "base", 1.2 / 1.3, reading, AS_FAST)
