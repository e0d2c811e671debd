"""Modules of any kind become the TFLite layers that a conversion would make of them."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from helpers.profiles import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from ednas.exceptions import TargetError
from ednas.hw import LayerGraph, trace_module


class Function(nn.Module):
    def __init__(self, function: object) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> object:
        return self.function(x)  # type: ignore[operator]


def graph_of(function: object, shape: tuple[int, ...] = (1, 8, 12, 10)) -> LayerGraph:
    return trace_module(function if isinstance(function, nn.Module) else Function(function), shape)


def ops(graph: LayerGraph) -> list[str]:
    return [layer.op for layer in graph.layers]


def test_normalisation_is_folded_and_the_activation_fused() -> None:
    graph = graph_of(nn.Sequential(nn.Conv2d(8, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU6()))
    (layer,) = graph.layers
    assert (layer.op, layer.input, layer.output, layer.kernel) == ("CONV_2D", (12, 10, 8), (12, 10, 16), (3, 3))
    assert layer.weight_bytes == 9 * 8 * 16 + 4 * 16
    assert layer.macs == 12 * 10 * 16 * 9 * 8
    assert (graph.input_bytes, graph.output_bytes) == (12 * 10 * 8, 12 * 10 * 16)


def test_the_module_stays_as_it_was() -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Dropout()).train()
    module[1].eval()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    trace_module(module, (1, 3, 8, 8))
    assert [part.training for part in module.modules()] == [True, True, False, True]
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in module.modules())


def test_normalisation_that_cannot_be_folded_becomes_two_layers() -> None:
    graph = graph_of(nn.Sequential(nn.BatchNorm2d(8), nn.Conv2d(8, 8, 1)))
    assert ops(graph) == ["MUL", "ADD", "CONV_2D"]
    assert [layer.inputs for layer in graph.layers] == [(-1,), (0,), (1,)]


def test_a_convolution_read_twice_is_not_folded_into() -> None:
    convolution, normalisation = nn.Conv2d(8, 8, 1), nn.BatchNorm2d(8)

    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.convolution, self.normalisation = convolution, normalisation

        def forward(self, x: Tensor) -> Tensor:
            y = self.convolution(x)
            return torch.cat([y, self.normalisation(y)], dim=1)

    graph = graph_of(Twice())
    assert ops(graph) == ["CONV_2D", "MUL", "ADD", "CONCATENATION"]
    assert graph.layers[-1].inputs == (0, 2)
    assert graph.layers[-1].input == graph.layers[-1].output == (12, 10, 16)


def test_an_activation_is_fused_only_where_the_device_can() -> None:
    assert ops(graph_of(lambda x: F.relu6(x + x))) == ["ADD"]
    assert ops(graph_of(lambda x: F.relu(F.max_pool2d(x, 2)))) == ["MAX_POOL_2D", "RELU"]
    assert ops(graph_of(lambda x: F.relu(F.relu6(x + x)))) == ["ADD", "RELU"]
    assert ops(graph_of(F.relu)) == ["RELU"]


def test_residual_connections_keep_their_producers() -> None:
    graph = graph_of(lambda x: (F.max_pool2d(x, 3, 1, 1) + x) * torch.sigmoid(x))
    assert [(layer.op, layer.inputs) for layer in graph.layers] == [
        ("MAX_POOL_2D", (-1,)),
        ("ADD", (0, -1)),
        ("LOGISTIC", (-1,)),
        ("MUL", (1, 2)),
    ]


@pytest.mark.parametrize(
    ("module", "side", "expected"),
    [
        (nn.Conv2d(8, 8, 3, 1, 1), 12, ["CONV_2D"]),  # SAME
        (nn.Conv2d(8, 8, 3, 1, 0), 12, ["CONV_2D"]),  # VALID
        (nn.Conv2d(8, 8, 3, 2, 1), 12, ["PAD", "CONV_2D"]),  # SAME would pad after, torch pads before
        (nn.Conv2d(8, 8, 3, 2, 1), 13, ["CONV_2D"]),  # SAME pads both sides
        (nn.Conv2d(8, 8, 5, 2, 2), 12, ["PAD", "CONV_2D"]),
        (nn.Conv2d(8, 8, 3, 1, 2, dilation=2), 12, ["CONV_2D"]),
        (nn.Conv2d(8, 8, (1, 7), 1, (0, 3)), 12, ["CONV_2D"]),
        (nn.MaxPool2d(3, 2, ceil_mode=True), 12, ["MAX_POOL_2D"]),  # SAME
        (nn.MaxPool2d(3, 2, padding=1), 12, ["PADV2", "MAX_POOL_2D"]),
        (nn.MaxPool2d(2), 12, ["MAX_POOL_2D"]),
        (nn.AvgPool2d(2), 13, ["AVERAGE_POOL_2D"]),
    ],
)
def test_padding_that_tflite_cannot_express_becomes_a_layer(module: nn.Module, side: int, expected: list[str]) -> None:
    graph = graph_of(module, (1, 8, side, side))
    assert ops(graph) == expected
    if len(expected) == 2:
        pad = 2 * (module.padding if isinstance(module.padding, int) else module.padding[0])  # type: ignore[operator]
        assert graph.layers[0].output == graph.layers[1].input == (side + pad, side + pad, 8)
        assert graph.layers[1].inputs == (0,)


sides = st.integers(1, 12)
pairs = st.tuples


@settings(max_examples=examples(150))
@given(
    size=pairs(sides, sides),
    kernel=pairs(st.integers(1, 4), st.integers(1, 4)),
    stride=pairs(st.integers(1, 3), st.integers(1, 3)),
    padding=pairs(st.integers(0, 3), st.integers(0, 3)),
    dilation=pairs(st.integers(1, 2), st.integers(1, 2)),
    groups=st.sampled_from([1, 2, 3]),
    is_pool=st.booleans(),
    is_ceil=st.booleans(),
)
def test_windows_give_the_shapes_that_torch_computes(
    size: tuple[int, int],
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int],
    dilation: tuple[int, int],
    groups: int,
    is_pool: bool,
    is_ceil: bool,
) -> None:
    if is_pool:
        module: nn.Module = nn.MaxPool2d(kernel, stride, padding, dilation, ceil_mode=is_ceil)
    else:
        module = nn.Conv2d(4 if groups == 2 else 6, 6, kernel, stride, padding, dilation, groups)
    image = torch.zeros(1, 6, *size)
    try:
        computed = module(image).shape
    except RuntimeError:
        with pytest.raises(TargetError, match="cannot run on an input of 1x6x"):
            graph_of(module, tuple(image.shape))
        return
    layer = graph_of(module, tuple(image.shape)).layers[-1]
    assert (1, layer.output[2], layer.output[0], layer.output[1]) == computed


@pytest.mark.parametrize("mode", ["nearest", "bilinear", "nearest-exact", "bicubic"])
@pytest.mark.parametrize("scale", [{"size": (9, 31)}, {"scale_factor": 1.7}, {"size": 5}])
def test_resizes_give_the_shapes_that_torch_computes(mode: str, scale: dict[str, object]) -> None:
    def resize(x: Tensor) -> Tensor:
        return F.interpolate(x, mode=mode, **scale)  # type: ignore[arg-type]

    if mode == "bicubic":
        with pytest.raises(TargetError, match="upsample_bicubic2d has no TFLite counterpart"):
            graph_of(resize)
        return
    height, width, channels = graph_of(resize).layers[-1].output
    assert (1, channels, height, width) == resize(torch.zeros(1, 8, 12, 10)).shape


def test_groups_make_a_depthwise_convolution_only_if_each_channel_is_one() -> None:
    depthwise = graph_of(nn.Conv2d(8, 16, 3, padding=1, groups=8)).layers[0]
    grouped = graph_of(nn.Conv2d(8, 16, 3, padding=1, groups=2)).layers[0]
    single = graph_of(nn.Conv2d(1, 16, 3, padding=1), (1, 1, 8, 8)).layers[0]
    assert [layer.op for layer in (depthwise, grouped, single)] == ["DEPTHWISE_CONV_2D", "CONV_2D", "CONV_2D"]
    assert depthwise.macs == 12 * 10 * 16 * 9
    assert grouped.macs == 12 * 10 * 16 * 9 * 4


def test_a_classifier_is_traced_to_its_softmax() -> None:
    module = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5), nn.Softmax(-1))
    graph = graph_of(module)
    assert [(layer.op, layer.output) for layer in graph.layers] == [
        ("MEAN", (1, 1, 8)),
        ("FULLY_CONNECTED", (1, 1, 5)),
        ("SOFTMAX", (1, 1, 5)),
    ]
    assert (graph.layers[1].macs, graph.layers[1].weight_bytes) == (40, 40 + 20)


def test_other_operators() -> None:
    def function(x: Tensor) -> dict[str, Tensor]:
        left, right = x.chunk(2, dim=1)
        mixed = F.silu(left) - right.mean((2, 3), keepdim=True)
        return {"up": F.interpolate(mixed, scale_factor=2, mode="bilinear"), "shuffled": F.pixel_shuffle(mixed, 2)}

    graph = graph_of(function)
    assert [(layer.op, layer.inputs) for layer in graph.layers] == [
        ("SPLIT", (-1,)),
        ("LOGISTIC", (0,)),
        ("MUL", (0, 1)),
        ("MEAN", (0,)),
        ("SUB", (2, 3)),
        ("RESIZE_BILINEAR", (4,)),
        ("DEPTH_TO_SPACE", (4,)),
    ]
    assert graph.output_bytes == 24 * 20 * 4 + 24 * 20


def test_transposed_convolution_attention_and_vectors() -> None:
    transposed = graph_of(nn.ConvTranspose2d(8, 4, 2, 2)).layers[0]
    assert (transposed.op, transposed.output, transposed.macs) == ("TRANSPOSE_CONV", (24, 20, 4), 12 * 10 * 8 * 4 * 4)
    product = graph_of(lambda x: torch.bmm(x, x.transpose(1, 2)), (1, 6, 5))
    assert ops(product) == ["TRANSPOSE", "BATCH_MATMUL"]
    assert product.macs == 6 * 6 * 5
    assert ops(graph_of(nn.Linear(7, 3), (1, 7))) == ["FULLY_CONNECTED"]


def test_constants_are_no_layers() -> None:
    graph = graph_of(lambda x: x + torch.ones(1, 8, 1, 1) * 2)
    assert [(layer.op, layer.inputs) for layer in graph.layers] == [("ADD", (-1,))]


def test_names_and_scopes_are_module_paths() -> None:
    module = nn.Sequential()
    module.add_module("body", nn.Sequential(nn.Conv2d(8, 8, 1), nn.Conv2d(8, 8, 1)))
    assert [(layer.scope, layer.name) for layer in graph_of(module).layers] == [("body", "body.0"), ("body", "body.1")]


@pytest.mark.parametrize(
    ("function", "shape", "message"),
    [
        (nn.Conv2d(3, 8, 1), (1, 4, 8, 8), "the network: cannot run on an input of 1x4x8x8"),
        (nn.Sequential(nn.Conv2d(4, 8, 1), nn.Conv2d(3, 8, 1)), (1, 4, 8, 8), "module '1': cannot run on an input of"),
        (nn.Conv2d(3, 8, 1), (2, 3, 8, 8), "must be a batch of one"),
        (nn.Conv2d(3, 8, 1), (1, 3, 0, 8), "must be a batch of one"),
        (torch.erfinv, (1, 3, 8, 8), "aten.erfinv has no TFLite counterpart"),
        (lambda x: F.hardtanh(x, -3, 3), (1, 3, 8, 8), "a clamp to -3..3 has no TFLite counterpart"),
        (nn.Conv1d(3, 8, 1), (1, 3, 8), "a convolution over 1 dimensions"),
        (nn.Identity(), (1, 3, 8, 8), "no layer"),
    ],
)
def test_what_cannot_be_traced_is_one_clear_error(function: object, shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(TargetError, match=message) as caught:
        graph_of(function, shape)
    assert "\n" not in str(caught.value)


def test_an_unknown_method_is_named() -> None:
    with pytest.raises(TargetError, match="Identity has no method 'deploy'"):
        trace_module(nn.Identity(), (1, 3, 8, 8), method="deploy")
