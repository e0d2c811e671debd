"""``ednas compare``: gains over a baseline, in every form."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from helpers.cli import Run


def write_metrics(path: Path, miou: float, protocol: str = "standard") -> Path:
    tasks = {"segmentation": {"miou": miou, "pixel_acc": 88.68}, "depth": {"abs_err": 0.0157, "rel_err": 0.34}}
    path.write_text(json.dumps({"protocol": protocol, "tasks": tasks}))
    return path


def test_compare_prints_the_documented_json(run: Run, tmp_path: Path) -> None:
    base = write_metrics(tmp_path / "base.json", 40.04)
    found = write_metrics(tmp_path / "found.json", 46.52)
    code, out, _ = run("compare", "--baseline", base, found, "--format", "json")
    model = json.loads(out)["models"][0]
    assert code == 0
    assert model["name"] == "found"
    assert model["tasks"]["segmentation"]["metrics"]["miou"] == pytest.approx(16.2, abs=0.1)
    assert model["delta"] == pytest.approx(16.18 / 4, abs=0.01)


def test_compare_of_several_seeds_has_spread_and_chance(run: Run, tmp_path: Path) -> None:
    for name, values in (("base", [0.2, 0.22, 0.24]), ("found", [0.19, 0.2, 0.21])):
        (tmp_path / name).mkdir()
        mean = sum(values) / 3
        facts = {"protocol": "standard", "split": "val", "samples": 4}
        tasks = {"depth": {"rel_err": mean}}
        (tmp_path / name / "metrics.json").write_text(json.dumps({**facts, "tasks": tasks}))
        runs = {"seeds": [0, 1, 2], "tasks": {"depth": {"rel_err": {"values": values}}}}
        (tmp_path / name / "summary.json").write_text(json.dumps(runs))
    compare = ["compare", "--baseline", tmp_path / "base", tmp_path / "found"]
    code, out, err = run(*compare)
    assert code == 0, err
    assert "0.2000 ± 0.0100" in out
    assert "paired permutation test over the seeds" in out
    assert "0.250" in out
    content = json.loads(run(*compare, "--format", "json")[1])
    (model,) = content["models"]
    assert model["p_values"] == {"depth": {"rel_err": 0.25}}
    assert model["values"]["depth"]["rel_err"] == pytest.approx(0.2)
    assert content["baseline"]["values"]["depth"]["rel_err"] == pytest.approx(0.22)
    assert model["spread"]["depth"]["rel_err"] == pytest.approx(0.01)
    found = list(csv.DictReader(io.StringIO(run(*compare, "--format", "csv")[1])))
    (row,) = [row for row in found if row["model"] == "found" and row["metric"] == "rel_err"]
    assert float(row["value"]) == pytest.approx(0.2)
    assert float(row["std"]) == pytest.approx(0.01)
    assert float(row["gain_percent"]) == pytest.approx(100 * (1 - 0.2 / 0.22))
    assert float(row["p_value"]) == 0.25
    for form, shown in (("latex", r"0.2000 $\pm$ 0.0100"), ("markdown", "0.2000 ± 0.0100")):
        out = run(*compare, "--format", form)[1]
        assert shown in out
        assert "0.250" in out

    file = tmp_path / "found" / "metrics.json"
    file.write_text(file.read_text().replace('"samples": 4', '"samples": 5'))
    code, _, err = run(*compare)
    assert (code, err.count("\n")) == (2, 1)
    assert "'base' was measured on a number of samples of 4, 'found' on a number of samples of 5; " in err
    assert "--force" in err
    code, _, err = run(*compare, "--force")
    assert (code, err.count("not alike: 'base' was measured on a number of samples")) == (0, 1)
