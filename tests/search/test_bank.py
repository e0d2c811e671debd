"""The bank: what is in it is not trained again, whatever happens to those who write to it."""

from __future__ import annotations

import multiprocessing

import pytest
from helpers.anchors import CONTEXT, add_anchors, anchor
from helpers.small_searches import small_search
from helpers.small_training import small_architecture

from ednas.arch import Architecture
from ednas.exceptions import EdnasError, StudyError
from ednas.search.bank import Bank, BankedExecutor, anchor_key, merge_banks, training_context
from ednas.search.evaluators import Evaluation
from ednas.search.executors import InlineExecutor, Job


def test_what_is_added_is_read_back(tmp_path):
    bank = Bank(tmp_path / "folder" / "bank.jsonl")
    assert bank.anchors() == []
    assert bank.add([anchor(0), anchor(1)]) == 2
    assert bank.add([anchor(1, miou=1.0), anchor(2)]) == 1  # the first of a kind stays
    assert bank.anchors() == [anchor(0), anchor(1), anchor(2)]
    assert list(bank.anchors()[0].evaluation.tasks) == ["segmentation", "depth"]  # sums depend on the order
    assert bank.anchors({"data": "other"}) == []
    assert bank.anchors(CONTEXT) == bank.anchors()


def test_half_a_line_of_a_killed_writer_is_passed_over_and_replaced(tmp_path):
    bank = Bank(tmp_path / "bank.jsonl")
    bank.add([anchor(0)])
    whole = bank.path.read_bytes()
    for length in (1, len(whole) // 2, len(whole) - 1):
        bank.path.write_bytes(whole + anchor(1).to_json().encode()[:length])
        assert bank.anchors() == [anchor(0)]
        bank.add([anchor(2)])
        assert bank.anchors() == [anchor(0), anchor(2)]


@pytest.mark.parametrize(
    "line",
    [
        "",
        "{}",
        "[1]",
        "no json",
        anchor().to_json().replace("40.0", "NaN"),
        anchor().to_json().replace("40.0", '"a"'),
        anchor().to_json().replace('"step": 1', '"stop": 1'),
        anchor().to_json().replace('"seed": 0', '"seed": null'),
    ],
)
def test_a_damaged_line_is_named_and_nothing_is_written(tmp_path, line):
    bank = Bank(tmp_path / "bank.jsonl")
    content = f"{anchor(0).to_json()}\n{line}\n{anchor(1).to_json()}\n"
    bank.path.write_text(content)
    for action in (bank.anchors, lambda: bank.add([anchor(5)])):
        with pytest.raises(StudyError, match=r"bank.jsonl, line 2: no training of a bank"):
            action()
    assert bank.path.read_text() == content


def test_what_is_no_file_of_text_is_refused(tmp_path):
    path = tmp_path / "bank.jsonl"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(StudyError, match="no bank"):
        Bank(path).anchors()
    with pytest.raises(EdnasError, match="cannot read"):
        Bank(tmp_path).anchors()


def test_a_full_disk_adds_nothing(tmp_path, monkeypatch):
    bank = Bank(tmp_path / "bank.jsonl")
    bank.add([anchor(0)])

    def full(number: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("ednas.search.bank.os.fsync", full)
    with pytest.raises(EdnasError, match="No space left"):
        bank.add([anchor(1)])
    assert bank.path.read_text() == f"{anchor(0).to_json()}\n"


def test_banks_are_merged(tmp_path):
    first, second = Bank(tmp_path / "a.jsonl"), Bank(tmp_path / "b.jsonl")
    first.add([anchor(0), anchor(1)])
    second.add([anchor(1), anchor(2)])
    assert merge_banks(tmp_path / "all.jsonl", [first.path, second.path]) == 3
    assert merge_banks(tmp_path / "all.jsonl", [first.path]) == 0
    with pytest.raises(StudyError, match=r"c.jsonl: no such bank"):
        merge_banks(tmp_path / "other.jsonl", [first.path, tmp_path / "c.jsonl"])
    assert not (tmp_path / "other.jsonl").exists()


@pytest.mark.slow
def test_several_processes_share_a_bank(tmp_path):
    path = tmp_path / "bank.jsonl"
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=add_anchors, args=(path, first)) for first in (0, 10, 20)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert sorted(found.seed for found in Bank(path).anchors()) == list(range(40))


def test_what_decides_a_training_is_in_its_key_and_nothing_else():
    training = small_search().training

    def key(digest: str = "d", size: tuple[int, int] = (32, 64), text: str = "a", seed: int = 0, **changes) -> str:
        recipe = training.recipe.model_copy(update=changes)
        context = training_context(training.model_copy(update={"recipe": recipe}), digest, size)
        return anchor_key(context, text, seed)

    assert key(log_every=7, evaluate_every=1, name="other", checkpoint_every=9) == key()
    others = [
        key("e"),
        key(size=(64, 64)),
        key(text="b"),
        key(seed=1),
        key(steps=99),
        key(learning_rate=0.5),
        key(task_options={"depth": {"loss": "jared"}}),
    ]
    assert len({key(), *others}) == len(others) + 1


class Counting:
    """Judges by the number of filters, and counts."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def evaluate(self, architecture: Architecture, seed: int) -> Evaluation:
        self.asked.append(seed)
        if seed == 7:
            raise ValueError("no luck")
        return Evaluation({"t": {"miou": float(seed)}}, {"miou": True})


def test_what_the_bank_knows_is_not_evaluated_again(tmp_path):
    text = small_architecture().to_text()
    for _ in range(2):
        evaluator = Counting()
        with BankedExecutor(InlineExecutor(evaluator), Bank(tmp_path / "bank.jsonl"), CONTEXT) as executor:
            for number, seed in enumerate([1, 2, 7]):
                executor.submit(Job(number, text, seed))
            outcomes = {outcome.number: outcome for outcome in (executor.wait() for _ in range(3))}
        assert [outcomes[number].evaluation.tasks["t"]["miou"] for number in (0, 1)] == [1.0, 2.0]
        assert outcomes[2].error == "ValueError: no luck"
    assert evaluator.asked == [7]  # failures are no anchors
    assert len(Bank(tmp_path / "bank.jsonl").anchors(CONTEXT)) == 2
    with BankedExecutor(InlineExecutor(Counting()), Bank(tmp_path / "bank.jsonl"), {"data": "x"}) as executor:
        executor.submit(Job(0, text, 1))
        executor.wait()
    assert len(Bank(tmp_path / "bank.jsonl").anchors()) == 3
