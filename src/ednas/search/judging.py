"""Having many networks judged, outside of a search's trials."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

from ednas.exceptions import EdnasError
from ednas.search.evaluators.base import Evaluation
from ednas.search.executors import Attempts, Executor, Job
from ednas.search.progress import SearchCallback

_log = logging.getLogger(__name__)


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
