"""Layer graphs of networks: traced from the modules themselves, so that the cost model cannot drift from the network.

Any module is traced as it is (:func:`trace_module`). A multi-task network is put together from pieces (stem, blocks,
neck, heads) that are traced once for each distinct text and input shape and kept: a search meets the same blocks again
and again, so that a fresh architecture soon costs microseconds (:func:`network_pieces`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from math import prod
from operator import add
from typing import Any, NamedTuple

import torch
from torch import nn

from ednas.arch import Architecture, Block
from ednas.arch.architecture import FEATURE_STRIDES, STEM_STRIDE, check_input_size
from ednas.exceptions import ArchitectureError, TargetError
from ednas.hw.graph.layers import LayerGraph, Piece, join
from ednas.hw.graph.lifetimes import lifetimes
from ednas.hw.graph.lowering import trace
from ednas.nn.bifpn import NUM_LEVELS, BiFPN
from ednas.nn.blocks import ConvBNAct
from ednas.nn.heads import DenseHead
from ednas.nn.network import MultiTaskNetwork

IMAGE_CHANNELS = 3

_BLOCK_BASE = 1 << 11
"""Above any coefficient of a block: a fused 9x9 block with an expansion of 12 has 9 * 9 * 12 * c * c weights."""

_LEVELS_BASE = 1 << 6
"""Above any coefficient of the levels: P6 and P5 have 3 * 3 + 1 weights for each channel of the last feature and of
their own."""

_Shape = tuple[int, ...]


def trace_module(module: nn.Module, input_shape: tuple[int, ...], *, method: str = "forward") -> LayerGraph:
    """Trace a module of any kind.

    The module is not changed and nothing is computed: its parameters are replaced by meta tensors for the call.

    Args:
        module: The module; traced as in evaluation mode.
        input_shape: ``(1, C, H, W)``, or ``(1, C)`` for a vector.
        method: Which method to trace, for example ``predict_heads``.

    Raises:
        TargetError: The batch is not 1, torch rejects the input, or an operator has no TFLite counterpart in the cost
            model; the message names the module and the operator.
    """
    if len(input_shape) < 2 or input_shape[0] != 1 or min(input_shape) < 1:
        raise TargetError(f"input shape is {tuple(input_shape)}, must be a batch of one, for example (1, 3, 256, 256)")
    if not callable(getattr(module, method, None)):
        raise TargetError(f"{type(module).__name__} has no method '{method}'")
    entry = _Entry(module, method)
    on_meta = {
        name: torch.empty_like(tensor, device="meta")
        for name, tensor in (*entry.named_parameters(), *entry.named_buffers())
    }

    def call(image: torch.Tensor) -> Any:
        with torch.device("meta"):
            return torch.func.functional_call(entry, on_meta, (image,))

    with _evaluation_mode(module):
        piece = trace(module, call, [tuple(input_shape)])
    return join([(piece, [(-1, 0)])], prod(input_shape), _output_bytes([piece]))


def trace_network(architecture: Architecture, heads: Mapping[str, int], input_size: tuple[int, int]) -> LayerGraph:
    """Trace the multi-task network as it is deployed, with its outputs at stride 4.

    Gives the same as ``trace_module(MultiTaskNetwork(architecture, heads), (1, 3, *input_size),
    method="predict_heads")``, but puts it together from cached pieces; only a network with a backbone or decoder of the
    user's own is traced as a whole, which takes some tenths of a second.

    Args:
        architecture: The architecture.
        heads: Output channels by task.
        input_size: Height and width of the image in pixels.

    Raises:
        ArchitectureError: The input size or the heads are wrong, or an own part is not registered.
        TargetError: An own part has an operator that the cost model does not know.
    """
    if architecture.has_named_parts:
        return trace_whole(architecture, heads, input_size)[1]
    pieces = network_pieces(architecture, heads, input_size)
    fine, *pyramid = architecture.feature_blocks
    place = _Places.after(len(architecture.blocks))
    backbone = [(piece, [(number - 1, 0)]) for number, piece in enumerate((pieces.stem, *pieces.blocks))]
    levels = (pieces.levels, [(number, 0) for number in pyramid])
    fusion = (pieces.fusion, [(place.levels, level) for level in range(NUM_LEVELS)])
    detail = [] if pieces.detail is None else [(pieces.detail, [(fine, 0)])]
    read_by_heads = [(place.fusion, 0), *[(place.detail, 0) for _ in detail]]
    outputs = [(head, read_by_heads) for head in pieces.heads]
    return join([*backbone, levels, fusion, *detail, *outputs], pieces.input_bytes, pieces.output_bytes)


def trace_whole(
    architecture: Architecture, heads: Mapping[str, int], input_size: tuple[int, int]
) -> tuple[MultiTaskNetwork, LayerGraph]:
    """Make and trace a multi-task network of any parts; arguments and errors as in :func:`trace_network`."""
    check_input_size(input_size)
    with torch.random.fork_rng(devices=[]):
        network = MultiTaskNetwork(architecture, heads)
    return network, trace_module(network, (1, IMAGE_CHANNELS, *input_size), method="predict_heads")


class _Places(NamedTuple):
    """Places of the neck's parts among the pieces, after the stem (0) and the blocks (from 1).

    Attributes:
        levels: Of the neck's first part.
        fusion: Of its second part.
        detail: Of the heads' lateral, in architectures that have one; the heads follow.
    """

    levels: int
    fusion: int
    detail: int

    @classmethod
    def after(cls, last_block: int) -> _Places:
        """Return the places in a network with so many blocks."""
        return cls(last_block + 1, last_block + 2, last_block + 3)


class NetworkPieces(NamedTuple):
    """A multi-task network in pieces.

    Attributes:
        all: Every piece, in the order of execution: the stem, the blocks, the neck's five levels, the neck's BiFPN
            layers, the heads' lateral if there is one, and a head for each task. Equal pieces of different networks are
            the same object.
        kept: For each piece, the numbers of its inputs that later pieces read too.
        crossing_bytes: For each piece, the bytes of all tensors that are made before it and needed after it, those it
            reads itself among them. With ``kept`` left out of its inputs, a piece's own tensors add to this.
        peak_bytes: Most bytes of tensors that exist at once (int8).
        input_bytes: Bytes of the image.
        output_bytes: Bytes of all predictions.
        places: Where the neck's parts are among them.
        has_detail: Whether the heads have a lateral.
    """

    all: tuple[Piece, ...]
    kept: tuple[tuple[int, ...], ...]
    crossing_bytes: tuple[int, ...]
    peak_bytes: int
    input_bytes: int
    output_bytes: int
    places: _Places
    has_detail: bool

    @property
    def stem(self) -> Piece:
        """The stem."""
        return self.all[0]

    @property
    def blocks(self) -> tuple[Piece, ...]:
        """The blocks."""
        return self.all[1 : self.places.levels]

    @property
    def levels(self) -> Piece:
        """The neck's first part: its five levels, from the backbone's features."""
        return self.all[self.places.levels]

    @property
    def fusion(self) -> Piece:
        """The neck's second part: all BiFPN layers; its output is P3."""
        return self.all[self.places.fusion]

    @property
    def detail(self) -> Piece | None:
        """The lateral from the stage of stride 4 to the heads."""
        return self.all[self.places.detail] if self.has_detail else None

    @property
    def heads(self) -> tuple[Piece, ...]:
        """One head for each task."""
        return self.all[self.places.detail + self.has_detail :]


def network_pieces(architecture: Architecture, heads: Mapping[str, int], input_size: tuple[int, int]) -> NetworkPieces:
    """Return the cached pieces of a multi-task network; arguments and errors as in :func:`trace_network`."""
    if not heads or min(heads.values()) < 1:
        raise ArchitectureError(f"network: heads are {dict(heads)}, give at least one task with at least one channel")
    check_input_size(input_size)
    if architecture.has_named_parts:
        raise ArchitectureError(
            "network: with a backbone or decoder of your own, or with other sharing, it has no pieces"
        )
    height, width = input_size
    blocks = architecture.feature_blocks
    taps = blocks if architecture.head_lateral else blocks[1:]
    step = _stem(architecture.stem_filters, height, width)
    steps = [step]
    for number, block in enumerate(architecture.blocks, start=1):
        step = _block(number, block.text, step.piece.output_shapes[0], number - 1 in taps)
        steps.append(step)
    fine, *features = [steps[number].piece.output_shapes[0] for number in blocks]
    rest = _rest(tuple(features), fine, architecture.bifpn_width, architecture.bifpn_depth, taps, tuple(heads.items()))
    peaks = [step.peak_bytes + crossing for step, crossing in zip(steps, rest.crossing_bytes, strict=False)]
    return NetworkPieces(
        all=(*[step.piece for step in steps], *rest.pieces),
        kept=rest.kept,
        crossing_bytes=rest.crossing_bytes,
        peak_bytes=max(rest.peak_bytes, *peaks),
        input_bytes=IMAGE_CHANNELS * height * width,
        output_bytes=rest.output_bytes,
        places=_Places.after(len(architecture.blocks)),
        has_detail=len(taps) == len(blocks),
    )


def clear_cache() -> None:
    """Forget all traced pieces, for example to time a cold start."""
    for cached in (_stem, _block, _rest, _levels, _fusion, _detail, _head):
        cached.cache_clear()


class _Step(NamedTuple):
    """The stem or a block at its place.

    Attributes:
        piece: Its piece.
        peak_bytes: Most bytes of its tensors at once, without an input that later pieces read too.
    """

    piece: Piece
    peak_bytes: int


@cache
def _stem(filters: int, height: int, width: int) -> _Step:
    shape = (1, IMAGE_CHANNELS, height, width)
    piece = _piece(lambda: ConvBNAct(IMAGE_CHANNELS, filters, 3, stride=STEM_STRIDE), [shape], "stem")
    return _Step(piece, _peak_bytes(piece, [shape]))


@cache
def _block(number: int, text: str, input_shape: _Shape, is_kept: bool) -> _Step:
    """Return block ``number``; ``is_kept``: whether later pieces read its input too."""
    block = Block.from_text(text)
    piece = _piece(lambda: block.build(input_shape[1]), [input_shape], f"block {number}")
    return _Step(piece, _peak_bytes(piece, [input_shape], (0,) if is_kept else ()))


class _Rest(NamedTuple):
    """Neck and heads, and what of the network depends on nothing else; attributes as in :class:`NetworkPieces`."""

    pieces: tuple[Piece, ...]
    kept: tuple[tuple[int, ...], ...]
    crossing_bytes: tuple[int, ...]
    peak_bytes: int
    output_bytes: int


@cache
def _rest(
    features: tuple[_Shape, ...],
    fine: _Shape,
    width: int,
    depth: int,
    taps: tuple[int, ...],
    heads: tuple[tuple[str, int], ...],
) -> _Rest:
    levels = _levels(features, width)
    fusion = _fusion(levels.output_shapes, depth)
    *lateral, p3_block, p4_block, p5_block = taps  # the last block is the last that the neck reads
    place = _Places.after(p5_block)
    detail = [_detail(fine, width) for _ in lateral]
    (p3,) = fusion.output_shapes
    shared = (p3, *[piece.output_shapes[0] for piece in detail])
    outputs = [_head(task, channels, shared, fine[2:]) for task, channels in heads]
    pieces = (levels, fusion, *detail, *outputs)
    first, last = place.detail + len(detail), place.fusion + len(detail) + len(outputs)
    # Tensors that more than the next piece needs: the piece that makes each, the last that reads it, and its bytes.
    tensors = [
        *[(n, place.levels, prod(shape)) for n, shape in zip((p3_block, p4_block, p5_block), features, strict=True)],
        *[(number, place.detail, prod(fine)) for number in lateral],
        *[(number, last, prod(shape)) for number, shape in enumerate(shared, start=place.fusion)],
        *[(number, last + 1, _output_bytes([head])) for number, head in enumerate(outputs, start=first)],
    ]
    crossing = tuple(
        [sum([size for made, read, size in tensors if made < number < read]) for number in range(last + 1)]
    )
    backbone = [(0,) if number - 1 in taps else () for number in range(place.levels)]
    read_again = [tuple(range(len(shared)))] * (len(outputs) - 1)
    kept = (*backbone, (), (), *[() for _ in detail], *read_again, ())
    inputs = (features, levels.output_shapes, *[(fine,) for _ in detail], *[shared] * len(outputs))
    own = [_peak_bytes(*part) for part in zip(pieces, inputs, kept[place.levels :], strict=True)]
    peak = max(map(add, own, crossing[place.levels :]))
    return _Rest(pieces, kept, crossing, peak, _output_bytes(outputs))


@cache
def _levels(features: tuple[_Shape, ...], width: int) -> Piece:
    def build() -> nn.Module:
        neck = BiFPN([shape[1] for shape in features], width, depth=1)
        neck.layers = nn.ModuleList()
        return neck

    return _piece(build, features, "neck", lambda neck, inputs: neck(inputs))


@cache
def _fusion(levels: tuple[_Shape, ...], depth: int) -> Piece:
    def run(layers: nn.Module, inputs: Sequence[torch.Tensor]) -> Any:
        for layer in layers.children():
            inputs = layer(inputs)
        return inputs[0]

    width = levels[0][1]
    return _piece(lambda: BiFPN([width] * (len(FEATURE_STRIDES) - 1), width, depth).layers, levels, "neck", run)


@cache
def _detail(fine: _Shape, width: int) -> Piece:
    return _piece(lambda: ConvBNAct(fine[1], width, act=False), [fine], "detail")


@cache
def _head(task: str, channels: int, inputs: tuple[_Shape, ...], size: _Shape) -> Piece:
    def run(head: nn.Module, tensors: Sequence[torch.Tensor]) -> Any:
        p3, *detail = tensors
        return head(p3, size, *detail)

    return _piece(lambda: DenseHead(inputs[0][1], channels), inputs, f"head.{task}", run)


def _piece(
    build: Callable[[], nn.Module],
    input_shapes: Sequence[_Shape],
    scope: str,
    call: Callable[[nn.Module, Sequence[torch.Tensor]], Any] | None = None,
) -> Piece:
    with torch.device("meta"):
        module = build().eval()

    def run(*inputs: torch.Tensor) -> Any:
        return module(*inputs) if call is None else call(module, inputs)

    return trace(module, run, input_shapes, scope)


def _peak_bytes(piece: Piece, input_shapes: Sequence[_Shape], kept: Sequence[int] = ()) -> int:
    """Return the most bytes of the piece's tensors that exist at once, without the inputs that are ``kept``."""
    inputs = {-1 - number: prod(shape) for number, shape in enumerate(input_shapes) if number not in kept}
    return max(lifetimes(piece.layers, piece.outputs, inputs).live_bytes)


class _Entry(nn.Module):
    """Calls one method of a module, so that ``functional_call`` can reach methods other than ``forward``."""

    def __init__(self, module: nn.Module, method: str) -> None:
        super().__init__()
        self.module = module
        self._method = method

    def forward(self, image: torch.Tensor) -> Any:
        return (self.module if self._method == "forward" else getattr(self.module, self._method))(image)


@contextmanager
def _evaluation_mode(module: nn.Module) -> Iterator[None]:
    training = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, mode in training:
            part.training = mode


def _output_bytes(pieces: tuple[Piece, ...] | list[Piece]) -> int:
    """Return the bytes of all outputs, one an element (int8)."""
    return sum([prod(shape) for piece in pieces for shape in piece.output_shapes])
