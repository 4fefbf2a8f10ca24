"""`twotower compare`: two checkpoints side by side."""

import json
from pathlib import Path

import pytest
from training_case import small, write_beir

from twotower import cli
from twotower.commands import train
from twotower.data.collection import Collection


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, tiny: Collection) -> Path:
    """A folder with two runs on one collection, narrow and wide."""
    made = tmp_path_factory.mktemp("compare")
    folder = write_beir(tiny, made / "beir")
    for name, dim in (("narrow", 4), ("wide", 16)):
        train.run(small(folder, made, name=name, dim=dim, seed=dim, epochs=1))
    return made


def compared(home: Path, capsys: pytest.CaptureFixture[str], *words: str) -> str:
    folders = [f"checkpoint_dir={home / 'checkpoints'}", f"cache_dir={home / 'cache'}"]
    assert cli.main(["compare", *words, "k=1,3,10", *folders]) == 0
    return capsys.readouterr().out


def test_the_document_holds_both_down_to_the_query(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = json.loads(compared(home, capsys, "narrow", "wide", "format=json"))
    assert {row["knob"]: (row["a"], row["b"]) for row in said["knobs"]} == {"dim": (4, 16), "seed": (4, 16)}
    rows = {row["metric"]: row for row in said["metrics"]}
    gap = rows["mrr_10"]
    assert gap["b"] - gap["a"] == pytest.approx(gap["difference"])
    assert gap["a"] == said["a"]["metrics"]["mrr_10"]
    assert gap["better"] + gap["equal"] + gap["worse"] == said["judged"]
    assert len(said["queries"]["better"]) <= gap["better"]
    for way, up in (("better", 1), ("worse", -1)):
        for query in said["queries"][way]:
            assert (query["b"]["mrr_10"] - query["a"]["mrr_10"]) * up > 0
            assert query["relevant"]


def test_the_other_way_round_better_is_worse(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    there = json.loads(compared(home, capsys, "narrow", "wide", "format=json"))["queries"]
    back = json.loads(compared(home, capsys, "wide", "narrow", "format=json"))["queries"]
    ids = [[query["query_id"] for query in side[way]] for side, way in ((there, "better"), (back, "worse"))]
    assert ids[0] == ids[1]


def test_the_page_begins_with_the_verdict(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = compared(home, capsys, "narrow", "wide").splitlines()
    assert "cannot be told apart" in lines[0] or "is better than" in lines[0]
    assert "knobs that differ" in lines
    assert any(line.split()[:1] == ["MRR@10"] for line in lines)


def test_csv_is_one_table_of_metrics(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    head, *rows = compared(home, capsys, "narrow", "wide", "format=csv").splitlines()
    assert head.startswith("metric,narrow-")
    assert len(rows) == 20  # six metrics at three cut-offs, and mrr and map at the depth


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["narrow"], "got one checkpoint, want two: twotower compare A B"),
        (["narrow", "narrow"], "are one checkpoint"),
        (["narrow", "wide", "wide"], "want 2 A and B, in quotes"),
        (["narrow", "nobody"], "no such file, and no run of that name"),
        (["narrow", "wide", "metric=mrr_7"], "mrr_7 needs 7 in k, which is 1,3,10"),
        (["narrow", "wide", "metric=loss"], "unknown, did you mean"),
    ],
)
def test_a_mistake_is_one_line(
    home: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    folders = [f"checkpoint_dir={home / 'checkpoints'}", f"cache_dir={home / 'cache'}"]
    assert cli.main(["compare", *words, "k=1,3,10", *folders]) == 2
    line = capsys.readouterr().err
    assert said in line
    assert line.count("\n") == 1
