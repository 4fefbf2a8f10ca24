"""200 MB of GloVe text for 60,000 words: in bounded memory, with a bar, and interrupted at once."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, terminal

from tests.training_case import write_beir
from twotower.data.collection import Collection

SIZE = 200_000_000
WIDTH = 50

LOAD = """
import fcntl, struct, sys, termios
if sys.stderr.isatty():
    fcntl.ioctl(2, termios.TIOCSWINSZ, struct.pack('4H', 24, 80, 0, 0))
import numpy as np
from twotower.text import vectors
def peak():
    line = next(line for line in open('/proc/self/status') if line.startswith('VmHWM'))
    return int(line.split()[1]) / 1024
words = ('<pad>', '<unk>', *(f'w{number * 7}' for number in range(60_000)))
before = peak()
loaded = vectors.load('PATH', words, dim=1, rng=np.random.default_rng(0))
assert loaded.coverage == 1.0 and loaded.matrix.shape == (60_002, 50)
print('grown', round(peak() - before), 'MB')
"""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of about 460,000 words."""
    path = tmp_path_factory.mktemp("large") / "glove.txt"
    rng = np.random.default_rng(0)
    rows = [" ".join(f"{number:.5f}" for number in row) for row in rng.standard_normal((1000, WIDTH))]
    written = number = 0
    with path.open("w") as file:
        while written < SIZE:
            written += file.write(f"w{number} {rows[number % 1000]}\n")
            number += 1
    return path


def test_memory_grows_by_the_rows_that_are_kept(large: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOAD.replace("PATH", str(large))],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""  # no bar where nobody sees it
    _, grown, _ = done.stdout.split()
    assert int(grown) < 100  # 60,000 rows of 50 numbers are 12 MB, their words as much


def test_the_bar_moves(large: Path) -> None:
    code = LOAD.replace("PATH", str(large))
    shown = terminal(code, {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm"}, timeout=60)
    assert shown.count("glove.txt:") > 5
    assert "200M" in shown


def position(pid: int, path: Path) -> int:
    """How far a process has read a file, in bytes."""
    for link in Path(f"/proc/{pid}/fd").iterdir():
        try:
            if os.readlink(link) == str(path):
                return int(Path(f"/proc/{pid}/fdinfo/{link.name}").read_text().split()[1])
        except FileNotFoundError:  # closed meanwhile
            continue
    return 0


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interruption_ends_the_reading_at_once(
    large: Path, tiny: Collection, workplace: Path, number: signal.Signals, code: int
) -> None:
    write_beir(tiny, workplace / "tiny")
    (workplace / "tmp").mkdir()
    process = subprocess.Popen(
        [sys.executable, "-m", "twotower", "train", "data=beir", "data.path=tiny", f"vectors={large}"],
        cwd=workplace,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(workplace / "tmp")},
        stderr=subprocess.PIPE,
        text=True,
    )
    while not 50_000_000 < position(process.pid, large) < SIZE - 50_000_000:
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(number)
    start = time.perf_counter()
    _, err = process.communicate(timeout=30)
    assert time.perf_counter() - start < 2
    assert process.returncode == code
    assert err.splitlines()[-1] in ("interrupted", "terminated")
    assert "Traceback" not in err
    left = {path.name for path in workplace.rglob("*")}
    assert not [name for name in left if name.endswith((".pt", ".json.tmp")) or name.startswith(".")]
    assert list((workplace / "tmp").iterdir()) == []
