"""What an Ethos-U keeps on the chip where not everything fits: cascades, and the tensors between them.

Vela, Arm's compiler, decides it in three steps.

1. **Cascades.** A layer whose tensors do not fit together is computed stripe by stripe with the layers after it, so
   that each tensor between them is a rolling buffer of a few rows. A cascade goes on until a layer's tensors fit as a
   whole, or the buffers do not fit any more. What it makes lies off the chip, for the next to read.
2. **Stripes.** Parameters of its layers stay on the chip where room is left; else every block reads them anew. Then the
   stripes grow, as long as the buffers fit and the cascade does not break into more parts than it does at first.
3. **The others.** Of the tensors outside of cascades those stay on the chip that are read and written most.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple


class Operator(NamedTuple):
    """A layer with what is fused into it, as the compiler schedules it.

    Attributes:
        inputs: Operators that it reads, by their place among all; negative ones are inputs of the network.
        read_bytes: Bytes that it reads of each of these, again for each block that needs them.
        height: Rows of its output.
        row_bytes: Bytes of such a row.
        stride: Rows of its input from one row of its output to the next.
        window: Rows of its input that one row of its output needs.
        parameter_bytes: Bytes of its encoded parameters.
        reread_bytes: Bytes of them that all its blocks read, if they are not on the chip.
        image_bytes: Of an image that it reads, if it makes so many rows at a time: all bytes that this takes, with what
            is lost of bursts, where it is more than to read it for the whole output, else 0; None if it reads none.
        is_divisible: Whether it can be computed in stripes.
        is_output: Whether it makes an output of the network, which leaves the chip as it is made.
    """

    inputs: tuple[int, ...]
    read_bytes: tuple[float, ...]
    height: int
    row_bytes: int
    stride: int
    window: int
    parameter_bytes: float
    reread_bytes: float
    image_bytes: Callable[[int], float] | None
    is_divisible: bool
    is_output: bool

    @property
    def output_bytes(self) -> int:
        """Bytes of the whole output."""
        return self.height * self.row_bytes


class Cascade(NamedTuple):
    """Operators that follow one another stripe by stripe.

    Attributes:
        first: The first of them.
        last: The last.
        rows: Rows that the first one makes at a time.
        buffer_bytes: Bytes of buffers between them, and of parameters.
    """

    first: int
    last: int
    rows: int
    buffer_bytes: float


def off_chip_bytes(operators: Sequence[Operator], capacity: float) -> list[float]:
    """Return the bytes that each operator reads and writes off the chip, but for reading its parameters once.

    The network's outputs are not counted: they leave the chip as they are made, whatever fits.

    Args:
        operators: In the order of execution.
        capacity: Bytes of on-chip memory.
    """
    readers = _readers(operators)
    cascades, kept = schedule(operators, capacity)
    cascaded = {number for cascade in cascades for number in range(cascade.first, cascade.last + 1)}
    off_chip = _off_chip(operators, readers, cascades, capacity)
    moved = []
    for number, operator in enumerate(operators):
        sizes = zip(operator.inputs, operator.read_bytes, strict=True)
        size = sum(read for producer, read in sizes if producer < 0 or producer in off_chip)
        if number in off_chip:
            size += operator.output_bytes
        if number in cascaded and number not in kept:
            size += max(operator.reread_bytes - operator.parameter_bytes, 0.0)
        moved.append(size)
    for cascade in cascades:
        if image_bytes := operators[cascade.first].image_bytes:
            moved[cascade.first] += image_bytes(cascade.rows)
    return moved


def _readers(operators: Sequence[Operator]) -> list[list[int]]:
    readers: list[list[int]] = [[] for _ in operators]
    for number, operator in enumerate(operators):
        for producer in operator.inputs:
            if producer >= 0:
                readers[producer].append(number)
    return readers


def schedule(operators: Sequence[Operator], capacity: float) -> tuple[list[Cascade], dict[int, float]]:
    """Return all cascades, and the bytes of parameters that stay on the chip in them, by operator.

    Args:
        operators: In the order of execution.
        capacity: Bytes of on-chip memory.
    """
    readers = _readers(operators)
    continues = [
        readers[number] == [number + 1]
        and not operator.is_output
        and operators[number + 1].is_divisible
        and len(operators[number + 1].inputs) == 1
        for number, operator in enumerate(operators[:-1])
    ]
    smallest = [following.stride for following in operators[1:]] + [1]
    cascades: list[Cascade] = []
    kept: dict[int, float] = {}
    for cascade in _cascades(operators, range(len(operators)), smallest, continues, {}, capacity):
        total = cascade.buffer_bytes
        for number in range(cascade.first, cascade.last + 1):
            if total + operators[number].parameter_bytes <= capacity:
                kept[number] = operators[number].parameter_bytes
                total += kept[number]
        cascades += _with_larger_stripes(operators, cascade._replace(buffer_bytes=total), continues, kept, capacity)
    return cascades, kept


def _with_larger_stripes(
    operators: Sequence[Operator],
    cascade: Cascade,
    continues: Sequence[bool],
    kept: Mapping[int, float],
    capacity: float,
) -> list[Cascade]:
    """Return the cascades that a cascade becomes as its stripes grow."""
    best, most = [cascade], 0
    span = range(cascade.first, cascade.last + 1)
    for rows in range(2, operators[cascade.last].height // 2 + 1):
        stripes, needed = dict.fromkeys(span, rows), rows
        for number in reversed(span):
            stripes[number] = needed
            needed *= operators[number].stride
        found = _cascades(operators, span, stripes, continues, kept, capacity)
        most = most or len(found)
        alone = set(span).difference(*(range(part.first, part.last + 1) for part in found))
        fits = all(_whole_bytes(operators, number) + kept.get(number, 0) <= capacity for number in alone)
        if not fits or len(found) > most:
            break
        best = found
        if not found:
            break
    return best


def _cascades(
    operators: Sequence[Operator],
    span: range,
    stripes: Mapping[int, int] | Sequence[int],
    continues: Sequence[bool],
    kept: Mapping[int, float],
    capacity: float,
) -> list[Cascade]:
    """Return the cascades among operators of a span, where each makes so many rows at a time."""

    def is_striped(number: int) -> bool:
        operator = operators[number]
        return operator.is_divisible and stripes[number] < operator.height

    found = []
    first = span.start
    while first < span.stop:
        last, total, fitting = first, kept.get(first, 0.0), 0.0
        while last + 1 < span.stop and continues[last] and is_striped(last) and is_striped(last + 1):
            total += _buffer_bytes(operators[last], stripes[last], operators[last + 1], stripes[last + 1])
            total += kept.get(last + 1, 0.0)
            if total > capacity or _whole_bytes(operators, last + 1) < capacity:
                break
            last, fitting = last + 1, total
        if last > first:
            found.append(Cascade(first, last, stripes[first], fitting))
        first = last + 1
    return found


def _buffer_bytes(producer: Operator, made: int, reader: Operator, stripe: int) -> int:
    """Return the bytes of a buffer between two operators that make so many rows at a time."""
    needed = min((stripe - 1) * reader.stride + reader.window, producer.height)
    rows = -(-(made + needed) // needed) * needed  # a ring of whole steps of the reader
    return rows * producer.row_bytes


def _whole_bytes(operators: Sequence[Operator], number: int) -> int:
    """Return the bytes of an operator's inputs and output as a whole."""
    operator = operators[number]
    inputs = [operators[producer].output_bytes for producer in operator.inputs if producer >= 0]
    return sum(inputs) + operator.output_bytes


def _off_chip(
    operators: Sequence[Operator], readers: Sequence[Sequence[int]], cascades: Sequence[Cascade], capacity: float
) -> set[int]:
    """Return the operators whose output lies off the chip."""
    used = [0.0] * len(operators)
    off_chip = {cascade.last for cascade in cascades if readers[cascade.last]}
    cascaded: set[int] = set()
    for cascade in cascades:
        for number in range(cascade.first, cascade.last + 1):
            used[number] = cascade.buffer_bytes
            cascaded.add(number)

    def traffic(number: int) -> float:
        read = [
            size
            for reader in readers[number]
            for producer, size in zip(operators[reader].inputs, operators[reader].read_bytes, strict=True)
            if producer == number
        ]
        return operators[number].output_bytes + sum(read)

    others = [number for number in range(len(operators)) if number not in cascaded and readers[number]]
    for number in sorted(others, key=traffic, reverse=True):
        needed = range(number, readers[number][-1] + 1)
        size = operators[number].output_bytes
        if max(used[time] for time in needed) + size > capacity:
            off_chip.add(number)
        else:
            for time in needed:
                used[time] += size
    return off_chip
