import os
from collections.abc import Iterator

import pytest
import torch

from twotower.config import Device, Precision
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


@pytest.mark.parametrize(
    ("precision", "device", "have"),
    [
        ("tf32", "cpu", "fp32 or bf16 on cpu"),
        ("fp16", "cpu", "fp32 or bf16 on cpu"),
        ("bf16", "mps", "fp32 on mps"),
        ("fp16", "mps", "fp32 on mps"),
    ],
)
def test_numbers_that_a_device_lacks_are_refused(precision: str, device: str, have: str) -> None:
    with pytest.raises(ValueError, match=f"precision: got {precision}, want {have}"):
        machine.check(Precision(precision), torch.device(device), compiles=False)


def test_old_cuda_devices_have_no_tf32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (7, 5))
    with pytest.raises(ValueError, match="precision: got tf32, want fp32 or fp16 on cuda"):
        machine.check(Precision.tf32, torch.device("cuda"), compiles=False)
    machine.check(Precision.fp16, torch.device("cuda"), compiles=False)


def test_tf32_is_used_where_it_is_asked_for_alone() -> None:
    seen = []
    for precision in (Precision.tf32, Precision.fp32):
        assert machine.set_precision(precision) is None
        seen.append((torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32))
    assert seen == [("high", True), ("highest", False)]


def test_the_towers_are_cast_for_16_bits_alone() -> None:
    casts = [machine.set_precision(precision) for precision in Precision]
    assert casts == [None, None, torch.bfloat16, torch.float16]
    machine.set_precision(Precision.fp32)


def test_without_a_compiler_the_knob_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(function: object) -> object:
        def run(*inputs: object) -> None:
            raise RuntimeError("no compiler\nand much more")

        return run

    monkeypatch.setattr(torch, "compile", fail)
    with pytest.raises(ValueError, match=r"got true, want false on this machine's cpu: no compiler$"):
        machine.check(Precision.fp32, torch.device("cpu"), compiles=True)
