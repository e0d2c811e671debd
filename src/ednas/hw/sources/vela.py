"""Latency as Vela estimates it, Arm's compiler for Ethos-U.

The compiler runs in a process of its own: its native part dies of a damaged file (a segmentation fault), it writes past
``sys.stdout``, and it changes the interpreter's recursion limit.

What it estimates leaves out operators that it gives to the host; they take no time in its sum. Here they are charged
with the host of the matching built-in target, or the network is refused; so is one of which the accelerator runs
nothing.
"""

from __future__ import annotations

import csv
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, NamedTuple

from ednas.exceptions import TargetError, hint
from ednas.hw.cost import Cost, LayerCost
from ednas.hw.graph.layers import DTYPE_BITS, LayerGraph
from ednas.hw.model.operators import OperatorConfig
from ednas.hw.model.simulator import simulate
from ednas.hw.sources.base import Source, register_source
from ednas.hw.targets.files import load_target
from ednas.hw.tflite.writer import network_file
from ednas.processes import describe_end

MISSING = 'Vela is not installed; pip install "ednas[vela]"'

_CONFIGURATION = "Arm/vela.ini"
"""The file of system configurations that the package brings."""

_COLUMNS = 16
"""Columns of the table of layers; the last, a name, may hold commas."""

_REASON = re.compile(r"^Warning \(supported operators\) operator: \S+, ofm: '(.*)'\nReason: (.*)$", re.MULTILINE)
"""How the compiler says why it gives an operator to the host."""

_LONGEST_NAME = 77
"""Characters of a tensor's name that are compared: readers shorten long ones, and keep the end."""


class _Generation(NamedTuple):
    """What is assumed of a generation of the hardware if nothing else is asked for.

    Attributes:
        configurations: Numbers of multipliers that exist.
        system_config: Section ``System_Config`` of the configuration file.
        memory_mode: Section ``Memory_Mode``.
        target: The built-in target, whose host is charged.
    """

    configurations: tuple[int, ...]
    system_config: str
    memory_mode: str
    target: str


_GENERATIONS = {
    "ethos-u55": _Generation((32, 64, 128, 256), "Ethos_U55_High_End_Embedded", "Shared_Sram", "ethos_u55_256"),
    "ethos-u65": _Generation((256, 512), "Ethos_U65_High_End", "Dedicated_Sram_384KB", "ethos_u65_512"),
    "ethos-u85": _Generation(
        (128, 256, 512, 1024, 2048), "Ethos_U85_SYS_DRAM_Mid", "Dedicated_Sram_512KB", "ethos_u85_1024"
    ),
}

ACCELERATORS = tuple(
    f"{name}-{macs}" for name, generation in _GENERATIONS.items() for macs in generation.configurations
)
"""What Vela compiles for: generation and multiplications a cycle."""


@dataclass(frozen=True)
class Vela(Source):
    """Vela's estimate.

    Attributes:
        accelerator: One of :data:`ACCELERATORS`.
        system_config: Clock and memories, a section of the compiler's ``Arm/vela.ini``; None = that of the built-in
            target of the generation.
        memory_mode: What lies in which memory, a section of the same file; None as before.
        fallback: What happens to operators that the compiler gives to the host: ``charge`` their time, or ``refuse``
            the network.
        timeout_s: Patience with the compiler, seconds.

    Raises:
        TargetError: There is no such accelerator.
    """

    accelerator: str = "ethos-u55-256"
    system_config: str | None = None
    memory_mode: str | None = None
    fallback: Literal["charge", "refuse"] = "charge"
    timeout_s: float = 600.0

    def __post_init__(self) -> None:
        if self.accelerator not in ACCELERATORS:
            offer = hint(self.accelerator, ACCELERATORS)
            raise TargetError(f"Vela knows no accelerator '{self.accelerator}'; {offer}")

    @property
    def name(self) -> str:
        """For example ``vela:ethos-u55-256``."""
        return f"vela:{self.accelerator}"

    def cost(self, graph: LayerGraph, model: Path | None = None) -> Cost:
        """Return the compiler's estimate for one inference.

        ``streamed_bytes`` are the encoded parameters, ``spilled_bytes`` the activations that pass off-chip memory, and
        ``peak_memory_kb`` is the SRAM that the compiler allocates.

        Args:
            graph: The network; written as a file with random weights if ``model`` is None.
            model: Its TFLite file.

        Raises:
            TargetError: Vela is not installed, cannot compile the network or takes too long, it gives all operators to
                the host, or some that are to be refused or are not in ``graph``.
        """
        if not _is_installed():
            raise TargetError(MISSING)
        if model is not None and not model.is_file():
            raise TargetError(f"{model}: no such file")
        with network_file(graph, model) as path:
            return self._compile(graph, path)

    def _compile(self, graph: LayerGraph, model: Path) -> Cost:
        with tempfile.TemporaryDirectory(prefix="ednas-") as folder:
            log = self._run(model, Path(folder))
            summary, rows = _summary(Path(folder), model), _rows(Path(folder))
        clock_hz = float(summary["core_clock"])
        host = self._host(graph, rows, dict(_REASON.findall(log)), model)
        layers = [host.get(row["Name"]) or _layer_cost(row, clock_hz) for row in rows if _is_layer(row)]
        accelerator_ms = int(summary["cycles_total"]) / clock_hz * 1e3
        host_ms = sum(cost.latency_ms for cost in host.values())
        return Cost(
            target=self.name,
            latency_ms=accelerator_ms + host_ms,
            accelerator_cycles=int(summary["cycles_npu"]),
            accelerator_ms=accelerator_ms,
            host_ms=host_ms,
            parameter_bytes=int(summary["total_npu_encoded_weights"]),
            streamed_bytes=int(summary["total_npu_encoded_weights"]),
            spilled_bytes=int(summary["dram_feature_map_read_bytes"]) + int(summary["dram_feature_map_write_bytes"]),
            peak_memory_kb=float(summary["sram_memory_used"]),
            notes=_notes(summary, list(host.values()), sum(_is_layer(row) for row in rows)),
            layers=tuple(layers),
        )

    def _run(self, model: Path, folder: Path) -> str:
        """Compile; return what the compiler prints."""
        generation = self._generation
        command = [sys.executable, "-P", "-m", "ethosu.vela", str(model.resolve()), "--verbose-performance"]
        command += ["--accelerator-config", self.accelerator, "--config", _CONFIGURATION, "--output-dir", str(folder)]
        command += ["--system-config", self.system_config or generation.system_config]
        command += ["--memory-mode", self.memory_mode or generation.memory_mode]
        try:
            done = subprocess.run(
                command,
                capture_output=True,
                timeout=self.timeout_s,
                check=False,
                cwd=folder,
                text=True,
                errors="replace",
            )
        except subprocess.TimeoutExpired:
            raise TargetError(f"{model}: Vela has not finished after {self.timeout_s:g} s") from None
        if done.returncode:
            # It crashes where its reader takes a damaged file for a sound one.
            hint = "; is the file a sound TFLite model?" if done.returncode < 0 else ""
            raise TargetError(f"{model}: Vela {describe_end(done.returncode, done.stderr)}{hint}")
        return done.stdout

    @property
    def _generation(self) -> _Generation:
        return _GENERATIONS[self.accelerator.rpartition("-")[0]]

    def _host(
        self, graph: LayerGraph, rows: Sequence[Mapping[str, str]], reasons: Mapping[str, str], model: Path
    ) -> dict[str, LayerCost]:
        """Return what the operators cost that the compiler gives to the host, by the name of their output."""
        names = [row["Name"] for row in rows if row["Target"] == "CPU"]
        if not names:
            return {}
        why = f" ({reasons[names[0]]})" if names[0] in reasons else ""
        if len(names) == sum(_is_layer(row) for row in rows):
            hint = "; quantise the network first" if any(layer.is_float for layer in graph.layers) else ""
            raise TargetError(f"{model}: the accelerator runs none of its operators, the first '{names[0]}'{why}{hint}")
        if self.fallback == "refuse":
            raise TargetError(f"{model}: the host would run {len(names)} of its operators, the first '{names[0]}'{why}")
        known = _all_on_host(graph, self._generation.target)
        costs = {}
        for name in names:
            cost = known.get(_key(name))
            if cost is None:
                raise TargetError(
                    f"{model}: operator '{name}' would run on the host and is not in the graph, so that its time is "
                    "unknown; give the graph of this very file"
                )
            costs[name] = cost._replace(reason=reasons.get(name, "Vela does not map it"))
        return costs


def _is_installed() -> bool:
    try:
        return find_spec("ethosu.vela") is not None
    except ModuleNotFoundError:
        return False


def _summary(folder: Path, model: Path) -> dict[str, str]:
    for path in folder.glob("*_summary_*.csv"):
        with path.open(newline="", encoding="utf-8") as file:
            *_, row = csv.DictReader(file)
            return row
    raise TargetError(f"{model}: Vela has written no estimate")


def _rows(folder: Path) -> list[dict[str, str]]:
    """Return the compiler's table of layers; empty if it wrote none."""
    for path in folder.glob("*_per-layer.csv"):
        header, *lines = path.read_text(encoding="utf-8").splitlines()
        keys = header.split(",", _COLUMNS - 1)
        return [dict(zip(keys, line.split(",", _COLUMNS - 1), strict=True)) for line in lines]
    return []


def _is_layer(row: Mapping[str, str]) -> bool:
    """Whether a row takes time: those of operators that are fused into others do not."""
    return row["Target"] == "CPU" or int(row["Op Cycles"]) > 0


def _layer_cost(row: Mapping[str, str], clock_hz: float) -> LayerCost:
    cycles, macs = int(row["Op Cycles"]), int(row["MAC Count"])
    compute = int(row["NPU"])
    off_chip = max(int(row[key]) for key in ("DRAM AC", "OnFlash AC", "OffFlash AC"))
    if compute >= cycles:
        bound_by: Literal["compute", "on-chip traffic", "parameters", "activations"] = "compute"
    elif int(row["SRAM AC"]) >= cycles:
        bound_by = "on-chip traffic"
    else:
        bound_by = "parameters" if macs and off_chip else "activations"
    return LayerCost(
        name=row["Name"],
        scope="",
        op=row["Original Operator"],
        where="accelerator",
        bound_by=bound_by,
        latency_ms=cycles / clock_hz * 1e3,
        compute_ms=compute / clock_hz * 1e3,
        cycles=compute,
        macs=macs,
        utilisation=float(row["Util% (MAC)"]) / 100.0,
    )


def _notes(summary: Mapping[str, str], host: Sequence[LayerCost], layers: int) -> tuple[str, ...]:
    where = f"{summary['accelerator_configuration']}, {summary['system_config']}, {summary['memory_mode']}"
    notes = [f"Vela's estimate for {where}; not measured on hardware"]
    if host:
        first = host[0]
        named = f"the first is {first.op} '{first.name}': {first.reason}"
        notes.append(f"{len(host)} of {layers} layers run on the host, charged by assumed figures; {named}")
    return tuple(notes)


def _all_on_host(graph: LayerGraph, target_name: str) -> dict[str, LayerCost]:
    """Return what each layer costs on a target's host, by its tensor's name in a file that was read or written."""
    nothing_maps = OperatorConfig(supported=(), dtypes=tuple(DTYPE_BITS), partition="per_operator")
    costs = simulate(graph, load_target(target_name).model_copy(update={"operators": nothing_maps})).layers
    read = {_key(cost.name): cost for cost in costs}
    return read | {_key(f"{cost.name}.{index}"): cost for index, cost in enumerate(costs)}


def _key(name: str) -> str:
    return name.partition(";")[0][-_LONGEST_NAME:]


register_source("vela", Vela)
