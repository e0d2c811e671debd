"""PPO against automatic differentiation, and what its policy learns."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from helpers.controllers import ask, finished, simulate
from helpers.profiles import examples
from helpers.searches import make_trial
from hypothesis import given, settings
from hypothesis import strategies as st

from ednas.arch.space import Genes
from ednas.exceptions import ConfigError
from ednas.search.controllers import ControllerConfig, Proposal, ppo
from ednas.search.controllers.ppo import PPO, Adam, Batch, gradient
from ednas.search.trial import TrialState


def torch_objective(logits: Sequence[torch.Tensor], batch: Batch, clip: float, entropy: float) -> torch.Tensor:
    """PPO's objective as the paper writes it, one categorical distribution after the other."""
    total = torch.zeros((), dtype=torch.float64)
    advantages = torch.from_numpy(batch.advantages)
    for index, values in enumerate(logits):
        policy = torch.distributions.Categorical(logits=values)
        ratios = (
            policy.log_prob(torch.from_numpy(batch.genes[:, index])) - torch.from_numpy(batch.log_odds[:, index])
        ).exp()
        clipped = ratios.clamp(1 - clip, 1 + clip)
        total = total + torch.minimum(ratios * advantages, clipped * advantages).mean() + entropy * policy.entropy()
    return total


@settings(max_examples=examples(100))
@given(
    sizes=st.lists(st.integers(1, 5), min_size=1, max_size=6),
    trials=st.integers(1, 12),
    clip=st.floats(0.05, 0.5),
    entropy=st.floats(0, 1),
    seed=st.integers(0, 10_000),
)
def test_the_gradient_is_that_of_automatic_differentiation(
    sizes: list[int], trials: int, clip: float, entropy: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    logits = np.where(
        np.arange(max(sizes)) < np.array(sizes)[:, None], rng.normal(size=(len(sizes), max(sizes))), -np.inf
    )
    genes = np.stack([rng.integers(0, size, trials) for size in sizes], axis=1)
    odds = np.log(rng.uniform(0.1, 1, genes.shape))
    batch = Batch(genes, odds, rng.normal(size=trials))
    leaves = [torch.tensor(row[:size], requires_grad=True) for row, size in zip(logits, sizes, strict=True)]
    torch_objective(leaves, batch, clip, entropy).backward()
    found = gradient(logits, batch, clip, entropy)
    for row, leaf in zip(found, leaves, strict=True):
        assert leaf.grad is not None
        assert row[: leaf.numel()] == pytest.approx(leaf.grad.numpy(), abs=1e-12)
        assert not row[leaf.numel() :].any()


def test_adam_is_torchs() -> None:
    rng = np.random.default_rng(0)
    slopes = rng.normal(size=(20, 3, 2))
    leaf = torch.zeros(3, 2, dtype=torch.float64, requires_grad=True)
    reference = torch.optim.Adam([leaf], lr=0.1, maximize=True)
    ours, values = Adam(0.1), np.zeros((3, 2))
    for slope in slopes:
        leaf.grad = torch.from_numpy(slope)
        reference.step()
        values = ours.step(values, slope)
    assert values == pytest.approx(leaf.detach().numpy(), rel=1e-9)


class TestPPO:
    sizes = (4, 2, 3, 4, 4, 2, 5, 3)
    optimum = (2, 1, 0, 3, 1, 0, 4, 1)

    def separable(self, genes: Genes) -> float:
        """Best at the optimum; what one decision is worth does not depend on the others."""
        return sum(gene == best for gene, best in zip(genes, self.optimum, strict=True)) / 10

    def drive(
        self,
        subject: PPO,
        trials: int,
        reward: Callable[[Genes], float],
        allowed: Callable[[Genes], bool] | None = None,
    ) -> list[TrialState]:
        states = []
        for number in range(trials):
            proposal = ask(subject)
            is_allowed = allowed is None or allowed(proposal.genes)
            states.append(TrialState.DONE if is_allowed else TrialState.PRUNED)
            subject.tell(finished(number, proposal, number, number, states[-1], reward(proposal.genes)))
        return states

    @pytest.mark.parametrize("seed", range(3))
    def test_it_finds_the_optimum_of_a_separable_reward(self, seed: int) -> None:
        subject = PPO(self.sizes, seed)
        uniform = 1 / math.prod(self.sizes)
        assert math.prod(row[0] for row in subject.probabilities) == pytest.approx(uniform)
        self.drive(subject, 500, self.separable)
        probability = math.prod(row[gene] for row, gene in zip(subject.probabilities, self.optimum, strict=True))
        assert probability > 1000 * uniform
        assert tuple(row.index(max(row)) for row in subject.probabilities) == self.optimum

    def test_entropy_keeps_it_open_where_there_is_nothing_to_learn(self) -> None:
        def surest(entropy: float) -> float:
            rng = random.Random(0)
            subject = PPO((4,) * 20, entropy=entropy)
            self.drive(subject, 300, lambda _: rng.random())
            return sum(max(row) for row in subject.probabilities) / 20

        assert surest(1.0) < 0.45 < 0.6 < surest(0.0)

    def test_the_scale_of_rewards_does_not_matter(self) -> None:
        def proposals(scale: float) -> list[Genes]:
            subject = PPO(self.sizes)
            found = []
            for number in range(100):
                proposal = ask(subject)
                state = TrialState.PRUNED if number % 3 == 0 else TrialState.DONE
                subject.tell(finished(number, proposal, number, number, state, scale * self.separable(proposal.genes)))
                found.append(proposal.genes)
            return found

        assert proposals(1.0) == proposals(1024.0)

    @pytest.mark.slow
    def test_pruned_candidates_teach_it_to_stay_within_the_limits(self) -> None:
        """Of random candidates, one in 23 is within; the reward would lead out of the limits."""
        sizes = (4,) * 12
        subject = ControllerConfig(name="ppo").make(sizes, 0, {"latency_ms": 1300.0})  # of 100 (1 + the sum of genes)
        assert isinstance(subject, PPO)
        states = self.drive(subject, 1200, lambda genes: sum(genes) / 100, lambda genes: sum(genes) <= 12)
        assert states[:48].count(TrialState.DONE) < 8
        assert states[200:].count(TrialState.DONE) > 400

    @pytest.mark.parametrize("workers", [1, 5])
    def test_results_are_weighed_by_the_policy_that_they_were_asked_of(
        self, workers: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        batches: list[Batch] = []

        def spy(logits: Any, batch: Batch, clip: float, entropy: float) -> Any:
            batches.append(batch)
            return gradient(logits, batch, clip, entropy)

        class Watched(PPO):
            asked: dict[Genes, list[float]]

            def ask(self) -> Proposal | None:
                proposal = super().ask()
                assert proposal is not None
                odds = [math.log(row[g]) for row, g in zip(self.probabilities, proposal.genes, strict=True)]
                self.asked[proposal.genes] = odds
                return proposal

        monkeypatch.setattr(ppo, "gradient", spy)
        subject = Watched(self.sizes, batch_size=4, epochs=1)
        subject.asked = {}
        simulate(subject, 40, workers)
        assert len(batches) == 10
        for batch in batches:
            for genes, odds in zip(batch.genes, batch.log_odds, strict=True):
                assert odds == pytest.approx(subject.asked[tuple(genes.tolist())])

    def test_a_batch_of_pruned_candidates_alone_is_fine(self) -> None:
        subject = PPO(self.sizes, batch_size=2)
        for number in range(4):
            subject.tell(make_trial(number, genes=self.optimum, state=TrialState.PRUNED, reward=None))
        assert subject.ask() is not None
        assert np.isfinite(np.concatenate(subject.probabilities)).all()

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            ({"batchsize": 4}, "did you mean 'batch_size'"),
            ({"learning_rate": 0}, "'learning_rate'"),
            ({"baseline_decay": 1}, "'baseline_decay'"),
            ({"entropy": float("nan")}, "'entropy'"),
        ],
    )
    def test_wrong_options_are_one_line(self, options: dict[str, Any], said: str) -> None:
        with pytest.raises(ConfigError, match=said) as error:
            PPO(self.sizes, **options)
        assert "\n" not in str(error.value)
