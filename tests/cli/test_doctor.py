"""``ednas doctor``."""

from __future__ import annotations

import json
import sys

import numpy as np
import torch
from helpers.cli import Run


def test_it_names_what_runs_here(run: Run) -> None:
    code, out, err = run("doctor", "--json")
    assert (code, err) == (0, "")
    facts = json.loads(out)
    assert sys.version.startswith(facts["python"])
    assert facts["torch threads"] == torch.get_num_threads()
    assert facts["packages"]["numpy"] == np.__version__
    assert len(facts["cuda"]) == torch.cuda.device_count()


def test_what_is_missing_is_told(run: Run, monkeypatch) -> None:
    monkeypatch.setattr("ednas.cli.doctor._PACKAGES", ("numpy", "no-such-package"))
    lines = run("doctor")[1].splitlines()
    assert lines[-1].split(maxsplit=1) == ["no-such-package", "not installed"]
    assert lines[-2].split() == ["numpy", np.__version__]
