"""The device, its determinism, its threads."""

import os

import torch

from twotower.config import Device


def settle(seed: int, threads: int) -> None:
    """One seed decides the run; algorithms are deterministic on every device."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS is deterministic only so
    torch.use_deterministic_algorithms(True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # nothing reads it
    torch.manual_seed(seed)
    if threads:
        torch.set_num_threads(threads)


def device_of(device: Device) -> torch.device:
    """The device a knob means; raises ValueError for one that this machine lacks."""
    has = {
        Device.cuda: torch.cuda.is_available(),
        Device.mps: torch.backends.mps.is_available(),
        Device.cpu: True,
    }
    if device is Device.auto:
        device = next(kind for kind, there in has.items() if there)
    if not has[device]:
        raise ValueError(
            f"device: got {device}, this machine has {', '.join(kind for kind in has if has[kind])}"
        )
    return torch.device(device.value)
