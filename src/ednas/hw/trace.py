"""Layer graphs of networks: traced from the modules themselves, so that the cost model cannot drift from the network.

Any module is traced as it is (:func:`trace_module`). A multi-task network is put together from pieces (stem, blocks,
neck, heads) that are traced once for each distinct text and input shape and kept: a search meets the same blocks again
and again, so that a fresh architecture costs microseconds (:func:`trace_network`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import accumulate
from math import prod
from typing import Any

import torch
from torch import nn

from ednas.arch import Architecture, Block
from ednas.arch.spec import STAGE_DEPTHS, check_input_size
from ednas.exceptions import ArchitectureError, TargetError
from ednas.hw.graph import LayerGraph, Piece, join
from ednas.hw.lowering import trace
from ednas.nn.bifpn import NUM_LEVELS, BiFPN
from ednas.nn.blocks import ConvBNAct, build_block
from ednas.nn.encoder import STAGE_STRIDES
from ednas.nn.heads import DenseHead
from ednas.nn.network import OUTPUT_STRIDE, PYRAMID_STAGES

IMAGE_CHANNELS = 3

_LAST_BLOCKS = tuple(accumulate(STAGE_DEPTHS))
"""Number (1-16) of each stage's last block."""

_PYRAMID_BLOCKS = tuple(_LAST_BLOCKS[stage] for stage in PYRAMID_STAGES)
_OUTPUT_BLOCK = _LAST_BLOCKS[STAGE_STRIDES.index(OUTPUT_STRIDE)]

_CACHED_PIECES = 1 << 16
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
    method="predict_heads")``, but puts it together from cached pieces.

    Args:
        architecture: The architecture.
        heads: Output channels by task.
        input_size: Height and width of the image in pixels.

    Raises:
        ArchitectureError: The input size or the heads are wrong.
    """
    pieces = network_pieces(architecture, heads, input_size)
    backbone = [(piece, [(number - 1, 0)]) for number, piece in enumerate((pieces.stem, *pieces.blocks))]
    first = len(backbone)
    levels = (pieces.levels, [(number, 0) for number in _PYRAMID_BLOCKS])
    fusion = (pieces.fusion, [(first, level) for level in range(NUM_LEVELS)])
    outputs = [(head, [(first + 1, 0)]) for head in pieces.heads]
    return join([*backbone, levels, fusion, *outputs], pieces.input_bytes, pieces.output_bytes)


@dataclass(frozen=True)
class NetworkPieces:
    """A multi-task network in pieces, in the order of execution.

    Attributes:
        stem: The stem.
        blocks: The 16 blocks.
        levels: The neck's first part: its five levels, from the backbone's features.
        fusion: The neck's second part: all BiFPN layers.
        heads: One head for each task.
        input_bytes: Bytes of the image.
        output_bytes: Bytes of all predictions.
    """

    stem: Piece
    blocks: tuple[Piece, ...]
    levels: Piece
    fusion: Piece
    heads: tuple[Piece, ...]
    input_bytes: int
    output_bytes: int

    @property
    def all(self) -> tuple[Piece, ...]:
        """Every piece, in the order of execution."""
        return (self.stem, *self.blocks, self.levels, self.fusion, *self.heads)


def network_pieces(architecture: Architecture, heads: Mapping[str, int], input_size: tuple[int, int]) -> NetworkPieces:
    """Return the cached pieces of a multi-task network; arguments and errors as in :func:`trace_network`."""
    if not heads or min(heads.values()) < 1:
        raise ArchitectureError(f"network: heads are {dict(heads)}, give at least one task with at least one channel")
    check_input_size(input_size)
    height, width = input_size
    stem = _stem(architecture.stem_filters, height, width)
    blocks: list[Piece] = []
    shape = stem.output_shapes[0]
    for number, block in enumerate(architecture.blocks, start=1):
        piece = _block(number, str(block), shape)
        shape = piece.output_shapes[0]
        blocks.append(piece)
    pyramid = tuple([blocks[number - 1].output_shapes[0] for number in _PYRAMID_BLOCKS])
    levels = _levels(pyramid, architecture.bifpn_width)
    fusion = _fusion(levels.output_shapes, architecture.bifpn_depth)
    p3 = fusion.output_shapes[0]
    _, _, *size = blocks[_OUTPUT_BLOCK - 1].output_shapes[0]
    outputs = tuple([_head(task, channels, p3, tuple(size)) for task, channels in heads.items()])
    image_bytes = IMAGE_CHANNELS * height * width
    return NetworkPieces(stem, tuple(blocks), levels, fusion, outputs, image_bytes, _output_bytes(outputs))


def clear_cache() -> None:
    """Forget all traced pieces, for example to time a cold start."""
    for cached in (_stem, _block, _unnumbered_block, _levels, _fusion, _head):
        cached.cache_clear()


@lru_cache(maxsize=256)
def _stem(filters: int, height: int, width: int) -> Piece:
    return _piece(lambda: ConvBNAct(IMAGE_CHANNELS, filters, 3, stride=2), [(1, IMAGE_CHANNELS, height, width)], "stem")


@lru_cache(maxsize=_CACHED_PIECES)
def _block(number: int, text: str, input_shape: _Shape) -> Piece:
    piece = _unnumbered_block(text, input_shape)
    return replace(piece, layers=tuple([replace(layer, scope=f"block {number}") for layer in piece.layers]))


@lru_cache(maxsize=_CACHED_PIECES)
def _unnumbered_block(text: str, input_shape: _Shape) -> Piece:
    return _piece(lambda: build_block(input_shape[1], _parsed(text)), [input_shape], "block")


@lru_cache(maxsize=_CACHED_PIECES)
def _parsed(text: str) -> Block:
    block: Block = Block.from_text(text)
    return block


@lru_cache(maxsize=_CACHED_PIECES)
def _levels(features: tuple[_Shape, ...], width: int) -> Piece:
    def build() -> nn.Module:
        neck = BiFPN([shape[1] for shape in features], width, depth=1)
        neck.layers = nn.ModuleList()
        return neck

    return _piece(build, features, "neck", lambda neck, inputs: neck(inputs))


@lru_cache(maxsize=256)
def _fusion(levels: tuple[_Shape, ...], depth: int) -> Piece:
    def run(layers: nn.Module, inputs: Sequence[torch.Tensor]) -> Any:
        for layer in layers.children():
            inputs = layer(inputs)
        return inputs

    width = levels[0][1]
    return _piece(lambda: BiFPN([width] * len(PYRAMID_STAGES), width, depth).layers, levels, "neck", run)


@lru_cache(maxsize=_CACHED_PIECES)
def _head(task: str, channels: int, p3: _Shape, size: tuple[int, int]) -> Piece:
    return _piece(lambda: DenseHead(p3[1], channels), [p3], f"head.{task}", lambda head, inputs: head(inputs[0], size))


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
