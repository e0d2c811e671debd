"""The Ethos-U model: bounds and order of its cycles, its blocks, and agreement with what Vela printed for layers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ednas.hw import Layer, LayerGraph, load_target, simulate
from ednas.hw.model.engines import EthosU

TARGETS = ("ethos_u55_256", "ethos_u65_512", "ethos_u85_1024")


def engine(name: str = "ethos_u55_256") -> EthosU:
    found = load_target(name).engine
    assert isinstance(found, EthosU)
    return found


def conv(
    size: tuple[int, int], channels: int, filters: int, kernel: int = 1, stride: int = 1, groups: int = 1
) -> Layer:
    height, width = size
    weights = kernel * kernel * channels // groups * filters
    output = -(-height // stride), -(-width // stride), filters
    return Layer(
        name="a",
        scope="network",
        op="CONV_2D",
        input=(height, width, channels),
        output=output,
        kernel=(kernel, kernel),
        stride=stride,
        groups=groups,
        weight_bytes=weights + 4 * filters,
        macs=weights * output[0] * output[1],
    )


def depthwise(size: tuple[int, int], channels: int, kernel: int = 3, stride: int = 1) -> Layer:
    layer = conv(size, channels, channels, kernel, stride, channels)
    return replace(layer, op="DEPTHWISE_CONV_2D", groups=channels)


def other(op: str, shape: tuple[int, int, int] = (16, 16, 64), **fields: Any) -> Layer:
    values: dict[str, Any] = {"name": "a", "scope": "network", "op": op, "input": shape, "output": shape}
    return Layer(**(values | fields))


SIDES = st.integers(1, 96)
CHANNELS = st.integers(1, 512)
CONVOLUTIONS = st.builds(
    lambda height, width, channels, filters, kernel, stride: conv((height, width), channels, filters, kernel, stride),
    SIDES,
    SIDES,
    CHANNELS,
    CHANNELS,
    st.sampled_from((1, 3, 5, 7)),
    st.sampled_from((1, 2)),
)
DEPTHWISE = st.builds(
    lambda height, width, channels, kernel: depthwise((height, width), channels, kernel),
    SIDES,
    SIDES,
    CHANNELS,
    st.sampled_from((3, 5, 7)),
)
ENGINES = st.sampled_from(TARGETS).map(engine)


@pytest.mark.parametrize(("name", "macs"), list(zip(TARGETS, (256, 512, 1024), strict=True)))
def test_multiplies_as_often_a_cycle_as_its_name_says(name: str, macs: int) -> None:
    assert engine(name).macs_per_cycle == macs


@given(engine=ENGINES, layer=CONVOLUTIONS | DEPTHWISE)
def test_never_does_more_than_its_multipliers_can(engine: EthosU, layer: Layer) -> None:
    work = engine.work(layer)
    assert layer.macs <= work.cycles * engine.macs_per_cycle
    assert work == engine.work(layer)


@given(engine=ENGINES, layer=CONVOLUTIONS | DEPTHWISE)
def test_moves_at_least_its_output_and_a_pixel_of_the_input_for_each(engine: EthosU, layer: Layer) -> None:
    height, width, channels = layer.output
    assert engine.work(layer).on_chip_bytes >= height * width * (layer.input[2] + channels)


@given(engine=ENGINES, layer=CONVOLUTIONS, more=st.integers(1, 64), what=st.sampled_from(("filters", "channels")))
def test_more_channels_never_move_less(engine: EthosU, layer: Layer, more: int, what: str) -> None:
    channels, filters = layer.input[2], layer.output[2]
    grown = conv(
        layer.input[:2],
        channels + more * (what == "channels"),
        filters + more * (what == "filters"),
        layer.kernel[0],
        layer.stride,
    )
    rounding = 1  # both are rounded to whole bytes
    assert engine.work(grown).on_chip_bytes >= engine.work(layer).on_chip_bytes - rounding
    assert engine.parameter_bytes(grown) >= engine.parameter_bytes(layer)


@given(
    name=st.sampled_from(TARGETS),
    layer=st.builds(
        lambda height, width, channels, filters, kernel: conv((height, width), channels, filters, kernel),
        SIDES,
        SIDES,
        st.integers(8, 256),
        CHANNELS,
        st.sampled_from((1, 3, 5)),
    ),
    rows=st.integers(1, 32),
)
def test_a_larger_image_never_takes_less(name: str, layer: Layer, rows: int) -> None:
    """Its blocks may be others, that move less: what they move is not what takes the time then."""
    height, width, channels = layer.input
    grown = conv((height + rows, width), channels, layer.output[2], layer.kernel[0])
    assert engine(name).work(grown).cycles >= engine(name).work(layer).cycles
    assert latency_ms(name, grown) >= latency_ms(name, layer)


def latency_ms(name: str, layer: Layer) -> float:
    return simulate(LayerGraph((layer,), 1000, 1000), load_target(name)).accelerator_ms


# What Vela 5.2.0 printed for such layers (--verbose-performance): the cycles of the engine, of its traffic to SRAM.
@pytest.mark.parametrize(
    ("name", "layer", "cycles", "sram_cycles"),
    [
        ("ethos_u55_256", conv((64, 128), 16, 96), 197_792, 154_672),
        ("ethos_u55_256", conv((32, 64), 36, 216), 112_448, 141_632),
        ("ethos_u55_256", conv((32, 64), 36, 108, kernel=3), 519_630, 175_694),
        ("ethos_u55_256", conv((8, 16), 720, 120), 69_472, 52_466),
        ("ethos_u55_256", depthwise((64, 128), 32), 100_024, 78_880),
        ("ethos_u55_256", depthwise((8, 16), 1008), 49_472, 33_748),
        ("ethos_u65_512", conv((16, 32), 64, 64), 5_056, 5_984),
        ("ethos_u65_512", conv((8, 16), 168, 1008), 49_496, 60_668),
        ("ethos_u65_512", depthwise((16, 32), 64), 7_008, 4_862),
        ("ethos_u85_1024", conv((32, 64), 36, 108, kernel=3), 130_823, 34_052),
    ],
)
def test_agrees_with_the_compiler_on_layers(name: str, layer: Layer, cycles: int, sram_cycles: int) -> None:
    bytes_per_cycle = {"ethos_u55_256": 8, "ethos_u65_512": 16, "ethos_u85_1024": 32}[name]
    work = engine(name).work(layer)
    assert work.cycles == pytest.approx(cycles, rel=0.35)
    assert work.on_chip_bytes / bytes_per_cycle == pytest.approx(sram_cycles, rel=0.45)


def test_a_grouped_convolution_is_one_convolution_a_group() -> None:
    single, grouped = conv((32, 32), 32, 32, 3), conv((32, 32), 128, 128, 3, groups=4)
    assert engine().work(grouped).cycles == pytest.approx(4 * engine().work(single).cycles, rel=0.01)


def test_few_pixels_wait_for_their_weights() -> None:
    # 1, 2 and 8 micro-blocks of pixels: a step lasts as long as the decoding of its weights, the time of 8.
    small, medium, large = (engine().work(conv(size, 256, 256)).cycles for size in ((2, 2), (2, 4), (4, 8)))
    assert small == pytest.approx(large, rel=0.06)  # but for the output, which is more
    assert medium == pytest.approx(large, rel=0.06)


def test_an_image_is_read_slowly() -> None:
    assert engine("ethos_u65_512").work(conv((128, 256), 3, 32, 3, 2)).cycles > 4 * (
        engine("ethos_u65_512").work(conv((128, 256), 8, 32, 3, 2)).cycles
    )


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("kernel", [3, 5, 7])
def test_more_filters_over_an_image_never_take_less(name: str, kernel: int) -> None:
    cycles = [engine(name).work(conv((32, 32), 3, filters, kernel, 2)).cycles for filters in range(8, 200)]
    assert cycles == sorted(cycles)


@pytest.mark.parametrize("op", ["PAD", "RESHAPE", "SQUEEZE"])
def test_what_others_absorb_is_free(op: str) -> None:
    assert engine().work(other(op)) == (0, 0)


@pytest.mark.parametrize("name", TARGETS)
def test_additions_multiplications_and_copies_have_their_rates(name: str) -> None:
    unit = engine(name)
    elements = 16 * 16 * 64
    both = (-1, 0)
    assert unit.work(other("ADD", inputs=both)).cycles == round(elements / unit.add_elements_per_cycle.value)
    assert unit.work(other("MUL", inputs=both)).cycles == round(elements / unit.multiply_elements_per_cycle.value)
    assert unit.work(other("RELU")) == unit.work(other("CONCATENATION"))  # both are poolings of 1 x 1
    assert unit.work(other("ADD", inputs=both)).on_chip_bytes == 3 * elements


# What Vela 5.2.0 printed for such layers between two convolutions: the cycles of the engine.
@pytest.mark.parametrize(
    ("name", "op", "shape", "output", "cycles"),
    [
        ("ethos_u55_256", "MEAN", (14, 14, 240), (1, 1, 240), 57704),
        ("ethos_u55_256", "MEAN", (7, 7, 320), (1, 1, 320), 20852),
        ("ethos_u65_512", "MEAN", (14, 14, 240), (1, 1, 240), 28901),
        ("ethos_u85_1024", "MEAN", (14, 14, 240), (1, 1, 240), 14528),
        ("ethos_u55_256", "RELU", (28, 28, 64), (28, 28, 64), 26016),
        ("ethos_u65_512", "RELU", (14, 14, 128), (14, 14, 128), 6848),
        ("ethos_u55_256", "PAD", (28, 28, 48), (28, 28, 64), 27648),
        ("ethos_u55_256", "PAD", (28, 28, 64), (28, 28, 72), 165888),
        ("ethos_u55_256", "ARG_MAX", (64, 64, 40), (64, 64, 1), 745070),
        ("ethos_u85_1024", "ARG_MAX", (64, 64, 40), (64, 64, 1), 330937),
    ],
)
def test_operators_without_weights_take_about_as_long_as_vela_estimates(
    name: str, op: str, shape: tuple[int, int, int], output: tuple[int, int, int], cycles: int
) -> None:
    assert engine(name).work(other(op, shape, output=output)).cycles == pytest.approx(cycles, rel=0.21)


# What Vela 5.2.0 printed for a convolution and the sigmoid after it, less what it did for the convolution alone.
@pytest.mark.parametrize(
    ("name", "shape", "cycles"),
    [
        ("ethos_u55_256", (28, 28, 64), 38300),
        ("ethos_u55_256", (14, 14, 128), 19900),
        ("ethos_u65_512", (28, 28, 64), 19100),
        ("ethos_u85_1024", (28, 28, 64), 0),
    ],
)
def test_a_sigmoid_is_part_of_the_layer_before_and_slows_down_its_output(
    name: str, shape: tuple[int, int, int], cycles: int
) -> None:
    before, after = conv(shape[:2], 32, shape[2]), other("LOGISTIC", shape, inputs=(0,))
    added = simulate(LayerGraph((before, after), 1000, 1000), load_target(name)).layers[1].cycles
    assert added == pytest.approx(cycles, rel=0.21)


@pytest.mark.parametrize("name", TARGETS)
def test_a_sigmoid_hides_behind_many_multiplications_unless_something_else_reads_them(name: str) -> None:
    before, after = conv((28, 28), 512, 64, 3), other("LOGISTIC", (28, 28, 64), inputs=(0,))
    layers = (before, after, other("MUL", (28, 28, 64), inputs=(1, 1)))
    target = load_target(name)
    assert simulate(LayerGraph(layers, 1000, 1000), target).layers[1].latency_ms == 0
    swish = (before, after, replace(layers[2], inputs=(0, 1)))
    assert simulate(LayerGraph(swish, 1000, 1000), target).layers[1].latency_ms > 0


def spills(*layers: Layer) -> list[int | None]:
    cost = simulate(LayerGraph(layers, 1000, 1000), load_target("ethos_u65_512"))
    return [layer.spilled_bytes for layer in cost.layers]


def test_what_is_fused_and_padding_do_not_break_a_cascade() -> None:
    image, second = conv((256, 256), 3, 32, 3), replace(conv((256, 256), 32, 32), inputs=(0,))
    third = replace(conv((256, 256), 32, 32, 3), inputs=(1,))
    assert spills(image, second, third)[1:] == [0, 0]
    padded = other("PAD", (256, 256, 32), output=(258, 258, 32), inputs=(1,))
    valid = replace(third, inputs=(2,), input=(258, 258, 32))
    assert spills(image, second, padded, valid)[1:] == [0, 0, 0]
    looked_up = other("LOGISTIC", (256, 256, 32), inputs=(1,))
    assert spills(image, second, looked_up, replace(third, inputs=(2,)))[1:] == [0, 0, 0]


def test_a_grouped_convolution_needs_its_whole_tensors() -> None:
    image, second = conv((256, 256), 3, 32, 3), replace(conv((256, 256), 32, 32), inputs=(0,))
    grouped = replace(conv((256, 256), 32, 32, 3, groups=2), inputs=(1,))
    size = 256 * 256 * 32
    _, made, read = spills(image, second, grouped)
    assert made == size
    assert read is not None
    assert read > size


def test_only_pixels_are_padded_for_free() -> None:
    assert engine().work(other("PAD", (14, 14, 64), output=(16, 16, 64))).cycles == 0


def test_a_recurrent_layer_reads_its_parameters_at_each_step() -> None:
    def bytes_of(steps: int) -> int:
        fields = {"output": (1, steps, 20), "weight_bytes": 4000}
        return engine().parameter_bytes(other("UNIDIRECTIONAL_SEQUENCE_LSTM", (1, steps, 28), **fields))

    assert bytes_of(28) == 28 * bytes_of(1) > 0


def test_channels_are_stored_in_bricks() -> None:
    assert engine().work(other("ADD", (16, 16, 33))) == engine().work(other("ADD", (16, 16, 48)))


def test_only_the_u85_has_a_unit_that_resizes() -> None:
    layer = other("RESIZE_BILINEAR", (16, 32, 64), output=(32, 64, 64))
    old, new = engine("ethos_u65_512").work(layer), engine("ethos_u85_1024").work(layer)
    assert old.on_chip_bytes > 5 * new.on_chip_bytes
    assert new.cycles == 32 * 64 * 64 / 16


@pytest.mark.parametrize(
    ("size", "resized", "added"), [((16, 32), 1_077_000, 315_000), ((32, 64), 4_404_000, 1_258_000)]
)
def test_what_a_u65_resizes_passes_dram_in_short_bursts(size: tuple[int, int], resized: int, added: int) -> None:
    # Vela's cycles of the resize to twice the size, and of the addition that reads it beside a tensor in bricks.
    height, width = size
    output = 2 * height, 2 * width, 64
    unit = engine("ethos_u65_512")
    cycles = unit.work(other("RESIZE_BILINEAR", (height, width, 64), output=output)).cycles
    bricks = output[0] * output[1] * output[2] / 3.75
    assert cycles == pytest.approx(resized + added - bricks, rel=0.01)


@pytest.mark.parametrize("op", ["MAX_POOL_2D", "MEAN", "TRANSPOSE_CONV", "FULLY_CONNECTED", "CONCATENATION", "SOFTMAX"])
def test_every_kind_of_operator_takes_time(op: str) -> None:
    layer = other(op, output=(1, 1, 64) if op in ("MEAN", "FULLY_CONNECTED") else (16, 16, 64), macs=1)
    assert engine().work(layer).cycles > 0


def test_parameters_are_weights_as_encoded_and_ten_bytes_a_channel() -> None:
    unit = engine()
    assert unit.parameter_bytes(conv((8, 8), 100, 50)) == round(5000 * unit.weight_compression.value) + 500
    assert unit.parameter_bytes(other("ADD")) == 0


@pytest.mark.parametrize("name", TARGETS)
def test_parameters_are_read_anew_at_each_inference(name: str) -> None:
    layer = conv((4, 8), 512, 512, 3)
    cost = simulate(LayerGraph((layer,), 4 * 8 * 512, 4 * 8 * 512), load_target(name))
    assert cost.streamed_bytes == cost.parameter_bytes > 0
    assert cost.layers[0].bound_by == "parameters"


@pytest.mark.parametrize(
    ("name", "op", "factor", "where"),
    [
        ("ethos_u55_256", "RESIZE_BILINEAR", 2, "accelerator"),
        ("ethos_u55_256", "RESIZE_BILINEAR", 4, "host"),
        ("ethos_u55_256", "RESIZE_NEAREST_NEIGHBOR", 2, "accelerator"),
        ("ethos_u55_256", "RESIZE_BILINEAR", 3, "host"),
        ("ethos_u65_512", "RESIZE_BILINEAR", 4, "host"),
        ("ethos_u85_1024", "RESIZE_BILINEAR", 4, "accelerator"),
        ("ethos_u85_1024", "RESIZE_BILINEAR", 3, "host"),
    ],
)
def test_resizes_fall_to_the_host_as_in_the_compiler(name: str, op: str, factor: int, where: str) -> None:
    first = conv((8, 8), 16, 16)
    resize = other(op, (8, 8, 16), output=(8 * factor, 8 * factor, 16), inputs=(0,))
    last = replace(conv((8 * factor, 8 * factor), 16, 16), inputs=(1,))
    cost = simulate(LayerGraph((first, resize, last), 1024, 1024), load_target(name))
    assert [layer.where for layer in cost.layers] == ["accelerator", where, "accelerator"]
    assert (cost.host_ms or 0) > 0 or where == "accelerator"


@pytest.mark.parametrize(
    ("side", "output", "where"), [(1, 33, "accelerator"), (33, 513, "accelerator"), (33, 510, "host")]
)
def test_a_pixel_and_aligned_corners_are_resized(side: int, output: int, where: str) -> None:
    resize = other("RESIZE_BILINEAR", (side, side, 16), output=(output, output, 16), inputs=(0,))
    graph = LayerGraph((conv((side, side), 16, 16), resize), 16 * side * side, 16 * output * output)
    assert simulate(graph, load_target("ethos_u85_1024")).layers[1].where == where


@pytest.mark.parametrize(("channels", "where"), [(127, "accelerator"), (128, "host")])
def test_an_arg_max_has_so_many_channels_and_any_type_of_result(channels: int, where: str) -> None:
    found = other("ARG_MAX", (8, 8, channels), output=(8, 8, 1), inputs=(0,), dtype="int64")
    graph = LayerGraph((conv((8, 8), 16, channels), found), 1024, 64)
    assert [layer.where for layer in simulate(graph, load_target("ethos_u55_256")).layers] == ["accelerator", where]


@pytest.mark.parametrize(
    ("target", "size", "vela_ms"),
    [
        ("ethos_u55_256", (256, 256), 11.767),
        ("ethos_u55_256", (256, 512), 34.414),
        ("ethos_u65_512", (64, 128), 1.183),
        ("ethos_u65_512", (256, 512), 31.817),
        ("ethos_u85_1024", (256, 512), 5.766),
    ],
)
def test_an_arg_max_of_many_pixels_takes_as_long_as_vela_says(target: str, size: tuple[int, int], vela_ms: float):
    found = other("ARG_MAX", (*size, 19), output=(*size, 1), inputs=(0,), dtype="int32")
    graph = LayerGraph((conv(size, 16, 19), found), 1024, 64)
    assert simulate(graph, load_target(target)).layers[1].latency_ms == pytest.approx(vela_ms, rel=0.2)
