"""GradNorm."""

from __future__ import annotations

import torch
from helpers.weightings import jacobian_at, losses_at, make, run


def test_weights_are_learned_as_by_the_paper():
    window, alpha, found = 3, 1.5, run(make("gradnorm", 3, window=3, alpha=1.5, learning_rate=0.1))
    logits = torch.nn.Parameter(torch.zeros(3))
    adam = torch.optim.Adam([logits], 0.1)
    start = torch.stack([losses_at(step, 3) for step in range(window)]).mean(0)
    for step, weights in enumerate(found):
        if step < window:
            assert weights.tolist() == [1, 1, 1]
            continue
        scale = 3 * logits.softmax(0)
        torch.testing.assert_close(weights, scale.detach())
        norms = (scale.unsqueeze(1) * jacobian_at(step, 3)).norm(dim=1)
        rates = losses_at(step, 3) / start
        aim = (norms.mean() * (rates / rates.mean()) ** alpha).detach()
        adam.zero_grad()
        (norms - aim).abs().sum().backward()
        adam.step()
