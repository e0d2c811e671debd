"""The backbone keeps the contract of its stages."""

from __future__ import annotations

import pytest
import torch
from helpers.profiles import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from ednas.arch import SearchSpace, zoo
from ednas.nn.encoder import Encoder

SPACE = SearchSpace(zoo.architecture("base"))


@pytest.mark.slow
@settings(max_examples=examples(15))
@given(st.tuples(*(st.integers(0, len(d.candidates) - 1) for d in SPACE.decisions)))
def test_stages_have_the_channels_and_strides_they_state(genes: tuple[int, ...]) -> None:
    architecture = SPACE.decode(genes)
    with torch.device("meta"):
        encoder = Encoder(architecture)
        features = encoder(torch.zeros(1, 3, 128, 256))
    assert tuple(f.shape[1] for f in features) == encoder.out_channels
    assert encoder.out_channels == tuple(stage[-1].filters for stage in architecture.stages())
    assert tuple(128 // f.shape[2] for f in features) == encoder.strides
    assert tuple(256 // f.shape[3] for f in features) == encoder.strides


def test_stages_run_one_after_the_other_as_all_at_once() -> None:
    encoder = Encoder(zoo.architecture("base")).eval()
    x = image = torch.rand(1, 3, 64, 64)
    for index, expected in enumerate(encoder(image)):
        x = encoder.forward_stage(index, x)
        assert torch.equal(x, expected)
