"""One block of a network, as a value: its kind and the few numbers that it is made from."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

from ednas.exceptions import ArchitectureError

KINDS = ("ibn", "fused")
"""``ibn``: 1x1 expansion, depthwise k x k, 1x1 projection; ``fused``: dense k x k expansion, 1x1 projection."""

Allowed = tuple[Any, ...] | range
"""The values of a field; all of one type."""

_ALLOWED: Mapping[str, Allowed] = {
    "kind": KINDS,
    "kernel_size": (1, 3, 5, 7, 9),
    "stride": (1, 2),
    "expand_ratio": range(1, 13),
    "filters": range(1, 4097),
}

_TEXT = re.compile(r"([a-z]+)_k(\d+)_s(\d+)_e(\d+)_c(\d+)")


@dataclass(frozen=True)
class Block:
    """One inverted-bottleneck block, plain or fused (Fig. 4).

    Attributes:
        kind: ``ibn`` or ``fused``.
        kernel_size: Height and width of the spatial convolution: 1, 3, 5, 7 or 9.
        stride: Of the spatial convolution, 1 or 2.
        expand_ratio: Inner channels / input channels, 1 to 12; at 1 an ``ibn`` has no expansion convolution.
        filters: Output channels, 1 to 4096.

    Raises:
        ArchitectureError: A value is not allowed; the message names the field and what is allowed.
    """

    kind: str = "ibn"
    kernel_size: int = 3
    stride: int = 1
    expand_ratio: int = 6
    filters: int = 16

    def __post_init__(self) -> None:
        check_values("block: ", self, _ALLOWED)

    @cached_property
    def text(self) -> str:
        """The text form, for example ``ibn_k5_s2_e6_c36``."""
        return f"{self.kind}_k{self.kernel_size}_s{self.stride}_e{self.expand_ratio}_c{self.filters}"

    def __str__(self) -> str:
        """Return the text form."""
        return self.text

    @classmethod
    def from_text(cls, text: str) -> Block:
        """Parse the text form.

        Raises:
            ArchitectureError: The text is not a block, or a value is not allowed.
        """
        match = _TEXT.fullmatch(text) if isinstance(text, str) and len(text) < 80 else None
        if match is None:
            raise ArchitectureError(f"block: {text!r:.80} is not a block; write it like ibn_k5_s2_e6_c36")
        kind, *numbers = match.groups()
        return cls(kind, *map(int, numbers))


BLOCK_FIELDS = tuple(field.name for field in fields(Block))
"""In their order in the text form."""


def check_values(owner: str, value: Any, allowed: Mapping[str, Allowed]) -> None:
    """Check attributes.

    Args:
        owner: What the message begins with.
        value: Whose attributes.
        allowed: Their values.

    Raises:
        ArchitectureError: One has another value, or one of another type: ``True`` and ``3.0`` are no integers.
    """
    for field, values in allowed.items():
        found = getattr(value, field)
        if type(found) is not type(values[0]) or found not in values:
            raise ArchitectureError(f"{owner}{field} is {found!r:.80}, must be {_show(values)}")


def _show(allowed: Allowed) -> str:
    if isinstance(allowed, range):
        return f"an integer from {allowed.start} to {allowed.stop - 1}"
    return "one of " + ", ".join(str(value) for value in allowed)
