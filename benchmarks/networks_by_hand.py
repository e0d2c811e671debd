"""Networks that are known by their papers and code, layer by layer, where a file of them is not at hand."""

from __future__ import annotations

from math import prod

from ednas.hw import LayerGraph
from ednas.hw.graph.layers import BIAS_BYTES, Layer


class Network:
    """A graph that grows; tensors are numbers of layers, -1 is the image."""

    def __init__(self, height: int, width: int) -> None:
        self.layers: list[Layer] = []
        self.shapes = {-1: (height, width, 3)}

    def convolution(
        self, source: int, filters: int, kernel: tuple[int, int] = (1, 1), stride: int = 1, *, pad: bool = True
    ) -> int:
        """Add a convolution, padded to the size of its input (over its stride) or not at all."""
        height, width, channels = self.shapes[source]
        lost = (0, 0) if pad else (kernel[0] - 1, kernel[1] - 1)
        output = (-(-(height - lost[0]) // stride), -(-(width - lost[1]) // stride), filters)
        weights = prod(kernel) * channels * filters
        fields = {"weight_bytes": weights + BIAS_BYTES * filters, "macs": weights * output[0] * output[1]}
        return self._add("CONV_2D", (source,), output, kernel=kernel, stride=stride, **fields)

    def depthwise(self, source: int, stride: int = 1) -> int:
        """Add a depthwise 3x3 convolution, padded."""
        height, width, channels = self.shapes[source]
        output = (-(-height // stride), -(-width // stride), channels)
        fields = {"weight_bytes": (9 + BIAS_BYTES) * channels, "macs": 9 * prod(output), "groups": channels}
        return self._add("DEPTHWISE_CONV_2D", (source,), output, kernel=(3, 3), stride=stride, **fields)

    def doubled(self, source: int, filters: int) -> int:
        """Add a transposed 3x3 convolution, which doubles height and width."""
        height, width, channels = self.shapes[source]
        weights = 9 * channels * filters
        fields = {"weight_bytes": weights + BIAS_BYTES * filters, "macs": weights * height * width}
        output = (2 * height, 2 * width, filters)
        return self._add("TRANSPOSE_CONV", (source,), output, kernel=(3, 3), stride=2, **fields)

    def addition(self, *sources: int) -> int:
        """Add an addition."""
        return self._add("ADD", sources, self.shapes[sources[0]])

    def pool(self, source: int, op: str = "MAX_POOL_2D", kernel: int = 3, stride: int = 2) -> int:
        """Add a pooling: of the same size with stride 1, else without padding."""
        height, width, channels = self.shapes[source]
        lost = 0 if stride == 1 else kernel - 1
        output = (-(-(height - lost) // stride), -(-(width - lost) // stride), channels)
        return self._add(op, (source,), output, kernel=(kernel, kernel), stride=stride)

    def concatenation(self, *sources: int) -> int:
        """Add a concatenation of channels."""
        height, width, _ = self.shapes[sources[0]]
        channels = sum(self.shapes[source][2] for source in sources)
        return self._add("CONCATENATION", sources, (height, width, channels))

    def _add(self, op: str, sources: tuple[int, ...], output: tuple[int, int, int], **fields: object) -> int:
        number = len(self.layers)
        layer = Layer(
            name=str(number),
            scope="network",
            op=op,
            input=self.shapes[sources[0]],
            output=output,
            inputs=sources,
            **fields,  # type: ignore[arg-type]
        )
        self.layers.append(layer)
        self.shapes[number] = output
        return number


def inception_v3() -> LayerGraph:
    """Return Inception v3 (Szegedy et al. 2015) at 299 x 299, as torchvision has it."""
    net = Network(299, 299)
    conv, pool, concatenate = net.convolution, net.pool, net.concatenation

    def chain(source: int, *steps: tuple[int, tuple[int, int]]) -> int:
        for filters, kernel in steps:
            source = conv(source, filters, kernel)
        return source

    def average(source: int, filters: int) -> int:
        return conv(pool(source, "AVERAGE_POOL_2D", stride=1), filters)

    def reduction(source: int, *steps: tuple[int, tuple[int, int]]) -> int:
        return conv(chain(source, *steps[:-1]), *steps[-1], stride=2, pad=False)

    one, three, wide, high = (1, 1), (3, 3), (1, 7), (7, 1)
    last = conv(conv(-1, 32, three, 2, pad=False), 32, three, pad=False)
    last = pool(conv(last, 64, three))
    last = pool(conv(conv(last, 80), 192, three, pad=False))
    for filters in (32, 64, 64):
        branches = [chain(last, (48, one), (64, (5, 5))), chain(last, (64, one), (96, three), (96, three))]
        last = concatenate(conv(last, 64), *branches, average(last, filters))
    branches = [reduction(last, (384, three)), reduction(last, (64, one), (96, three), (96, three))]
    last = concatenate(*branches, pool(last))
    for filters in (128, 160, 160, 192):
        short = chain(last, (filters, one), (filters, wide), (192, high))
        long = chain(last, (filters, one), (filters, high), (filters, wide), (filters, high), (192, wide))
        last = concatenate(conv(last, 192), short, long, average(last, 192))
    branches = [
        reduction(last, (192, one), (320, three)),
        reduction(last, (192, one), (192, wide), (192, high), (192, three)),
    ]
    last = concatenate(*branches, pool(last))
    for _ in range(2):
        halves = [conv(last, 384), chain(last, (448, one), (384, three))]
        split = [conv(half, 384, kernel) for half in halves for kernel in ((1, 3), (3, 1))]
        last = concatenate(conv(last, 320), *split, average(last, 192))
    conv(pool(last, "AVERAGE_POOL_2D", kernel=8, stride=8), 1000)
    return LayerGraph(tuple(net.layers), 299 * 299 * 3, 1000)


def unet_mobilenet_v2() -> LayerGraph:
    """Return the U-Net of TensorFlow's tutorial on segmentation at 256 x 256: MobileNetV2, pix2pix's enlargements."""
    net = Network(256, 256)
    last = net.convolution(net.depthwise(net.convolution(-1, 32, (3, 3), 2)), 16)
    skips = []
    for filters, repeats, stride in [(24, 2, 2), (32, 3, 2), (64, 4, 2), (96, 3, 1), (160, 3, 2), (320, 1, 1)]:
        for number in range(repeats):
            step, before = (stride if number == 0 else 1), last
            channels = net.shapes[last][2]
            wide = net.convolution(last, 6 * channels)
            if step == 2:
                skips.append(wide)
            last = net.convolution(net.depthwise(wide, step), filters)
            if step == 1 and channels == filters:
                last = net.addition(before, last)
    for filters, skip in zip((512, 256, 128, 64), reversed(skips), strict=True):
        last = net.concatenation(net.doubled(last, filters), skip)
    net.doubled(last, 3)
    return LayerGraph(tuple(net.layers), 3 * 256 * 256, 3 * 256 * 256)
