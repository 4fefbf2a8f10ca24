"""The device, its determinism, its threads, its numbers, its compiler."""

import os

import torch

from twotower.config import Device, Precision

TENSOR_CORES = (8, 0)
"""Compute capability of CUDA devices from which they have tf32 and bf16."""


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


def check(precision: Precision, device: torch.device, *, compiles: bool) -> None:
    """Raises ValueError for a precision that the device lacks, and where `compiles` and no compiler works."""
    have = [Precision.fp32]
    if device.type == "cuda":
        new = torch.cuda.get_device_capability(device) >= TENSOR_CORES
        have += [Precision.fp16, *([Precision.tf32, Precision.bf16] if new else [])]
    elif device.type == "cpu":
        have += [Precision.bf16]
    if precision not in have:
        raise ValueError(f"precision: got {precision}, want {' or '.join(have)} on {device.type}")
    if not compiles:
        return
    try:
        torch.compile(torch.sin)(torch.ones(8, device=device))
    except RuntimeError as error:
        why = str(error).strip().splitlines()[0]
        raise ValueError(f"compile: got true, want false on this machine's {device.type}: {why}") from None


def set_precision(precision: Precision) -> torch.dtype | None:
    """Let CUDA multiply as the knob says; the type that the towers are cast to, if they are."""
    # cuDNN's recurrent layers would use tf32 without being asked
    torch.backends.cudnn.allow_tf32 = precision is Precision.tf32
    torch.set_float32_matmul_precision("high" if precision is Precision.tf32 else "highest")
    return {Precision.bf16: torch.bfloat16, Precision.fp16: torch.float16}.get(precision)
