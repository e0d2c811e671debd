"""One set of weights for all networks of a space: each network is cut out of it.

Every tensor of a network is the leading channels, and the centre of the kernel, of a tensor of the supernet. Networks
share one where it stands at the same place and their blocks say that they share it
(:meth:`ednas.arch.block.Block.shared_as`); nothing is shared between kinds of block.

A training step runs several networks, each on a part of the batch, so that one step of the optimizer serves them all.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import product
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from ednas.arch import Architecture, SearchSpace
from ednas.exceptions import ArchitectureError
from ednas.nn.network import MultiTaskNetwork
from ednas.nn.overlap import Index, overlap
from ednas.nn.sharing import make_sharing, original_of
from ednas.seeding import derive_seed

SKELETONS_KEPT = 256
"""Networks without weights that are kept, since each takes milliseconds to build."""

WIDE_FIELDS = ("filters", "bifpn_width")
"""Decisions of a space whose largest value alone decides how large tensors must be."""


class Supernet(nn.Module):
    """The weights of all networks of a space.

    Args:
        space: The space.
        heads: Output channels by task.
        networks: Text forms of those that are trained, in turns of random order; at least ``at_once``.
        at_once: How many networks a training step runs, each on as many samples.
        every_step: Text forms of those among them that each step runs; the others take turns in what is left.
        seed: Of the weights and the order.
        start: Gives each of the networks that the supernet is put together from its first weights; None = chance does.

    Attributes:
        drawn: How many networks have had a turn; part of the state, so that a resumed training goes on with the
            network that would have come next.

    Raises:
        ArchitectureError: The space has a backbone or decoder of the user's own, or several input sizes; or there are
            too few networks, or none takes turns.
    """

    drawn: Tensor

    def __init__(
        self,
        space: SearchSpace,
        heads: Mapping[str, int],
        networks: Sequence[str],
        *,
        at_once: int,
        every_step: Sequence[str] = (),
        seed: int = 0,
        start: Callable[[MultiTaskNetwork], None] | None = None,
    ) -> None:
        super().__init__()
        if space.base.backbone or space.base.decoder:
            raise ArchitectureError("supernet: a backbone or decoder of your own cannot be cut; search by proxy")
        if space.base.sharing and len(heads) > 1 and not make_sharing(space.base, tuple(heads)).can_be_cut:
            raise ArchitectureError(f"supernet: sharing '{space.base.sharing}' cannot be cut; search by proxy")
        if any(decision.name == "input_size" for decision in space.decisions):
            raise ArchitectureError("supernet: networks of several input_sizes cannot share one; give one size")
        if len(networks) < at_once:
            raise ArchitectureError(f"supernet: {len(networks)} networks, at least {at_once} are run in a step")
        if len(every_step) >= at_once:
            raise ArchitectureError(f"supernet: {len(every_step)} networks in every step of {at_once} leave no turns")
        self.channels = dict(heads)
        self._networks = tuple(networks)
        self._at_once = at_once
        self._every_step = tuple(every_step)
        self._seed = seed
        tensors: dict[str, Tensor] = {}
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive_seed(seed, "weights"))
            for architecture in _covering(space):
                network = MultiTaskNetwork(architecture, heads)
                if start is not None:
                    start(network)
                for name, weights in network.named_parameters():
                    place = place_of(name, architecture)
                    tensors[place] = _grown(tensors.get(place), weights.detach())
        owners: dict[str, dict[str, nn.Parameter]] = {}
        for place, tensor in tensors.items():
            owner, _, rest = place.partition(".")
            owners.setdefault(owner, {})[rest] = nn.Parameter(tensor)
        for owner, parameters in owners.items():
            self.add_module(owner, nn.ParameterDict(parameters))
        self.register_buffer("drawn", torch.zeros((), dtype=torch.int64))
        self._skeleton = lru_cache(SKELETONS_KEPT)(_skeleton)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """Run the next networks, each on a part of the batch, and put their predictions together.

        Args:
            image: Normalised ``(N, 3, H, W)``, at least 2 samples for each network.

        Returns:
            Predictions by task, ``(N, C, H, W)``; normalisation is by the statistics of each part.
        """
        outputs: list[dict[str, Tensor]] = []
        for place, part in enumerate(image.chunk(self._at_once)):
            text = self._every_step[place] if place < len(self._every_step) else self._next()
            outputs.append(self.run(Architecture.from_text(text), part))
        return {task: torch.cat([output[task] for output in outputs]) for task in self.channels}

    def run(self, architecture: Architecture, image: Tensor) -> dict[str, Tensor]:
        """Run one network, normalised by the statistics of the batch; gradients arrive at the supernet's tensors."""
        skeleton = self._skeleton(architecture.to_text(), tuple(self.channels.items()))
        cut_out: Callable[[Tensor, Index], Tensor] = _Cut.apply
        tensors = {name: cut_out(whole, index) for name, whole, index in _cuts(self._tensors(), skeleton)}
        outputs: dict[str, Tensor] = functional_call(skeleton, tensors, (image,))
        return outputs

    def _tensors(self) -> dict[str, Tensor]:
        return dict(self.named_parameters())

    def _next(self) -> str:
        """Return the network whose turn it is: all in turn, in an order that is new in each round."""
        round_number, place = divmod(int(self.drawn), len(self._networks))
        order = list(range(len(self._networks)))
        random.Random(derive_seed(self._seed, "round", round_number)).shuffle(order)
        self.drawn += 1
        return self._networks[order[place]]


class _Cut(torch.autograd.Function):
    """A part of a tensor, whose gradient is added to that of the whole in place.

    Indexing would do the same, but its gradient is as large as the whole, most of it zeros: for a network that uses a
    tenth of a supernet that takes longer than the network itself.
    """

    @staticmethod
    def forward(ctx: Any, whole: Tensor, index: Index) -> Tensor:
        ctx.whole, ctx.index = whole, index
        part = whole.detach()[index]
        return part.contiguous(memory_format=torch.channels_last if part.dim() == 4 else torch.contiguous_format)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        whole: Tensor = ctx.whole
        with torch.no_grad():
            if whole.grad is None:
                whole.grad = torch.zeros_like(whole)
            whole.grad[ctx.index] += gradients[0]
        return None, None


def cut(tensors: Mapping[str, Tensor], architecture: Architecture, heads: Mapping[str, int]) -> MultiTaskNetwork:
    """Return a network of its own with a supernet's weights; its batch statistics are still to be measured.

    Args:
        tensors: The supernet's, by name, as its state dict has them.
        architecture: The network.
        heads: Output channels by task, of the supernet too.

    Raises:
        ArchitectureError: The network is not in the space that the supernet was made for.
    """
    with torch.random.fork_rng(devices=[]):
        network = MultiTaskNetwork(architecture, heads)
    own = dict(network.named_parameters())
    with torch.no_grad():
        for name, whole, index in _cuts(tensors, network):
            own[name].copy_(whole[index])
    return network


def _cuts(tensors: Mapping[str, Tensor], network: MultiTaskNetwork) -> Iterator[tuple[str, Tensor, Index]]:
    """Yield each tensor of a network: its name, what it is cut out of, and where."""
    for name, tensor in network.named_parameters():
        whole = tensors.get(place_of(name, network.architecture))
        if whole is None or any(part > side for part, side in zip(tensor.shape, whole.shape, strict=True)):
            raise ArchitectureError(f"supernet: was not made for this network ({name} cannot be cut out of it)")
        yield name, whole, overlap(whole.shape, tensor.shape)[0]


def place_of(name: str, architecture: Architecture) -> str:
    """Return what a tensor of a network is called in a supernet.

    Example:
        >>> from ednas.arch import load_architecture
        >>> place_of("encoder.stages.1.0.depthwise.0.weight", load_architecture("base"))
        'encoder.stages/1/0/ibn/k3_s2/depthwise/0/weight'
    """
    original, copy = original_of(name)
    parts = original.split(".")
    if parts[:2] == ["neck", "layers"] and int(parts[2]) == architecture.bifpn_depth - 1:
        parts[2] = "last"  # it goes one way only, and is a layer of its own kind
    if parts[:2] == ["encoder", "stages"]:
        stage, index = int(parts[2]), int(parts[3]) - (parts[2] == "0")  # stage 0 begins with the stem
        if index >= 0:
            block = architecture.stages()[stage][index]
            parts[4:4] = [block.kind, *filter(None, [block.shared_as(".".join(parts[4:]))])]
    if copy:
        parts.append(f"copy {copy}")
    return f"{parts[0]}.{'/'.join(parts[1:])}"  # one dot: torch's parameters cannot have more in their names


def _covering(space: SearchSpace) -> Iterator[Architecture]:
    """Yield networks of a space that together have each of a supernet's tensors at its full size."""
    choices: dict[str, list[tuple[int, Sequence[int]]]] = {}
    for index, decision in enumerate(space.decisions):
        owner, _, field = decision.name.rpartition(".")
        sizes = range(len(decision.candidates))
        genes = [max(sizes, key=lambda gene: decision.candidates[gene])] if field in WIDE_FIELDS else list(sizes)
        choices.setdefault(owner, []).append((index, genes))
    variants = [
        [
            dict(zip((index for index, _ in own), values, strict=True))
            for values in product(*(genes for _, genes in own))
        ]
        for own in choices.values()
    ]
    for number in range(max(map(len, variants))):
        chosen = {index: gene for own in variants for index, gene in own[number % len(own)].items()}
        yield space.decode([chosen[index] for index in range(len(space.decisions))])


def _grown(known: Tensor | None, tensor: Tensor) -> Tensor:
    """Return a tensor as large as both, which begins with what is known."""
    if known is None:
        return tensor.clone()
    if all(a <= b for a, b in zip(tensor.shape, known.shape, strict=True)):
        return known
    grown = tensor.new_zeros([max(sides) for sides in zip(tensor.shape, known.shape, strict=True)])
    for part in (tensor, known):
        inside, _ = overlap(grown.shape, part.shape)
        grown[inside] = part
    return grown


def _skeleton(architecture: str, heads: tuple[tuple[str, int], ...]) -> MultiTaskNetwork:
    """Return a network without weights or statistics, for weights that are given with each call."""
    with torch.device("meta"):
        network = MultiTaskNetwork(Architecture.from_text(architecture), dict(heads))
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean = module.running_var = module.num_batches_tracked = None
    return network.train()
