"""Reading a FlatBuffer that nobody has verified, without copying it.

The format (https://flatbuffers.dev/internals): a table starts with the signed distance to its vtable, which holds for
each field ("slot") its distance from the table's start, 0 for a field left out; tables, vectors and texts are reached
by unsigned distances. The generated accessors follow all of these blindly. Here every position and length is checked
before it is used, and what is read is charged to a budget in proportion to the file's size, so that neither parts that
overlap a million times nor a vector that claims a billion elements costs more than a file of that size may.
"""

from __future__ import annotations

from collections.abc import Iterator
from mmap import mmap
from struct import Struct, unpack_from

INT8 = Struct("<b")
UINT8 = Struct("<B")
INT32 = Struct("<i")
UINT32 = Struct("<I")
INT64 = Struct("<q")
UINT64 = Struct("<Q")
_UINT16 = Struct("<H")

_OFFSET_BYTES = 4
_VTABLE_HEADER_BYTES = 4
_MOST_SLOTS = 16
"""Fields of a table that can be read; TFLite's have up to 14."""

_SHARING = 2
"""How often a byte may be read: writers may share equal texts, vectors and tables."""

_MOST_STRUCTURE = 1 << 25
"""Bytes of structure (all but the weights) that are read of any file; a real network of 10,000 operators has 5e6."""


class DamagedError(ValueError):
    """The file is no valid FlatBuffer; the message says what is wrong with it."""


class Content:
    """The bytes of a file, and how much of them may still be read.

    Args:
        data: The file.
    """

    def __init__(self, data: bytes | mmap) -> None:
        self.data = data
        self.size = len(data)
        self._budget = min(_SHARING * self.size, _MOST_STRUCTURE)
        self._vtables: dict[int, tuple[int, ...]] = {}

    def root(self) -> Table:
        """Return the table that the file starts with."""
        return Table(self, self.number(UINT32, 0))

    def number(self, kind: Struct, position: int) -> int:
        """Return the number at a position."""
        if not 0 <= position <= self.size - kind.size:
            raise self._outside(position, kind.size)
        value: int = kind.unpack_from(self.data, position)[0]
        return value

    def check(self, position: int, count: int) -> None:
        """Raise unless there are ``count`` bytes at ``position``."""
        if not 0 <= position <= self.size - count:
            raise self._outside(position, count)

    def charge(self, count: int) -> None:
        """Note that ``count`` bytes are read; raise when that is more than the file can hold."""
        self._budget -= count
        if self._budget < 0:
            raise DamagedError("its parts overlap")

    def vtable(self, position: int) -> tuple[int, ...]:
        """Return the fields' distances from the start of those tables that have this vtable."""
        slots = self._vtables.get(position)
        if slots is None:
            count = (self.number(_UINT16, position) - _VTABLE_HEADER_BYTES) // _UINT16.size
            count = max(0, min(count, _MOST_SLOTS))
            self.check(position + _VTABLE_HEADER_BYTES, count * _UINT16.size)
            slots = unpack_from(f"<{count}H", self.data, position + _VTABLE_HEADER_BYTES)
            self._vtables[position] = slots
        return slots

    def _outside(self, position: int, count: int) -> DamagedError:
        return DamagedError(f"it refers to {count} bytes at {position}, but has {self.size}")


class Table:
    """A table of the file. A field left out has its default: 0, empty or None.

    Args:
        content: The file.
        position: Where the table starts.

    Raises:
        DamagedError: Here and in every method: a position or length points out of the file.
    """

    __slots__ = ("_content", "_position", "_slots")

    def __init__(self, content: Content, position: int) -> None:
        content.charge(2 * _OFFSET_BYTES)
        self._content = content
        self._position = position
        self._slots = content.vtable(position - content.number(INT32, position))

    def number(self, slot: int, kind: Struct = INT32, default: int = 0) -> int:
        """Return a number."""
        field = self._field(slot)
        return self._content.number(kind, field) if field else default

    def numbers(self, slot: int, kind: Struct = INT32) -> tuple[int, ...]:
        """Return a vector of numbers."""
        start, count = self._vector(slot, kind.size)
        if not count:
            return ()
        self._content.charge(count * kind.size)
        return unpack_from(f"<{count}{kind.format[-1]}", self._content.data, start)

    def length(self, slot: int) -> int:
        """Return the bytes of a vector of bytes, which is not read."""
        return self._vector(slot, 1)[1]

    def text(self, slot: int, longest: int) -> str:
        """Return the first ``longest`` bytes of a text; whatever is no UTF-8 in it is replaced."""
        start, count = self._vector(slot, 1)
        count = min(count, longest)
        self._content.charge(count)
        return self._content.data[start : start + count].decode(errors="replace")

    def table(self, slot: int) -> Table | None:
        """Return a table; None if it is left out."""
        field = self._field(slot)
        return Table(self._content, field + self._content.number(UINT32, field)) if field else None

    def tables(self, slot: int) -> Tables:
        """Return a vector of tables, each of which is read only when asked for."""
        return Tables(self._content, *self._vector(slot, _OFFSET_BYTES))

    def _field(self, slot: int) -> int:
        """Return the position of a field; 0 if it is left out."""
        distance = self._slots[slot] if slot < len(self._slots) else 0
        return self._position + distance if distance else 0

    def _vector(self, slot: int, element_bytes: int) -> tuple[int, int]:
        """Return where a vector's elements start and how many there are."""
        field = self._field(slot)
        if not field:
            return 0, 0
        content = self._content
        content.charge(_OFFSET_BYTES)
        start = field + content.number(UINT32, field)
        count = content.number(UINT32, start)
        content.check(start + _OFFSET_BYTES, count * element_bytes)
        return start + _OFFSET_BYTES, count


class Tables:
    """A vector of tables.

    Args:
        content: The file.
        start: Where the vector's elements start.
        count: How many there are.
    """

    def __init__(self, content: Content, start: int, count: int) -> None:
        self._content = content
        self._start = start
        self._count = count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> Table:
        """Return a table.

        Raises:
            IndexError: There is none of that index.
        """
        if not 0 <= index < self._count:
            raise IndexError(index)
        entry = self._start + index * _OFFSET_BYTES
        return Table(self._content, entry + self._content.number(UINT32, entry))

    def __iter__(self) -> Iterator[Table]:
        return (self[index] for index in range(self._count))
