"""Of processes that train together the first one speaks."""

from __future__ import annotations

import sys

import pytest

from ednas.training.device import quiet_helper


@pytest.mark.parametrize(("rank", "printed"), [("0", "result\n"), ("1", "")])
def test_a_helper_is_quiet(
    rank: str, printed: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LOCAL_RANK", rank)
    with quiet_helper():
        print("result")
        print("said", file=sys.stderr)
    assert capsys.readouterr().out == printed
