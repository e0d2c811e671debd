"""What one inference costs on a target.

    latency = dispatch + (input + output + instruction stream) / link bandwidth + host work
              + sum over the accelerator's layers of max(compute, on-chip traffic, off-chip traffic)

Compute and on-chip traffic are the engine's (:mod:`ednas.hw.model.engines`). Off-chip traffic is what does not fit on
the chip: parameters fill the on-chip cache in the order of execution, the rest is streamed at each inference;
activations that have to be kept and do not fit are spilled (:mod:`ednas.hw.model.memory`). A layer's traffic overlaps
with its own compute, not with other layers'. What the accelerator cannot run goes to the host
(:mod:`ednas.hw.model.operators`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from math import inf, prod
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from ednas.exceptions import TargetError
from ednas.hw.cost import Cost, LayerCost
from ednas.hw.graph import ops
from ednas.hw.graph.layers import DTYPE_BITS, GRAPH_INPUT, SCOPES, Layer, LayerGraph, Piece, in_precision
from ednas.hw.graph.lifetimes import Lifetimes, lifetimes
from ednas.hw.model.errors import ErrorConfig
from ednas.hw.model.memory import KIB
from ednas.hw.model.operators import OperatorConfig
from ednas.hw.model.target import Target

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ednas.arch import Architecture
    from ednas.hw.graph.trace import NetworkPieces

MIB = 1 << 20


def simulate(graph: LayerGraph, target: Target) -> Cost:
    """Return what one inference of a layer graph costs.

    Args:
        graph: The network.
        target: The hardware.

    Raises:
        TargetError: The target computes integers and the network floating-point numbers, or a layer does not fit into
            the host's memory.
    """
    graph = _in_precision(graph, target)
    layers, operators = graph.layers, target.operators
    _check_dtypes(layers, operators)
    _check_memory(layers, target)
    reasons = _reasons(layers, operators)
    times = lifetimes(layers, graph.outputs, {GRAPH_INPUT: graph.input_bytes})
    moved_bytes, spills = graph.input_bytes + graph.output_bytes, []
    if operators.partition == "per_operator" or not any(reasons):  # a host that runs others, too, shares the memory
        spills = _spills(layers, times, target)
    else:
        part = _Part.of(graph, reasons)
        moved_bytes, spills = part.moved_bytes, part.spills(target)
    segments = [_segment(layers, reasons, target)]
    is_of_space = all(layer.scope.startswith(SCOPES) for layer in layers)
    peak_bytes, notes = max(times.live_bytes), _notes(layers, target)
    return _combine(segments, moved_bytes, peak_bytes, target, spills, notes, is_of_space=is_of_space)


def estimate(architecture: Architecture, heads: Mapping[str, int], input_size: tuple[int, int], target: Target) -> Cost:
    """Return what one inference of a multi-task network costs; the fast path for a search.

    Gives the same as ``simulate(trace_network(architecture, heads, input_size), target)``, but adds up the costs of
    pieces (stem, blocks, neck, heads) that are kept. The whole graph is made only where activations may not fit on the
    chip.

    Args:
        architecture: The architecture.
        heads: Output channels by task.
        input_size: Height and width of the image in pixels.
        target: The hardware.

    Raises:
        ArchitectureError: The input size or the heads are wrong, or a part of the user's own is not registered.
        TargetError: A layer does not fit into the host's memory, or an own part has an operator that is not known.
    """
    from ednas.hw.graph.trace import network_pieces, trace_network

    if architecture.has_named_parts:
        return simulate(trace_network(architecture, heads, input_size), target)
    pieces = network_pieces(architecture, heads, input_size)
    segments = [_piece_segment(piece, target) for piece in pieces.all]
    if any(segment.splits for segment in segments):
        return simulate(trace_network(architecture, heads, input_size), target)
    spills: list[int] = []
    element_bytes = DTYPE_BITS[target.precision] // 8 if target.precision else 1
    if not _fits(pieces, target, _activation_bytes(target) / element_bytes):
        graph = trace_network(architecture, heads, input_size)
        times = lifetimes(graph.layers, graph.outputs, {GRAPH_INPUT: graph.input_bytes})
        spills = _spills(graph.layers, times, target)
    moved_bytes = element_bytes * (pieces.input_bytes + pieces.output_bytes)
    peak_bytes = element_bytes * pieces.peak_bytes
    return _combine(segments, moved_bytes, peak_bytes, target, spills, _notes((), target), is_of_space=True)


def _in_precision(graph: LayerGraph, target: Target) -> LayerGraph:
    """Return a network as the target computes it."""
    if target.precision is None:
        return graph
    layers = in_precision(graph.layers, target.precision)
    before = next((layer for layer in graph.layers if GRAPH_INPUT in layer.inputs), graph.layers[0])
    factor = DTYPE_BITS[target.precision] / DTYPE_BITS[before.dtype]
    return replace(
        graph,
        layers=layers,
        input_bytes=round(factor * graph.input_bytes),
        output_bytes=round(factor * graph.output_bytes),
    )


@dataclass(frozen=True)
class _Run:
    """Layers in one state of the cache."""

    layers: tuple[LayerCost, ...]
    latency_ms: float
    energy_mj: float


@dataclass(frozen=True, eq=False)
class _Segment:
    """Consecutive layers, costed with all of their parameters and activations on the chip.

    Attributes:
        resident: The layers.
        host_ms: Time of those on the host.
        cycles: Cycles of those on the accelerator.
        parameter_bytes: Parameters of those on the accelerator.
        mapped_layers: How many the accelerator runs.
        splits: Whether one of them makes the compiler give all that follows to the host.
        target: The hardware.
    """

    resident: _Run
    host_ms: float
    cycles: int
    parameter_bytes: int
    mapped_layers: int
    splits: bool
    target: Target

    @cached_property
    def streamed(self) -> _Run:
        """The layers with none of their parameters on the chip."""
        return _run([_off_chip(cost, cost.parameter_bytes or 0, 0, self.target) for cost in self.resident.layers])


@lru_cache(maxsize=1 << 17)
def _piece_segment(piece: Piece, target: Target) -> _Segment:
    layers = in_precision(piece.layers, target.precision) if target.precision else piece.layers
    _check_memory(layers, target)
    return _segment(layers, _reasons(layers, target.operators), target)


def _fits(pieces: NetworkPieces, target: Target, capacity: float) -> bool:
    """Whether no activation leaves the chip for certain."""
    return pieces.peak_bytes <= capacity or all(
        _needed_bytes(piece, target) + crossing <= capacity
        for piece, crossing in zip(pieces.all, pieces.crossing_bytes, strict=True)
    )


@lru_cache(maxsize=1 << 17)
def _needed_bytes(piece: Piece, target: Target) -> int:
    """Return bytes of on-chip memory with which a piece certainly spills nothing."""
    times = lifetimes(piece.layers, piece.outputs, {})
    inputs = {producer: prod(layer.input) for layer in piece.layers for producer in layer.inputs if producer < 0}
    return target.engine.needed_bytes(piece.layers, times, len(piece.layers) + 1) + sum(inputs.values())


def _segment(layers: Sequence[Layer], reasons: Sequence[str], target: Target) -> _Segment:
    costs = [
        _host_cost(layer, layers, reason, target) if reason else _resident_cost(layer, target)
        for layer, reason in zip(layers, reasons, strict=True)
    ]
    _hide_fused(costs, layers, reasons, target.engine.fused)
    return _Segment(
        resident=_run(costs),
        host_ms=sum([cost.latency_ms for cost in costs if cost.reason]),
        cycles=sum([cost.cycles or 0 for cost in costs]),
        parameter_bytes=sum([cost.parameter_bytes or 0 for cost in costs]),
        mapped_layers=sum([not cost.reason for cost in costs]),
        splits=target.operators.partition == "once" and any(reasons),
        target=target,
    )


def _hide_fused(costs: list[LayerCost], layers: Sequence[Layer], reasons: Sequence[str], fused: frozenset[str]) -> None:
    """Leave of operators that become part of the layer before what that layer does not hide."""
    if fused.isdisjoint([layer.op for layer in layers]):
        return
    readers = Counter([producer for layer in layers for producer in layer.inputs])
    for index, layer in enumerate(layers):
        producer = layer.inputs[0] if layer.inputs else GRAPH_INPUT
        is_alone = producer < 0 or readers[producer] > 1 or bool(reasons[index] or reasons[producer])
        if layer.op in fused and not is_alone:
            own, before = costs[index], costs[producer]
            costs[index] = own._replace(
                latency_ms=max(own.latency_ms - before.latency_ms, 0.0),
                compute_ms=max((own.compute_ms or 0.0) - (before.compute_ms or 0.0), 0.0),
                cycles=max((own.cycles or 0) - (before.cycles or 0), 0),
            )


def _run(costs: Sequence[LayerCost]) -> _Run:
    return _Run(tuple(costs), sum([cost.latency_ms for cost in costs]), sum([cost.energy_mj or 0.0 for cost in costs]))


def _combine(
    segments: Sequence[_Segment],
    moved_bytes: int,
    peak_bytes: int,
    target: Target,
    spills: Sequence[int] = (),
    notes: tuple[str, ...] = (),
    *,
    is_of_space: bool,
) -> Cost:
    """Add up segments; ``moved_bytes`` are those of inputs and outputs, ``spills`` those of each layer."""
    capacity = free = round(target.memory.parameter_cache_kib.value * KIB)
    layers: list[LayerCost] = []
    layers_ms = energy_mj = host_ms = 0.0
    cycles = parameters = mapped_layers = 0
    for segment in segments:
        start = len(layers)
        run = _with_memory(segment, free, spills[start : start + len(segment.resident.layers)])
        free = max(free - segment.parameter_bytes, 0)
        layers += run.layers
        layers_ms += run.latency_ms
        energy_mj += run.energy_mj
        host_ms += segment.host_ms
        cycles += segment.cycles
        parameters += segment.parameter_bytes
        mapped_layers += segment.mapped_layers
    link = target.link
    instruction_bytes = round(
        mapped_layers * link.instruction_bytes_per_layer.value + cycles * link.instruction_bytes_per_cycle.value
    )
    link_bytes = moved_bytes + instruction_bytes if mapped_layers else 0
    dispatch_ms = link.dispatch_ms.value if mapped_layers else 0.0
    transfer_ms = link_bytes / (link.bandwidth_mb_per_s.value * 1e3)
    latency_ms = dispatch_ms + transfer_ms + layers_ms
    error = _error(
        target, is_of_space=is_of_space, host_ms=host_ms, spilled=any(spills), streamed=parameters > capacity
    )
    return Cost(
        target=target.name,
        latency_ms=latency_ms,
        latency_p10_ms=latency_ms * error.low if error else None,
        latency_p90_ms=latency_ms * error.high if error else None,
        accelerator_cycles=cycles,
        dispatch_ms=dispatch_ms,
        transfer_ms=transfer_ms,
        accelerator_ms=layers_ms - host_ms,
        host_ms=host_ms,
        parameter_bytes=parameters,
        streamed_bytes=max(parameters - capacity, 0),
        spilled_bytes=sum(spills),
        instruction_bytes=instruction_bytes,
        peak_memory_kb=peak_bytes / KIB,
        energy_mj=energy_mj + target.energy.fixed_mj(link_bytes, latency_ms) if target.energy else None,
        area_mm2=_area_mm2(target),
        notes=(*notes, error.note) if error else notes,
        layers=tuple(layers),
    )


def _error(target: Target, *, is_of_space: bool, host_ms: float, spilled: bool, streamed: bool) -> ErrorConfig | None:
    """Return how far off estimates of such a network were; None where no such network was compared."""
    known = {error.kind: error for error in target.errors}
    kinds = {"space": is_of_space, "spilled": spilled, "host": host_ms > 0, "streamed": streamed, "any": True}
    return next((known[kind] for kind, applies in kinds.items() if applies and kind in known), None)


def _with_memory(segment: _Segment, free: int, spills: Sequence[int]) -> _Run:
    """Return the segment's costs where ``free`` bytes of the parameter cache are left for it."""
    if not any(spills):
        if segment.parameter_bytes <= free:
            return segment.resident
        if free == 0:
            return segment.streamed
    costs = list(segment.resident.layers)
    for index, cost in enumerate(costs):
        spilled = spills[index] if spills else 0
        parameter_bytes = cost.parameter_bytes or 0
        streamed = max(parameter_bytes - free, 0)
        free = max(free - parameter_bytes, 0)
        if streamed or spilled:
            costs[index] = _off_chip(cost, streamed, spilled, segment.target)
    return _run(costs)


def _resident_cost(layer: Layer, target: Target) -> LayerCost:
    """Return what a layer costs on the accelerator with its parameters and activations on the chip."""
    engine, energy, bandwidth = target.engine, target.energy, target.memory.on_chip_gb_per_s
    cycles, on_chip_bytes = engine.work(layer)
    compute_ms = cycles / (engine.clock_mhz.value * 1e3)
    on_chip_ms = on_chip_bytes / (bandwidth.value * 1e6) if bandwidth else 0.0
    is_compute_bound = compute_ms >= on_chip_ms
    return LayerCost(  # by position: keywords would double the time of a simulation
        layer.name,
        layer.scope,
        layer.op,
        "accelerator",
        "compute" if is_compute_bound else "on-chip traffic",
        compute_ms if is_compute_bound else on_chip_ms,
        compute_ms,
        cycles,
        layer.macs,
        # Winograd's method multiplies less often than the layer has multiply-accumulates.
        min(layer.macs / (cycles * engine.macs_per_cycle), 1.0) if cycles else 0.0,
        on_chip_bytes,
        engine.parameter_bytes(layer),
        0,
        0,
        energy.layer_mj(layer.macs, on_chip_bytes, 0) if energy else None,
        "",
    )


def _off_chip(cost: LayerCost, streamed_bytes: int, spilled_bytes: int, target: Target) -> LayerCost:
    """Add what a layer moves to and from off-chip memory, at the same time as it computes."""
    moved_bytes = streamed_bytes + spilled_bytes
    if not moved_bytes:
        return cost
    bandwidth = target.memory.off_chip_gb_per_s
    bytes_per_ms = bandwidth.value * 1e6 if bandwidth else target.link.bandwidth_mb_per_s.value * 1e3
    moved_ms = moved_bytes / bytes_per_ms
    changes: dict[str, Any] = {"streamed_bytes": streamed_bytes, "spilled_bytes": spilled_bytes}
    if moved_ms > cost.latency_ms:
        changes["latency_ms"] = moved_ms
        changes["bound_by"] = "parameters" if streamed_bytes >= spilled_bytes else "activations"
    if target.energy:
        changes["energy_mj"] = target.energy.layer_mj(cost.macs, cost.on_chip_bytes or 0, moved_bytes)
    return cost._replace(**changes)


def _host_cost(layer: Layer, layers: Sequence[Layer], reason: str, target: Target) -> LayerCost:
    """Return what a layer costs on the host; ``layers`` are those that its producers' numbers count in."""
    host = target.host
    if layer.op in ops.CONVOLUTIONS:
        latency_ms = layer.macs / (host.convolution_gmac_per_s.value * 1e6)
    elif layer.op in ops.RESHAPES:
        latency_ms = 0.0
    elif layer.op in ops.BUILTIN:
        latency_ms = max(prod(layer.input), prod(layer.output)) * host.element_ns.value * 1e-6
    else:  # a custom operator, for example a decoder, reads all of its inputs
        read = [prod(layers[producer].output) for producer in layer.inputs if producer >= 0]
        latency_ms = max(sum(read), prod(layer.output)) * host.custom_element_ns.value * 1e-6
    return LayerCost(
        name=layer.name,
        scope=layer.scope,
        op=layer.op,
        where="host",
        bound_by="host",
        latency_ms=latency_ms,
        compute_ms=0.0,
        cycles=0,
        macs=layer.macs,
        utilisation=0.0,
        on_chip_bytes=0,
        parameter_bytes=0,
        streamed_bytes=0,
        spilled_bytes=0,
        energy_mj=target.energy.host_mj(latency_ms) if target.energy else None,
        reason=reason,
    )


def _reasons(layers: Sequence[Layer], operators: OperatorConfig) -> list[str]:
    """Return for each layer why the host runs it; empty where the accelerator does."""
    if refusal := operators.refusal(layers):
        return [refusal] * len(layers)
    obstacles = [operators.obstacle(layer) for layer in layers]
    return operators.place(layers, obstacles) if any(obstacles) else obstacles


@dataclass(frozen=True)
class _Part:
    """What the accelerator runs of a network, of which the host runs the rest.

    Attributes:
        graph: The network.
        numbers: Of the accelerator's layers.
        leaving: Those whose results leave the chip.
        moved_bytes: What passes the link: the input or what the host makes of it, what it reads, and finished outputs.
    """

    graph: LayerGraph
    numbers: Sequence[int]
    leaving: Sequence[int]
    moved_bytes: int

    @classmethod
    def of(cls, graph: LayerGraph, reasons: Sequence[str]) -> _Part:
        """Return the layers for which there is no reason to run on the host."""
        numbers = [number for number, reason in enumerate(reasons) if not reason]
        sent = {producer for number in numbers for producer in graph.layers[number].inputs}.difference(numbers)
        read_by_host = {
            producer for layer, reason in zip(graph.layers, reasons, strict=True) if reason for producer in layer.inputs
        }
        read = {producer for layer in graph.layers for producer in layer.inputs}
        leaving = [
            number for number in numbers if number in read_by_host or number in graph.outputs or number not in read
        ]
        moved = [graph.layers[number].output_bytes for number in (*sent - {GRAPH_INPUT}, *leaving)]
        moved_bytes = sum(moved) + (graph.input_bytes if GRAPH_INPUT in sent else 0)
        return cls(graph, numbers, leaving, moved_bytes)

    def spills(self, target: Target) -> list[int]:
        """Return the bytes that each of the network's layers spills; none if nothing does."""
        layers = self.graph.layers
        of_all = lifetimes(layers, self.leaving, {})  # the part's tensors are among these, and live no longer
        if not self.numbers or max(of_all.live_bytes) <= _activation_bytes(target):
            return []
        places = {number: place for place, number in enumerate(self.numbers)}
        own = [
            replace(layer, inputs=tuple(places.get(producer, GRAPH_INPUT) for producer in layer.inputs))
            for layer in (layers[number] for number in self.numbers)
        ]
        found = _spills(own, lifetimes(own, [places[number] for number in self.leaving], {}), target)
        by_number = dict(zip(self.numbers, found, strict=False))
        return [by_number.get(number, 0) for number in range(len(layers))] if found else []


def _notes(layers: Sequence[Layer], target: Target) -> tuple[str, ...]:
    """Return what to know about the figures."""
    notes = []
    if target.precision:
        notes.append(f"in {target.precision}, whatever type the network has: so the device computes it")
    if target.energy:
        notes.append(
            f"energy: a sum of assumed figures, thought right within a factor of {target.energy.uncertainty.value:g}"
        )
    calls = [layer for layer in layers if layer.op in ops.CALLS]
    if calls:
        names = ", ".join(sorted({layer.op for layer in calls}))
        notes.append(f"too low: what {len(calls)} operators ({names}) run of other parts of the file is not counted")
    return tuple(notes)


def _spills(layers: Sequence[Layer], times: Lifetimes, target: Target) -> list[int]:
    capacity, engine = _activation_bytes(target), target.engine
    if max(times.live_bytes) <= capacity or engine.needed_bytes(layers, times, len(layers)) <= capacity:
        return []
    return engine.spilled_bytes(layers, times, int(capacity))


def _activation_bytes(target: Target) -> float:
    """Return the bytes of on-chip memory for activations."""
    memory = target.memory.activation_kib
    return memory.value * KIB if memory else inf


def _area_mm2(target: Target) -> float | None:
    if target.area is None:
        return None
    memory = target.memory
    on_chip_kib = memory.parameter_cache_kib.value + (memory.activation_kib.value if memory.activation_kib else 0.0)
    return target.area.area_mm2(macs_per_cycle=target.engine.macs_per_cycle, on_chip_kib=on_chip_kib)


def _check_dtypes(layers: Sequence[Layer], operators: OperatorConfig) -> None:
    """Refuse a network in floating point where the accelerator has only integers: nothing of it would be mapped."""
    convolutions = [layer for layer in layers if layer.op in ops.CONVOLUTIONS]
    if convolutions and all(layer.dtype not in operators.dtypes for layer in convolutions):
        first = convolutions[0]
        raise TargetError(
            f"{first.label} computes {first.dtype}, the target {', '.join(operators.dtypes)}; "
            "quantise the network first"
        )


def _check_memory(layers: Sequence[Layer], target: Target) -> None:
    memory_mib = target.host.memory_mib.value
    largest = max(layers, key=attrgetter("activation_bytes"))
    if largest.activation_bytes > memory_mib * MIB:
        raise TargetError(
            f"{largest.label} of {largest.scope} needs {largest.activation_bytes / MIB:.0f} MiB, the host of target "
            f"'{target.name}' has {memory_mib:.0f} MiB (host.memory_mib); use a smaller input or fewer channels"
        )
