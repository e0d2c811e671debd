"""The store: what is written is read again, whatever happens in between, and wrong files are refused."""

from __future__ import annotations

import json
import random
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from helpers.profiles import examples
from helpers.searches import space
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from ednas.arch import load_architecture
from ednas.exceptions import EdnasError, StudyError
from ednas.search.controllers import Proposal
from ednas.search.schema import SCHEMA_VERSION
from ednas.search.study import Study, StudyReader, is_written
from ednas.search.trial import Trial, TrialState

IDENTITY: dict[str, Any] = {"space": "abc", "config": {"seed": 0, "controller": {"name": "evolution"}}}
BASE = load_architecture("base")
COST = {"latency_ms": 5.5, "macs": 1e9}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run" / "study.db"


def add(study: Study, *genes: int, asked_after: int = 0, **options: Any) -> Trial:
    return study.add(Proposal(genes), BASE, COST, asked_after=asked_after, **options)


def openers(path: Path) -> list[Callable[[], StudyReader]]:
    """Return both ways to open a study."""
    return [lambda: StudyReader(path), lambda: Study(path, IDENTITY, resume=True)]


def test_a_trial_is_read_as_it_was_written(path: Path) -> None:
    with Study(path, IDENTITY) as study:
        first = study.add(Proposal((1, 2, 3), parent=None), BASE, COST, asked_after=0)
        second = study.add(Proposal((1, 2, 4), parent=0), BASE, COST, asked_after=0)
        metrics = {"depth": {"rel_err": 0.1 + 0.2, "abs_err": float("inf")}}
        done = study.finish(second, TrialState.DONE, metrics=metrics, accuracy=0.1, reward=1 / 3, seconds=2.5)
        pruned = add(study, 7, asked_after=1, state=TrialState.PRUNED, error="too slow")
        assert [first, done, pruned] == study.trials()
    with StudyReader(path) as reader:
        assert reader.trials() == [first, done, pruned]
        assert reader.trials(TrialState.DONE) == [done]
        assert reader.trials(TrialState.RUNNING, TrialState.PRUNED) == [first, pruned]
        assert reader.counts() == {
            TrialState.RUNNING: 1, TrialState.DONE: 1, TrialState.FAILED: 0, TrialState.PRUNED: 1
        }  # fmt: skip
        assert reader.identity == IDENTITY
    assert (done.number, done.done_order, done.parent, done.metrics) == (1, 0, 0, metrics)
    assert (pruned.number, pruned.done_order, pruned.error) == (2, 1, "too slow")
    assert first.architecture == BASE.to_text()
    assert first.fingerprint == BASE.fingerprint()


def test_a_genotype_is_stored_once_unless_it_failed(path: Path) -> None:
    with Study(path, IDENTITY) as study:
        trial = add(study, 1, 2)
        with pytest.raises(StudyError, match="rules"):
            add(study, 1, 2)
        study.finish(trial, TrialState.FAILED, error="no")
        add(study, 1, 2)
        assert [t.number for t in study.trials()] == [0, 1]


def test_a_trial_ends_once_and_only_with_a_sensible_result(path: Path) -> None:
    with Study(path, IDENTITY) as study:
        trial = add(study, 1)
        for state, reward in ((TrialState.DONE, None), (TrialState.DONE, float("nan")), (TrialState.RUNNING, None)):
            with pytest.raises(StudyError, match="cannot end as"):
                study.finish(trial, state, reward=reward)
        study.finish(trial, TrialState.DONE, accuracy=1.0, reward=1.0)
        with pytest.raises(StudyError, match="not running"):
            study.finish(trial, TrialState.FAILED)
        assert study.trials()[0].reward == 1.0


def test_an_existing_study_is_not_overwritten(path: Path) -> None:
    with Study(path, IDENTITY) as study:
        add(study, 1)
    with pytest.raises(StudyError, match="holds a search already; resume it"):
        Study(path, IDENTITY)


def test_a_search_that_failed_before_its_first_trial_may_begin_otherwise(path: Path) -> None:
    Study(path, IDENTITY).close()
    other = {**IDENTITY, "space": "xyz"}
    with Study(path, other) as study:
        add(study, 1)
    with Study(path, other, resume=True) as study:
        assert study.identity == other
        assert len(study.trials()) == 1


def test_resuming_where_nothing_is_begins(path: Path) -> None:
    with Study(path, IDENTITY, resume=True) as study:
        assert study.trials() == []


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({**IDENTITY, "space": "xyz"}, '\'space\' was "abc", is "xyz"'),
        ({"space": "abc", "config": {"seed": 1, "controller": {"name": "evolution"}}}, "'config.seed' was 0, is 1"),
        ({"space": "abc", "config": {"seed": 0, "controller": {"name": "random"}}}, "'config.controller.name' was"),
        ({"space": "abc"}, "'config' was"),
        ({**IDENTITY, "more": 1}, "'more' was null, is 1"),
    ],
)
def test_another_search_is_not_resumed(path: Path, changed: dict[str, Any], message: str) -> None:
    Study(path, IDENTITY).close()
    with pytest.raises(StudyError, match="belongs to another search") as error:
        Study(path, changed, resume=True)
    assert message in str(error.value)
    Study(path, IDENTITY, resume=True).close()


class TestWrongFiles:
    @pytest.mark.parametrize(
        "content", [b"hello, this is a text file, and it is long enough " * 40, b"SQLite format 3\0"]
    )
    def test_no_database(self, tmp_path: Path, content: bytes) -> None:
        path = tmp_path / "study.db"
        path.write_bytes(content)
        with pytest.raises(StudyError):
            StudyReader(path)
        with pytest.raises(StudyError):
            Study(path, IDENTITY, resume=True)
        assert path.read_bytes() == content

    def test_somebody_elses_database(self, tmp_path: Path) -> None:
        path = tmp_path / "study.db"
        with sqlite3.connect(path) as connection:
            connection.execute("CREATE TABLE trials (number)")
        connection.close()
        before = path.read_bytes()
        for make in openers(path):
            with pytest.raises(StudyError, match="not a study of ednas"):
                make()
        assert path.read_bytes() == before

    def test_another_version(self, path: Path) -> None:
        Study(path, IDENTITY).close()
        with sqlite3.connect(path) as connection:
            connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
        connection.close()
        with pytest.raises(StudyError, match=f"version {SCHEMA_VERSION + 1}"):
            Study(path, IDENTITY, resume=True)

    def test_missing(self, path: Path) -> None:
        with pytest.raises(StudyError, match="no such study"):
            StudyReader(path)

    def test_a_folder(self, tmp_path: Path) -> None:
        with pytest.raises(EdnasError):
            Study(tmp_path, IDENTITY)

    def test_a_folder_that_cannot_be_made(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(EdnasError, match="cannot make the folder"):
            Study(tmp_path / "file" / "study.db", IDENTITY)

    @pytest.mark.slow
    @pytest.mark.parametrize("seed", range(20))
    def test_damaged_files_give_one_clear_error_or_the_right_trials(self, path: Path, seed: int) -> None:
        with Study(path, IDENTITY) as study:
            for number in range(40):
                add(study, number, 1, 2, 3)
            expected = study.trials()
        content = bytearray(path.read_bytes())
        rng = random.Random(seed)
        if seed % 2:
            del content[rng.randrange(200, len(content)) :]
        else:
            start = rng.randrange(100, len(content) - 600)
            content[start : start + 600] = rng.randbytes(600)
        path.write_bytes(content)
        messages: list[str] = []
        for make in openers(path):
            try:
                with make() as damaged:
                    found = damaged.trials()
            except EdnasError as error:
                messages.append(str(error))
            else:
                assert found == expected  # the damage hit bytes that nothing uses
        assert not any("\n" in message for message in messages)

    def test_a_row_that_cannot_be_read(self, path: Path) -> None:
        with Study(path, IDENTITY) as study:
            add(study, 1)
        with sqlite3.connect(path) as connection:
            connection.execute("UPDATE trials SET cost = '{'")
        connection.close()
        with StudyReader(path) as reader, pytest.raises(StudyError, match="a row cannot be read"):
            reader.trials()

    @pytest.mark.parametrize(
        ("assignment", "message"),
        [
            ("cost = '{}'", "latency_ms is missing"),
            ("cost = '{\"latency_ms\": [1]}'", "trial 0, cost.latency_ms: .*number"),
            ("cost = '{\"latency_ms\": NaN}'", "not finite"),
            ('metrics = \'{"depth": {"rel_err": {}}}\'', "trial 0, metrics.depth.rel_err: .*number"),
            ("metrics = '" + "[" * 100_000 + "'", "recursion"),
            ("genes = '{\"a\": 1}'", "trial 0, genes"),
            ("genes = '[0.5]'", "trial 0, genes.0: .*integer"),
            ("accuracy = 'good'", "trial 0, accuracy: .*number"),
            ("accuracy = NULL", "without a finite accuracy"),
            ("reward = 9e999", "without a finite accuracy"),
            ("seconds = x'00'", "trial 0, seconds"),
            ("error = 5.5; UPDATE trials SET parent = 'a'", "trial 0, parent: .*integer"),
        ],
    )
    def test_values_that_no_search_writes(self, path: Path, assignment: str, message: str) -> None:
        with Study(path, IDENTITY) as study:
            study.finish(add(study, 1), TrialState.DONE, accuracy=0.0, reward=0.0)
        with sqlite3.connect(path) as connection:
            connection.executescript(f"UPDATE trials SET {assignment}")
        connection.close()
        for make in openers(path):
            with make() as study, pytest.raises(StudyError, match=message) as caught:
                study.trials()
            assert "\n" not in str(caught.value)

    @pytest.mark.parametrize(
        "statement",
        [
            "CREATE TRIGGER t BEFORE INSERT ON trials BEGIN DELETE FROM trials; END",
            "CREATE VIEW v AS SELECT 1",
            "DROP TABLE identity; CREATE VIEW identity(value) AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i "
            "FROM n) SELECT i FROM n",
            "ALTER TABLE trials ADD COLUMN more",
        ],
        ids=["trigger", "view", "endless view", "column"],
    )
    def test_a_database_with_more_in_it(self, path: Path, statement: str) -> None:
        Study(path, IDENTITY).close()
        with sqlite3.connect(path) as connection:
            connection.executescript(statement)
        connection.close()
        for make in openers(path):
            with pytest.raises(StudyError, match="that no study has"):
                make()


def test_a_full_disk_loses_nothing_and_the_search_goes_on_when_there_is_space(path: Path) -> None:
    study = Study(path, IDENTITY)
    pages = study._connection.execute("PRAGMA page_count").fetchone()[0]
    study._connection.execute(f"PRAGMA max_page_count = {pages + 3}")
    stored: list[Trial] = []

    def add_many() -> None:
        while len(stored) < 200:
            stored.append(add(study, len(stored)))

    with pytest.raises(EdnasError, match="the disk is full") as error:
        add_many()
    assert not isinstance(error.value, StudyError)
    assert study.trials() == stored
    study.close()
    with Study(path, IDENTITY, resume=True) as study:
        assert study.trials() == stored
        stored.append(add(study, 1000))
        assert study.trials() == stored


def test_only_one_writer_and_any_number_of_readers(path: Path) -> None:
    with Study(path, IDENTITY) as study:
        with pytest.raises(StudyError, match="another process is writing"):
            Study(path, IDENTITY, resume=True)
        readers = [StudyReader(path) for _ in range(3)]
        assert is_written(path)
        trial = add(study, 1)
        assert all(reader.trials() == [trial] for reader in readers)
        code = (
            "import sys, json; from ednas.search.study import Study, StudyReader; path, identity = sys.argv[1:]\n"
            "print(len(StudyReader(path).trials()))\n"
            "Study(path, json.loads(identity), resume=True)"
        )
        other = subprocess.run(
            [sys.executable, "-c", code, str(path), json.dumps(IDENTITY)], capture_output=True, text=True, check=False
        )
        assert other.stdout == "1\n"
        assert "another process is writing to this study" in other.stderr.splitlines()[-1]
        finished = study.finish(trial, TrialState.FAILED)
        assert all(reader.trials() == [finished] for reader in readers)
    assert not is_written(path)
    for reader in readers:
        assert reader.trials() == [finished]
        reader.close()
    Study(path, IDENTITY, resume=True).close()


def test_a_closed_study_is_one_plain_file(path: Path) -> None:
    with Study(path, IDENTITY) as study:
        add(study, 1)
    assert {file.name for file in path.parent.iterdir()} == {"study.db"}
    copy = path.with_name("copy.db")
    copy.write_bytes(path.read_bytes())
    with StudyReader(copy) as reader:
        assert len(reader.trials()) == 1


class StoreMachine(RuleBasedStateMachine):
    """Random interleavings of adding, finishing, closing, crashing and reading, against a list in memory."""

    @initialize()
    def begin(self) -> None:
        import tempfile

        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "study.db"
        self.study = Study(self.path, IDENTITY)
        self.model: list[Trial] = []
        self.finished = 0

    @rule(gene=st.integers(0, 30), state=st.sampled_from([TrialState.RUNNING, TrialState.PRUNED, TrialState.FAILED]))
    def add(self, gene: int, state: TrialState) -> None:
        taken = any(t.genes == (gene,) and t.state is not TrialState.FAILED for t in self.model)
        if taken and state is not TrialState.FAILED:
            with pytest.raises(StudyError):
                add(self.study, gene, state=state)
            return
        trial = add(self.study, gene, asked_after=self.finished, state=state)
        assert trial.number == len(self.model)
        if state is not TrialState.RUNNING:
            assert trial.done_order == self.finished
            self.finished += 1
        self.model.append(trial)

    @precondition(lambda self: any(t.state is TrialState.RUNNING for t in self.model))
    @rule(data=st.data(), reward=st.none() | st.floats(allow_nan=False, allow_infinity=False))
    def finish(self, data: st.DataObject, reward: float | None) -> None:
        trial = data.draw(st.sampled_from([t for t in self.model if t.state is TrialState.RUNNING]))
        state = TrialState.FAILED if reward is None else TrialState.DONE
        ended = self.study.finish(trial, state, accuracy=reward, reward=reward, metrics={"t": {"m": 1.0}}, seconds=1.0)
        assert ended.done_order == self.finished
        self.finished += 1
        self.model[trial.number] = ended

    @rule()
    def reopen(self) -> None:
        self.study.close()
        self.study = Study(self.path, IDENTITY, resume=True)

    @rule()
    def crash(self) -> None:
        """What a killed process leaves: the file and its log, and no lock."""
        copy = self.path.with_name(f"copy{random.randrange(10**9)}.db")
        for suffix in ("", "-wal"):
            source = self.path.with_name(self.path.name + suffix)
            if source.exists():
                copy.with_name(copy.name + suffix).write_bytes(source.read_bytes())
        self.study.close()
        self.path = copy
        self.study = Study(self.path, IDENTITY, resume=True)

    @invariant()
    def everybody_sees_every_trial(self) -> None:
        if hasattr(self, "study"):
            assert self.study.trials() == self.model
            with StudyReader(self.path) as reader:
                assert reader.trials() == self.model
            orders = [t.done_order for t in self.model if t.done_order is not None]
            assert sorted(orders) == list(range(self.finished))

    def teardown(self) -> None:
        if hasattr(self, "study"):
            self.study.close()
            self.folder.cleanup()


TestStore = StoreMachine.TestCase
TestStore.settings = settings(max_examples=examples(15), stateful_step_count=20)


def test_the_store_keeps_the_genes_of_the_papers_space(path: Path) -> None:
    whole = space()
    genes = tuple(len(decision.candidates) - 1 for decision in whole.decisions)
    architecture = whole.decode(genes)
    with Study(path, IDENTITY) as study:
        study.add(Proposal(genes), architecture, COST, asked_after=0)
        (trial,) = study.trials()
    assert trial.genes == genes
    assert whole.decode(trial.genes).fingerprint() == trial.fingerprint
