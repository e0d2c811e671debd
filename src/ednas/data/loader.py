"""Batches for training and evaluation from cached samples.

The training batch of a step is a pure function of (seed, step): a resumed run needs no state of the loader, and gets
the batches that it would have got without the interruption.
"""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ednas.data.augment import AugmentConfig, Batch, as_batch, augment
from ednas.data.cache import CachedSplit
from ednas.data.sample import TargetKind
from ednas.exceptions import ConfigError, DataError
from ednas.seeding import derive_seed

Indices = npt.NDArray[np.int64]


class BatchLoader:
    """Training batches by step.

    A batch is what the data conventions say: ``image`` float32 ``(N, 3, H, W)`` in [0, 1] in ``channels_last`` memory
    format; labels int64 ``(N, H, W)`` with 255 = void; depth float32 ``(N, 1, H, W)`` with 0 = invalid; normals float32
    ``(N, 3, H, W)`` with zero vectors = invalid.

    Every sample comes once in an epoch, in an order drawn for each epoch. Steps count on over the end of an epoch: a
    batch may hold the last samples of one and the first of the next, and is always full.

    Args:
        cached: The split.
        batch_size: Samples in a batch; may exceed the length of the split.
        seed: Seed of order and augmentation.
        augment: What may happen to a sample; nothing if ``None``.
        targets: Names of the targets to load; all of the split's if ``None``.
        device: Where the batches shall be. Samples travel to a GPU as stored (8 bit images) and are augmented there.

    Raises:
        ConfigError: ``batch_size`` is below 1.
        DataError: The dataset lacks one of ``targets``.
    """

    def __init__(
        self,
        cached: CachedSplit,
        batch_size: int,
        seed: int,
        augment: AugmentConfig | None = None,
        targets: Iterable[str] | None = None,
        *,
        device: torch.device | str = "cpu",
    ) -> None:
        self.cached = cached
        self.batch_size = _positive(batch_size)
        self.seed = seed
        self.augment = augment
        self.kinds = _kinds(cached, targets)
        self.device = torch.device(device)

    def batch(self, step: int) -> Batch:
        """Return the batch of a step: the same for the same seed and step, whatever was asked for before."""
        stored = _read(self.cached, self._indices(step), self.kinds, self.device)
        if self.augment is None:
            return as_batch(stored, self.kinds)
        generator = torch.Generator().manual_seed(derive_seed(self.seed, "augment", step))
        return augment(stored, self.kinds, self.augment, generator)

    def stream(self, start: int, stop: int, ahead: int = 2) -> Generator[tuple[int, Batch]]:
        """Yield the steps' batches as :func:`prefetch` does, whose other arguments these are."""
        return prefetch(self.batch, start, stop, ahead)

    def _indices(self, step: int) -> Indices:
        length = len(self.cached)
        places = np.arange(step * self.batch_size, (step + 1) * self.batch_size)
        return np.array(
            [_order(self.seed, int(place) // length, length)[place % length] for place in places], dtype=np.int64
        )


def prefetch(batch_of: Callable[[int], Batch], start: int, stop: int, ahead: int = 2) -> Generator[tuple[int, Batch]]:
    """Yield ``(step, batch)`` for the steps from ``start`` to before ``stop``, prepared by a background thread.

    The thread ends with the iterator: at its end, at an error (raised here, at the step it belongs to), or when the
    iterator is closed or dropped.

    Args:
        batch_of: Returns the batch of a step.
        start: The first step.
        stop: One past the last step.
        ahead: How many batches to prepare while the consumer works on one.
    """
    pool = ThreadPoolExecutor(1, thread_name_prefix="ednas-loader")
    pending: deque[tuple[int, Future[Batch]]] = deque()
    try:
        for step in range(start, stop):
            pending.append((step, pool.submit(batch_of, step)))
            if len(pending) > ahead:
                first, future = pending.popleft()
                yield first, future.result()
        while pending:
            first, future = pending.popleft()
            yield first, future.result()
    finally:
        pool.shutdown(cancel_futures=True)


def eval_batches(
    cached: CachedSplit, batch_size: int, targets: Iterable[str] | None = None, device: torch.device | str = "cpu"
) -> Iterator[Batch]:
    """Yield all samples of a split once, in order, as they are; the last batch may be smaller.

    Arguments and errors are those of :class:`BatchLoader`.
    """
    kinds = _kinds(cached, targets)
    step = _positive(batch_size)
    starts = range(0, len(cached), step)
    return (load_samples(cached, range(len(cached))[start : start + step], kinds, device) for start in starts)


def load_samples(
    cached: CachedSplit,
    indices: Sequence[int],
    targets: Iterable[str] | None = None,
    device: torch.device | str = "cpu",
) -> Batch:
    """Return the samples of some indices as a batch, as they are.

    Other arguments and errors are those of :class:`BatchLoader`.
    """
    kinds = _kinds(cached, targets)
    return as_batch(_read(cached, np.array(indices, dtype=np.int64), kinds, torch.device(device)), kinds)


def spread_rows(cached: CachedSplit, count: int) -> list[int]:
    """Return the indices of ``count`` samples, or of all if there are fewer, spread evenly over a split."""
    rows: list[int] = np.linspace(0, len(cached) - 1, min(count, len(cached))).round().astype(int).tolist()
    return rows


def _positive(batch_size: int) -> int:
    if batch_size < 1:
        raise ConfigError(f"batch size {batch_size}: must be at least 1")
    return batch_size


def _kinds(cached: CachedSplit, names: Iterable[str] | None) -> dict[str, TargetKind]:
    known = cached.info.targets
    chosen = list(known) if names is None else list(names)
    for name in chosen:
        if name not in known:
            raise DataError(f"dataset {cached.info.name} has no target {name!r}; it has: {', '.join(known) or 'none'}")
    return {name: known[name].kind for name in chosen}


@functools.lru_cache(maxsize=8)
def _order(seed: int, epoch: int, length: int) -> Indices:
    return np.random.default_rng(derive_seed(seed, "epoch", epoch)).permutation(length)


def _read(cached: CachedSplit, indices: Indices, kinds: dict[str, TargetKind], device: torch.device) -> Batch:
    """Copy samples out of the cache to the device, in the types they are stored in and the shapes of a batch."""
    rows = cached.rows[indices]
    stored = {"image": _copy(cached.image, rows, device).permute(0, 3, 1, 2)}
    for name, kind in kinds.items():
        values = _copy(cached.targets[name], rows, device)
        match kind:
            case "labels":
                table = cached.class_tables.get(name)
                stored[name] = values if table is None else torch.from_numpy(table).to(device)[values.long()]
            case "distance" | "disparity":
                stored[name] = values.unsqueeze(1)
            case "normals":
                stored[name] = values.permute(0, 3, 1, 2)
    return stored


def _copy(array: npt.NDArray[np.generic], indices: Indices, device: torch.device) -> Tensor:
    values = torch.from_numpy(np.asarray(array)[indices])
    if device.type == "cuda":
        return values.pin_memory().to(device, non_blocking=True)
    return values.to(device)
