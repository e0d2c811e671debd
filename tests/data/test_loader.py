from __future__ import annotations

import multiprocessing
import threading
import time

import numpy as np
import pytest
import torch
from helpers.memory_dataset import AUGMENT, MemoryDataset, digest, digest_in_process
from hypothesis import given
from hypothesis import strategies as st

from ednas.data.augment import AugmentConfig, Batch
from ednas.data.cache import CachedSplit, open_cache
from ednas.data.loader import BatchLoader, eval_batches
from ednas.exceptions import ConfigError, DataError

LENGTH = 7


@pytest.fixture(scope="module")
def cached(tmp_path_factory: pytest.TempPathFactory) -> CachedSplit:
    return open_cache(MemoryDataset(LENGTH), (12, 20), tmp_path_factory.mktemp("cache"))


def indices(batch: Batch) -> list[int]:
    """Which samples: the first pixel of the first row of sample i is i."""
    return [round(255 * value) for value in batch["image"][:, 0, 0, 0].tolist()]


def assert_same(actual: Batch, expected: Batch) -> None:
    assert actual.keys() == expected.keys()
    for name in actual:
        assert torch.equal(actual[name], expected[name]), name


def assert_no_thread_left() -> None:
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("ednas")]


def test_batch_is_a_pure_function_of_seed_and_step(cached: CachedSplit) -> None:
    loader = BatchLoader(cached, 4, seed=3, augment=AUGMENT)
    batches = [loader.batch(step) for step in range(6)]
    for step in (5, 0, 3):
        assert_same(loader.batch(step), batches[step])
        assert_same(BatchLoader(cached, 4, seed=3, augment=AUGMENT).batch(step), batches[step])
    assert len({digest(batch) for batch in batches}) == 6
    assert digest(BatchLoader(cached, 4, seed=4, augment=AUGMENT).batch(0)) != digest(batches[0])


@pytest.mark.slow
def test_another_process_gets_the_same_batch(cached: CachedSplit) -> None:
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    process = context.Process(target=digest_in_process, args=(cached.folder, results))
    process.start()
    other = results.get(timeout=60)
    process.join()
    assert other == digest(BatchLoader(cached, 4, seed=3, augment=AUGMENT).batch(11))


@given(st.integers(1, 3 * LENGTH), st.integers(0, 2**40))
def test_every_sample_comes_once_an_epoch(cached: CachedSplit, batch_size: int, seed: int) -> None:
    loader = BatchLoader(cached, batch_size, seed, targets=[])
    steps = -(-3 * LENGTH // batch_size)
    order = [index for step in range(steps) for index in indices(loader.batch(step))]
    assert len(order) == steps * batch_size
    for epoch in range(3):
        assert sorted(order[epoch * LENGTH : (epoch + 1) * LENGTH]) == list(range(LENGTH))


def test_every_epoch_and_seed_has_its_own_order(cached: CachedSplit) -> None:
    orders = {
        tuple(indices(BatchLoader(cached, LENGTH, seed, targets=[]).batch(epoch)))
        for seed in range(4)
        for epoch in range(4)
    }
    assert len(orders) == 16


@pytest.mark.parametrize("augment", [None, AUGMENT])
def test_batches_follow_the_convention(cached: CachedSplit, augment: AugmentConfig | None) -> None:
    size = (12, 20) if augment is None else (8, 16)
    for batch in (BatchLoader(cached, 9, 0, augment).batch(1), BatchLoader(cached, 9, 0, augment).batch(2)):
        assert {name: (values.dtype, tuple(values.shape)) for name, values in batch.items()} == {
            "image": (torch.float32, (9, 3, *size)),
            "segmentation": (torch.int64, (9, *size)),
            "depth": (torch.float32, (9, 1, *size)),
            "disparity": (torch.float32, (9, 1, *size)),
            "normals": (torch.float32, (9, 3, *size)),
        }
        assert batch["image"].is_contiguous(memory_format=torch.channels_last)
        assert 0 <= batch["image"].min() < 0.5 < batch["image"].max() <= 1
        valid = batch["segmentation"] != 255
        torch.testing.assert_close(batch["depth"][:, 0] > 0, valid)
        torch.testing.assert_close(batch["normals"].norm(dim=1), valid.float())


def test_only_the_named_targets_are_loaded(cached: CachedSplit) -> None:
    assert list(BatchLoader(cached, 2, 0, AUGMENT, ["normals", "depth"]).batch(0)) == ["image", "normals", "depth"]
    with pytest.raises(DataError, match="dataset memory has no target 'edges'; it has: segmentation, depth"):
        BatchLoader(cached, 2, 0, targets=["edges"])
    with pytest.raises(DataError, match="no target 'edges'"):
        eval_batches(cached, 2, ["edges"])


def test_empty_batches_are_refused(cached: CachedSplit) -> None:
    with pytest.raises(ConfigError, match="batch size 0"):
        BatchLoader(cached, 0, 0)
    with pytest.raises(ConfigError, match="batch size -1"):
        eval_batches(cached, -1)


# Streams


def test_stream_yields_the_batches_of_its_steps_from_anywhere(cached: CachedSplit) -> None:
    loader = BatchLoader(cached, 4, 1, AUGMENT)
    streamed = list(loader.stream(3, 9))
    assert [step for step, _ in streamed] == list(range(3, 9))
    for step, batch in streamed:
        assert_same(batch, loader.batch(step))
    assert list(loader.stream(5, 5)) == []
    assert_no_thread_left()


class Counting(BatchLoader):
    """Knows how many batches were made, and fails at step 6."""

    made = 0

    def batch(self, step: int) -> Batch:
        if step == 6:
            raise DataError("step 6 is bad")
        self.made += 1
        return super().batch(step)


def test_an_error_arrives_at_its_step_and_ends_the_thread(cached: CachedSplit) -> None:
    stream = Counting(cached, 2, 0).stream(0, 100)
    assert [next(stream)[0] for _ in range(6)] == list(range(6))
    with pytest.raises(DataError, match="step 6 is bad"):
        next(stream)
    assert_no_thread_left()


def test_an_error_of_the_consumer_ends_the_thread(cached: CachedSplit) -> None:
    def consume() -> None:
        for _ in BatchLoader(cached, 2, 0).stream(0, 100):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        consume()
    assert_no_thread_left()


def test_stream_runs_ahead_by_a_bounded_number_and_closes_early(cached: CachedSplit) -> None:
    loader = Counting(cached, 2, 0)
    stream = loader.stream(10, 1000, ahead=3)
    assert loader.made == 0
    next(stream)
    deadline = time.monotonic() + 20
    while loader.made < 4 and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.1)
    assert loader.made == 4
    stream.close()
    assert_no_thread_left()
    assert loader.made == 4


# Evaluation


@pytest.mark.parametrize("batch_size", [1, 3, 7, 50])
def test_evaluation_goes_once_over_everything_in_order(cached: CachedSplit, batch_size: int) -> None:
    batches = list(eval_batches(cached, batch_size))
    assert [len(batch["image"]) for batch in batches] == [
        min(batch_size, LENGTH - start) for start in range(0, LENGTH, batch_size)
    ]
    whole = {name: torch.cat([batch[name] for batch in batches]) for name in batches[0]}
    dataset = MemoryDataset(LENGTH)
    for index in range(LENGTH):
        sample = dataset[index]
        np.testing.assert_allclose(whole["image"][index].permute(1, 2, 0), sample.image / 255.0, atol=1e-7)
        np.testing.assert_array_equal(whole["segmentation"][index], sample.targets["segmentation"])
        np.testing.assert_array_equal(whole["depth"][index, 0], sample.targets["depth"])
        np.testing.assert_allclose(whole["normals"][index].permute(1, 2, 0), sample.targets["normals"], atol=5e-4)
    assert batches[0]["image"].is_contiguous(memory_format=torch.channels_last)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_gets_the_same_batches(cached: CachedSplit) -> None:
    for augment in (None, AUGMENT):
        host = BatchLoader(cached, 4, 1, augment).batch(2)
        for _, batch in BatchLoader(cached, 4, 1, augment, device="cuda").stream(2, 3):
            for name, values in batch.items():
                assert values.device.type == "cuda"
                torch.testing.assert_close(values.cpu(), host[name], atol=1e-4, rtol=1e-5)
