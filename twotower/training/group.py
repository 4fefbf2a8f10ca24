"""Several processes as one: who I am among them, and what we tell each other.

    torchrun --nproc_per_node=2 -m twotower train ...     sets RANK, WORLD_SIZE and where to meet

Every process draws the same batches and takes its share of each; embeddings and gradients are summed over
all, so that the negatives are those of the whole batch and the weights stay equal. One process, the leader,
evaluates, logs and saves. Gloo carries tensors between CPUs, NCCL between GPUs.

Where a process fails its connections close, and the others, which wait for it, raise ConnectionError.
"""

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

PATIENCE = timedelta(hours=1)
"""How long a process waits for another that is alive: the leader evaluates alone."""


@dataclass(frozen=True)
class Group:
    """One process among `size`, counted from 0; alone by default, where nothing needs telling."""

    rank: int = 0
    size: int = 1
    device: torch.device = torch.device("cpu")

    @property
    def leads(self) -> bool:
        """Whether this process logs, evaluates and saves."""
        return self.rank == 0

    def share(self, count: int) -> slice:
        """The part of `count` rows that is this process's; the parts differ by one row at most.

        >>> [Group(rank, 3).share(7) for rank in range(3)]
        [slice(0, 2, None), slice(2, 4, None), slice(4, 7, None)]
        """
        return slice(count * self.rank // self.size, count * (self.rank + 1) // self.size)

    def gather(self, rows: Tensor, count: int) -> Tensor:
        """All `count` rows from each process's `share` of them, without gradient."""
        if self.size == 1:
            return rows.detach()
        whole = rows.new_zeros(count, *rows.shape[1:])
        whole[self.share(count)] = rows.detach()
        with _talk():
            dist.all_reduce(whole)  # sums with zeros: exact, and shares need not be of one size
        return whole

    def add(self, tensors: Sequence[Tensor]) -> None:
        """Replace each tensor by its sum over the processes, in one message."""
        if self.size == 1 or not tensors:
            return
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        with _talk():
            dist.all_reduce(flat)
        parts = torch.split(flat, [tensor.numel() for tensor in tensors])
        for tensor, part in zip(tensors, parts, strict=True):
            tensor.copy_(part.view_as(tensor))

    def any(self, flag: bool) -> bool:
        """Whether any process says so."""
        if self.size == 1:
            return flag
        said = torch.tensor(int(flag), device=self.device)
        with _talk():
            dist.all_reduce(said, dist.ReduceOp.MAX)
        return bool(said)

    def tell(self, value: Any) -> Any:
        """The leader's `value`, of plain types, on every process; the others' own is not looked at."""
        if self.size == 1:
            return value
        text = json.dumps(value).encode() if self.leads else b""
        length = torch.tensor(len(text), device=self.device)
        self.align([length])
        body = torch.zeros(int(length), dtype=torch.uint8, device=self.device)
        if self.leads:
            body.copy_(torch.frombuffer(bytearray(text), dtype=torch.uint8))
        self.align([body])
        return json.loads(body.cpu().numpy().tobytes())

    def align(self, tensors: Sequence[Tensor]) -> None:
        """The leader's values in every process's tensors."""
        if self.size == 1:
            return
        with _talk():
            for tensor in tensors:
                dist.broadcast(tensor, 0)

    def wait(self) -> None:
        """Until every process is here."""
        if self.size > 1:
            with _talk():
                dist.barrier()

    @contextmanager
    def leader_first(self) -> Iterator[None]:
        """The leader goes through alone, the others after it: it fills the caches that they read."""
        if not self.leads:
            self.wait()
        yield
        if self.leads:
            self.wait()


@contextmanager
def _talk() -> Iterator[None]:
    """Raises ConnectionError where another process has left or does not answer."""
    try:
        yield
    except RuntimeError as error:
        raise ConnectionError(f"another process of this run is gone: {str(error).splitlines()[0]}") from None


def processes() -> int:
    """How many there are, as torchrun's environment says."""
    return int(os.environ.get("WORLD_SIZE", "1"))


@contextmanager
def joined(device: torch.device) -> Iterator[Group]:
    """The group that torchrun started, left at the end; alone without torchrun.

    Raises ValueError where the other processes cannot be met.
    """
    if processes() == 1:
        yield Group()
        return
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        torch.cuda.set_device(device)
    try:
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=PATIENCE)
    except (RuntimeError, ValueError) as error:
        raise ValueError(f"torchrun: the processes do not meet: {str(error).splitlines()[0]}") from None
    try:
        yield Group(dist.get_rank(), dist.get_world_size(), device)
    finally:
        dist.destroy_process_group()
