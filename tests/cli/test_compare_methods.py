"""``ednas compare-methods``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from helpers.cli import Run
from helpers.small_training import small_architecture, write_dataset


@pytest.mark.slow
def test_methods_are_compared_and_printed(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDNAS_CACHE", str(tmp_path / "cache"))
    out = tmp_path / "out"
    command = ["compare-methods", small_architecture().to_text(), "--data", write_dataset(tmp_path / "data")]
    command += ["--tasks", "segmentation,depth", "--steps", 2, "--runs", 1, "--out", out]
    command += ["--sharing", "single", "--sharing", "nddr(rate=2,shortcut=true)"]
    code, printed, err = run(*command, "--format", "csv")
    assert code == 0, err
    assert "single, seed 0: done, 1 of 4" in err
    page = (out / "report.html").read_text()
    assert "nddr(rate=2,shortcut=true)" in page
    assert page.count("Prediction of depth by nddr") == 3
    assert "latency_input_size:" in page  # its configuration
    assert printed.startswith("model,task,metric")
    assert '"nddr(rate=2,shortcut=true)",depth' in printed
    file = tmp_path / "methods.yaml"
    file.write_text((out / "methods.yaml").read_text())
    code, printed, err = run("compare-methods", "--config", file, "--out", out, "--format", "json")
    assert code == 0, err
    assert json.loads(printed) == json.loads((out / "comparison.json").read_text())
    for form, said in (("latex", r"\begin{tabular}"), ("markdown", "**Methods"), ("table", "Methods, gains")):
        code, printed, err = run("compare-methods", "--config", file, "--out", out, "--format", form)
        assert (code, said in printed) == (0, True), err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--sharing", "mtann"], "unknown sharing 'mtann'; did you mean 'mtan'"),
        (["--weighting", "dwaa"], "unknown weighting 'dwaa'; did you mean 'dwa'"),
        (["--tasks", "depth"], "there must be two at least"),
        (["--target", "corall"], "corall"),
        (["--weighting", "dwa", "--weighting", "dwa"], "each once"),
    ],
)
def test_mistakes_are_one_line(run: Run, tmp_path: Path, options: list[str], said: str) -> None:
    code, _, err = run("compare-methods", "base", "--data", "streets", "--out", tmp_path / "run", *options)
    assert code == 2
    assert said in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("training: 5", "training is 5, must be a mapping"),
        ("training: {data: streets}\nlatency_input_size: [1, 1]", "from 32 to 8192 pixels"),
        ("training: {data: streets}\nsharings: [mtan]", "did you mean 'sharing'"),
    ],
)
def test_mistakes_of_a_file_are_one_line(run: Run, tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "methods.yaml").write_text(text)
    code, _, err = run("compare-methods", "--config", tmp_path / "methods.yaml", "--out", tmp_path / "run")
    assert (code, said in err, err.count("\n")) == (2, True, 1), err
