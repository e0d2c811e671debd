from __future__ import annotations

import errno
import json
import multiprocessing
import os
import pickle
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from helpers.memory_dataset import SIZE, TARGETS, MemoryDataset, open_in_process, open_never_ending

from ednas.data import cache
from ednas.data.cache import CachedSplit, find_cache, load_cache, open_cache
from ednas.data.sample import VOID, DatasetInfo, Sample, TargetInfo
from ednas.exceptions import ConfigError, DataError, EdnasError


def assert_holds(cached: CachedSplit, dataset: MemoryDataset) -> None:
    assert len(cached) == len(dataset)
    assert cached.info == dataset.info
    for index in range(len(dataset)):
        sample = dataset[index]
        np.testing.assert_array_equal(cached.image[index], sample.image)
        for name in ("segmentation", "depth", "disparity"):
            np.testing.assert_array_equal(cached.targets[name][index], sample.targets[name])
        np.testing.assert_allclose(cached.targets["normals"][index], sample.targets["normals"], atol=2.5e-4)


def test_holds_every_sample_in_memory_mapped_read_only_arrays(tmp_path: Path) -> None:
    dataset = MemoryDataset()
    cached = open_cache(dataset, SIZE, tmp_path)
    assert_holds(cached, dataset)
    assert (cached.split, cached.size) == ("train", SIZE)
    assert cached.image.dtype == np.uint8
    assert cached.targets["segmentation"].dtype == np.uint8
    assert cached.targets["depth"].dtype == np.float32
    for array in (cached.image, *cached.targets.values()):
        assert isinstance(array, np.memmap)
        assert not array.flags.writeable


def test_finds_only_what_was_decoded_before(tmp_path: Path) -> None:
    log = tmp_path / "log"
    dataset = MemoryDataset(log=log)
    assert find_cache(dataset, SIZE, tmp_path / "cache") is None
    assert not log.exists()
    cached = open_cache(dataset, SIZE, tmp_path / "cache")
    found = find_cache(dataset, SIZE, tmp_path / "cache")
    assert found is not None
    assert found.folder == cached.folder
    assert find_cache(dataset, (6, 10), tmp_path / "cache") is None


def test_normals_lose_less_than_the_documented_angle_and_stay_invalid(tmp_path: Path) -> None:
    dataset = MemoryDataset(4, (60, 80))
    cached = open_cache(dataset, (60, 80), tmp_path)
    exact = np.stack([dataset[i].targets["normals"] for i in range(4)]).astype(np.float64)
    stored = cached.targets["normals"].astype(np.float64)
    valid = exact.any(axis=-1)
    np.testing.assert_array_equal(stored.any(axis=-1), valid)
    sine = np.linalg.norm(np.cross(exact, stored)[valid], axis=-1) / np.linalg.norm(stored[valid], axis=-1)
    assert np.degrees(np.arcsin(sine)).max() < 0.025


def test_is_decoded_once_and_tells_progress_then_only(tmp_path: Path) -> None:
    dataset = MemoryDataset(log=tmp_path / "log")
    calls: list[tuple[int, int]] = []
    for _ in range(3):
        open_cache(dataset, SIZE, tmp_path / "cache", progress=lambda done, total: calls.append((done, total)))
    assert (tmp_path / "log").stat().st_size == len(dataset)
    assert calls == [(i, 7) for i in range(1, 8)]


def test_another_size_or_content_is_another_cache(tmp_path: Path) -> None:
    first = open_cache(MemoryDataset(), SIZE, tmp_path)
    smaller = open_cache(MemoryDataset(), (6, 10), tmp_path)
    longer = open_cache(MemoryDataset(8), SIZE, tmp_path)
    assert smaller.image.shape == (7, 6, 10, 3)
    assert len({first.folder, smaller.folder, longer.folder}) == 3
    assert_holds(first, MemoryDataset())
    assert_holds(longer, MemoryDataset(8))


class Changed(MemoryDataset):
    """The same data but for one pixel of one part of a sample."""

    def __init__(self, part: str = "", value: float = 0) -> None:
        super().__init__()
        self.part, self.value = part, value

    def __getitem__(self, index: int) -> Sample:
        sample = super().__getitem__(index)
        if self.part and index == 5:
            (sample.image if self.part == "image" else sample.targets[self.part])[3, 4] = self.value
        return sample


def test_the_digest_is_that_of_the_content_wherever_it_lies(tmp_path: Path) -> None:
    changes = [Changed(), Changed("image", 3), Changed("segmentation", VOID), Changed("depth", 99)]
    first, *changed = (open_cache(data, SIZE, tmp_path / str(place)).digest for place, data in enumerate(changes))
    assert len({first, *changed}) == 4
    assert open_cache(MemoryDataset(), SIZE, tmp_path / "elsewhere").digest == first


@pytest.mark.parametrize(
    "meant",
    [
        {"segmentation": TargetInfo("labels", num_classes=5, class_names=("b", "a", "c", "d", "e"))},
        {"depth": TargetInfo("disparity", unit="m")},
        {"depth": TargetInfo("distance", unit="mm")},
    ],
)
def test_the_digest_is_of_what_values_mean_too(tmp_path: Path, meant: dict[str, TargetInfo]) -> None:
    other = MemoryDataset()
    other.info = replace(other.info, targets={**other.info.targets, **meant})
    first, second = (open_cache(data, SIZE, tmp_path).digest for data in (MemoryDataset(), other))
    assert first != second


def test_default_folder_comes_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDNAS_CACHE", str(tmp_path / "here"))
    assert open_cache(MemoryDataset(1), SIZE).folder.parent == tmp_path / "here"
    monkeypatch.delenv("EDNAS_CACHE")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache.cache_folder() == tmp_path / ".cache" / "ednas"


def test_is_pickled_as_its_folder(tmp_path: Path) -> None:
    cached = open_cache(MemoryDataset(7, (60, 80)), (60, 80), tmp_path)
    data = pickle.dumps(cached)
    assert len(data) < 1000
    assert_holds(pickle.loads(data), MemoryDataset(7, (60, 80)))


# Resizing


def test_resized_targets_keep_their_values_where_the_aspect_ratio_changes(tmp_path: Path) -> None:
    dataset = MemoryDataset()
    cached = open_cache(dataset, (9, 31), tmp_path)
    for index in range(len(dataset)):
        sample = dataset[index]
        for name in ("segmentation", "depth", "disparity"):
            assert set(np.unique(cached.targets[name][index])) <= set(np.unique(sample.targets[name]))
        void = cached.targets["segmentation"][index] == VOID
        np.testing.assert_array_equal(cached.targets["depth"][index] == 0, void)
        np.testing.assert_array_equal(~cached.targets["normals"][index].any(axis=-1), void)
        lengths = np.linalg.norm(cached.targets["normals"][index].astype(float), axis=-1)
        np.testing.assert_allclose(lengths[~void], 1, atol=1e-3)


# Several builders


@pytest.mark.slow
def test_processes_that_start_together_decode_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    barrier, results = context.Barrier(3), context.Queue()
    arguments = (tmp_path / "cache", tmp_path / "log", barrier, results)
    processes = [context.Process(target=open_in_process, args=arguments) for _ in range(3)]
    for process in processes:
        process.start()
    sums = {results.get(timeout=60) for _ in processes}
    for process in processes:
        process.join()
    assert sums == {int(sum(MemoryDataset()[i].image.sum() for i in range(7)))}
    assert (tmp_path / "log").stat().st_size == 7
    assert len(list((tmp_path / "cache").iterdir())) == 1


def test_threads_agree_without_file_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "locked", lambda file, wait: nullcontext(False))
    with ThreadPoolExecutor(4) as pool:
        opened = list(pool.map(lambda _: open_cache(MemoryDataset(), SIZE, tmp_path), range(8)))
    for cached in opened:
        assert_holds(cached, MemoryDataset())
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.slow
def test_a_killed_builder_leaves_no_lock_and_its_rubbish_is_removed(tmp_path: Path) -> None:
    process = multiprocessing.get_context("spawn").Process(target=open_never_ending, args=(tmp_path,))
    process.start()
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob(".*/*/image.npy")):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert list(tmp_path.glob(".*"))
    cached = open_cache(MemoryDataset(), SIZE, tmp_path)
    assert_holds(cached, MemoryDataset())
    assert list(tmp_path.iterdir()) == [cached.folder]


# Trouble


def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writes = []

    def write(stream: object, array: object) -> None:
        writes.append(array)
        if len(writes) > 9:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(cache, "_write", write)
    with pytest.raises(EdnasError, match="No space left on device") as caught:
        open_cache(MemoryDataset(), SIZE, tmp_path)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_too_small_a_disk_is_refused_before_decoding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache.shutil, "disk_usage", lambda path: SimpleNamespace(free=1000))
    with pytest.raises(EdnasError, match=r"need 0 MB and 0 MB are free; .* EDNAS_CACHE"):
        open_cache(MemoryDataset(log=tmp_path / "log"), SIZE, tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []
    assert not (tmp_path / "log").exists()


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EdnasError, match="set EDNAS_CACHE"):
        open_cache(MemoryDataset(), SIZE, tmp_path / "file" / "cache")


def _truncate(folder: Path) -> None:
    os.truncate(folder / "image.npy", 500)


def _flip_a_byte(folder: Path) -> None:
    data = bytearray((folder / "targets" / "depth.npy").read_bytes())
    data[len(data) // 2] ^= 255
    (folder / "targets" / "depth.npy").write_bytes(data)


def _zero(folder: Path) -> None:
    size = (folder / "targets" / "normals.npy").stat().st_size
    (folder / "targets" / "normals.npy").write_bytes(bytes(size))


def _break_json(folder: Path) -> None:
    (folder / "info.json").write_text((folder / "info.json").read_text()[:100])


def _another_json(folder: Path) -> None:
    (folder / "info.json").write_text("[1, 2]")


def _without_arrays(folder: Path) -> None:
    content = json.loads((folder / "info.json").read_text())
    (folder / "info.json").write_text(json.dumps({**content, "arrays": {}}))


def _another_version(folder: Path) -> None:
    content = json.loads((folder / "info.json").read_text())
    (folder / "info.json").write_text(json.dumps({**content, "version": 0}))


def _lose_a_file(folder: Path) -> None:
    (folder / "targets" / "segmentation.npy").unlink()


def _lose_info(folder: Path) -> None:
    (folder / "info.json").unlink()


@pytest.mark.parametrize(
    "damage",
    [
        _truncate,
        _flip_a_byte,
        _zero,
        _break_json,
        _another_json,
        _without_arrays,
        _another_version,
        _lose_a_file,
        _lose_info,
    ],
)
def test_a_damaged_cache_is_an_error_to_load_and_is_built_again_when_opened(damage: object, tmp_path: Path) -> None:
    folder = open_cache(MemoryDataset(), SIZE, tmp_path).folder
    damage(folder)  # type: ignore[operator]
    with pytest.raises(DataError) as caught:
        load_cache(folder)
    assert "\n" not in str(caught.value)
    assert str(folder) in str(caught.value)
    assert_holds(open_cache(MemoryDataset(), SIZE, tmp_path), MemoryDataset())
    assert list(tmp_path.iterdir()) == [folder]


class Broken(MemoryDataset):
    def __init__(self, change: object) -> None:
        super().__init__()
        self.change = change

    def __getitem__(self, index: int) -> Sample:
        sample = super().__getitem__(index)
        return self.change(sample) if index == 4 else sample  # type: ignore[operator]


def _raise(error: Exception) -> Sample:
    raise error


def _with(name: str, array: np.ndarray) -> object:
    return lambda sample: replace(sample, targets={**sample.targets, name: array})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: _raise(DataError("image/00004.png: truncated")), "image/00004.png: truncated"),
        (lambda s: _raise(OSError(errno.EIO, "Input/output error")), "image/00004.png: cannot be read"),
        (lambda s: replace(s, image=s.image[..., 0]), r"image/00004.png: the image is uint8 \(12, 20\)"),
        (lambda s: replace(s, targets={}), "image/00004.png: target segmentation is missing"),
        (_with("depth", np.ones((3, 4), np.float32)), "image/00004.png: target depth has shape"),
        (_with("segmentation", np.ones(SIZE, np.int64)), "image/00004.png: target segmentation is int64"),
        (_with("segmentation", np.full(SIZE, 5, np.uint8)), "image/00004.png: target segmentation has label 5"),
        (_with("depth", np.full(SIZE, np.nan)), "image/00004.png: target depth has values that are not finite"),
        (_with("depth", np.full(SIZE, -1.0)), "image/00004.png: target depth has negative values"),
    ],
)
def test_a_bad_sample_is_named_and_nothing_is_left(change: object, message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        open_cache(Broken(change), SIZE, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_nonsense_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="split train has no samples"):
        open_cache(MemoryDataset(0), SIZE, tmp_path)
    with pytest.raises(ConfigError, match="input size 0x20"):
        open_cache(MemoryDataset(), (0, 20), tmp_path)
    for name in ("../depth", "image", ""):
        dataset = MemoryDataset()
        dataset.info = DatasetInfo("memory", "test", {**TARGETS, name: TargetInfo("distance")})
        with pytest.raises(DataError, match="a target cannot be called"):
            open_cache(dataset, SIZE, tmp_path)
    assert list(tmp_path.iterdir()) == []
