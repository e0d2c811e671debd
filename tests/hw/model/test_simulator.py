"""The tile model: cycles as the formula says, parameters that stream, work that falls to the host, and their sum."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.profiles import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from ednas.arch import Architecture, SearchSpace, zoo
from ednas.exceptions import TargetError
from ednas.hw import (
    Cost,
    Layer,
    LayerGraph,
    Target,
    estimate,
    load_layer_list,
    load_target,
    simulate,
    target_names,
    trace_module,
    trace_network,
)
from ednas.nn.blocks import ConvBNAct

CORAL = load_target("coral_usb")
HEADS = {"segmentation": 19, "depth": 1}
SPACE = SearchSpace(zoo.architecture("base"))
BANDWIDTH = 490e3  # bytes a millisecond
CACHE = 7885 * 2**10


def layer(op: str = "CONV_2D", shape: tuple[int, int, int] = (8, 8, 64), **fields: Any) -> Layer:
    values: dict[str, Any] = {"name": "a", "scope": "network", "op": op, "input": shape, "output": shape}
    return Layer(**(values | fields))


def chain(*layers: Layer) -> LayerGraph:
    linked = tuple(replace(item, inputs=(index - 1,)) for index, item in enumerate(layers))
    return LayerGraph(linked, 100, 200)


def changed(**sections: dict[str, Any]) -> Target:
    """Return the Coral with other values, for example ``engine={"clock_mhz": 250}``."""
    content = CORAL.model_dump()
    for section, values in sections.items():
        for key, value in values.items():
            old = content[section][key]
            content[section][key] = old | {"value": value} if isinstance(old, dict) else value
    return Target.model_validate(content)


@pytest.mark.parametrize(
    ("item", "cycles"),
    [
        (layer(shape=(64, 64, 32), output=(64, 64, 64)), 16 * 16 * 1 * 32 * 1.02),
        (layer(shape=(64, 64, 32), output=(64, 64, 65)), 16 * 16 * 2 * 32 * 1.02),
        (layer(shape=(61, 1, 32), output=(61, 1, 64)), 16 * 1 * 1 * 32 * 1.02),
        (layer(shape=(34, 34, 16), output=(16, 16, 24), kernel=(3, 3), stride=2), 4 * 4 * 1 * 16 * 9 * 0.64),
        (layer(shape=(17, 17, 128), output=(17, 17, 192), kernel=(1, 7)), 5 * 5 * 3 * 128 * 7 * 0.64),
        (layer("DEPTHWISE_CONV_2D", (14, 14, 96), kernel=(5, 5), groups=96), 4 * 4 * 2 * 25 * 0.65),
        (layer("MAX_POOL_2D", (28, 28, 192), output=(14, 14, 192), kernel=(3, 3)), 4 * 4 * 3 * 9 * 0.65),
        (layer("AVERAGE_POOL_2D", (7, 7, 1024), output=(1, 1, 1024), kernel=(7, 7)), 49 * 0.65),
        (layer("MEAN", (7, 7, 1024), output=(1, 1, 1024)), 49 * 0.65),
        (layer("FULLY_CONNECTED", (1, 1, 256), output=(1, 1, 1001)), 256 * 1.02),
        (layer("FULLY_CONNECTED", (7, 7, 512), output=(1, 1, 4096)), 4 * 7 * 7 * 512 * 1.02),
        (layer("ADD", (15, 15, 96)), 4 * 4 * 2 * 25),
        (layer("SOFTMAX", (1, 1, 1001)), 25),
        (layer("CONCATENATION", (28, 28, 256)), 7 * 7 * 4 * 0.65),
        (layer("RESIZE_NEAREST_NEIGHBOR", (8, 8, 64), output=(16, 16, 64)), 4 * 4 * 0.65),
        (layer("RESIZE_BILINEAR", (8, 8, 64), output=(16, 16, 64)), 4 * 4 * 4 * 0.65),
        (layer("TRANSPOSE_CONV", (8, 8, 32), output=(16, 16, 64), kernel=(2, 2), stride=2), 2 * 2 * 32 * 4 * 0.64),
        (layer("RESHAPE", (8, 8, 64), output=(1, 1, 4096)), 0),
    ],
)
def test_cycles_are_the_formulas(item: Layer, cycles: float) -> None:
    (cost,) = simulate(chain(item), CORAL).layers
    assert cost.where == "accelerator"
    assert cost.cycles == round(cycles)
    assert cost.compute_ms == pytest.approx(round(cycles) / 500e3)


def test_dilation_costs_nothing_and_groups_are_computed_one_by_one() -> None:
    plain = layer(shape=(16, 16, 64), kernel=(3, 3))
    assert (
        simulate(chain(plain), CORAL).accelerator_cycles
        == simulate(chain(replace(plain, dilation=2)), CORAL).accelerator_cycles
    )
    grouping = changed(operators={"grouped_convolution": "supported"})
    grouped = simulate(chain(replace(plain, groups=4)), grouping)
    assert grouped.accelerator_cycles == round(4 * 16 * 1 * 16 * 9 * 0.64)


def test_latency_by_hand() -> None:
    first = layer(shape=(64, 64, 32), output=(64, 64, 64), weight_bytes=32 * 64 + 4 * 64)
    cost = simulate(chain(first, layer("ADD", (64, 64, 64))), CORAL)
    cycles = (round(8192 * 1.02), 256 * 25)
    instructions = round(2 * 1300 + 0.07 * sum(cycles))
    assert cost.accelerator_cycles == sum(cycles)
    assert cost.instruction_bytes == instructions
    assert cost.parameter_bytes == 64 * (32 + 4 + 4)
    assert cost.latency_ms == pytest.approx(0.68 + sum(cycles) / 500e3 + (100 + 200 + instructions) / BANDWIDTH)
    assert (cost.host_ms, cost.streamed_bytes) == (0, 0)
    assert {item.bound_by for item in cost.layers} == {"compute"}


def test_parameters_beyond_the_cache_stream() -> None:
    filters, depth = 4096, 4096 - 8  # with bias and scale, 2^24 bytes
    fully = layer("FULLY_CONNECTED", (1, 1, depth), output=(1, 1, filters), weight_bytes=(depth + 4) * filters)
    cost = simulate(chain(layer("ADD"), fully, replace(fully, name="b")), CORAL)
    size = 2**24
    assert [item.parameter_bytes for item in cost.layers] == [0, size, size]
    assert [item.streamed_bytes for item in cost.layers] == [0, size - CACHE, size]
    assert cost.streamed_bytes == 2 * size - CACHE
    assert [item.bound_by for item in cost.layers] == ["compute", "parameters", "parameters"]
    assert cost.layers[2].latency_ms == pytest.approx(size / BANDWIDTH)
    assert cost.layers[1].latency_ms == pytest.approx((size - CACHE) / BANDWIDTH)


def test_streaming_hides_behind_compute() -> None:
    heavy = layer(shape=(256, 256, 64), output=(256, 256, 64), kernel=(3, 3), weight_bytes=(9 * 64 + 4) * 64)
    cost = simulate(chain(heavy), changed(memory={"parameter_cache_kib": 0}))
    assert cost.layers[0].streamed_bytes == cost.parameter_bytes > 0
    assert cost.layers[0].bound_by == "compute"
    assert cost.layers[0].latency_ms == cost.layers[0].compute_ms


def test_an_unsupported_operator_and_all_that_depend_on_it_run_on_the_host() -> None:
    graph = chain(
        layer(shape=(8, 8, 16)),
        layer("CUSTOM:Decoder", (8, 8, 16), output=(1, 1, 10)),
        layer("ARG_MAX", (8, 8, 16), output=(8, 8, 1)),
        layer(shape=(8, 8, 16), macs=15_000_000),
        layer("RESHAPE", (8, 8, 16), output=(1, 1, 1024)),
    )
    cost = simulate(graph, CORAL)
    assert [item.where for item in cost.layers] == ["accelerator", "host", "host", "host", "host"]
    assert [item.latency_ms for item in cost.layers[1:]] == pytest.approx([1024 * 9e-6, 1024 * 1.6e-6, 1.0, 0])
    assert cost.host_ms == pytest.approx(1.0 + 1024 * (9e-6 + 1.6e-6))
    assert cost.layers[1].reason == "layer 'a' (CUSTOM:Decoder): the accelerator has no CUSTOM:Decoder"
    assert cost.layers[3].reason == "after " + cost.layers[1].reason
    crossing = 8 * 8 * 16
    assert cost.transfer_ms == pytest.approx((100 + crossing + cost.instruction_bytes) / BANDWIDTH)


def test_operators_before_the_accelerator_may_run_on_the_host() -> None:
    graph = LayerGraph(
        (
            layer("CAST", (8, 8, 3), dtype="float32", inputs=(-1,)),
            layer("QUANTIZE", (8, 8, 3), inputs=(0,), reads_float=True),
            layer(shape=(8, 8, 3), output=(8, 8, 16), inputs=(1,)),
            layer("QUANTIZE", (8, 8, 16), inputs=(2,)),
        ),
        8 * 8 * 3,
        8 * 8 * 16,
    )
    cost = simulate(graph, CORAL)
    assert [item.where for item in cost.layers] == ["host", "host", "accelerator", "accelerator"]
    assert cost.layers[1].reason == "layer 'a' (QUANTIZE): reads floating-point numbers"
    crossing = 8 * 8 * 3 + 8 * 8 * 16  # what the host makes of the input, not the input itself
    assert cost.transfer_ms == pytest.approx((crossing + cost.instruction_bytes) / BANDWIDTH)
    assert_adds_up(cost)


def test_a_branch_that_does_not_depend_on_the_host_stays_on_the_accelerator() -> None:
    layers = (
        layer(shape=(8, 8, 16), inputs=(-1,)),
        layer("ARG_MAX", (8, 8, 16), output=(8, 8, 1), inputs=(0,)),
        layer(shape=(8, 8, 16), inputs=(0,)),  # behind it in the list alone
        layer("ADD", (8, 8, 16), inputs=(2, 1)),
    )
    cost = simulate(LayerGraph(layers, 100, 8 * 8 * 16), CORAL)
    assert [item.where for item in cost.layers] == ["accelerator", "host", "accelerator", "host"]
    assert cost.transfer_ms == pytest.approx((100 + 2 * 8 * 8 * 16 + cost.instruction_bytes) / BANDWIDTH)


def test_what_the_host_keeps_takes_no_room_on_the_chip() -> None:
    large = (256, 256, 64)  # 4 MiB, more than the chip has
    layers = (
        layer("ARG_MAX", large, inputs=(-1,)),
        layer(shape=(8, 8, 64), inputs=(-1,)),
        layer("ADD", large, inputs=(0, 0)),
        layer("ARG_MAX", large, inputs=(0,)),
    )
    cost = simulate(LayerGraph(layers, 100, 100), CORAL)
    assert [item.where for item in cost.layers] == ["host", "accelerator", "accelerator", "host"]
    assert cost.spilled_bytes == 0


def test_what_is_not_counted_is_said() -> None:
    target = CORAL.model_copy(update={"errors": (), "energy": None})
    assert simulate(chain(layer(), layer("ADD")), target).notes == ()
    with_energy = simulate(chain(layer()), CORAL.model_copy(update={"errors": ()}))
    assert with_energy.notes == ("energy: a sum of assumed figures, thought right within a factor of 1.5",)
    cost = simulate(chain(layer(), layer("WHILE"), layer("STABLEHLO_COMPOSITE"), layer("WHILE")), target)
    assert cost.notes == (
        "too low: what 3 operators (STABLEHLO_COMPOSITE, WHILE) run of other parts of the file is not counted",
    )


def test_requantisation_is_a_copy() -> None:
    shape = (224, 224, 3)
    requantised, copied = (simulate(chain(layer(op, shape)), CORAL) for op in ("QUANTIZE", "CONCATENATION"))
    assert requantised.accelerator_cycles == copied.accelerator_cycles


def test_finished_outputs_cross_the_bus_beside_what_the_host_reads() -> None:
    layers = (
        layer(shape=(8, 8, 16), inputs=(-1,)),
        layer(shape=(8, 8, 16), output=(8, 8, 3), inputs=(0,)),  # an output of the network
        layer("ARG_MAX", (8, 8, 16), output=(8, 8, 1), inputs=(0, -1)),
    )
    cost = simulate(LayerGraph(layers, 100, 8 * 8 * 4), CORAL)
    assert cost.transfer_ms == pytest.approx((100 + 8 * 8 * 16 + 8 * 8 * 3 + cost.instruction_bytes) / BANDWIDTH)


def test_large_resizes_fall_to_the_host() -> None:
    double = layer("RESIZE_BILINEAR", (8, 8, 19), output=(16, 16, 19))
    eightfold = layer("RESIZE_BILINEAR", (16, 16, 19), output=(128, 128, 19))
    cost = simulate(chain(double, eightfold), CORAL)
    assert [item.where for item in cost.layers] == ["accelerator", "host"]
    assert "resizes by 8, the accelerator by up to 4" in cost.layers[1].reason


def test_single_operators_fall_to_a_host_that_shares_the_memory() -> None:
    graph = chain(layer(), layer("ARG_MAX", (8, 8, 64), output=(8, 8, 64)), layer())
    cost = simulate(graph, changed(operators={"partition": "per_operator"}))
    assert [item.where for item in cost.layers] == ["accelerator", "host", "accelerator"]
    assert cost.host_ms == cost.layers[1].latency_ms == pytest.approx(8 * 8 * 64 * 1.6e-6)
    assert cost.transfer_ms == pytest.approx((100 + 200 + cost.instruction_bytes) / BANDWIDTH)
    assert_adds_up(cost)


def test_a_network_in_floating_point_is_refused_by_an_integer_device() -> None:
    graph = chain(layer(dtype="float32"), layer(dtype="float32"))
    with pytest.raises(TargetError, match=r"layer 'a' \(CONV_2D\) computes float32, the target int8.*quantise"):
        simulate(graph, CORAL)
    assert simulate(graph, load_target("cpu_generic")).latency_ms > 0
    mixed = simulate(chain(layer(), layer("DEQUANTIZE", (8, 8, 64), dtype="float32")), CORAL)
    assert [item.where for item in mixed.layers] == ["accelerator", "host"]


def test_a_custom_operator_reads_all_of_its_inputs() -> None:
    layers = (
        layer(shape=(8, 8, 16), inputs=(-1,)),
        layer(shape=(8, 8, 16), output=(8, 8, 32), inputs=(0,)),
        layer("CUSTOM:Decoder", (8, 8, 16), output=(1, 1, 4), inputs=(0, 1)),
    )
    cost = simulate(LayerGraph(layers, 100, 4), CORAL)
    assert cost.host_ms == pytest.approx(8 * 8 * (16 + 32) * 9e-6)


def test_what_does_not_fit_on_the_chip_is_spilled_over_the_link() -> None:
    skip = layer(shape=(256, 256, 64), inputs=(-1,))  # 4 MiB, read by the last layer too
    layers = (skip, layer(shape=(256, 256, 64), inputs=(0,)), layer("ADD", (256, 256, 64), inputs=(1, 0)))
    cost = simulate(LayerGraph(layers, 100, 100), CORAL)
    assert cost.spilled_bytes == sum(item.spilled_bytes for item in cost.layers) > 2**20
    spilling = [item for item in cost.layers if item.spilled_bytes]
    assert all(item.bound_by == "activations" for item in spilling)
    assert [item.latency_ms for item in spilling] == pytest.approx([x.spilled_bytes / BANDWIDTH for x in spilling])
    assert cost.peak_memory_kb == pytest.approx(3 * 4096)
    assert simulate(LayerGraph(layers, 100, 100), changed(memory={"activation_kib": 16384})).spilled_bytes == 0
    assert_adds_up(cost)


@pytest.mark.parametrize("name", target_names())
def test_every_target_costs_every_network_and_its_parts_add_up(name: str) -> None:
    target = load_target(name)
    for architecture in ("base", "ednas_cityscapes"):
        cost = estimate(zoo.architecture(architecture), HEADS, (128, 256), target)
        assert_adds_up(cost)
        assert all(0 <= item.utilisation <= 1 for item in cost.layers)
        if target.energy:
            parts = sum(item.energy_mj or 0.0 for item in cost.layers)
            assert 0 <= parts < (cost.energy_mj or 0.0)  # a processor's is all in its power
        if target.area:
            assert (cost.area_mm2 or 0.0) > 0


def test_energy_counts_what_is_moved() -> None:
    graph = trace_network(zoo.architecture("base"), HEADS, (128, 128))
    resident, streamed = simulate(graph, CORAL), simulate(graph, changed(memory={"parameter_cache_kib": 0}))
    assert CORAL.energy is not None
    per_byte = CORAL.energy.off_chip_pj_per_byte.value * 1e-9
    more = (streamed.energy_mj or 0.0) - (resident.energy_mj or 0.0)
    idle = CORAL.energy.idle_mw.value * 1e-3 * (streamed.latency_ms - resident.latency_ms)
    assert more == pytest.approx((streamed.streamed_bytes or 0) * per_byte + idle)


def test_a_refused_network_runs_on_the_host_as_a_whole() -> None:
    graph = chain(layer(), layer(shape=(8, 8, 64), groups=4, macs=30_000_000), layer())
    cost = simulate(graph, CORAL)
    assert {item.where for item in cost.layers} == {"host"}
    assert "refuses the whole network: layer 'a' (CONV_2D) has 4 groups" in cost.layers[0].reason
    assert cost.latency_ms == cost.host_ms == pytest.approx(2.0)


def test_a_layer_larger_than_any_memory_is_an_error() -> None:
    host = r"the host of target 'coral_usb' has 4096 MiB \(host\.memory_mib\)"
    with pytest.raises(TargetError, match=rf"layer 'a' \(CONV_2D\) of network needs 8192 MiB, {host}"):
        simulate(chain(layer(shape=(2**13, 2**13, 64))), CORAL)
    with pytest.raises(TargetError, match="4096 MiB"):
        simulate(chain(layer("ARG_MAX", (2**13, 2**13, 64), output=(1, 1, 1))), CORAL)


def assert_adds_up(cost: Cost) -> None:
    assert cost.latency_ms == pytest.approx(cost.dispatch_ms + cost.transfer_ms + cost.accelerator_ms + cost.host_ms)
    on_device = [item for item in cost.layers if item.where == "accelerator"]
    assert cost.accelerator_ms == pytest.approx(sum(item.latency_ms for item in on_device))
    assert cost.host_ms == pytest.approx(sum(item.latency_ms for item in cost.layers if item.where == "host"))
    assert cost.accelerator_cycles == sum(item.cycles for item in cost.layers)
    assert cost.parameter_bytes == sum(item.parameter_bytes for item in cost.layers)
    assert cost.streamed_bytes == sum(item.streamed_bytes for item in cost.layers)


def random_architecture(seed: int) -> Architecture:
    generator = random.Random(seed)
    return SPACE.decode([generator.randrange(len(decision.candidates)) for decision in SPACE.decisions])


@settings(max_examples=examples(10))
@given(
    st.integers(0, 2**32), st.sampled_from([(256, 256), (97, 131), (64, 128)]), st.sampled_from([0, 1000, 3300, 7885])
)
def test_the_fast_path_gives_what_the_whole_graph_gives(seed: int, size: tuple[int, int], cache_kib: float) -> None:
    architecture = random_architecture(seed)
    target = changed(memory={"parameter_cache_kib": cache_kib})
    fast = estimate(architecture, HEADS, size, target)
    whole = simulate(trace_network(architecture, HEADS, size), target)
    assert fast.layers == whole.layers
    for field, value in vars(whole).items():
        assert getattr(fast, field) == (pytest.approx(value) if isinstance(value, float) else value)
    assert_adds_up(fast)
    assert_adds_up(whole)


@pytest.mark.parametrize("name", ["raspberry_pi_4_ncnn_fp32", "rk3588_a76_ncnn_fp16"])
def test_a_device_with_a_precision_computes_every_network_in_it(name: str) -> None:
    target, architecture = load_target(name), random_architecture(1)
    fast = estimate(architecture, HEADS, (64, 128), target)
    whole = simulate(trace_network(architecture, HEADS, (64, 128)), target)
    assert (
        fast.notes
        == whole.notes
        == (
            f"in {target.precision}, whatever type the network has: so the device computes it",
            *(error.note for error in target.errors),
        )
    )
    for field, value in vars(whole).items():
        assert getattr(fast, field) == (pytest.approx(value) if isinstance(value, float) else value)
    as_it_is = estimate(architecture, HEADS, (64, 128), target.model_copy(update={"precision": None, "name": "own"}))
    element_bytes = 4 if target.precision == "float32" else 2
    assert fast.peak_memory_kb == element_bytes * as_it_is.peak_memory_kb
    assert fast.latency_ms == pytest.approx(as_it_is.latency_ms, rel=1e-3)  # the engine knows one type alone


def test_the_fast_path_knows_the_host() -> None:
    supported = [op for op in CORAL.operators.supported if op != "RESIZE_BILINEAR"]
    target = changed(operators={"supported": supported})
    cost = estimate(zoo.architecture("base"), HEADS, (64, 64), target)
    assert cost == simulate(trace_network(zoo.architecture("base"), HEADS, (64, 64)), target)
    assert cost.host_ms > 0
    assert next(item for item in cost.layers if item.where == "host").op == "RESIZE_BILINEAR"


@given(
    st.tuples(st.integers(1, 70), st.integers(1, 70), st.integers(1, 300)),
    st.integers(1, 300),
    st.integers(1, 300),
    st.sampled_from([1, 3, 5]),
)
def test_more_filters_are_never_cheaper(shape: tuple[int, int, int], few: int, more: int, kernel: int) -> None:
    height, width, channels = shape
    few, many = sorted((few, few + more))
    costs = [
        simulate(
            chain(
                layer(
                    shape=shape,
                    output=(height, width, filters),
                    kernel=(kernel, kernel),
                    weight_bytes=(kernel**2 * channels + 4) * filters,
                )
            ),
            CORAL,
        )
        for filters in (few, many)
    ]
    assert costs[0].accelerator_cycles <= costs[1].accelerator_cycles
    assert costs[0].parameter_bytes <= costs[1].parameter_bytes
    assert costs[0].latency_ms <= costs[1].latency_ms


@settings(max_examples=examples(20))
@given(st.floats(1, 5000), st.floats(1, 5000))
def test_latency_falls_with_the_clock_the_bandwidth_and_the_cache(low: float, high: float) -> None:
    low, high = sorted((low, high))
    graph = trace_network(zoo.architecture("ednas_cityscapes"), HEADS, (128, 128))
    for section, key in (("engine", "clock_mhz"), ("link", "bandwidth_mb_per_s"), ("memory", "parameter_cache_kib")):
        slow, fast = (simulate(graph, changed(**{section: {key: value}})).latency_ms for value in (low, high))
        assert fast <= slow * (1 + 1e-12)


def test_one_network_for_both_tasks_beats_two_runs() -> None:
    for name in zoo.names():
        architecture = zoo.architecture(name)
        both = estimate(architecture, HEADS, (256, 256), CORAL).latency_ms
        single = [estimate(architecture, {task: n}, (256, 256), CORAL).latency_ms for task, n in HEADS.items()]
        assert max(single) < both < 0.7 * sum(single)


def test_a_cost_is_json() -> None:
    cost = estimate(zoo.architecture("base"), HEADS, (64, 64), CORAL)
    value = json.loads(json.dumps(cost.to_dict()))
    assert value["target"] == "coral_usb"
    assert {"latency_ms", "accelerator_cycles", "host_ms", "streamed_bytes", "layers"} <= set(value)


@pytest.mark.parametrize(
    ("name", "tolerance"),
    [
        ("mobilenet_v1_1.0_224", 0.10),
        ("inception_v1", 0.20),
        ("inception_v4", 0.10),
        ("effnet_M", 0.10),
        ("vgg16", 0.10),
    ],
)
def test_published_latencies(shared_data: Path, name: str, tolerance: float) -> None:
    rows = json.loads((shared_data / "coral" / "published.json").read_text())["latency_ms"]["rows"]
    published = next(row["ms"] for row in rows if row.get("layers") == name)
    cost = simulate(load_layer_list(shared_data / "coral" / "layer_lists.json", name), CORAL)
    assert cost.latency_ms == pytest.approx(published, rel=tolerance)
    assert_adds_up(cost)


def test_the_compilers_cycles_and_parameters_of_the_smallest_mobilenet() -> None:
    channels = 8
    layers: list[nn.Module] = [ConvBNAct(3, channels, 3, stride=2)]
    plan = ((16, 1), (32, 2), (32, 1), (64, 2), (64, 1), (128, 2), *[(128, 1)] * 5, (256, 2), (256, 1))
    for filters, stride in plan:
        layers += [ConvBNAct(channels, channels, 3, stride, groups=channels), ConvBNAct(channels, filters)]
        channels = filters
    module = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 1001), nn.Softmax(-1))
    cost = simulate(trace_module(module, (1, 3, 128, 128)), CORAL)
    assert cost.accelerator_cycles == pytest.approx(21_568, rel=0.06)
    assert cost.parameter_bytes == pytest.approx(518_656, rel=0.03)
    assert cost.instruction_bytes == pytest.approx(45_712, rel=0.15)
    assert cost.latency_ms == pytest.approx(0.9, rel=0.05)
    assert all(parameter.device == torch.device("cpu") for parameter in module.parameters())
