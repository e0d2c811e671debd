"""The softmax over inverse losses."""

from __future__ import annotations

import math

import pytest
import torch
from helpers.weightings import make


def test_weights_are_those_of_the_formula():
    found = make("uw_so", 2, temperature=2.0).weigh(torch.tensor([0.5, 0.25]), 0)
    first, second = math.exp(1 / 0.5 / 2), math.exp(1 / 0.25 / 2)
    assert found.tolist() == pytest.approx([first / (first + second), second / (first + second)])
