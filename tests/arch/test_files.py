"""Whatever a user types is found, or the error says what is wrong with it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from helpers.profiles import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from ednas.arch import load_architecture, read_facts, save_architecture, stored_input_size, zoo
from ednas.exceptions import ArchitectureError

BASE = zoo.architecture("base")


def test_name_text_file_and_checkpoint_folder(tmp_path: Path) -> None:
    save_architecture(replace(BASE, name=""), tmp_path / "mine.json")
    (tmp_path / "config.json").write_text(json.dumps({"architecture": BASE.to_dict(), "tasks": {}}))
    for source in ("base", BASE.to_text(), tmp_path / "mine.json", tmp_path):
        assert load_architecture(source).fingerprint() == BASE.fingerprint()
    assert load_architecture(tmp_path / "mine.json").name == "mine"


def test_missing_file_and_unknown_name(tmp_path: Path) -> None:
    with pytest.raises(ArchitectureError, match="no such file"):
        load_architecture(tmp_path / "none.json")
    with pytest.raises(ArchitectureError, match="unknown architecture 'bse'; did you mean 'base'"):
        load_architecture("bse")


def test_a_text_too_long_for_a_path_is_one_clear_error() -> None:
    with pytest.raises(ArchitectureError, match=r"is no architecture and no path"):
        load_architecture("ibn_k3 " * 1000)


TEXT = json.dumps(BASE.to_dict())


@settings(max_examples=examples(50))
@given(st.integers(0, len(TEXT) - 1))
def test_truncated_file_is_one_clear_error(tmp_path_factory: pytest.TempPathFactory, length: int) -> None:
    path = tmp_path_factory.mktemp("arch") / "a.json"
    path.write_text(TEXT[:length])
    with pytest.raises(ArchitectureError, match="a.json"):
        load_architecture(path)


def test_folders_of_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for place in ("trained/checkpoint/config.json", "search/best.json"):
        (tmp_path / place).parent.mkdir(parents=True)
        facts = {"architecture": BASE.to_dict(), "input_size": [64, 96]}
        (tmp_path / place).write_text(json.dumps(facts))
        folder = tmp_path / place.partition("/")[0]
        assert load_architecture(folder) == BASE
        assert stored_input_size(folder) == (64, 96)
    (tmp_path / "base").mkdir()
    monkeypatch.chdir(tmp_path)
    assert load_architecture("base") == BASE
    assert read_facts("base") == {}
    for read in (load_architecture, read_facts):
        with pytest.raises(ArchitectureError, match="holds no architecture"):
            read("./base")
