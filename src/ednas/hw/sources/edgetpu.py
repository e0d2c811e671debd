"""Latency measured on a Coral Edge TPU that is attached to this computer.

A network runs there only after the vendor's ``edgetpu_compiler`` has compiled its TFLite file; the compiler tells how
many operators map and how many parameters fit on the chip. The compiled file runs in LiteRT with the vendor's library
``libedgetpu`` as its delegate. Where one of these is missing nothing is measured, and the error says which: a figure
from elsewhere would be no measurement.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from ednas.exceptions import TargetError
from ednas.hw.cost import Cost
from ednas.hw.graph.layers import LayerGraph
from ednas.hw.model.simulator import simulate
from ednas.hw.sources.base import Source, SourceFactory, register_source
from ednas.hw.sources.litert import Delegate, LiteRT, Measurement, RunError
from ednas.hw.targets.files import load_target
from ednas.hw.tflite.writer import network_file
from ednas.processes import describe_end

LIBRARY = "libedgetpu.so.1"
COMPILER = "edgetpu_compiler"

_USB_IDS = (("1a6e", "089a"), ("18d1", "9302"))
"""Vendor and product of the USB accelerator: before its first use since it was plugged in, and after."""

_COMPILED_MARK = b"edgetpu-custom-op"
"""Name of the custom operator that holds what the compiler made."""

_SIMULATED = "coral_usb"
_COMPILER_PATIENCE_S = 600.0
_SOFTWARE = "https://coral.ai/software"
_UNITS = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}


@dataclass(frozen=True)
class Compilation:
    """What the compiler reports.

    Attributes:
        on_chip_bytes: Parameters that stay on the chip.
        off_chip_bytes: Parameters that are streamed at each inference.
        operators: Operators of the network.
        host_operators: Those that the host runs.
    """

    on_chip_bytes: int
    off_chip_bytes: int
    operators: int
    host_operators: int

    @property
    def summary(self) -> str:
        """What it says, for people."""
        return (
            f"{self.operators - self.host_operators} of {self.operators} operators map, {_mib(self.on_chip_bytes)} of "
            f"parameters stay on the chip, {_mib(self.off_chip_bytes)} are streamed"
        )


def attached_devices(usb: Path = Path("/sys/bus/usb/devices"), dev: Path = Path("/dev")) -> tuple[str, ...]:
    """Return how Edge TPUs are attached to this computer: ``usb``, ``pci``, both or none.

    Args:
        usb: Where Linux lists USB devices.
        dev: Where Linux lists device files.
    """
    ids = {(_text(entry.parent / "idVendor"), _text(entry)) for entry in usb.glob("*/idProduct")}
    found = ["usb"] if ids.intersection(_USB_IDS) else []
    return (*found, "pci") if any(dev.glob("apex_*")) else tuple(found)


def compile_tflite(model: Path, folder: Path, compiler: str = COMPILER) -> tuple[Path, Compilation]:
    """Compile a quantised TFLite file for the Edge TPU.

    Args:
        model: The file.
        folder: Where the compiled file goes.
        compiler: The compiler's name on the PATH, or its path.

    Returns:
        The compiled file and what the compiler reports.

    Raises:
        TargetError: There is no compiler, it refuses the network, or its report is not understood.
    """
    command = shutil.which(compiler)
    if command is None:
        raise TargetError(f"not measured: {compiler} is not on the PATH; get it from {_SOFTWARE} (Linux, x86-64)")
    try:
        done = subprocess.run(
            [command, "-o", str(folder), str(model)],
            capture_output=True,
            timeout=_COMPILER_PATIENCE_S,
            check=False,
            errors="replace",
        )
    except subprocess.TimeoutExpired:
        raise TargetError(f"{model}: {compiler} gave no result in {_COMPILER_PATIENCE_S:g} s") from None
    except OSError as error:
        raise TargetError(f"cannot start {command}: {error.strerror}") from error
    report = done.stdout + done.stderr
    compiled = folder / f"{model.stem}_edgetpu.tflite"
    if done.returncode or not compiled.is_file():
        lines = [" ".join(line.split()) for line in report.splitlines() if line.strip()]
        reason = " ".join(lines[1:])[-300:] or f"it {describe_end(done.returncode)}"  # the first line is the version
        raise TargetError(f"{model}: {compiler} refuses it: {reason}")
    return compiled, _parse(report, compiler)


@dataclass(frozen=True)
class EdgeTpu(Source):
    """Measures on an attached Edge TPU.

    Attributes:
        runtime: What runs the compiled file.
        compiler: The compiler's name on the PATH, or its path.
        library: The delegate's library.
        devices: Tells what is attached.
        run: Runs compiled files, one after another, through a delegate; None = ``runtime``.
        name: The source's name.
    """

    runtime: LiteRT = field(default_factory=LiteRT)
    compiler: str = COMPILER
    library: str = LIBRARY
    devices: Callable[[], tuple[str, ...]] = attached_devices
    run: Callable[[Sequence[Path], Delegate], Measurement] | None = None
    name: str = "edgetpu"

    def cost(self, graph: LayerGraph, model: Path | None = None) -> Cost:
        """Return the measured latency, with what the compiler reports.

        Args:
            graph: The network; written as a file with random weights if ``model`` is None.
            model: Its TFLite file, quantised to int8, or what the compiler made of it.

        Raises:
            TargetError: Nothing could be measured; the message says what is missing and what to do.
        """
        with network_file(graph, model) as path, tempfile.TemporaryDirectory(prefix="ednas-") as folder:
            if is_compiled(path):
                compiled, compilation = path, None
            else:
                compiled, compilation = compile_tflite(path, Path(folder), self.compiler)
            measurement = self.measure_files((compiled,), compilation)
        if compilation is None:
            return Cost(self.name, measurement.latency_ms, notes=(measurement.summary,))
        return Cost(
            self.name,
            measurement.latency_ms,
            parameter_bytes=compilation.on_chip_bytes + compilation.off_chip_bytes,
            streamed_bytes=compilation.off_chip_bytes,
            notes=(measurement.summary, compilation.summary),
        )

    def measure_files(self, paths: Sequence[Path], compilation: Compilation | None = None) -> Measurement:
        """Measure compiled files that run one after another, as one network would.

        Args:
            paths: The files.
            compilation: What the compiler reported of them, to be shown where nothing can be measured.

        Raises:
            TargetError: As :meth:`cost`.
        """
        devices = self.devices()
        if not devices:
            ids = " or ".join(":".join(pair) for pair in _USB_IDS)
            found = f" The compiler says: {compilation.summary}." if compilation else ""
            raise TargetError(
                f"not measured: no Edge TPU is attached (no USB device {ids}, no /dev/apex_*); plug one in.{found}"
            )
        delegate = Delegate(self.library, {"device": devices[0]})
        try:
            return (self.run or self.runtime.measure_files)(paths, delegate)
        except RunError as error:
            if error.kind == "library":
                problem = f"{self.library} cannot be loaded ({error}); install the Edge TPU runtime from {_SOFTWARE}"
            elif error.kind == "device":
                problem = (
                    f"an Edge TPU is attached ({devices[0]}) but cannot be opened ({error}); "
                    "is another process using it, or are its udev rules missing?"
                )
            else:
                raise
            raise TargetError(f"not measured: {problem}") from None


@dataclass(frozen=True)
class EdgeTpuCompiler(Source):
    """Asks the compiler whether and how it maps a network; needs no device.

    The compiler tells no time: the latency is the simulated one of the target ``coral_usb``, and the notes say so.

    Attributes:
        compiler: The compiler's name on the PATH, or its path.
        name: The source's name.
    """

    compiler: str = COMPILER
    name: str = "edgetpu_compiler"

    def cost(self, graph: LayerGraph, model: Path | None = None) -> Cost:
        """Return the simulated cost, with what the compiler reports as a note.

        Args:
            graph: The network; written as a file with random weights if ``model`` is None.
            model: Its TFLite file, quantised to int8.

        Raises:
            TargetError: There is no compiler, or it refuses the network.
        """
        with network_file(graph, model) as path, tempfile.TemporaryDirectory(prefix="ednas-") as folder:
            _, compilation = compile_tflite(path, Path(folder), self.compiler)
        simulated = simulate(graph, load_target(_SIMULATED))
        note = f"not measured: latency simulated ({_SIMULATED}); the compiler says: {compilation.summary}"
        return replace(simulated, target=self.name, notes=(*simulated.notes, note))


def is_compiled(path: Path) -> bool:
    """Whether a file is what the compiler made of another."""
    try:
        return _COMPILED_MARK in path.read_bytes()
    except OSError as error:
        raise TargetError(f"{path}: cannot be read ({error.strerror})") from error


def _parse(report: str, compiler: str) -> Compilation:
    return Compilation(
        on_chip_bytes=_bytes(report, "On-chip memory used for caching model parameters", compiler),
        off_chip_bytes=_bytes(report, "Off-chip memory used for streaming uncached model parameters", compiler),
        operators=int(_found(report, r"Total number of operations: (\d+)", compiler)[1]),
        # Printed only if there are any.
        host_operators=int(match[1]) if (match := re.search(r"will run on CPU: (\d+)", report)) else 0,
    )


def _bytes(report: str, label: str, compiler: str) -> int:
    match = _found(report, rf"{label}: ([\d.]+) ?(B|KiB|MiB|GiB)", compiler)
    return round(float(match[1]) * _UNITS[match[2]])


def _found(report: str, pattern: str, compiler: str) -> re.Match[str]:
    match = re.search(pattern, report)
    if match is None:
        label = pattern.partition(":")[0]
        raise TargetError(f"the report of {compiler} has no '{label}'; use version 16 of the compiler")
    return match


def _mib(count: int) -> str:
    return f"{count / _UNITS['MiB']:.2f} MiB"


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _named(source: type[EdgeTpu | EdgeTpuCompiler]) -> SourceFactory:
    def make(detail: str) -> Source:
        if detail:
            raise TargetError(f"{source.name}:{detail}: '{source.name}' takes nothing after a colon")
        return source()

    return make


register_source(EdgeTpu.name, _named(EdgeTpu))
register_source(EdgeTpuCompiler.name, _named(EdgeTpuCompiler))
