"""What the reader gives is what is in the file, and nothing in a file makes it read elsewhere or more."""

from __future__ import annotations

import struct

import flatbuffers
import pytest

from ednas.hw.tflite.flatbuffer import INT8, INT64, UINT8, UINT32, UINT64, Content, DamagedError, Table


def file_of(*, numbers: list[int] = [], text: str = "", tables: int = 0, bools: bool = False) -> bytes:  # noqa: B006
    """Return a file whose root has a number, a vector of numbers, a text, a table, and a vector of tables."""
    builder = flatbuffers.Builder(64)
    builder.StartObject(1)
    builder.PrependInt64Slot(0, -5, 0)
    inner = builder.EndObject()
    builder.StartVector(4, len(numbers), 4)
    for number in reversed(numbers):
        builder.PrependInt32(number)
    vector = builder.EndVector()
    written = builder.CreateString(text)
    builder.StartVector(4, tables, 4)
    for _ in range(tables):
        builder.PrependUOffsetTRelative(inner)
    table_vector = builder.EndVector()
    builder.StartObject(6)
    builder.PrependInt32Slot(0, -7, 0)
    builder.PrependUOffsetTRelativeSlot(1, vector, 0)
    builder.PrependUOffsetTRelativeSlot(2, written, 0)
    builder.PrependUOffsetTRelativeSlot(3, inner, 0)
    builder.PrependUOffsetTRelativeSlot(4, table_vector, 0)
    builder.PrependBoolSlot(5, bools, False)
    builder.Finish(builder.EndObject())
    return bytes(builder.Output())


def root(content: bytes) -> Table:
    return Content(content).root()


def test_fields_are_read() -> None:
    table = root(file_of(numbers=[1, -2, 2**31 - 1], text="größe", tables=2, bools=True))
    assert (table.number(0), table.number(0, UINT32), table.number(0, INT8)) == (-7, 2**32 - 7, -7)
    assert (table.numbers(1), table.text(2, 99), table.text(2, 2)) == ((1, -2, 2**31 - 1), "größe", "gr")
    assert table.length(2) == len("größe".encode())
    assert table.number(5, UINT8) == 1
    inner = table.table(3)
    assert inner is not None
    assert (inner.number(0, INT64), inner.number(0, UINT64)) == (-5, 2**64 - 5)
    assert [entry.number(0, INT64) for entry in table.tables(4)] == [-5, -5]


def test_fields_left_out_have_defaults() -> None:
    table = root(file_of())
    assert (table.number(5, UINT8), table.number(9, default=3), table.numbers(9), table.text(9, 5)) == (0, 3, (), "")
    assert (table.table(9), len(table.tables(9)), table.length(9), table.numbers(1)) == (None, 0, 0, ())


def test_an_index_is_checked() -> None:
    tables = root(file_of(tables=2)).tables(4)
    for index in (2, -1):
        with pytest.raises(IndexError):
            tables[index]


def test_text_that_is_no_utf8_is_replaced() -> None:
    content = file_of(text="net").replace(b"net", b"n\xfft")
    assert root(content).text(2, 9) == "n\ufffdt"


@pytest.mark.parametrize("length", [2**32 - 1, 2**31, 1000])
def test_a_vector_beyond_the_end_is_refused_before_it_is_read(length: int) -> None:
    content = file_of(numbers=[77, 78]).replace(struct.pack("<Iii", 2, 77, 78), struct.pack("<Iii", length, 77, 78))
    with pytest.raises(DamagedError, match="it refers to"):
        root(content).numbers(1)


@pytest.mark.parametrize("content", [b"", b"\1", b"\0\0\0\x80", b"\xff\xff\xff\xff" * 4, bytes(3)])
def test_a_root_beyond_the_end_is_refused(content: bytes) -> None:
    with pytest.raises(DamagedError):
        root(content)


def test_a_table_read_again_and_again_is_refused() -> None:
    table = root(file_of(tables=1))
    with pytest.raises(DamagedError, match="its parts overlap"):
        for _ in range(1000):
            table.tables(4)[0]
