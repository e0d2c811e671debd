"""The systolic array counts what SCALE-Sim counts, and every other operator is made of such products."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ednas.hw import Layer, load_target
from ednas.hw.graph import ops
from ednas.hw.model.engines.base import Work
from ednas.hw.model.engines.systolic import Product, ProductWork, SystolicArray, product, product_work
from ednas.hw.targets.files import target_text

CLOCK = {"value": 700, "provenance": "assumed", "source": "test"}
DATAFLOWS = ("ws", "os", "is")
side = st.integers(1, 40)


def array(dataflow: Any = "ws", rows: int = 64, cols: int = 64) -> SystolicArray:
    return SystolicArray(kind="systolic", rows=rows, cols=cols, dataflow=dataflow, clock_mhz=CLOCK)


def convolution(**changes: Any) -> Layer:
    fields = {"input": (16, 16, 24), "output": (16, 16, 40), "kernel": (3, 3)} | changes
    return Layer(**({"name": "layer", "scope": "", "op": "CONV_2D"} | fields))


# rows, cols, dataflow, (pixels, depth, filters), then what SCALE-Sim 3.0.0 reports: Total Cycles, SRAM IFMAP Reads,
# SRAM Filter Reads, SRAM OFMAP Writes (in os less rows + cols for each fold, which it adds).
REPORTED = [
    (16, 32, "ws", (16 * 16, 3 * 3 * 40, 70), (21941, 276480, 25200, 412160)),
    (16, 32, "os", (16 * 16, 3 * 3 * 40, 70), (19487, 276480, 403200, 20224 - 16 * 3 * 48)),
    (16, 32, "is", (16 * 16, 3 * 3 * 40, 70), (24287, 92160, 201600, 412160)),
    (64, 64, "ws", (64 * 64, 24, 144), (12857, 294912, 3456, 589824)),
]


@pytest.mark.parametrize(("rows", "cols", "dataflow", "sizes", "expected"), REPORTED)
def test_a_product_costs_what_scalesim_reports(rows: int, cols: int, dataflow: Any, sizes: Any, expected: Any) -> None:
    assert product_work(*sizes, rows, cols, dataflow) == expected


def fold_by_fold(pixels: int, depth: int, filters: int, rows: int, cols: int, dataflow: str) -> ProductWork:
    """Count the lines and accesses of every fold, as SCALE-Sim's demand matrices hold them."""
    down, across, stream = {
        "ws": (depth, filters, pixels),
        "is": (depth, pixels, filters),
        "os": (pixels, filters, depth),
    }[dataflow]
    lines = reads_down = reads_across = writes = 0
    held = 0
    for top in range(0, down, rows):
        for left in range(0, across, cols):
            high, wide = min(rows, down - top), min(cols, across - left)
            load = 0 if dataflow == "os" else rows
            lines += load + stream + (rows - 1) + (cols - 1)
            reads_down += high * stream
            reads_across += wide * stream
            held += high * wide
            writes += high * wide if dataflow == "os" else wide * stream
    inputs, weights = {"ws": (reads_down, held), "is": (held, reads_down), "os": (reads_down, reads_across)}[dataflow]
    return ProductWork(lines - 1, inputs, weights, writes)


@given(st.integers(1, 300), st.integers(1, 300), st.integers(1, 300), side, side, st.sampled_from(DATAFLOWS))
def test_the_closed_forms_are_the_sums_over_folds(
    pixels: int, depth: int, filters: int, rows: int, cols: int, dataflow: Any
) -> None:
    found = product_work(pixels, depth, filters, rows, cols, dataflow)
    assert found == fold_by_fold(pixels, depth, filters, rows, cols, dataflow)
    assert found.cycles * rows * cols >= pixels * depth * filters - rows * cols  # no faster than all multipliers


@pytest.mark.parametrize("dataflow", DATAFLOWS)
def test_a_convolution_is_one_product(dataflow: Any) -> None:
    layer = convolution(stride=2, input=(33, 33, 24))
    assert product(layer) == Product(1, 16 * 16, 3 * 3 * 24, 40)
    assert array(dataflow).work(layer).cycles == product_work(256, 216, 40, 64, 64, dataflow).cycles


@pytest.mark.parametrize("dataflow", DATAFLOWS)
def test_a_depthwise_convolution_is_a_product_for_each_channel(dataflow: Any) -> None:
    layer = convolution(op="DEPTHWISE_CONV_2D", output=(16, 16, 24), groups=24)
    one = convolution(input=(16, 16, 1), output=(16, 16, 1))
    assert array(dataflow).work(layer) == Work(*(24 * value for value in array(dataflow).work(one)))
    doubled = convolution(op="DEPTHWISE_CONV_2D", output=(16, 16, 48), groups=24)
    assert product(doubled) == Product(24, 256, 9, 2)


@pytest.mark.parametrize("dataflow", DATAFLOWS)
def test_a_grouped_convolution_is_a_product_for_each_group(dataflow: Any) -> None:
    one = convolution(input=(16, 16, 6), output=(16, 16, 10))
    assert array(dataflow).work(convolution(groups=4)) == Work(*(4 * value for value in array(dataflow).work(one)))


def test_dilation_costs_nothing() -> None:
    assert array().work(convolution(dilation=4)) == array().work(convolution())


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (convolution(op="TRANSPOSE_CONV", output=(32, 32, 40), stride=2), Product(1, 16 * 16, 24, 9 * 40)),
        (convolution(op="FULLY_CONNECTED", input=(1, 7, 24), output=(1, 7, 40)), Product(1, 7, 24, 40)),
        (convolution(op="FULLY_CONNECTED", input=(4, 4, 24), output=(1, 1, 40)), Product(1, 1, 384, 40)),
        (convolution(op="BATCH_MATMUL", input=(8, 7, 24), output=(8, 7, 40)), Product(8, 7, 24, 40)),
        (convolution(op="LSTM", input=(1, 7, 24), output=(1, 7, 8), macs=7 * 32 * 8 * 4), Product(7, 1, 128, 8)),
        (convolution(op="CONV_3D", macs=256 * 40 * 648), Product(1, 256, 648, 40)),
        (convolution(op="STABLEHLO_CONVOLUTION", macs=0), Product(1, 256, 1, 40)),
    ],
)
def test_other_operators_with_multiplications_are_products_too(layer: Layer, expected: Product) -> None:
    assert product(layer) == expected


@pytest.mark.parametrize("op", sorted(ops.CONVOLUTIONS - ops.RECURRENT - {"CONV_3D", "CONV_3D_TRANSPOSE"}))
def test_products_hold_every_multiplication(op: str) -> None:
    shapes = {
        "DEPTHWISE_CONV_2D": {"output": (16, 16, 24), "macs": 256 * 24 * 9},
        "TRANSPOSE_CONV": {"macs": 256 * 24 * 9 * 40},
        "CONV_2D": {"macs": 256 * 24 * 9 * 40},
    }.get(op, {"kernel": (1, 1), "macs": 256 * 24 * 40})
    layer = convolution(op=op, **shapes)
    times, pixels, depth, filters = product(layer)
    assert times * pixels * depth * filters == layer.macs


@pytest.mark.parametrize(
    ("layer", "steps"),
    [
        (convolution(op="MAX_POOL_2D", output=(8, 8, 24)), 8 * 8 * 24 * 9),
        (convolution(op="MEAN", output=(1, 1, 24), kernel=(1, 1)), 16 * 16 * 24),
        (convolution(op="RESIZE_BILINEAR", output=(32, 32, 24), kernel=(1, 1)), 32 * 32 * 24 * 4),
        (convolution(op="ADD", output=(16, 16, 24), kernel=(1, 1)), 16 * 16 * 24),
        (convolution(op="CONCATENATION", input=(16, 16, 40), kernel=(1, 1)), 16 * 16 * 40),
    ],
)
def test_the_vector_unit_takes_an_element_a_lane_and_cycle(layer: Layer, steps: int) -> None:
    assert array().work(layer).cycles == -(-steps // 64)
    assert array(cols=7).work(layer).cycles == -(-steps // 7)


def test_an_addition_reads_both_inputs() -> None:
    layer = convolution(op="ADD", output=(16, 16, 24), inputs=(0, 1), kernel=(1, 1))
    assert array().work(layer).on_chip_bytes == 3 * 16 * 16 * 24


def test_a_reshape_costs_nothing() -> None:
    assert array().work(convolution(op="RESHAPE", output=(1, 1, 6144), kernel=(1, 1))) == (0, 0)


def test_bytes_are_accesses_at_the_width_of_what_is_accessed() -> None:
    small = convolution(input=(8, 8, 3), output=(8, 8, 5), kernel=(1, 1))  # a single fold: no partial sums
    assert array().work(small).on_chip_bytes == 64 * 3 + 3 * 5 + 64 * 5
    wide = convolution(input=(8, 8, 3), output=(8, 8, 5), kernel=(1, 1), dtype="int16")
    assert array().work(wide).on_chip_bytes == 2 * 64 * 3 + 3 * 5 + 2 * 64 * 5
    folded = array(rows=1).work(small).on_chip_bytes  # three folds: two partial sums, written and read back
    assert folded == 64 * 3 + 3 * 5 + 64 * 5 + 2 * (4 + 4) * 64 * 5


def test_parameters_are_kept_without_padding() -> None:
    assert array().parameter_bytes(convolution(weight_bytes=8800)) == 8800
    assert array(rows=8, cols=16).macs_per_cycle == 128


@pytest.mark.parametrize("dataflow", DATAFLOWS)
def test_there_is_a_target_for_each_dataflow(dataflow: str) -> None:
    target = load_target(f"systolic_64x64_{dataflow}")
    assert isinstance(target.engine, SystolicArray)
    assert (target.engine.rows, target.engine.cols, target.engine.dataflow) == (64, 64, dataflow)
    assert target.energy is not None
    assert target.area is not None


def test_the_targets_differ_only_in_their_dataflow() -> None:
    first, *others = (yaml.safe_load(target_text(f"systolic_64x64_{dataflow}")) for dataflow in DATAFLOWS)
    for content in others:
        content |= {"name": first["name"], "title": first["title"]}
        content["engine"] |= {"dataflow": first["engine"]["dataflow"]}
        assert content == first
