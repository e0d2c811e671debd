"""The engine of ncnn's kernels: what they must cost, whatever the constants."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ednas.hw import load_target
from ednas.hw.graph.layers import Layer, Shape
from ednas.hw.model.engines.ncnn import Ncnn, weight_count

TARGETS = ("cpu_ncnn_fp16", "cpu_ncnn_fp32")
CORE = load_target("cpu_ncnn_fp32").engine
assert isinstance(CORE, Ncnn)

sides = st.integers(1, 60)
channels = st.integers(5, 300)


def convolution(
    side: int, inputs: int, outputs: int, kernel: int = 1, *, stride: int = 1, groups: int = 1, op: str = "CONV_2D"
) -> Layer:
    weights = kernel**2 * inputs * outputs // groups
    shapes: tuple[Shape, Shape] = (side * stride, side * stride, inputs), (side, side, outputs)
    fields = {"macs": side * side * weights, "weight_bytes": 4 * weights, "dtype": "float32"}
    return Layer("x", "", op, *shapes, kernel=(kernel, kernel), stride=stride, groups=groups, **fields)


def cycles(layer: Layer, engine: Ncnn = CORE) -> int:
    return engine.work(layer).cycles


@pytest.mark.parametrize("name", TARGETS)
def test_a_large_pointwise_convolution_comes_near_the_peak(name: str) -> None:
    engine = load_target(name).engine
    large = convolution(64, 1024, 1024)
    assert 0.5 < large.macs / (engine.work(large).cycles * engine.macs_per_cycle) <= 1.1


@pytest.mark.parametrize("name", TARGETS)
def test_winograd_saves_most_of_a_dense_convolution_and_needs_whole_vectors(name: str) -> None:
    engine = load_target(name).engine
    assert isinstance(engine, Ncnn)
    dense, strided = convolution(48, 64, 64, 3), convolution(48, 64, 64, 3, stride=2)
    assert dense.macs == strided.macs
    assert cycles(dense, engine) < 0.6 * cycles(strided, engine)
    assert cycles(convolution(48, 64, 62, 3), engine) > 1.5 * cycles(dense, engine)


def test_winograd_computes_whole_tiles() -> None:
    assert cycles(convolution(12, 64, 64, 3)) < cycles(convolution(13, 64, 64, 3))
    plain = {"layer_macs", "store_macs"}
    bare = CORE.model_copy(update={name: getattr(CORE, name).model_copy(update={"value": 0.0}) for name in plain})
    assert cycles(convolution(13, 64, 64, 3), bare) == cycles(convolution(18, 64, 64, 3), bare)


def test_a_wider_window_costs_more_for_each_of_its_macs() -> None:
    narrow, wide = convolution(32, 64, 64, 3, stride=2), convolution(32, 64, 64, 5, stride=2)
    assert cycles(wide) / wide.macs > cycles(narrow) / narrow.macs


def test_a_depthwise_convolution_needs_whole_vectors_in_float16() -> None:
    engine = load_target("cpu_ncnn_fp16").engine
    assert isinstance(engine, Ncnn)
    packed, loose = (convolution(32, n, n, 3, groups=n, op="DEPTHWISE_CONV_2D") for n in (64, 62))
    assert cycles(loose, engine) / loose.macs > 1.2 * cycles(packed, engine) / packed.macs


@pytest.mark.parametrize("name", TARGETS)
def test_what_has_no_vector_kernel_is_far_slower(name: str) -> None:
    engine = load_target(name).engine
    assert isinstance(engine, Ncnn)
    pooled, mean, total = (
        Layer(op, "n", op, (56, 56, 64), (1, 1, 64), kernel=(56, 56)) for op in ("AVERAGE_POOL_2D", "MEAN", "SUM")
    )
    assert cycles(mean, engine) == cycles(total, engine) > 3 * cycles(pooled, engine)
    around, between = (Layer("p", "n", "PAD", (56, 56, 64), shape) for shape in ((60, 60, 64), (56, 56, 73)))
    assert cycles(between, engine) > cycles(around, engine)


@given(side=sides, inputs=channels, outputs=channels, kernel=st.sampled_from([1, 5]))
def test_more_outputs_cost_more(side: int, inputs: int, outputs: int, kernel: int) -> None:
    assert cycles(convolution(side, inputs, outputs, kernel)) <= cycles(convolution(side, inputs, outputs + 1, kernel))


@given(side=sides, inputs=channels, outputs=channels, kernel=st.sampled_from([1, 3, 5]))
def test_a_larger_image_costs_no_less(side: int, inputs: int, outputs: int, kernel: int) -> None:
    one, other = convolution(side, inputs, outputs, kernel), convolution(side + 1, inputs, outputs, kernel)
    assert cycles(one) <= cycles(other)


@given(factor=st.floats(0.1, 10), side=sides, inputs=channels)
def test_all_work_goes_with_the_cycles_of_a_mac(factor: float, side: int, inputs: int) -> None:
    layer = convolution(side, inputs, 64, 3)
    value = CORE.mac_cycles.model_copy(update={"value": factor * CORE.mac_cycles.value})
    slower = CORE.model_copy(update={"mac_cycles": value})
    assert cycles(layer, slower) == pytest.approx(factor * cycles(layer), rel=1e-3, abs=1)


def test_a_change_of_shape_is_free_and_every_other_layer_takes_time() -> None:
    shapes = {"input": (8, 8, 4), "output": (8, 8, 4)}
    assert cycles(Layer("x", "", "RESHAPE", **shapes)) == 0
    for op in ("ADD", "LOGISTIC", "CONCATENATION", "MAX_POOL_2D", "RESIZE_BILINEAR", "TRANSPOSE_CONV", "BATCH_MATMUL"):
        assert cycles(Layer("x", "", op, **shapes)) > 0, op


def test_weights_are_counted_by_shapes_and_stored_as_they_are_computed() -> None:
    layer = convolution(4, 6, 8, 3, groups=2)
    assert weight_count(layer) == 9 * 6 * 8 // 2
    assert CORE.parameter_bytes(layer) == 4 * (9 * 6 * 8 // 2 + 8)
    connected = Layer("x", "", "FULLY_CONNECTED", (1, 1, 20), (1, 1, 5), weight_bytes=1, dtype="float16")
    assert CORE.parameter_bytes(connected) == 2 * (20 * 5 + 5)
