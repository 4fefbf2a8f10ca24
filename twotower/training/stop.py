"""Ctrl-C and SIGTERM while a run trains: it stops between two steps, where all of it can be saved.

steps, files being written   the first signal is remembered, and obeyed by the next `check`
evaluation                   changes nothing, so the first signal stops it at once
a second signal              stops at once, wherever the run is

Within a sweep SIGTERM means that the run is not worth its time: it stops in the same way, for good.
"""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stop:
    """Handles the signals while it is entered; those that were there before come back afterwards."""

    def __init__(self, *, in_sweep: bool = False) -> None:
        self.in_sweep = in_sweep
        """Whether SIGTERM ends the run, as W&B's agent and our own sweeps mean it, instead of pausing it."""
        self.asked = ""
        """Name of the signal that came, empty if none did."""
        self.clean = False
        """Whether the run stopped where its state is whole."""
        self.again = False
        """Whether a second signal wanted it to stop wherever it was."""
        self._at_once = False
        self._before: dict[int, signal.Handlers] = {}

    def __enter__(self) -> "Stop":
        if threading.current_thread() is threading.main_thread():  # no other may set handlers
            self._before = {number: signal.signal(number, self._handle) for number in SIGNALS}  # type: ignore[misc]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler or signal.SIG_DFL)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.again, self.asked = bool(self.asked), signal.Signals(number).name
        if self._at_once or self.again:
            self.clean = self.clean or (self._at_once and not self.again)
            raise KeyboardInterrupt(self.asked)

    def check(self, asked: bool | None = None) -> None:
        """Raises KeyboardInterrupt if a signal came; `asked` is what all processes know together."""
        if asked or (asked is None and self.asked):
            self.clean = True
            raise KeyboardInterrupt(self.asked or "SIGTERM")

    @property
    def for_good(self) -> bool:
        """Whether the run stopped because its sweep has seen enough of it, and not to be continued."""
        return self.in_sweep and self.clean and not self.again and self.asked in ("", "SIGTERM")

    @contextmanager
    def at_once(self, wanted: bool = True) -> Iterator[None]:
        """Within, a signal need not wait, for what runs there changes nothing; unless not `wanted`."""
        if not wanted:
            yield
            return
        self.check()
        self._at_once = True
        try:
            yield
        finally:
            self._at_once = False
