"""The processor engine: what kernels of matrix products must cost, whatever the constants."""

from __future__ import annotations

import dataclasses
from importlib.resources import files
from math import prod

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ednas.arch import load_architecture
from ednas.hw.graph import ops
from ednas.hw.graph.layers import Layer, Shape
from ednas.hw.graph.trace import trace_network
from ednas.hw.model.engines.cpu import Cpu

TEXT = (files("ednas.hw") / "targets" / "cpu_generic.yaml").read_text(encoding="utf-8")
CORE = Cpu.model_validate(yaml.safe_load(TEXT)["engine"])

sides = st.integers(1, 40)
kernels = st.sampled_from([1, 3, 5])


def layer(op: str, input: Shape, output: Shape, kernel: int = 1, **fields) -> Layer:  # noqa: A002
    return Layer("x", "", op, input, output, kernel=(kernel, kernel), **fields)


def convolution(side: int, inputs: int, outputs: int, kernel: int = 1, groups: int = 1, **fields) -> Layer:
    weights = kernel**2 * inputs * outputs // groups
    macs, size = side * side * weights, weights + 4 * outputs
    shapes = (side, side, inputs), (side, side, outputs)
    return layer("CONV_2D", *shapes, kernel, groups=groups, macs=macs, weight_bytes=size, **fields)


def without_weights(of: Layer) -> int:
    return CORE.work(dataclasses.replace(of, weight_bytes=0)).cycles


def test_a_large_convolution_comes_close_to_the_peak() -> None:
    large = convolution(64, 1024, 1024, 3)
    utilisation = large.macs / (CORE.work(large).cycles * CORE.macs_per_cycle)
    assert 0.9 < utilisation <= 1


@given(side=sides, inputs=sides, outputs=sides, kernel=kernels)
def test_no_convolution_beats_the_peak(side: int, inputs: int, outputs: int, kernel: int) -> None:
    one = convolution(side, inputs, outputs, kernel)
    assert CORE.work(one).cycles * CORE.macs_per_cycle >= one.macs


@given(side=sides, inputs=sides, outputs=sides, kernel=kernels)
def test_output_channels_cost_whole_tiles(side: int, inputs: int, outputs: int, kernel: int) -> None:
    columns = CORE.gemm_columns
    whole = -(-outputs // columns) * columns
    one, other = convolution(side, inputs, outputs, kernel), convolution(side, inputs, whole, kernel)
    assert without_weights(one) == without_weights(other)
    assert without_weights(convolution(side, inputs, whole + 1, kernel)) > without_weights(other)


@given(side=sides, inputs=sides, kernel=kernels)
def test_input_channels_cost_whole_steps(side: int, inputs: int, kernel: int) -> None:
    whole = -(-inputs // CORE.gemm_depth) * CORE.gemm_depth
    assert without_weights(convolution(side, inputs, 16, kernel)) == without_weights(
        convolution(side, whole, 16, kernel)
    )


def test_groups_of_whole_tiles_save_what_they_leave_out() -> None:
    dense, grouped = convolution(32, 128, 128, 3), convolution(32, 128, 128, 3, groups=8)
    assert without_weights(dense) > 4 * without_weights(grouped)
    narrow = convolution(32, 128, 128, 3, groups=64)
    assert without_weights(narrow) > without_weights(grouped)  # tiles of 2 of 16 columns


def test_a_matrix_product_is_a_1x1_convolution() -> None:
    one = convolution(8, 64, 32)
    flat = layer("FULLY_CONNECTED", (1, 64, 64), (1, 64, 32), macs=one.macs, weight_bytes=one.weight_bytes)
    assert CORE.work(flat).cycles == CORE.work(one).cycles


def test_a_transposed_convolution_costs_its_share_of_taps() -> None:
    transposed = layer("TRANSPOSE_CONV", (8, 8, 64), (16, 16, 64), 4, stride=2)
    equal = layer("CONV_2D", (16, 16, 64), (16, 16, 64), 2)
    ratio = CORE.transposed_factor.value
    overhead = CORE.layer_cycles.value
    assert CORE.work(transposed).cycles - overhead == pytest.approx(ratio * (CORE.work(equal).cycles - overhead), abs=2)


def test_a_depthwise_convolution_is_linear_in_taps_and_vectors() -> None:
    def cycles(kernel: int, channels: int) -> float:
        shape = (16, 16, channels)
        return CORE.work(layer("DEPTHWISE_CONV_2D", shape, shape, kernel)).cycles - CORE.layer_cycles.value

    per_tap = (cycles(5, 16) - cycles(3, 16)) / 16
    assert cycles(7, 16) - cycles(5, 16) == pytest.approx(24 * per_tap, abs=2)
    assert cycles(3, 17) == cycles(3, 32) == pytest.approx(2 * cycles(3, 16), abs=2)


def test_floating_point_is_slower_by_the_width_of_its_elements() -> None:
    whole = convolution(32, 256, 256, 3)
    assert without_weights(convolution(32, 256, 256, 3, dtype="float32")) == pytest.approx(
        4 * without_weights(whole), rel=0.1
    )


def test_an_activation_without_a_vector_kernel_is_dear_in_int8_only() -> None:
    shape = (32, 32, 64)
    relu, real = layer("RELU6", shape, shape), layer("RELU6", shape, shape, dtype="float32")
    assert CORE.work(relu).cycles > 4 * CORE.work(real).cycles
    assert CORE.work(relu).cycles > 4 * CORE.work(layer("ADD", shape, shape)).cycles


def test_padding_and_reshapes_are_free() -> None:
    assert CORE.work(layer("PAD", (8, 8, 4), (10, 10, 4))) == (0, 0)
    assert CORE.work(layer("RESHAPE", (8, 8, 4), (1, 1, 256))) == (0, 0)


@pytest.mark.parametrize("op", [*sorted(ops.BUILTIN), "CUSTOM:Decoder"])
def test_every_operator_has_a_cost(op: str) -> None:
    work = CORE.work(layer(op, (8, 8, 16), (8, 8, 16), 3))
    assert isinstance(work.cycles, int)
    assert work.cycles >= 0
    assert work.on_chip_bytes >= 0


def test_parameters_cost_whole_tiles_of_memory_and_cycles() -> None:
    one = convolution(1, 64, 17)
    assert CORE.parameter_bytes(one) == one.weight_bytes * 32 // 17
    assert CORE.work(one).cycles > without_weights(one)
    assert CORE.parameter_bytes(layer("ADD", (4, 4, 8), (4, 4, 8), weight_bytes=8)) == 8


def test_a_network_is_the_sum_of_far_more_than_its_multiplications() -> None:
    graph = trace_network(load_architecture("base"), {"segmentation": 19}, (128, 256))
    cycles = sum(CORE.work(one).cycles for one in graph.layers)
    assert graph.macs / CORE.macs_per_cycle < cycles < 3 * graph.macs / CORE.macs_per_cycle
    traffic = sum(CORE.work(one).on_chip_bytes for one in graph.layers if one.op not in ("PAD", *ops.RESHAPES))
    assert traffic == sum(prod(one.input) + prod(one.output) for one in graph.layers if one.op != "PAD")
