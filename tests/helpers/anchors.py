"""Trainings of a bank, made up; processes that are started anew import them from here."""

from __future__ import annotations

from pathlib import Path

from ednas.search.bank import Anchor, Bank
from ednas.search.evaluators import CurvePoint, Evaluation
from helpers.small_training import small_architecture

CONTEXT = {"data": "abc", "recipe": {"steps": 3}}


def anchor(seed: int = 0, miou: float = 40.0, context=CONTEXT) -> Anchor:
    curve = (CurvePoint(1, {"segmentation": 2.5}), CurvePoint(2, metrics={"segmentation": {"miou": 3.0}}))
    tasks = {"segmentation": {"miou": miou}, "depth": {"rel_err": 0.3}}
    evaluation = Evaluation(tasks, {"miou": True}, "", curve, cpu_seconds=12.5)
    return Anchor(context, small_architecture().to_text(), seed, evaluation)


def add_anchors(path: Path, first: int) -> None:
    """Add twenty, of seeds from ``first`` on."""
    for seed in range(first, first + 20):
        Bank(path).add([anchor(seed)])
