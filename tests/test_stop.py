import os
import signal
import threading
from collections.abc import Iterator

import pytest

from twotower.training.stop import SIGNALS, Stop


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    """The handlers that were there come back."""
    before = [signal.getsignal(number) for number in SIGNALS]
    yield
    assert [signal.getsignal(number) for number in SIGNALS] == before


def send(number: signal.Signals) -> None:
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_waits_for_the_next_check(number: signal.Signals) -> None:
    with Stop() as stop:
        stop.check()
        send(number)
        assert (stop.asked, stop.clean) == (number.name, False)
        with pytest.raises(KeyboardInterrupt, match=number.name):
            stop.check()
    assert (stop.clean, stop.again) == (True, False)


@pytest.mark.parametrize("number", SIGNALS)
def test_where_nothing_changes_a_signal_stops_at_once(number: signal.Signals) -> None:
    with Stop() as stop:
        with pytest.raises(KeyboardInterrupt, match=number.name), stop.at_once():
            send(number)
        assert (stop.clean, stop.again) == (True, False)


def test_a_signal_from_before_stops_what_would_begin() -> None:
    with Stop() as stop:
        send(signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt), stop.at_once():
            raise AssertionError("it began")
        assert stop.clean


def test_a_second_signal_stops_at_once_and_not_cleanly() -> None:
    with Stop() as stop:
        send(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            send(signal.SIGINT)
        assert (stop.clean, stop.again) == (False, True)


def test_several_processes_wait_even_where_nothing_changes() -> None:
    with Stop() as stop:
        with stop.at_once(False):
            send(signal.SIGTERM)
        assert stop.asked == "SIGTERM"
        with pytest.raises(KeyboardInterrupt, match="SIGTERM"):
            stop.check()


def test_what_another_process_was_asked_stops_this_one_too() -> None:
    with Stop() as stop, pytest.raises(KeyboardInterrupt, match="SIGTERM"):
        stop.check(True)
    assert stop.clean


def test_a_thread_beside_the_main_one_sets_no_handler() -> None:
    seen = []

    def work() -> None:
        with Stop() as stop:
            seen.append(stop.asked)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [""]


@pytest.mark.parametrize("in_sweep", [True, False])
@pytest.mark.parametrize("number", SIGNALS)
def test_within_a_sweep_sigterm_stops_a_run_for_good(in_sweep: bool, number: signal.Signals) -> None:
    with Stop(in_sweep=in_sweep) as stop:
        send(number)
        with pytest.raises(KeyboardInterrupt):
            stop.check()
    assert stop.for_good == (in_sweep and number == signal.SIGTERM)


def test_a_second_signal_is_no_stop_for_good() -> None:
    with Stop(in_sweep=True) as stop:
        send(signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            send(signal.SIGTERM)
    assert not stop.for_good
