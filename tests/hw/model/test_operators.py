"""What an accelerator maps, refuses, or leaves to the host."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from ednas.hw.graph.layers import Layer
from ednas.hw.model.figure import PositiveFigure
from ednas.hw.model.operators import OperatorConfig


def layer(op: str = "CONV_2D", **fields: Any) -> Layer:
    values: dict[str, Any] = {"name": "a", "scope": "network", "op": op, "input": (8, 8, 16), "output": (8, 8, 16)}
    return Layer(**(values | fields))


ANY = OperatorConfig(supported="all")
LIMIT = PositiveFigure(value=4, provenance="assumed", source="test")


@pytest.mark.parametrize(
    ("config", "item", "reason"),
    [
        (ANY, layer(), ""),
        (ANY, layer("CUSTOM:Decoder"), "the device has no CUSTOM:Decoder"),
        (ANY, layer(dtype="float32"), "computes float32, the device int8"),
        (OperatorConfig(supported=("ADD",)), layer(), "the accelerator has no CONV_2D"),
        (ANY, layer("QUANTIZE", reads_float=True), "reads floating-point numbers"),
        (ANY, layer("QUANTIZE"), ""),
        (OperatorConfig(supported="all", dtypes=("int8", "float32")), layer("QUANTIZE", reads_float=True), ""),
        (
            OperatorConfig(supported="all", grouped_convolution="host"),
            layer(groups=2),
            "the device has no grouped",
        ),
        (OperatorConfig(supported="all", grouped_convolution="host"), layer(groups=1), ""),
        (ANY, layer("RESIZE_BILINEAR", output=(128, 128, 16)), ""),
        (
            OperatorConfig(supported="all", largest_resize=LIMIT),
            layer("RESIZE_BILINEAR", output=(64, 8, 16)),
            "resizes by 8, the device by up to 4",
        ),
        (
            OperatorConfig(supported="all", resize_factors=(1, 2)),
            layer("RESIZE_NEAREST_NEIGHBOR", output=(32, 16, 16)),
            "resizes by 4 x 2, the device by 1, 2",
        ),
        (OperatorConfig(supported="all", resize_factors=(1, 2)), layer("RESIZE_BILINEAR", output=(16, 16, 16)), ""),
    ],
)
def test_obstacles(config: OperatorConfig, item: Layer, reason: str) -> None:
    assert config.obstacle(item).removeprefix(f"{item.label}: ").startswith(reason)
    assert bool(config.obstacle(item)) == bool(reason)


@st.composite
def networks(draw: st.DrawFn) -> list[Layer]:
    """Operators that map, and ``ARG_MAX``, which does not, in any order of dependency."""
    layers: list[Layer] = []
    for number in range(draw(st.integers(1, 12))):
        inputs = draw(st.lists(st.integers(-1, number - 1), min_size=1, max_size=2, unique=True))
        layers.append(layer(draw(st.sampled_from(("ADD", "ADD", "ARG_MAX"))), inputs=tuple(inputs)))
    return layers


@given(networks())
def test_one_part_is_mapped_and_it_is_as_large_as_can_be(layers: list[Layer]) -> None:
    config = OperatorConfig(supported=("ADD",))
    obstacles = [config.obstacle(item) for item in layers]
    reasons = config.place(layers, obstacles)
    before: list[set[int]] = []  # all that each layer depends on
    for item in layers:
        own = {producer for producer in item.inputs if producer >= 0}
        before.append(own.union(*(before[producer] for producer in own)))
    mapped = {number for number, reason in enumerate(reasons) if not reason}
    assert not any(obstacles[number] for number in mapped)

    def passes_the_host(number: int) -> bool:
        """Whether it depends on an operator of the host that depends on the accelerator."""
        return any(other not in mapped and before[other] & mapped for other in before[number])

    for number, reason in enumerate(reasons):
        assert bool(reason) == bool(obstacles[number] or passes_the_host(number))
    assert config.model_copy(update={"partition": "per_operator"}).place(layers, obstacles) == obstacles


def test_a_refusal_is_of_the_whole_network() -> None:
    config = OperatorConfig(supported="all", grouped_convolution="rejected")
    assert "layer 'a' (CONV_2D) has 4 groups" in config.refusal([layer(), layer(groups=4)])
    assert config.refusal([layer(), layer("DEPTHWISE_CONV_2D", groups=16)]) == ""
    assert ANY.refusal([layer(groups=4)]) == ""


def test_names_are_checked() -> None:
    with pytest.raises(ValidationError, match="did you mean 'CONV_2D'"):
        OperatorConfig(supported=("CONV2D",))
