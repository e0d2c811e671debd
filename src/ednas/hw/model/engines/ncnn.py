"""One core of a processor, or several, as ncnn's kernels use them in floating point.

ncnn packs as many channels as a vector has lanes. It computes a convolution of 3x3 and stride 1 by Winograd's products
of 8x8 tiles for up to 128 channels, of 6x6 for more; any other as a matrix product, for which it copies what lies under
the window. Where channels do not fill vectors, Winograd's products and depthwise convolutions are far slower. For
reductions other than pooling, a mean among them, and for padding between channels, it has no kernel of a processor's
own: features are unpacked, made float32 and computed one by one.

All work is told in multiply-accumulates (MACs) of a 1x1 convolution, whose cycles are one figure: so devices differ in
few others. A convolution costs its MACs, more of them the wider its window, its outputs and its parameters; a Winograd
product also the elements that it transforms; everything else a figure for each of its elements or taps, and each layer
a fixed one::

    cycles = mac_cycles * (layer_macs + what the operator costs)
"""

from __future__ import annotations

from math import ceil, prod
from typing import Literal

from ednas.hw.graph import ops
from ednas.hw.graph.layers import DTYPE_BITS, Layer
from ednas.hw.model.engines.base import Engine, Work
from ednas.hw.model.figure import Count, Figure, PositiveFigure

_EXPONENTIALS = frozenset({"ELU", "EXP", "GELU", "LOCAL_RESPONSE_NORMALIZATION", "LOGISTIC", "POW", "SOFTMAX", "TANH"})
"""Operators that compute an exponential or a power of each element."""

_COPIES = ops.MOVES | ops.RESIZES
_MOST_IMAGE_CHANNELS = 4
_FINE_CHANNELS = 128
"""Up to so many channels, Winograd's tiles are 8x8 for 6x6 outputs."""

_FEWEST_WINOGRAD_CHANNELS = 8


class Ncnn(Engine):
    """Cores of a processor that run ncnn.

    Attributes:
        kind: ``ncnn``.
        clock_mhz: Clock under load, MHz.
        lanes: Elements of a vector; channels that are packed.
        vectors_per_cycle: Vectors of multiply-accumulates in a cycle at the most, over all cores.
        mac_cycles: Cycles of a multiply-accumulate of a 1x1 convolution. All figures below are in these.
        window_macs: More of a convolution's multiply-accumulate for each column of its window but the first.
        grouped_macs: A multiply-accumulate of a convolution in groups.
        image_macs: One of a convolution over an image, of at most 4 channels.
        product_macs: One of a product of two matrices, as in attention.
        winograd_macs: One of Winograd's products.
        unpacked_winograd_macs: The same where channels do not fill vectors.
        transform_macs: An element that Winograd's method transforms.
        depthwise_macs: A tap of a depthwise convolution.
        unpacked_depthwise_macs: The same where channels do not fill vectors.
        store_macs: An output element of a convolution.
        weight_macs: A weight of a convolution.
        winograd_weight_macs: A transformed weight of Winograd's method.
        connected_macs: A weight of a fully connected layer, whose input is one row.
        exponential_macs: An element of an operator with an exponential.
        element_macs: An element of another operator.
        copy_macs: An element that is copied.
        pool_macs: A tap of a pooling.
        plain_macs: An element of an operator without a vector kernel.
        layer_macs: A layer beside its work.
    """

    kind: Literal["ncnn"]
    clock_mhz: PositiveFigure
    lanes: Count
    vectors_per_cycle: Count
    mac_cycles: PositiveFigure
    window_macs: Figure
    grouped_macs: PositiveFigure
    image_macs: PositiveFigure
    product_macs: PositiveFigure
    winograd_macs: PositiveFigure
    unpacked_winograd_macs: PositiveFigure
    transform_macs: Figure
    depthwise_macs: PositiveFigure
    unpacked_depthwise_macs: PositiveFigure
    store_macs: Figure
    weight_macs: Figure
    winograd_weight_macs: Figure
    connected_macs: PositiveFigure
    exponential_macs: Figure
    element_macs: Figure
    copy_macs: Figure
    pool_macs: Figure
    plain_macs: Figure
    layer_macs: Figure

    @property
    def macs_per_cycle(self) -> int:
        """Multiply-accumulates of a cycle in which every multiplier is busy."""
        return self.lanes * self.vectors_per_cycle

    def work(self, layer: Layer) -> Work:
        """Return a layer's cycles, and the bytes of its input and output."""
        if layer.op in ops.RESHAPES:
            return Work(0, 0)
        macs = self.layer_macs.value + self._macs(layer)
        return Work(round(self.mac_cycles.value * macs), layer.activation_bytes)

    def parameter_bytes(self, layer: Layer) -> int:
        """Return the bytes of a layer's parameters in the type that it computes in, without Winograd's transform."""
        return (weight_count(layer) + layer.output[2]) * DTYPE_BITS[layer.dtype] // 8 if layer.weight_bytes else 0

    def _macs(self, layer: Layer) -> float:
        op = layer.op
        elements = prod(layer.output)
        if op == "CONV_2D":
            return self.store_macs.value * elements + self._convolution_macs(layer)
        if op == "TRANSPOSE_CONV" and layer.groups == 1:
            return self.store_macs.value * elements + self._window_macs(layer)
        if op in ("DEPTHWISE_CONV_2D", "TRANSPOSE_CONV"):
            is_packed = layer.output[2] % self.lanes == 0
            tap_macs = self.depthwise_macs if is_packed else self.unpacked_depthwise_macs
            return self.store_macs.value * elements + tap_macs.value * layer.macs
        if op in ops.CONVOLUTIONS:
            if op == "FULLY_CONNECTED" and layer.output[:2] == (1, 1):
                return self.connected_macs.value * layer.macs
            return self.product_macs.value * layer.macs
        if op in ops.POOLS:
            return self.pool_macs.value * elements * prod(layer.kernel)
        if op in _EXPONENTIALS:
            return self.exponential_macs.value * elements
        most = max(prod(layer.input), elements)
        if op in ops.REDUCTIONS or (op == "PAD" and layer.input[2] != layer.output[2]):
            return self.plain_macs.value * most
        return (self.copy_macs if op in _COPIES else self.element_macs).value * most

    def _convolution_macs(self, layer: Layer) -> float:
        inputs, outputs = layer.input[2], layer.output[2]
        if inputs <= _MOST_IMAGE_CHANNELS:
            return self.image_macs.value * layer.macs
        if layer.groups > 1:
            return self.grouped_macs.value * layer.macs + self.weight_macs.value * weight_count(layer)
        is_dense = layer.kernel == (3, 3) and layer.stride == layer.dilation == 1
        if is_dense and max(inputs, outputs) >= _FEWEST_WINOGRAD_CHANNELS:
            return self._winograd_macs(layer)
        return self._window_macs(layer)

    def _window_macs(self, layer: Layer) -> float:
        mac_macs = 1 + self.window_macs.value * (layer.kernel[1] - 1)
        return mac_macs * layer.macs + self.weight_macs.value * weight_count(layer)

    def _winograd_macs(self, layer: Layer) -> float:
        height, width, outputs = layer.output
        inputs = layer.input[2]
        side = 6 if max(inputs, outputs) <= _FINE_CHANNELS else 4
        transformed = (side + 2) ** 2
        tiles = ceil(height / side) * ceil(width / side)
        is_packed = inputs % self.lanes == 0 and outputs % self.lanes == 0
        mac_macs = self.winograd_macs if is_packed else self.unpacked_winograd_macs
        return transformed * (
            mac_macs.value * tiles * inputs * outputs
            + self.transform_macs.value * tiles * (inputs + outputs)
            + self.winograd_weight_macs.value * inputs * outputs
        )


def weight_count(layer: Layer) -> int:
    """Return the number of a layer's weights, by its shapes."""
    if layer.op == "FULLY_CONNECTED":
        return layer.input[2] * layer.output[2]
    return prod(layer.kernel) * layer.input[2] // layer.groups * layer.output[2] if layer.op in ops.CONVOLUTIONS else 0
