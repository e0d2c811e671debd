"""`ednas benchmark`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, TypeVar

import typer

from ednas.cli.options import AsJson, Plugins, parse_heads, parse_size, run_plugins
from ednas.cli.printing import print_json, print_table

_Choice = TypeVar("_Choice", bound=str)


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
    as_json: AsJson = False,
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
    from ednas.report.tables.benchmark import benchmark_tables

    run_plugins(plugin)
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
    for table in benchmark_tables(result):
        print_table(table)


def _one_of(value: str, option: str, known: Iterable[_Choice]) -> _Choice:
    from ednas.exceptions import ConfigError

    for name in known:
        if name == value:
            return name
    raise ConfigError(f"{option} {value}: must be {' or '.join(known)}")
