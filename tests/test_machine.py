import os
from collections.abc import Iterator

import pytest
import torch

from twotower.config import Device
from twotower.training import machine


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    """Threads, determinism and environment as they were."""
    threads, strict = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    before = dict(os.environ)
    yield
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(strict)
    os.environ.clear()
    os.environ.update(before)


def test_the_seed_decides_what_torch_draws() -> None:
    machine.settle(3, 0)
    first = torch.rand(4)
    machine.settle(3, 0)
    assert torch.equal(torch.rand(4), first)
    machine.settle(4, 0)
    assert not torch.equal(torch.rand(4), first)


def test_algorithms_are_deterministic() -> None:
    torch.use_deterministic_algorithms(False)
    machine.settle(0, 0)
    assert torch.are_deterministic_algorithms_enabled()


def test_threads_are_set_where_they_are_said() -> None:
    torch.set_num_threads(2)
    machine.settle(0, 0)
    assert torch.get_num_threads() == 2
    machine.settle(0, 1)
    assert torch.get_num_threads() == 1


@pytest.mark.parametrize(
    ("cuda", "mps", "chosen"), [(True, True, "cuda"), (False, True, "mps"), (False, False, "cpu")]
)
def test_auto_takes_the_fastest_there_is(
    cuda: bool, mps: bool, chosen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    assert machine.device_of(Device.auto) == torch.device(chosen)
    assert machine.device_of(Device.cpu) == torch.device("cpu")


def test_a_device_that_the_machine_lacks_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(ValueError, match="device: got cuda, this machine has cpu"):
        machine.device_of(Device.cuda)
