"""Which operators of an exported model a target runs itself, and whether the model is clean.

What the target's file says decides first (:mod:`ednas.hw.model.operators`), with the operator versions that the Edge
TPU's compiler knows. Then the vendor's own compiler that the file names is asked, where there is one on this computer:
Vela for an Ethos-U, whose word counts, and ``edgetpu_compiler`` for an Edge TPU.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

from ednas.exceptions import ExportError, TargetError
from ednas.hw.graph import ops
from ednas.hw.graph.layers import GRAPH_INPUT, Layer, LayerGraph
from ednas.hw.model.simulator import simulate
from ednas.hw.model.target import Compiler, Target
from ednas.hw.sources import edgetpu, vela
from ednas.hw.tflite.reader import load_with_versions
from ednas.hw.tflite.versions import VERSIONS, Versions

Where = Literal["mapped", "host", "rejected"]

_FORBIDDEN = {
    "TRANSPOSE": "the conversion left a change of layout",
    "PADV2": "the conversion padded a pooling with a value of its own",
    "QUANTIZE": "the conversion requantises between two operators",
    "DEQUANTIZE": "the conversion left a part of the network in floating point",
}
"""What a clean conversion leaves out, and what it means if it is there. The last two may stand at the model's ends."""

_CONVERSIONS = frozenset({"QUANTIZE", "DEQUANTIZE"})

_FLOAT_ENDS = (
    "float inputs and outputs are converted on the host; export with --io int8 to feed the accelerator directly"
)


@dataclass(frozen=True)
class AuditRow:
    """Operators of one kind that fare alike.

    Attributes:
        op: TFLite's name.
        version: The operator's version in the file.
        count: How many there are.
        where: ``mapped``: the accelerator runs them; ``host``: it leaves them to the host; ``rejected``: its compiler
            refuses the whole model because of them.
        why: Why they are not mapped, of the first of them; empty if they are.
    """

    op: str
    version: int
    count: int
    where: Where
    why: str = ""


@dataclass(frozen=True)
class Audit:
    """What an audit found.

    Attributes:
        target: Name of the target.
        rows: The operators, in the order in which they first appear.
        failures: What must not be, one line each; empty for a good model.
        notes: Who was asked, one line each.
    """

    target: str
    rows: tuple[AuditRow, ...]
    failures: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether the target runs all of the model, and the model is clean."""
        return not self.failures

    @property
    def operators(self) -> int:
        """How many operators the model has."""
        return sum(row.count for row in self.rows)

    @property
    def host_ops(self) -> int:
        """How many operators the accelerator does not run."""
        return sum(row.count for row in self.rows if row.where != "mapped")

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON holds it."""
        return {**asdict(self), "operators": self.operators, "host_ops": self.host_ops, "passed": self.passed}


def audit(path: Path, target: Target, *, ask_compiler: bool = True) -> Audit:
    """Tell which operators of a TFLite file a target runs.

    Converting a float input or output (``--io float``) is the host's work by the user's choice: such operators count as
    the host's, but are no failure.

    Args:
        path: The file, at most 2 GiB.
        target: The hardware.
        ask_compiler: Whether to ask the vendor's compiler too, where there is one (seconds).

    Raises:
        TargetError: The file is missing, no TFLite file or damaged, or too large for the target's host.
        ExportError: The model is a float one and the target computes integers only.
    """
    graph, versions = load_with_versions(path)
    _check_precision(graph, target, path)
    calls = list(map(_Call, graph.layers, versions))
    ends = _float_ends(graph)
    opinion = _ASK[target.compiler](path, graph, target, ends) if ask_compiler and target.compiler else _Opinion()
    verdicts = opinion.verdicts or _predicted(calls, ends, graph, target)
    return Audit(
        target=target.name,
        rows=_rows(calls, verdicts),
        failures=(*_unclean(graph), *_misfits(verdicts, ends), *opinion.failures),
        notes=((_FLOAT_ENDS,) if ends else ()) + opinion.notes,
    )


class _Call(NamedTuple):
    """An operator of the file."""

    layer: Layer
    version: int


class _Verdict(NamedTuple):
    """What happens to an operator."""

    where: Where
    why: str = ""


def _check_precision(graph: LayerGraph, target: Target, path: Path) -> None:
    dtypes = target.operators.dtypes
    convolutions = [layer for layer in graph.layers if layer.op in ops.CONVOLUTIONS]
    if convolutions and all(layer.is_float and layer.dtype not in dtypes for layer in convolutions):
        raise ExportError(
            f"{path}: computes {convolutions[0].dtype}, {target.name} {', '.join(dtypes)}; export it with --int8"
        )


def _float_ends(graph: LayerGraph) -> set[int]:
    """Return the layers that make integers of a float input, or a float output of integers."""
    read = {producer for layer in graph.layers for producer in layer.inputs}
    ends = set()
    for index, layer in enumerate(graph.layers):
        is_first, is_last = set(layer.inputs) == {GRAPH_INPUT}, index not in read
        if (layer.reads_float and is_first) or (layer.op == "DEQUANTIZE" and is_last):
            ends.add(index)
    return ends


def _predicted(calls: Sequence[_Call], ends: set[int], graph: LayerGraph, target: Target) -> list[_Verdict]:
    """Return what the target's file, and for an Edge TPU the operators' versions, say."""
    if refused := _refused(calls, target):
        rest = _Verdict("host", f"the compiler refuses the whole model: {next(iter(refused.values()))}")
        return [_Verdict("rejected", refused[index]) if index in refused else rest for index in range(len(calls))]
    inner = [index for index in range(len(calls)) if index not in ends]
    part = _part(graph, inner)
    simulate(part, target)  # refuses what cannot be run at all
    obstacles = [target.operators.obstacle(layer) for layer in part.layers]
    if _is_edge_tpu(target):
        obstacles = [why or _version_obstacle(calls[index]) for index, why in zip(inner, obstacles, strict=True)]
    reasons = dict(zip(inner, target.operators.place(part.layers, obstacles), strict=True))
    reasons |= dict.fromkeys(ends, "converts a float input or output")
    return [_Verdict("host", why) if (why := reasons[index]) else _Verdict("mapped") for index in range(len(calls))]


def _part(graph: LayerGraph, kept: Sequence[int]) -> LayerGraph:
    """Return some of the layers; those at the ends that are left out become input and output."""
    places = {old: new for new, old in enumerate(kept)}
    layers = [
        replace(layer, inputs=tuple(places.get(producer, GRAPH_INPUT) for producer in layer.inputs))
        for layer in (graph.layers[index] for index in kept)
    ]
    return LayerGraph(tuple(layers), graph.input_bytes, graph.output_bytes)


def _is_edge_tpu(target: Target) -> bool:
    return target.compiler == "edgetpu_compiler"


def _refused(calls: Sequence[_Call], target: Target) -> dict[int, str]:
    """Return the operators because of which the compiler refuses the whole model, with the reasons."""
    reasons = {index: _refusal(call, target) for index, call in enumerate(calls)}
    return {index: why for index, why in reasons.items() if why}


def _refusal(call: _Call, target: Target) -> str:
    layer, version = call
    if layer.op == "CONV_2D" and layer.groups > 1 and target.operators.grouped_convolution == "rejected":
        return f"{layer.label}: has {layer.groups} groups"
    newest = _versions(layer.op).read
    if _is_edge_tpu(target) and newest is not None and version > newest:
        return f"{layer.label}: has version {version}, compiler 16 reads up to {newest}"
    return ""


def _versions(op: str) -> Versions:
    return VERSIONS.get(op, Versions(0, 0))


def _version_obstacle(call: _Call) -> str:
    first, newest = _versions(call.layer.op).mapped or (1, call.version)
    if call.version > newest:
        return f"{call.layer.label}: has version {call.version}, the compiler maps up to {newest}"
    if call.layer.dtype == "int8" and call.version < first:
        return f"{call.layer.label}: has version {call.version}, which does not stand for int8 as {first} does"
    return ""


def _unclean(graph: LayerGraph) -> list[str]:
    """Return a line for each kind of operator that a clean conversion leaves out.

    A requantisation before a concatenation stays: what is put together needs one scale.
    """
    joined = {producer for layer in graph.layers if layer.op == "CONCATENATION" for producer in layer.inputs}
    read = {producer for layer in graph.layers for producer in layer.inputs}
    found: dict[str, list[Layer]] = {}
    for index, layer in enumerate(graph.layers):
        is_end = set(layer.inputs) == {GRAPH_INPUT} or index not in read
        is_needed = layer.op == "QUANTIZE" and index in joined
        if layer.op in _FORBIDDEN and not is_needed and not (layer.op in _CONVERSIONS and is_end):
            found.setdefault(layer.op, []).append(layer)
    return [f"{len(layers)} {op}, the first is '{layers[0].name}': {_FORBIDDEN[op]}" for op, layers in found.items()]


def _misfits(verdicts: Sequence[_Verdict], ends: set[int]) -> list[str]:
    """Return a line if the compiler refuses the model, or else if the host has to run operators."""
    rejected = [verdict.why for verdict in verdicts if verdict.where == "rejected"]
    if rejected:
        return [f"the compiler refuses the whole model: {rejected[0]}"]
    host = [verdict.why for index, verdict in enumerate(verdicts) if verdict.where == "host" and index not in ends]
    return [f"the host would run {len(host)} of {len(verdicts)} operators: {host[0]}"] if host else []


def _rows(calls: Sequence[_Call], verdicts: Sequence[_Verdict]) -> tuple[AuditRow, ...]:
    rows: dict[tuple[str, int, Where], AuditRow] = {}
    for (layer, version), (where, why) in zip(calls, verdicts, strict=True):
        key = layer.op, version, where
        row = rows.get(key) or AuditRow(layer.op, version, 0, where, why.removeprefix(f"{layer.label}: "))
        rows[key] = replace(row, count=row.count + 1)
    return tuple(rows.values())


class _Opinion(NamedTuple):
    """What the vendor's compiler says.

    Attributes:
        verdicts: Of each operator; None if it does not tell.
        failures: Why the model does not do, one line each.
        notes: Who was asked, one line each.
    """

    verdicts: list[_Verdict] | None = None
    failures: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def _ask_vela(path: Path, graph: LayerGraph, target: Target, ends: set[int]) -> _Opinion:
    del ends
    accelerator = target.name.replace("_", "-")
    if accelerator not in vela.ACCELERATORS:
        return _Opinion(notes=(f"not confirmed: Vela knows no accelerator '{accelerator}'; name the target after one",))
    try:
        cost = vela.Vela(accelerator).cost(graph, path)
    except TargetError as error:
        if str(error) == vela.MISSING:
            return _Opinion(notes=(f"not confirmed: {error}",))
        return _Opinion(failures=(str(error),))
    # What Vela gives to the host is named as the graph names it.
    reasons = {layer.name: layer.reason for layer in cost.layers if layer.where == "host"}
    return _Opinion(
        [
            _Verdict("host", f"{layer.label}: {reasons[layer.name]}") if layer.name in reasons else _Verdict("mapped")
            for layer in graph.layers
        ],
        notes=(f"Vela ({accelerator}) gives {len(reasons)} of {len(graph.layers)} operators to the host",),
    )


def _ask_edgetpu_compiler(path: Path, graph: LayerGraph, target: Target, ends: set[int]) -> _Opinion:
    """Ask the Edge TPU's compiler, which tells how many operators map, but not which."""
    del graph, target
    if shutil.which(edgetpu.COMPILER) is None:
        return _Opinion(notes=(f"not confirmed: {edgetpu.COMPILER} is not on the PATH",))
    with tempfile.TemporaryDirectory(prefix="ednas-") as folder:
        try:
            _, compilation = edgetpu.compile_tflite(path, Path(folder))
        except TargetError as error:
            return _Opinion(failures=(str(error),))
    host = compilation.host_operators
    failures = (f"{edgetpu.COMPILER} leaves {host} operators to the host",) if host > len(ends) else ()
    return _Opinion(failures=failures, notes=(f"{edgetpu.COMPILER}: {compilation.summary}",))


_ASK: Mapping[Compiler, Callable[[Path, LayerGraph, Target, set[int]], _Opinion]] = {
    "vela": _ask_vela,
    "edgetpu_compiler": _ask_edgetpu_compiler,
}
