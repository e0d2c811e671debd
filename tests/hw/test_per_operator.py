"""A network falls into pieces that can be measured one by one."""

from __future__ import annotations

from dataclasses import replace

from ednas.hw import Layer, LayerGraph, load_network
from ednas.hw.per_operator import pieces


def convolution(side: int, kernel: int = 3, inputs: tuple[int, ...] = (-1,)) -> Layer:
    shape = (side, side, 16)
    return Layer("x", "", "CONV_2D", shape, shape, kernel=(kernel, kernel), macs=1, inputs=inputs)


def test_equal_layers_are_one_piece() -> None:
    graph = LayerGraph((convolution(8), convolution(8, inputs=(0,)), convolution(8, kernel=1, inputs=(1,))), 1, 1)
    found = pieces(graph)
    assert [indices for _, indices in found] == [(0,), (1,), (2,)]
    assert len({piece for piece, _ in found}) == 2


def test_a_pad_goes_with_the_only_convolution_that_reads_it() -> None:
    pad = Layer("pad", "", "PAD", (8, 8, 16), (10, 10, 16))
    reader = replace(convolution(8, inputs=(0,)), input=(10, 10, 16))
    ((piece, indices),) = pieces(LayerGraph((pad, reader), 1, 1))
    assert indices == (0, 1)
    assert [layer.op for layer in piece.layers] == ["PAD", "CONV_2D"]
    for graph in (
        LayerGraph((pad, reader, reader), 1, 1),  # two readers
        LayerGraph((pad, reader), 1, 1, outputs=(0,)),
        LayerGraph((pad, Layer("r", "", "RELU", (10, 10, 16), (10, 10, 16), inputs=(0,))), 1, 1),
    ):
        assert len(pieces(graph)) == len(graph.layers)


def test_every_layer_of_a_real_network_is_in_one_piece() -> None:
    graph = load_network("base", heads={"depth": 1}, input_size=(64, 64)).graph
    covered = sorted(index for _, indices in pieces(graph) for index in indices)
    assert covered == list(range(len(graph.layers)))
