"""`ednas benchmark` as a user meets it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from helpers.cli import Run

from ednas.hw import Layer, LayerGraph, write_tflite

QUICK = ("--processes", 2, "--runs", 3, "--warmup", 1)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    shape = (16, 16, 8)
    layers = [Layer("a", "", "CONV_2D", shape, shape, kernel=(3, 3), macs=9 * 16 * 16 * 64)]
    layers.append(Layer("b", "", "ADD", shape, shape, inputs=(0, -1)))
    write_tflite(LayerGraph(tuple(layers), 1, 1), tmp_path / "net.tflite")
    return tmp_path / "net.tflite"


class TestMeasured:
    @pytest.fixture(autouse=True)
    def _needs_runtime(self) -> None:
        pytest.importorskip("ai_edge_litert")

    @pytest.mark.slow
    def test_json_names_every_entry_and_what_it_was_measured_with(self, run: Run, model: Path) -> None:
        code, out, err = run("benchmark", model, f"{model}+{model}", *QUICK, "--json")
        assert code == 0, err
        values = json.loads(out)
        assert (values["device"], values["threads"], values["target"]) == ("cpu", 1, "cpu_generic")
        assert [entry["name"] for entry in values["entries"]] == [str(model), f"{model}+{model}"]
        assert values["entries"][0]["ratio"] == 1.0
        assert len(values["entries"][1]["models_ms"]) == 2
        assert values["entries"][1]["predicted_ms"] == pytest.approx(2 * values["entries"][0]["predicted_ms"])

    @pytest.mark.slow
    def test_the_table_says_how_it_was_measured_and_what_is_misjudged(self, run: Run, model: Path) -> None:
        code, out, err = run("benchmark", model, *QUICK, "--per-operator")
        assert code == 0, err
        for text in (
            "cpu, 1 thread",
            "median of 3 runs after 1, least of 2 processes",
            "each distinct layer measured as a model of its own",
            "CONV_2D 3x3",
            "most misjudged layers",
        ):
            assert text in out

    @pytest.mark.slow
    def test_an_architecture_says_that_its_weights_are_random(self, run: Run) -> None:
        code, out, err = run("benchmark", "base", "--input", "64x64", "--tasks", "depth", *QUICK)
        assert code == 0, err
        assert "written as int8 TFLite with random weights" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing.tflite"], "missing.tflite: no such file"),
        (["base", "--device", "tpu"], "--device tpu: must be cpu or edgetpu"),
        (["base", "--dtype", "int4"], "--dtype int4: must be int8 or float32"),
        (["base", "--processes", "0"], "processes is 0, must be at least 1"),
        (["base", "--target", "nothing"], "unknown target 'nothing'"),
        (["base", "--input", "64x64", "--device", "edgetpu"], "not measured: "),
    ],
)
def test_bad_input_is_one_line_and_code_2(run: Run, arguments: list[str], message: str) -> None:
    code, out, err = run("benchmark", *arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1


def test_what_is_no_model_is_one_line(run: Run, tmp_path: Path) -> None:
    pytest.importorskip("ai_edge_litert")
    path = tmp_path / "junk.tflite"
    path.write_text("junk", encoding="utf-8")
    code, _, err = run("benchmark", path, *QUICK)
    assert code == 2
    assert "junk.tflite: LiteRT cannot run it" in err
    assert err.count("\n") == 1


def test_help_has_examples(run: Run) -> None:
    code, out, _ = run("benchmark", "--help")
    assert code == 0
    assert "ednas benchmark multi.tflite segmentation.tflite+depth.tflite" in out
