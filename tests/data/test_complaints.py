from __future__ import annotations

import pytest
from helpers.dataset_files import make_folder
from helpers.memory_dataset import MemoryDataset

from ednas.data import complaints
from ednas.data.cache import open_cache
from ednas.data.complaints import complain, group, read_first
from ednas.data.formats import open_dataset
from ednas.exceptions import DataError


def test_complaints_that_differ_in_file_and_numbers_are_one():
    lines = [f"/d/my set/{i}.png: is {i} x 3, but its image /d/rgb/{i}.jpg is 4 x 3" for i in range(9)]
    assert group([*lines, "/d/x.png: no such file", "odd"]) == [
        "9 files (/d/my set/0.png, /d/my set/1.png, /d/my set/2.png and 6 more): is 0 x 3, but its image /d/rgb/0.jpg "
        "is 4 x 3 (the numbers are the first file's)",
        "/d/x.png: no such file",
        "odd",
    ]
    assert group(["a: gone", "b: gone"]) == ["2 files (a, b): gone"]
    assert group([]) == []


@pytest.fixture
def made(tmp_path):
    return make_folder(tmp_path / "data")


def test_training_hears_of_all_files_with_the_fault_of_the_first(made, tmp_path):
    depth = made.path / "pictures" / "train" / "depth"
    (depth / "1.png").unlink()
    with pytest.raises(DataError) as caught:
        open_cache(open_dataset(made.path), (6, 8), tmp_path)
    assert str(caught.value) == f"{depth / '1.png'}: no such file"
    (depth / "2.png").unlink()
    (depth.parent / "label" / "2_ids.png").write_bytes(b"x")
    with pytest.raises(DataError) as caught:
        open_cache(open_dataset(made.path), (6, 8), tmp_path)
    assert str(caught.value) == (
        f"2 files ({depth / '1.png'}, {depth / '2.png'}): no such file; and 1 other fault; 'ednas data check' lists "
        "them all"
    )


def test_the_first_sample_speaks_for_those_after_it(made):
    assert read_first(open_dataset(made.path)).image.shape == (12, 16, 3)
    for i in range(3):
        (made.path / "pictures" / "train" / "depth" / f"{i}.png").unlink()
    with pytest.raises(DataError, match=r"^3 files \(.*\): no such file; 'ednas data check' lists them all"):
        read_first(open_dataset(made.path))


def test_the_search_for_more_faults_ends(made, monkeypatch):
    monkeypatch.setattr(complaints, "_PATIENCE", -1.0)
    for part in ("depth/0.png", "normal/0.png", "depth/1.png"):
        (made.path / "pictures" / "train" / part).unlink()
    error = complain(open_dataset(made.path), DataError("x"), 0)
    assert "(among the first 1 of 3 samples)" in str(error)


def test_data_that_are_no_files_have_one_fault():
    error = DataError("seed 3: odd")
    assert complain(MemoryDataset(3), error, 1) is error
