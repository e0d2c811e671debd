"""Where the tensors of a smaller and of a larger network correspond."""

from __future__ import annotations

from collections.abc import Sequence

Index = tuple[slice, ...]
"""A part of a tensor."""


def overlap(first: Sequence[int], second: Sequence[int]) -> tuple[Index, Index]:
    """Return what two tensors ``(O, I, K, K)`` or ``(O,)`` have in common: leading channels, the centre of kernels.

    Either may be the larger one in any dimension.

    Example:
        >>> overlap((8, 4, 5, 5), (6, 9, 3, 3))[0]
        (slice(0, 6, None), slice(0, 4, None), slice(1, 4, None), slice(1, 4, None))

    Args:
        first: Shape of the one.
        second: Shape of the other, with as many dimensions.

    Returns:
        The common part in the first and in the second.
    """
    channels = [(slice(0, min(sides)),) * 2 for sides in zip(first[:2], second[:2], strict=True)]
    kernels = [
        (_centre(one, min(one, other)), _centre(other, min(one, other)))
        for one, other in zip(first[2:], second[2:], strict=True)
    ]
    both = [*channels, *kernels]
    return tuple([one for one, _ in both]), tuple([other for _, other in both])


def _centre(side: int, length: int) -> slice:
    begin = (side - length) // 2
    return slice(begin, begin + length)
