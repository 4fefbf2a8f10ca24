from pathlib import Path

import ir_measures
import numpy as np
import pytest
from floors_case import ask

from twotower.data.collection import Collection
from twotower.evaluation import files, floors
from twotower.evaluation.files import Row
from twotower.evaluation.floors import Asked
from twotower.evaluation.results import PerQuery


def row_of(asked: Asked, name: str) -> Row:
    """BM25 under another name."""
    tokens = asked.tokens
    result = floors.bm25(tokens.docs, tokens.queries, asked.judgements, ks=asked.ks, min_grade=1)
    assert result.ranking is not None
    ids = [asked.collection.query_ids[row] for row in result.query_rows]
    return Row(name, result.ranking, PerQuery(np.array(ids), result.per_query))


def test_each_system_has_a_run_and_a_table_and_bm25_a_run(tiny: Collection, tmp_path: Path) -> None:
    asked, out = ask(tiny, tmp_path / "cache"), tmp_path / "a" / "out"
    said = files.write(out, asked, [row_of(asked, "x y"), row_of(asked, "x/y")], bm25=True)
    assert said == f"out: 6 files written to {out}"
    assert sorted(path.name for path in out.iterdir()) == [
        *("BM25.run", "qrels.txt", "x_y-2.queries.csv", "x_y-2.run", "x_y.queries.csv", "x_y.run")
    ]
    assert (out / "x_y.queries.csv").read_text() == (out / "x_y-2.queries.csv").read_text()
    runs = [list(ir_measures.read_trec_run(str(out / name))) for name in ("x_y.run", "BM25.run")]
    assert runs[0] == runs[1]


def test_what_is_replaced_is_said(tiny: Collection, tmp_path: Path) -> None:
    asked, out = ask(tiny, tmp_path / "cache"), tmp_path / "out"
    out.mkdir()
    (out / "qrels.txt").write_text("older")
    (out / "other.txt").write_text("untouched")
    said = files.write(out, asked, [row_of(asked, "x")], bm25=False)
    assert said == f"out: 3 files written to {out}, 1 of them in place of older ones"
    assert (out / "qrels.txt").read_text() != "older"
    assert (out / "other.txt").read_text() == "untouched"


def test_a_file_in_the_way_is_said(tiny: Collection, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(NotADirectoryError, match="out: a file, want a folder"):
        files.write(tmp_path / "out", ask(tiny, tmp_path / "cache"), [], bm25=False)


def test_a_row_named_bm25_is_not_written_twice(tiny: Collection, tmp_path: Path) -> None:
    asked = ask(tiny, tmp_path / "cache")
    assert "3 files" in files.write(tmp_path / "out", asked, [row_of(asked, "BM25")], bm25=True)
