"""Networks are judged as many at a time as may be; what fails is left out, what is nobody's fault stops."""

from __future__ import annotations

import logging
import os
import signal
from dataclasses import replace

import pytest
from helpers.small_training import small_architecture

from ednas.arch import Architecture
from ednas.exceptions import EdnasError
from ednas.search.evaluators import Evaluation
from ednas.search.executors import InlineExecutor
from ednas.search.judging import ended_by_sigterm, judge_all
from ednas.search.progress import SearchCallback

NETWORKS = [replace(small_architecture(), input_size=(32, 32 * i)).to_text() for i in range(1, 5)]


class BySize:
    """Judges by the width of the input; 64 fails, and data are missing for what is wider than ``most``."""

    def __init__(self, most: int = 1000) -> None:
        self.most = most

    def evaluate(self, architecture: Architecture, seed: int) -> Evaluation:
        width = architecture.input_size[1]
        if width == 64:
            raise ValueError("too even")
        if width > self.most:
            raise OSError(28, "no space")
        return Evaluation({"t": {"miou": float(width + seed)}}, {"miou": True})


class Seen(SearchCallback):
    def __init__(self) -> None:
        self.lines: list[tuple[str, int, int]] = []

    def on_preparation(self, what, done, total, eta_seconds):
        self.lines.append((what, done, total))
        assert eta_seconds >= 0
        assert (done == total) == (eta_seconds == 0)


def test_each_network_is_judged_once_and_failures_are_told(caplog):
    seen = Seen()
    with caplog.at_level(logging.WARNING):
        found = judge_all(InlineExecutor(BySize()), [*NETWORKS, NETWORKS[0]], 5, "judging", [seen])
    assert {text: own.tasks["t"]["miou"] for text, own in found.items()} == {
        NETWORKS[0]: 37,
        NETWORKS[2]: 101,
        NETWORKS[3]: 133,
    }
    assert seen.lines == [("judging", done, 4) for done in range(1, 5)]
    assert "failed and is left out: ValueError: too even" in caplog.text


def test_what_is_no_networks_fault_stops():
    with pytest.raises(EdnasError, match="judging: .*no space.*what was done is kept"):
        judge_all(InlineExecutor(BySize(most=100)), NETWORKS, 5, "judging")


def test_sigterm_unwinds():
    before = signal.getsignal(signal.SIGTERM)
    cleaned = []
    with pytest.raises(SystemExit) as error, ended_by_sigterm():
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        finally:
            cleaned.append(True)
    assert error.value.code == 128 + signal.SIGTERM
    assert cleaned
    assert signal.getsignal(signal.SIGTERM) == before
