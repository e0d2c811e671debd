"""`ednas benchmark`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from ednas.cli.options import Plugins, load_plugins, parse_heads, parse_size, print_json, print_table

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

    from ednas.hw.benchmark import Benchmark, Judgement, Result

_Choice = TypeVar("_Choice", bound=str)

_WORST = 8
"""Layers that are shown with --per-operator."""


def benchmark(
    models: Annotated[
        list[str],
        typer.Argument(
            metavar="MODEL...",
            help="A .tflite or .onnx file; A.tflite+B.tflite runs one after the other and counts as one. Also an "
            "architecture, a checkpoint or a layer list, as in `ednas latency`: written with random weights.",
        ),
    ],
    device: Annotated[str, typer.Option(help="cpu, or edgetpu: a Coral that is plugged in.")] = "cpu",
    threads: Annotated[int, typer.Option(help="Threads of the runtime.")] = 1,
    processes: Annotated[int, typer.Option(help="Rounds; each starts one fresh process for each model.")] = 5,
    runs: Annotated[int, typer.Option(help="Timed runs in each process; their median counts.")] = 30,
    warmup: Annotated[int, typer.Option(help="Runs before the timed ones.")] = 5,
    target: Annotated[
        str | None,
        typer.Option(
            "--target",
            "-t",
            help="The device whose prediction to compare; default: cpu_generic, for an Edge TPU coral_usb.",
        ),
    ] = None,
    per_operator: Annotated[
        bool,
        typer.Option("--per-operator", help="Also measure each distinct layer, and show where the simulator is wrong."),
    ] = False,
    dtype: Annotated[str, typer.Option(help="int8 or float32, of files that are written for architectures.")] = "int8",
    size: Annotated[
        str | None,
        typer.Option(
            "--input",
            help="HEIGHTxWIDTH of architectures; default: the checkpoint's, the search's or its own, or 256x256.",
        ),
    ] = None,
    tasks: Annotated[
        str | None,
        typer.Option(
            help="Tasks of architectures; default: the checkpoint's or the search's, or segmentation:19,depth."
        ),
    ] = None,
    plugin: Plugins = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure models on this computer or on a Coral, and compare them with each other and with the simulator.

    Models are measured in turn, round by round, each time in a fresh process. A latency is the median of the runs
    of a process, and the smallest of all processes, since other programs only make it longer.

    [bold]Examples: one model, several, one multi-task network against single-task networks one after another[/bold]

    ednas benchmark model.tflite

    ednas benchmark runs/base/int8/model.tflite runs/found/int8/model.tflite model.onnx

    ednas benchmark multi.tflite segmentation.tflite+depth.tflite

    [bold]Examples: what the simulator misjudges, a Coral, an architecture[/bold]

    ednas benchmark model.tflite --per-operator

    ednas benchmark model.tflite --device edgetpu

    ednas benchmark base runs/demo/best.json --input 128x256 --dtype float32 --json
    """
    from ednas.cli.progress import counting
    from ednas.hw import load_target
    from ednas.hw.benchmark import DEFAULT_TARGETS, DTYPES, run_benchmark
    from ednas.hw.sources.litert import LiteRT

    load_plugins(plugin)
    where, element = _one_of(device, "--device", DEFAULT_TARGETS), _one_of(dtype, "--dtype", DTYPES)
    with counting("measuring") as progress:
        result = run_benchmark(
            models,
            load_target(target or DEFAULT_TARGETS[where]),
            device=where,
            runtime=LiteRT(threads, processes, runs, warmup, element, name="benchmark"),
            per_operator=per_operator,
            heads=parse_heads(tasks) if tasks else None,
            input_size=parse_size(size) if size else None,
            progress=lambda done, total: progress("processes", done, total),
        )
    if as_json:
        print_json(result.to_dict())
        return
    print_table(_latencies(result))
    for one in result.results:
        if one.operators:
            print_table(_operators(one, result.target))
        if one.layers:
            print_table(_layers(one, result.target))


def _one_of(value: str, option: str, known: Iterable[_Choice]) -> _Choice:
    from ednas.exceptions import ConfigError

    for name in known:
        if name == value:
            return name
    raise ConfigError(f"{option} {value}: must be {' or '.join(known)}")


def _latencies(result: Benchmark) -> Table:
    from rich.table import Table
    from rich.text import Text

    from ednas.report.labels import MISSING, show_latency

    runtime, first = result.runtime, result.results[0]
    threads = f"{runtime.threads} thread{'s' if runtime.threads > 1 else ''}"
    table = Table(title=f"{result.device}, {threads}", title_justify="left", caption_justify="left")
    table.add_column("Model", overflow="fold")
    for heading in (
        "Latency ms",
        "Spread ms",
        "CPU ms",
        "Ratio",
        "Predicted ms",
        "Error %",
        "Memory MiB",
    ):
        table.add_column(heading, justify="right")
    for one in result.results:
        measured = one.measurement
        memory = measured.peak_memory_kb
        table.add_row(
            Text(one.entry.name),
            show_latency(measured.latency_ms),
            show_latency(measured.spread_ms) if measured.processes > 1 else MISSING,
            show_latency(measured.processor_ms),
            f"{one.ratio_to(first):.2f}",
            show_latency(one.predicted_ms),
            _percent(one.predicted_ms, measured.latency_ms),
            MISSING if memory is None else f"{memory / 1024:.1f}",
        )
    protocol = (
        f"median of {runtime.runs} runs after {runtime.warmup}, least of {runtime.processes} processes, models in "
        f"turn; spread: between processes; CPU: processor time; predicted: by {result.target}"
    )
    table.caption = Text("\n".join([protocol, *result.remarks]))
    return table


def _operators(result: Result, target: str) -> Table:
    from ednas.hw.benchmark import Judgement

    rows = result.operators
    predicted_ms = [row.predicted_ms for row in rows if row.predicted_ms is not None and row.error_ms is not None]
    total = Judgement(
        "sum",
        sum(row.count for row in rows),
        sum(predicted_ms) if len(predicted_ms) == len(rows) else None,
        result.operators_ms,
    )
    table = _judgements(f"Operators of {result.entry.name}", "Operator", rows, result, target)
    table.add_section()
    table.add_row(*_cells(total, result), style="bold")
    share = 100 * result.operators_ms / result.measurement.processor_ms
    profiled = "; ONNX models: the runtime's own profile" if any(model.is_onnx for model in result.entry.models) else ""
    table.caption = (
        f"each distinct layer measured as a model of its own, less an empty call{profiled}\n"
        f"the sum is {share:.0f} % of the whole's processor time"
    )
    return table


def _layers(result: Result, target: str) -> Table:
    rows = result.layers[:_WORST]
    which = "slowest" if result.predicted_ms is None else "most misjudged"
    return _judgements(f"The {len(rows)} {which} layers of {result.entry.name}", "Layer", rows, result, target)


def _judgements(title: str, what: str, rows: Sequence[Judgement], result: Result, target: str) -> Table:
    from rich.table import Table

    table = Table(title=title, title_justify="left", caption_justify="left")
    table.add_column(what, overflow="fold")
    for heading in ("Times", "Measured ms", "Share %", f"{target} ms", "Error ms", "Error %"):
        table.add_column(heading, justify="right")
    for row in rows:
        table.add_row(*_cells(row, result))
    return table


def _cells(row: Judgement, result: Result) -> list[Text | str]:
    from rich.text import Text

    from ednas.report.labels import MISSING, show_latency

    whole_ms = result.operators_ms
    share = MISSING if row.measured_ms is None or not whole_ms else f"{100 * row.measured_ms / whole_ms:.1f}"
    return [
        Text(row.name),
        str(row.count),
        show_latency(row.measured_ms),
        share,
        show_latency(row.predicted_ms),
        MISSING if row.error_ms is None else f"{row.error_ms:+.3f}",
        _percent(row.predicted_ms, row.measured_ms),
    ]


def _percent(predicted: float | None, measured: float | None) -> str:
    from ednas.report.labels import MISSING

    return MISSING if predicted is None or not measured else f"{100 * (predicted / measured - 1):+.0f}"
