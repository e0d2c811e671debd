"""Neck and heads as one part."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from helpers.small_training import small_architecture

from ednas.nn import MultiTaskNetwork
from ednas.nn.decoder import Decoder

CHANNELS = (8, 8, 8, 8)


@pytest.mark.parametrize("lateral", [0, 4])
def test_it_is_what_follows_a_shared_backbone(lateral):
    architecture = dataclasses.replace(small_architecture(), head_lateral=lateral)
    heads = {"segmentation": 4, "depth": 1}
    network = MultiTaskNetwork(architecture, heads).eval()
    decoder = Decoder(architecture, CHANNELS, heads).eval()
    own = {name: tensor for name, tensor in network.state_dict().items() if not name.startswith("encoder.")}
    decoder.load_state_dict(own)
    image = torch.rand(1, 3, 64, 96)
    features = [network.encoder(image)[stage] for stage in architecture.feature_stages]
    with torch.no_grad():
        found, expected = decoder(features), network.predict_heads(image)
    assert [*found] == ["segmentation", "depth"]
    assert all(torch.equal(found[task], expected[task]) for task in heads)
