"""Parameters and multiply-accumulates of an architecture, part by part: the numbers beside Table 6."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from ednas.arch import Architecture
from ednas.arch.architecture import STEM_STRIDE
from ednas.hw.graph.layers import Piece, Shape
from ednas.hw.graph.trace import IMAGE_CHANNELS, network_pieces, trace_whole


class Counts(NamedTuple):
    """Totals of a multi-task network.

    Attributes:
        params: Parameters as torch counts them: weights, biases, and scale and shift of each batch normalisation.
        macs: Multiply-accumulates of one inference.
    """

    params: int
    macs: int


@dataclass(frozen=True)
class BlockSummary:
    """A row of the table.

    Attributes:
        index: 0 for the stem, from 1 for the blocks, then the neck, the heads' lateral and the heads.
        name: ``stem``, ``block 1`` ..., ``neck``, ``detail``, ``head.<task>``; of a network with a
            backbone or decoder of the user's own ``encoder``, and ``decoder`` or ``neck``, ``detail``, ``heads``.
        text: What it is, for example ``ibn_k5_s2_e6_c36``.
        stride: Its stride; 1 for neck and heads.
        params: Its parameters.
        macs: Its multiply-accumulates.
        output: Height, width and channels of its first output.
    """

    index: int
    name: str
    text: str
    stride: int
    params: int
    macs: int
    output: Shape


@dataclass(frozen=True)
class Summary:
    """Counts of a multi-task network, with its outputs at stride 4.

    Attributes:
        params: Parameters as torch counts them: weights, biases, and scale and shift of each batch normalisation.
        params_backbone: Those of the stem and the blocks.
        macs: Multiply-accumulates of one inference.
        flops: Floating-point operations of one inference, ``2 * macs``.
        input: Height and width of the image.
        blocks: The rows.
    """

    params: int
    params_backbone: int
    macs: int
    flops: int
    input: tuple[int, int]
    blocks: tuple[BlockSummary, ...]


def counts(architecture: Architecture, heads: Mapping[str, int], input_size: tuple[int, int]) -> Counts:
    """Count parameters and multiply-accumulates of the whole network; microseconds, for a search.

    Arguments and errors are those of :func:`summarise`.
    """
    if architecture.has_named_parts:
        summary = summarise(architecture, heads, input_size)
        return Counts(summary.params, summary.macs)
    pieces = network_pieces(architecture, heads, input_size).all
    return Counts(sum([piece.params for piece in pieces]), sum([piece.macs for piece in pieces]))


def count_shared(architecture: Architecture, heads: Mapping[str, int]) -> int:
    """Count the parameters that the predictions of more than one task depend on.

    Args:
        architecture: The architecture.
        heads: Output channels by task.

    Raises:
        ArchitectureError: The heads are wrong, or a part of the user's own is not registered.
    """
    import torch

    from ednas.nn import MultiTaskNetwork

    with torch.device("meta"):  # which weights a prediction depends on does not depend on their values
        network = MultiTaskNetwork(architecture, heads).eval()
        outputs = network.predict_heads(torch.zeros(1, IMAGE_CHANNELS, 64, 64))
        parameters = [*network.parameters()]
        readers = [0] * len(parameters)
        for output in outputs.values():
            gradients = torch.autograd.grad(output.sum(), parameters, retain_graph=True, allow_unused=True)
            readers = [count + (found is not None) for count, found in zip(readers, gradients, strict=True)]
    return sum(own.numel() for own, count in zip(parameters, readers, strict=True) if count > 1)


def summarise(architecture: Architecture, heads: Mapping[str, int], input_size: tuple[int, int]) -> Summary:
    """Count parameters and multiply-accumulates, part by part.

    Args:
        architecture: The architecture.
        heads: Output channels by task.
        input_size: Height and width of the image in pixels.

    Raises:
        ArchitectureError: The input size or the heads are wrong, or a part of the user's own is not registered.
        TargetError: An own part has an operator that the cost model does not know.
    """
    if architecture.has_named_parts:
        return _summarise_whole(architecture, heads, input_size)
    pieces = network_pieces(architecture, heads, input_size)
    named: list[tuple[str, str, int, tuple[Piece, ...]]] = [
        ("stem", f"conv_k3_s{STEM_STRIDE}_c{architecture.stem_filters}", STEM_STRIDE, (pieces.stem,))
    ]
    for number, (block, piece) in enumerate(zip(architecture.blocks, pieces.blocks, strict=True), start=1):
        named.append((f"block {number}", block.text, block.stride, (piece,)))
    neck = f"bifpn_w{architecture.bifpn_width}_d{architecture.bifpn_depth}"
    named.append(("neck", neck, 1, (pieces.levels, pieces.fusion)))
    if pieces.detail is not None:
        named.append(("detail", f"heads_l{architecture.head_lateral}", 1, (pieces.detail,)))
    for (task, channels), piece in zip(heads.items(), pieces.heads, strict=True):
        named.append((f"head.{task}", f"head_c{channels}", 1, (piece,)))
    rows = tuple(_row(index, *part) for index, part in enumerate(named))
    return _summary(rows, len(pieces.blocks) + 1, input_size)


def _summarise_whole(architecture: Architecture, heads: Mapping[str, int], input_size: tuple[int, int]) -> Summary:
    """Count a network with parts of the user's own, whose blocks nobody knows: a row for each of its halves' parts."""
    network, graph = trace_whole(architecture, heads, input_size)
    own = {"encoder": network.architecture.backbone, "decoder": network.architecture.decoder}
    rows = []
    for index, (name, part) in enumerate(network.named_children()):
        layers = [layer for layer in graph.layers if layer.scope == name]
        params, macs = sum(p.numel() for p in part.parameters()), sum(layer.macs for layer in layers)
        rows.append(BlockSummary(index, name, own.get(name) or name, 1, params, macs, layers[-1].output))
    return _summary(tuple(rows), 1, input_size)


def _summary(rows: tuple[BlockSummary, ...], in_backbone: int, input_size: tuple[int, int]) -> Summary:
    """Add up rows, the first of which are the backbone's."""
    macs = sum(row.macs for row in rows)
    return Summary(
        params=sum(row.params for row in rows),
        params_backbone=sum(row.params for row in rows[:in_backbone]),
        macs=macs,
        flops=2 * macs,
        input=(input_size[0], input_size[1]),
        blocks=rows,
    )


def _row(index: int, name: str, text: str, stride: int, pieces: tuple[Piece, ...]) -> BlockSummary:
    _, channels, height, width = pieces[-1].output_shapes[0]
    params, macs = sum(piece.params for piece in pieces), sum(piece.macs for piece in pieces)
    return BlockSummary(index, name, text, stride, params, macs, (height, width, channels))
