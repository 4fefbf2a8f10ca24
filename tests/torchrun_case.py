"""Python programs and commands under torchrun, as a user starts them: some processes on this machine."""

import os
import subprocess
import sys
from pathlib import Path

from conftest import ROOT


def torchrun(processes: int, *words: str, cwd: Path, **env: str) -> "subprocess.CompletedProcess[str]":
    """`torchrun --nproc_per_node=... words`; every process has one thread."""
    start = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}"]
    return subprocess.run(
        [*start, *words],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}", "OMP_NUM_THREADS": "1", **env},
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=100,
        check=False,
    )
