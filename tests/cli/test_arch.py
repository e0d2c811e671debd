"""``ednas arch``: what a network is, counted and drawn."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from helpers.cli import Run

from ednas.arch import zoo


def test_arch_show_counts_the_base_network(run: Run) -> None:
    code, out, _ = run("arch", "show", "base", "--input", "256x256", "--tasks", "segmentation:19,depth", "--json")
    facts = json.loads(out)
    assert code == 0
    assert facts["name"] == "base"
    assert facts["params"] == pytest.approx(3.4e6, rel=0.02)
    assert facts["flops"] == 2 * facts["macs"] == pytest.approx(1.2e9, rel=0.05)
    assert facts["input"] == [256, 256]
    assert sum(block["params"] for block in facts["blocks"]) == facts["params"]


def test_arch_show_takes_the_size_that_a_search_or_a_checkpoint_states(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "best.json"
    file.write_text(json.dumps({"architecture": zoo.architecture("base").to_dict(), "input_size": [64, 128]}))
    assert json.loads(run("arch", "show", file, "--json")[1])["input"] == [64, 128]
    assert json.loads(run("latency", file, "--json")[1])["network"]["input_size"] == [64, 128]
    assert json.loads(run("arch", "show", file, "--input", "96x96", "--json")[1])["input"] == [96, 96]


def test_arch_show_draws_and_prints_a_table(run: Run, tmp_path: Path) -> None:
    code, out, _ = run("arch", "show", "ednas_cityscapes", "--svg", tmp_path / "a.svg")
    assert code == 0
    assert "Fused" in out
    assert (tmp_path / "a.svg").read_text().lstrip().startswith("<svg")


def test_arch_space_prints_the_papers_size(run: Run) -> None:
    assert json.loads(run("arch", "space", "--json")[1])["size"] == 2**79


def test_disk_full_is_one_line(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    code, _, err = run("arch", "show", "base", "--svg", tmp_path / "a.svg")
    assert code == 2
    assert "No space left on device" in err
    assert list(tmp_path.iterdir()) == []
