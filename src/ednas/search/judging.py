"""Having networks judged: where that is done, by what, and what is known before it begins."""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

from ednas.exceptions import EdnasError
from ednas.runs import RunFolder
from ednas.search.bank import Bank, BankedExecutor, training_context
from ednas.search.beginning import Begun, find_start
from ednas.search.evaluators.base import Evaluation, Evaluator
from ednas.search.evaluators.proxy import MODULES, ProxyEvaluator
from ednas.search.evaluators.setting import Setting
from ednas.search.evaluators.supernet import SupernetEvaluator
from ednas.search.executors import Attempts, Executor, InlineExecutor, Job, ProcessExecutor, RayExecutor
from ednas.search.progress import SearchCallback

if TYPE_CHECKING:
    from ednas.search.config import SearchConfig

_log = logging.getLogger(__name__)


def make_executor(config: SearchConfig, evaluator: Evaluator) -> Executor:
    """Return where the configuration has networks judged, by an evaluator."""
    if config.executor == "inline":
        return InlineExecutor(evaluator)
    threads, timeout_s = config.threads, config.timeout_s
    if config.executor == "process":
        return ProcessExecutor(
            evaluator, workers=config.workers or 1, threads=threads, timeout_s=timeout_s, preload=MODULES
        )
    return RayExecutor(
        evaluator,
        address=config.ray_address,
        workers=config.workers,
        threads=threads,
        gpus=config.gpus_per_trial,
        timeout_s=timeout_s,
        preload=MODULES,
    )


def make_judge(config: SearchConfig, begun: Begun, evaluator: Evaluator) -> Executor:
    """Return what has candidates judged; what a supernet said of one for another search is not asked again."""
    executor = make_executor(config, evaluator)
    if not isinstance(evaluator, SupernetEvaluator):
        return executor
    context = training_context(evaluator.config, begun.train.digest, begun.model.input_size)
    own = {"by": evaluator.identity(), "calibration": evaluator.calibration, **context}
    return BankedExecutor(executor, Bank(evaluator.folder / "scores.jsonl"), own)


def make_trainer(config: SearchConfig, begun: Begun, folder: RunFolder) -> Executor:
    """Return what trains networks as the search does, unless the bank knows what would come of it."""
    training = config.train_config(begun.space.base)
    digest = begun.train.digest
    return BankedExecutor(
        make_executor(config, ProxyEvaluator(training, config.device, digest)),
        Bank(config.bank or folder.bank),
        training_context(training, digest, begun.model.input_size),
    )


def make_setting(config: SearchConfig, begun: Begun, folder: RunFolder, callbacks: Sequence[SearchCallback]) -> Setting:
    """Return what evaluators are made from."""
    training, seed = config.train_config(begun.space.base), config.training.seed
    context = training_context(training, begun.train.digest, begun.model.input_size)

    def train(networks: Sequence[str], what: str) -> Mapping[str, Evaluation]:
        return judge_all(make_trainer(config, begun, folder), networks, seed, what, callbacks)

    def judge(scorer: Evaluator, networks: Sequence[str], what: str) -> Mapping[str, Evaluation]:
        executor = make_judge(config, begun, scorer)
        if not isinstance(executor, BankedExecutor):
            scores = Bank(folder.evaluator / "scores.jsonl")
            executor = BankedExecutor(executor, scores, {"by": type(scorer).__name__, **context})
        return judge_all(executor, networks, seed, what, callbacks)

    return Setting(
        training=training,
        space=begun.space,
        cost=begun.cost,
        objective=begun.objective,
        initial=(find_start(begun.space, begun.cost, begun.objective), *begun.initial),
        digest=begun.train.digest,
        input_size=begun.model.input_size,
        device=config.device,
        folder=folder.evaluator,
        train=train,
        judge=judge,
        callbacks=callbacks,
    )


def judge_all(
    executor: Executor, networks: Sequence[str], seed: int, what: str, callbacks: Sequence[SearchCallback] = ()
) -> dict[str, Evaluation]:
    """Judge networks, as many at a time as the executor takes.

    Args:
        executor: Evaluates; it is closed in the end.
        networks: Text forms.
        seed: Of every evaluation.
        what: What is done, for people.
        callbacks: Told how many are done.

    Returns:
        The evaluations by text form; those of networks that fail are missing, and it is said why.

    Raises:
        EdnasError: Data or disk fail, or a worker is killed again and again, which is no network's fault.
    """
    waiting = list(enumerate(dict.fromkeys(networks)))
    running: dict[int, str] = {}
    found: dict[str, Evaluation] = {}
    total, done, began = len(waiting), 0, time.monotonic()
    with Attempts(executor) as attempts:
        while waiting or running:
            while waiting and len(running) < attempts.workers:
                number, text = waiting.pop(0)
                running[number] = text
                attempts.submit(Job(number, text, seed))
            outcome = attempts.wait()
            text = running.pop(outcome.number)
            if outcome.evaluation is not None:
                found[text] = outcome.evaluation
            elif outcome.fault == "candidate":
                _log.warning("%s: %s failed and is left out: %s", what, text, outcome.error)
            else:
                raise EdnasError(f"{what}: {outcome.error}; put that right and go on: what was done is kept")
            done += 1
            left = (time.monotonic() - began) / done * (total - done)
            for callback in callbacks:
                callback.on_preparation(what, done, total, left)
    return found


@contextmanager
def ended_by_sigterm() -> Iterator[None]:
    """Let SIGTERM, by which schedulers end a job, unwind the search as Ctrl-C does, instead of ending it at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    ended = False

    def end(number: int, _frame: FrameType | None) -> None:
        nonlocal ended
        ended = True
        raise SystemExit(128 + number)

    previous = signal.signal(signal.SIGTERM, end)
    try:
        yield
    except SystemExit as error:
        if ended:  # Ray, where it waits, puts an exit code of its own in the place of any
            error.code = 128 + signal.SIGTERM
        raise
    finally:
        signal.signal(signal.SIGTERM, previous or signal.SIG_DFL)
