import json
from pathlib import Path

import pytest
import torch
from torchrun_case import torchrun

from twotower.training.group import Group, joined, processes

PROGRAM = """
import json, os, sys, torch
from pathlib import Path
from twotower.training.group import joined

out, cache = Path(sys.argv[1]), Path(sys.argv[1]) / "cache"
with joined(torch.device("cpu")) as group:
    rank = group.rank
    rows = torch.arange(7.0)[group.share(7), None]
    one = torch.arange(2)[group.share(1), None]
    summed = [torch.full((2,), 1.0 + rank), torch.tensor([[10.0 * rank]])]
    group.add(summed)
    aligned = [torch.full((2,), float(rank)), torch.tensor(rank)]
    group.align(aligned)
    with group.leader_first():
        there = cache.exists()
        cache.write_text("filled")
    told = group.tell({"epoch": 1, "mrr_10": 0.1 + 0.2, "name": "übung"} if group.leads else None)
    seen = {
        "gathered": group.gather(rows, 7)[:, 0].tolist(),
        "one": group.gather(one, 1).tolist(),
        "bytes": group.gather(torch.full((1, 2), 250 + rank, dtype=torch.uint8), group.size).tolist(),
        "summed": [part.tolist() for part in summed],
        "aligned": [part.tolist() for part in aligned],
        "any": [group.any(rank == 1), group.any(False)],
        "there": there,
        "told": told,
        "leads": group.leads,
    }
    group.wait()
(out / f"{rank}.json").write_text(json.dumps(seen))
"""


def test_two_processes_tell_each_other_what_they_have(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    done = torchrun(2, "program.py", str(tmp_path), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    first, second = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2))
    assert (first.pop("leads"), second.pop("leads")) == (True, False)
    assert (first.pop("there"), second.pop("there")) == (False, True)
    assert first == second
    assert first == {
        "gathered": [0, 1, 2, 3, 4, 5, 6],
        "one": [[0]],
        "bytes": [[250, 250], [251, 251]],
        "summed": [[3, 3], [[10]]],
        "aligned": [[0, 0], 0],
        "any": [True, False],
        "told": {"epoch": 1, "mrr_10": 0.1 + 0.2, "name": "übung"},
    }


FAILING = """
import sys, torch
from twotower.training.group import joined

with joined(torch.device("cpu")) as group:
    try:
        if group.leads:
            raise ValueError("the leader cannot go on")
        group.tell(None)
    except OSError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
"""


def test_a_process_that_fails_takes_the_others_down(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(FAILING)
    done = torchrun(2, "program.py", cwd=tmp_path)
    assert done.returncode != 0
    assert "the leader cannot go on" in done.stderr
    assert "another process of this run is gone" in done.stderr or "Signal 15" in done.stderr


def test_processes_that_do_not_meet_are_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.delenv("RANK", raising=False)
    with pytest.raises(ValueError, match="torchrun: the processes do not meet"), joined(torch.device("cpu")):
        pass


def test_alone_nothing_needs_telling() -> None:
    assert processes() == 1
    with joined(torch.device("cpu")) as group, group.leader_first():
        assert (group.rank, group.size, group.leads) == (0, 1, True)
        rows, tensors = torch.ones(3, 2, requires_grad=True), [torch.ones(2)]
        assert torch.equal(group.gather(rows, 3), rows)
        assert not group.gather(rows, 3).requires_grad
        group.add(tensors)
        group.align(tensors)
        group.wait()
        assert tensors[0].tolist() == [1, 1]
        assert (group.any(True), group.any(False), group.tell("as it is")) == (True, False, "as it is")


def test_shares_are_all_rows_once() -> None:
    for count in (0, 1, 2, 7, 1024):
        for size in (1, 2, 3, 8):
            shares = [Group(rank, size).share(count) for rank in range(size)]
            assert [row for share in shares for row in range(share.start, share.stop)] == list(range(count))
            assert max(s.stop - s.start for s in shares) - min(s.stop - s.start for s in shares) <= 1
