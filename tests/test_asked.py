import json
from pathlib import Path
from typing import Any

import pytest

from twotower.data import appended
from twotower.search import asked
from twotower.search.asked import Asked
from twotower.search.searcher import Answer, Hit

HITS = (Hit(1, "d1", 0.5, "", "", percentile=99.5), Hit(2, "d2", 0.25, "", ""))


def line(query: str = "read a csv") -> Asked:
    return Asked.of(Answer(query, HITS, 0.001, 0.002, 0.003, (), ("csv",)), "docs@v0002", "model.pt")


def test_a_line_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    written = [line("Zürich"), line()]
    asked.write(tmp_path / "log", written)
    assert asked.read(tmp_path / "log") == (written, 0)
    content = json.loads((tmp_path / "log").read_text().splitlines()[1])
    assert content.pop("time").endswith("+00:00")
    assert content == {
        "query": "read a csv",
        "ids": ["d1", "d2"],
        "scores": [0.5, 0.25],
        "percentiles": [99.5, None],
        "unknown": ["csv"],
        "index": "docs@v0002",
        "checkpoint": "model.pt",
        "seconds": 0.006,
    }


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"query": 3}, "query: got int, want str"),
        ({"ids": "d1"}, "ids: got str, want list"),
        ({"scores": ["a"]}, "want numbers"),
        ({"percentiles": ["a"]}, "want numbers"),
        ({"unknown": [1]}, "want texts"),
        ({"seconds": None}, "seconds: got NoneType, want int or float"),
    ],
)
def test_a_line_of_another_kind_is_refused_by_its_number(
    change: dict[str, Any], said: str, tmp_path: Path
) -> None:
    asked.write(tmp_path / "log", [line()])
    content = json.loads((tmp_path / "log").read_text())
    appended.append(tmp_path / "log", [content | change])
    with pytest.raises(ValueError, match=f"log:2: .*{said}"):
        asked.read(tmp_path / "log")


def test_a_torn_line_is_counted(tmp_path: Path) -> None:
    asked.write(tmp_path / "log", [line(), line()])
    (tmp_path / "log").write_bytes((tmp_path / "log").read_bytes()[:-9])
    assert asked.read(tmp_path / "log")[1] == 1
