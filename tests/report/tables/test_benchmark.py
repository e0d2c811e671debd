from __future__ import annotations

from pathlib import Path

from helpers.reports import rows, show

from ednas.hw.benchmark import Benchmark, Entry, Judgement, Model, Result
from ednas.hw.sources.litert import LiteRT, Measurement
from ednas.report.tables.benchmark import benchmark_tables

JUDGEMENTS = (Judgement("CONV_2D [3x3]", 2, 2.0, 1.0), Judgement("ADD", 1, 1.0, None))


def result(name: str, latencies_ms: tuple[float, ...], judgements: tuple[Judgement, ...] = ()) -> Result:
    rounds = tuple(Measurement(latency_ms, 0.0, 2 * latency_ms, 3, 1, 2048.0) for latency_ms in latencies_ms)
    return Result(Entry(name, (Model(name, Path(name), None),)), rounds, 5.0, judgements, judgements)


def test_models_stand_side_by_side() -> None:
    runtime = LiteRT(threads=2, processes=2, runs=3, warmup=1)
    both = (result("[b]a.tflite", (4.0, 5.0)), result("b.tflite", (8.0, 8.0)))
    (table,) = benchmark_tables(Benchmark("cpu", "cpu_generic", runtime, both, ("odd",)))
    text = show(table)
    assert rows(text) == [
        ["[b]a.tflite", "4.00", "1.00", "8.00", "1.00", "5.00", "+25", "2.0"],
        ["b.tflite", "8.00", "0", "16.0", "2.00", "5.00", "-38", "2.0"],
    ]
    for part in (
        "cpu, 2 threads",
        "median of 3 runs after 1, least of 2 processes",
        "predicted: by cpu_generic",
        "odd",
    ):
        assert part in text


def test_operators_add_up_and_the_worst_layers_follow() -> None:
    one = result("a.tflite", (4.0,), JUDGEMENTS)
    _, operators, layers = benchmark_tables(Benchmark("cpu", "cpu_generic", LiteRT(), (one,), ()))
    *parts, total = rows(show(operators))
    assert parts == [
        ["CONV_2D [3x3]", "2", "1.00", "100.0", "2.00", "+1.000", "+100"],
        ["ADD", "1", "–", "–", "1.00", "–", "–"],
    ]
    assert total[:3] == ["sum", "3", "1.00"]
    assert "The 2 most misjudged layers of a.tflite" in show(layers)
