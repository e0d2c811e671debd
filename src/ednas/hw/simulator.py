"""What one inference costs on a target.

    latency = dispatch + sum over layers of max(compute, streamed parameters / bandwidth)
              + (input + output + instruction stream) / bandwidth + host work

Parameters fill the on-chip cache in the order of execution; what does not fit is streamed at each inference while its
layer computes. The accelerator runs the network up to the first operator that it cannot run; that one and all after it
run on the host, as the vendor's compiler splits a network once. An operator for which the compiler refuses the whole
network sends all of it to the host.

Not modelled: activations larger than the tiles' memory, which spill to the host in some networks.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from math import prod
from typing import TYPE_CHECKING, Literal

from ednas.exceptions import TargetError
from ednas.hw import ops
from ednas.hw.graph import Layer, LayerGraph, Piece
from ednas.hw.mapping import cycles
from ednas.hw.memory import MIB, cache_bytes, parameter_bytes
from ednas.hw.target import HostConfig, OperatorConfig, Target

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ednas.arch import Architecture


@dataclass(frozen=True)
class LayerCost:
    """What one layer costs.

    Attributes:
        name: The layer's name.
        scope: The part of the network that it belongs to.
        op: Its operator.
        where: Whether the accelerator or the host runs it.
        bound_by: What its time consists of: ``compute``, ``parameters`` (their streaming) or ``host``.
        latency_ms: Its time.
        compute_ms: Time of its cycles; 0 on the host.
        cycles: Cycles of the accelerator.
        parameter_bytes: Its parameters in the device's layout.
        streamed_bytes: How many of them do not fit on the chip and are sent at each inference.
        reason: Why the host runs it; empty on the accelerator.
    """

    name: str
    scope: str
    op: str
    where: Literal["accelerator", "host"]
    bound_by: Literal["compute", "parameters", "host"]
    latency_ms: float
    compute_ms: float = 0.0
    cycles: int = 0
    parameter_bytes: int = 0
    streamed_bytes: int = 0
    reason: str = ""


@dataclass(frozen=True)
class Cost:
    """What one inference costs: ``latency_ms = dispatch_ms + transfer_ms + accelerator_ms + host_ms``.

    Attributes:
        target: The target's name.
        latency_ms: Time of one inference.
        accelerator_cycles: Cycles of the accelerator.
        dispatch_ms: Fixed time of a call.
        transfer_ms: Time to send input and instructions and to receive the outputs.
        accelerator_ms: Time of the layers on the accelerator, with the streaming of parameters.
        host_ms: Time of the layers on the host.
        parameter_bytes: Parameters of the accelerator's layers in its layout.
        streamed_bytes: Those that do not fit on the chip.
        instruction_bytes: Size of the instruction stream.
        layers: The layers, in the order of execution.
    """

    target: str
    latency_ms: float
    accelerator_cycles: int
    dispatch_ms: float
    transfer_ms: float
    accelerator_ms: float
    host_ms: float
    parameter_bytes: int
    streamed_bytes: int
    instruction_bytes: int
    layers: tuple[LayerCost, ...]


def simulate(graph: LayerGraph, target: Target) -> Cost:
    """Return what one inference of a layer graph costs.

    Args:
        graph: The network.
        target: The hardware.

    Raises:
        TargetError: A layer does not fit into the host's memory.
    """
    boundary, reason = _boundary(graph.layers, target.operators)
    accelerated, on_host = graph.layers[:boundary], graph.layers[boundary:]
    reasons = [reason, *[f"after {reason}"] * (len(on_host) - 1)]
    host = [_host_cost(layer, why, target.host) for layer, why in zip(on_host, reasons, strict=False)]
    output_bytes = _crossing_bytes(graph, boundary) if on_host else graph.output_bytes
    segments = [_segment(accelerated, target)] if accelerated else []
    return _combine(segments, host, graph.input_bytes + output_bytes, target)


def estimate(architecture: Architecture, heads: Mapping[str, int], input_size: tuple[int, int], target: Target) -> Cost:
    """Return what one inference of a multi-task network costs; the fast path for a search.

    Gives the same as ``simulate(trace_network(architecture, heads, input_size), target)``, but adds up the costs of
    pieces (stem, blocks, neck, heads) that are kept.

    Args:
        architecture: The architecture.
        heads: Output channels by task.
        input_size: Height and width of the image in pixels.
        target: The hardware.

    Raises:
        ArchitectureError: The input size or the heads are wrong.
        TargetError: A layer does not fit into the host's memory.
    """
    from ednas.hw.trace import network_pieces, trace_network

    pieces = network_pieces(architecture, heads, input_size)
    segments = [_piece_segment(piece, target) for piece in pieces.all]
    if any(segment.has_obstacle for segment in segments):
        return simulate(trace_network(architecture, heads, input_size), target)
    return _combine(segments, [], pieces.input_bytes + pieces.output_bytes, target)


@dataclass(frozen=True)
class _Run:
    """Layers on the accelerator in one state of the cache."""

    layers: tuple[LayerCost, ...]
    latency_ms: float


@dataclass(frozen=True)
class _Segment:
    """Consecutive layers, costed on the accelerator with all of their parameters on the chip and with none."""

    resident: _Run
    streamed: _Run
    cycles: int
    parameter_bytes: int
    has_obstacle: bool


@lru_cache(maxsize=1 << 17)
def _piece_segment(piece: Piece, target: Target) -> _Segment:
    return _segment(piece.layers, target)


def _segment(layers: Sequence[Layer], target: Target) -> _Segment:
    obstacle = any(_obstacle(layer, target.operators) for layer in layers)
    resident = _run(_resident_cost(layer, target) for layer in layers)
    streamed = _run(_streaming(cost, cost.parameter_bytes, target) for cost in resident.layers)
    return _Segment(
        resident=resident,
        streamed=streamed,
        cycles=sum(cost.cycles for cost in resident.layers),
        parameter_bytes=sum(cost.parameter_bytes for cost in resident.layers),
        has_obstacle=obstacle,
    )


def _run(costs: Iterable[LayerCost]) -> _Run:
    layers = tuple(costs)
    return _Run(layers, sum((cost.latency_ms for cost in layers), 0.0))


def _combine(segments: Sequence[_Segment], host: Sequence[LayerCost], moved_bytes: int, target: Target) -> Cost:
    """Add up segments on the accelerator and layers on the host; ``moved_bytes`` are those of inputs and outputs."""
    free = capacity = cache_bytes(target.memory)
    layers: list[LayerCost] = []
    accelerator_ms = 0.0
    total_cycles = total_parameters = 0
    for segment in segments:
        total_cycles += segment.cycles
        total_parameters += segment.parameter_bytes
        run = _with_cache(segment, free, target)
        free = max(free - segment.parameter_bytes, 0)
        layers += run.layers
        accelerator_ms += run.latency_ms
    instruction_bytes = round(
        len(layers) * target.memory.instruction_bytes_per_layer.value
        + total_cycles * target.memory.instruction_bytes_per_cycle.value
    )
    dispatch_ms = target.bus.dispatch_ms.value if segments else 0.0
    transfer_ms = _bus_ms(moved_bytes + instruction_bytes, target) if segments else 0.0
    host_ms = sum((cost.latency_ms for cost in host), 0.0)
    return Cost(
        target=target.name,
        latency_ms=dispatch_ms + transfer_ms + accelerator_ms + host_ms,
        accelerator_cycles=total_cycles,
        dispatch_ms=dispatch_ms,
        transfer_ms=transfer_ms,
        accelerator_ms=accelerator_ms,
        host_ms=host_ms,
        parameter_bytes=total_parameters,
        streamed_bytes=max(total_parameters - capacity, 0),
        instruction_bytes=instruction_bytes,
        layers=(*layers, *host),
    )


def _with_cache(segment: _Segment, free: int, target: Target) -> _Run:
    """Return the segment's costs where ``free`` bytes of the cache are left for it."""
    if segment.parameter_bytes <= free:
        return segment.resident
    if free == 0:
        return segment.streamed
    costs = []
    for cost in segment.resident.layers:
        kept = min(cost.parameter_bytes, free)
        free -= kept
        costs.append(_streaming(cost, cost.parameter_bytes - kept, target))
    return _run(costs)


def _resident_cost(layer: Layer, target: Target) -> LayerCost:
    _check_memory(layer, target.host)
    count = cycles(layer, target.array)
    compute_ms = count / (target.array.clock_mhz.value * 1e3)
    return LayerCost(
        name=layer.name,
        scope=layer.scope,
        op=layer.op,
        where="accelerator",
        bound_by="compute",
        latency_ms=compute_ms,
        compute_ms=compute_ms,
        cycles=count,
        parameter_bytes=parameter_bytes(layer, target.array, target.memory),
    )


def _streaming(cost: LayerCost, streamed_bytes: int, target: Target) -> LayerCost:
    if not streamed_bytes:
        return cost
    stream_ms = _bus_ms(streamed_bytes, target)
    return replace(
        cost,
        bound_by="parameters" if stream_ms > cost.compute_ms else "compute",
        latency_ms=max(stream_ms, cost.compute_ms),
        streamed_bytes=streamed_bytes,
    )


def _host_cost(layer: Layer, reason: str, host: HostConfig) -> LayerCost:
    _check_memory(layer, host)
    if layer.op in ops.CONVOLUTIONS:
        latency_ms = layer.macs / (host.convolution_gmac_per_s.value * 1e6)
    elif layer.op in ops.RESHAPES:
        latency_ms = 0.0
    else:
        element_ns = host.element_ns if layer.op in ops.BUILTIN else host.custom_element_ns
        latency_ms = max(prod(layer.input), prod(layer.output)) * element_ns.value * 1e-6
    return LayerCost(layer.name, layer.scope, layer.op, "host", "host", latency_ms, reason=reason)


def _boundary(layers: Sequence[Layer], operators: OperatorConfig) -> tuple[int, str]:
    """Return the index of the first layer on the host and why; the number of layers if there is none."""
    for layer in layers:
        if operators.grouped_convolution == "rejected" and layer.op == "CONV_2D" and layer.groups > 1:
            return 0, f"the compiler refuses the whole network: {layer.label} has {layer.groups} groups"
    for index, layer in enumerate(layers):
        if obstacle := _obstacle(layer, operators):
            return index, obstacle
    return len(layers), ""


def _obstacle(layer: Layer, operators: OperatorConfig) -> str:
    """Return why the accelerator cannot run the layer; empty if it can."""
    if layer.op not in operators.supported:
        return f"{layer.label}: the accelerator has no {layer.op}"
    if layer.op == "CONV_2D" and layer.groups > 1 and operators.grouped_convolution == "rejected":
        return f"{layer.label}: the accelerator has no grouped convolution"
    if layer.op in ops.RESIZES:
        factor = max(layer.output[0] / layer.input[0], layer.output[1] / layer.input[1])
        if factor > operators.largest_resize.value:
            return (
                f"{layer.label}: resizes by {factor:.3g}, the accelerator by up to {operators.largest_resize.value:g}"
            )
    return ""


def _crossing_bytes(graph: LayerGraph, boundary: int) -> int:
    """Return the bytes that the accelerator hands to the host: what the host's layers read, and finished outputs."""
    read_by_host = {producer for layer in graph.layers[boundary:] for producer in layer.inputs}
    read = {producer for layer in graph.layers for producer in layer.inputs}
    return sum(
        prod(layer.output)
        for index, layer in enumerate(graph.layers[:boundary])
        if index in read_by_host or index not in read
    )


def _bus_ms(count: int, target: Target) -> float:
    return count / (target.bus.bandwidth_mb_per_s.value * 1e3)


def _check_memory(layer: Layer, host: HostConfig) -> None:
    needed_mib = (layer.activation_bytes + layer.weight_bytes) / MIB
    if needed_mib > host.memory_mib.value:
        raise TargetError(
            f"{layer.label} of {layer.scope} needs {needed_mib:.0f} MiB, the host has {host.memory_mib.value:.0f} MiB; "
            "use a smaller input or fewer channels"
        )
