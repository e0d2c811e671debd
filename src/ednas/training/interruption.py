"""Ctrl-C and SIGTERM that wait for the end of a step."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any


class Interruption:
    """Notes SIGINT and SIGTERM instead of letting them cut a step in half.

    A second signal interrupts at once. Outside the main thread, where Python delivers no signals, this does nothing.

    Attributes:
        requested: Whether a signal came.
    """

    def __init__(self) -> None:
        self.requested = False
        self._signal = signal.SIGINT
        self._previous: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Interruption:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._previous[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._restore()

    def act(self) -> None:
        """End the program as the signal asked for.

        Raises:
            KeyboardInterrupt: It was SIGINT.
            SystemExit: It was SIGTERM.
        """
        self._restore()
        if self._signal == signal.SIGTERM:
            raise SystemExit(128 + signal.SIGTERM)
        raise KeyboardInterrupt

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self._signal = signal.Signals(number)
        if self.requested:
            self.act()
        self.requested = True

    def _restore(self) -> None:
        while self._previous:
            number, handler = self._previous.popitem()
            # None: the handler was installed by C code, which Python cannot put back.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
