"""Cascades: as Vela makes them of three networks, by hand, and by their properties."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ednas.hw.model.cascades import Operator, off_chip_bytes, schedule

KIB = 1 << 10


def operator(
    *inputs: int,
    height: int = 100,
    row: int = 100,
    kernel: int = 1,
    stride: int = 1,
    parameters: float = 0,
    reread: float = 0,
    divisible: bool = True,
    output: bool = False,
) -> Operator:
    """Return an operator that reads as many bytes of each input as it makes."""
    size = float(height * row)
    return Operator(
        inputs, (size,) * len(inputs), height, row, stride, kernel, parameters, reread, None, divisible, output
    )


def mobilenet_v1(height: int, width: int, alpha: float) -> list[Operator]:
    """Return the convolutions of a MobileNet v1; the first one reads an image."""

    def side(length: int, stride: int) -> int:
        return -(-length // stride)

    channels, operators = 3, []
    blocks = [(32, 2), (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1)]
    for number, (full, stride) in enumerate(blocks):
        filters = round(full * alpha)
        height, width = side(height, stride), side(width, stride)
        depthwise = (3, stride, channels, 9 * channels)
        pointwise = (1, 1, filters, channels * filters)
        for kernel, step, made, weights in [(3, 2, filters, 27 * filters)] if number == 0 else [depthwise, pointwise]:
            shape = {"height": height, "row": width * -(-made // 16) * 16, "kernel": kernel, "stride": step}
            operators.append(operator(len(operators) - 1, parameters=weights + 10 * made, **shape))
        channels = filters
    return operators


@pytest.mark.parametrize(
    ("height", "width", "alpha", "expected"),
    [
        (224, 224, 1.0, [(0, 3), (4, 7), (8, 10)]),
        (192, 192, 0.75, [(0, 3), (4, 6)]),
        (481, 641, 0.75, [(0, 2), (3, 6), (7, 10), (11, 13), (14, 16), (17, 20)]),  # later layers of PoseNet differ
        (128, 128, 0.25, []),
    ],
)
def test_cascades_are_those_that_vela_makes(
    height: int, width: int, alpha: float, expected: list[tuple[int, int]]
) -> None:
    """``vela --accelerator-config ethos-u65-512 --memory-mode Dedicated_Sram_384KB --verbose-schedule``, 5.2.0."""
    cascades, _ = schedule(mobilenet_v1(height, width, alpha)[:21], 384 * KIB)
    assert [(cascade.first, cascade.last) for cascade in cascades] == expected


def test_what_fits_stays_on_the_chip() -> None:
    chain = [operator(number - 1) for number in range(4)]
    assert off_chip_bytes(chain[1:], 30_000)[1:] == [0, 0]


def test_tensors_inside_a_cascade_are_buffers_of_a_few_rows() -> None:
    chain = [operator(number - 1, kernel=3) for number in range(4)]
    # A reader of 3 rows of 100 bytes, of which the producer makes one at a time, turns in a ring of 6 rows.
    assert schedule(chain, 2000) == ([(0, 3, 1, 1800)], dict.fromkeys(range(4), 0))
    assert off_chip_bytes(chain, 2000) == [10_000, 0, 0, 0]  # the network's input
    # Two rows at a time need rings of 8 rows.
    assert schedule(chain, 2400)[0] == [(0, 3, 2, 2400)]


def test_a_cascade_ends_where_its_buffers_fill_the_memory_and_its_result_is_written_and_read() -> None:
    chain = [operator(number - 1, kernel=3) for number in range(4)]
    assert [cascade[:2] for cascade in schedule(chain, 1200)[0]] == [(0, 2)]
    assert off_chip_bytes(chain, 1200) == [10_000, 0, 10_000, 10_000]


def test_a_cascade_ends_where_tensors_fit_as_a_whole() -> None:
    chain = [operator(-1), operator(0), operator(1, stride=2, height=50), operator(2, stride=2, height=25, row=50)]
    assert [cascade[:2] for cascade in schedule(chain, 8000)[0]] == [(0, 2)]


def test_parameters_without_room_in_a_cascade_are_read_by_every_block() -> None:
    def chain(parameters: float) -> list[Operator]:
        return [operator(-1, kernel=3), operator(0, kernel=3, parameters=parameters, reread=7 * parameters)]

    assert off_chip_bytes(chain(300), 1000) == [10_000, 0]
    assert off_chip_bytes(chain(500), 1000) == [10_000, 6 * 500]


def test_an_image_may_cost_more_in_stripes() -> None:
    image = operator(-1)._replace(read_bytes=(0.0,), image_bytes=lambda rows: 700.0 * rows)
    chain = [image, operator(0, kernel=3), operator(1, kernel=3)]
    assert [cascade.rows for cascade in schedule(chain, 1700)[0]] == [2]
    assert off_chip_bytes(chain, 1700) == [1400, 0, 0]


def test_of_other_tensors_those_stay_that_are_read_most() -> None:
    layers = [(-1,), (-1,), (0, 1), (0, 1, 2), (3,)]
    operators = [operator(*inputs, height=10, divisible=False) for inputs in layers]
    # Two tensors are read twice; with a third one they would take 3,000 bytes.
    assert off_chip_bytes(operators, 2500) == [1000, 1000, 1000, 1000 + 1000, 1000]
    assert off_chip_bytes(operators, 4000) == [1000, 1000, 0, 0, 0]


def test_only_a_tensors_one_reader_continues_a_cascade() -> None:
    branches = [operator(-1), operator(0), operator(0), operator(1, 2, divisible=False)]
    assert schedule(branches, 5000) == ([], {})
    assert schedule([operator(-1, output=True), operator(0)], 5000) == ([], {})


@given(
    st.lists(st.tuples(st.integers(1, 40), st.integers(1, 400), st.sampled_from([1, 3, 5])), min_size=2, max_size=9),
    st.integers(1, 40_000),
)
def test_buffers_fit_and_cascades_follow_one_another(sizes: list[tuple[int, int, int]], capacity: int) -> None:
    chain = [
        operator(number - 1, height=height, row=row, kernel=kernel, parameters=10.0 * row, reread=20.0 * row)
        for number, (height, row, kernel) in enumerate(sizes)
    ]
    cascades, kept = schedule(chain, capacity)
    assert all(cascade.first < cascade.last and cascade.buffer_bytes <= capacity for cascade in cascades)
    assert all(one.last < other.first for one, other in pairwise(cascades))
    inside = {number for cascade in cascades for number in range(cascade.first, cascade.last + 1)}
    assert kept.keys() <= inside | set(range(len(chain)))
    whole = sum(item.output_bytes for item in chain)
    assert all(size >= 0 for size in off_chip_bytes(chain, capacity))
    assert off_chip_bytes(chain, 3 * whole)[1:] == [0] * (len(chain) - 1)
