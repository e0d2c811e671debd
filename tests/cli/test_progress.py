"""Displays follow one another in a terminal; two at once would draw over each other."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.live import Live

from ednas.cli.progress import counting, training_bars
from ednas.training import ProgressBar, StepReport


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_one_display_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[Live] = []
    begin, end = Live.start, Live.stop

    def start(live: Live, *arguments: Any, **options: Any) -> None:
        if live not in shown:
            assert not shown
            shown.append(live)
        begin(live, *arguments, **options)

    def stop(live: Live) -> None:
        if live in shown:
            shown.remove(live)
        end(live)

    monkeypatch.setattr(Live, "start", start)
    monkeypatch.setattr(Live, "stop", stop)
    monkeypatch.setattr("sys.stderr", Terminal())
    monkeypatch.setenv("TERM", "xterm")
    with counting("decoding") as progress, ProgressBar() as bar:
        for done in (1, 2):
            progress("train", done, 2)
        progress("val", 1, 2)
        assert len(shown) == 1
        progress("val", 2, 2)
        assert not shown
        bar(StepReport(1, 2, {"depth": 0.5}, 0.5, 1e-3, 1.0, 1.0))
        assert len(shown) == 1
    assert not shown


def test_one_training_after_another_has_one_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[str] = []
    monkeypatch.setattr(ProgressBar, "close", lambda bar: ended.append(bar._title))
    with training_bars() as begin:
        begin("first")
        assert ended == []
        begin("second")
        assert ended == ["first"]
    assert ended == ["first", "second"]
