"""Evaluators: how good a candidate is. One contract, one file an evaluator."""

from ednas.search.evaluators.base import CurvePoint, Evaluation, Evaluator

__all__ = ["CurvePoint", "Evaluation", "Evaluator"]
