"""How sure estimates are: what the comparisons of the cost model print for the ``errors`` of a target's file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ednas.hw.model.errors import FEWEST, Kind, interval_of


def print_intervals(ratios: Mapping[Kind, Sequence[float]], source: str) -> None:
    """Print an interval for each kind of networks, and of how many the interval of the others of its kind holds.

    Args:
        ratios: Measured over estimated latencies of networks that the target was not fitted to, by kind.
        source: Where they come from.
    """
    held = compared = 0
    for kind, own in ratios.items():
        if len(own) < FEWEST:
            print(f"# {kind}: {len(own)} networks are too few for an interval")
            continue
        low, high = interval_of(own)
        print(f'  - {{kind: {kind}, low: {low:.3f}, high: {high:.3f}, networks: {len(own)}, source: "{source}"}}')
        for place, ratio in enumerate(own):
            others = [*own[:place], *own[place + 1 :]]
            if len(others) >= FEWEST:
                low, high = interval_of(others)
                held += low <= ratio <= high
                compared += 1
    if compared:
        print(f"intervals of the others hold {held} of {compared} networks ({held / compared:.0%}; 80% are meant)")
