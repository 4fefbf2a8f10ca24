import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import ir_measures
import numpy as np
import pytest
import torch
from passages_case import passages

from tests.training_case import small, write_beir
from twotower import cli, config
from twotower.commands import train
from twotower.data.collection import Collection
from twotower.evaluation import names, results
from twotower.evaluation.protocol import Protocol
from twotower.model import checkpoint
from twotower.training import keeping


@pytest.fixture(scope="module")
def place(tiny: Collection, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the tiny collection and one small run on it."""
    home = tmp_path_factory.mktemp("evaluate")
    assert train.run(small(write_beir(tiny, home / "tiny"), home)) == 0
    return home


def evaluate(place: Path, *words: str) -> int:
    dirs = (f"checkpoint_dir={place / 'checkpoints'}", f"cache_dir={place / 'cache'}")
    return cli.main(["evaluate", *dirs, *words])


def document(place: Path, capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    capsys.readouterr()
    assert evaluate(place, "format=json", *words) == 0
    content: dict[str, Any] = json.loads(capsys.readouterr().out)
    return content


def test_json_has_the_words_that_scripts_rely_on(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = document(place, capsys, "k=1,10")
    assert {"checkpoint", "protocol", "queries", "metrics", "intervals"} <= set(content)
    assert (content["queries"], content["judged"]) == (10, 10)
    for name, value in content["metrics"].items():
        low, high = content["intervals"][name]
        assert low <= value <= high
    assert content["protocol"]["split"] == "dev"


def test_on_dev_the_numbers_are_those_of_the_run(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = document(place, capsys, "k=1,3,10")
    (path,) = (place / "checkpoints").glob("training_history_*.json")
    stored = json.loads(path.read_text())["eval_results"]
    assert content["metrics"] == pytest.approx({name: stored[name] for name in content["metrics"]}, abs=1e-9)


def test_the_split_decides_the_protocol(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dev, test = (document(place, capsys, f"split={split}")["protocol"] for split in ("dev", "test"))
    assert dev["key"] != test["key"]
    assert dev["corpus_hash"] == test["corpus_hash"]


def test_a_copy_of_the_collection_gives_the_same_protocol(
    place: Path, tiny: Collection, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = write_beir(tiny, tmp_path / "copy")
    own = document(place, capsys)
    other = document(place, capsys, "data=beir", f"data.path={copy}")
    assert own["protocol"]["key"] == other["protocol"]["key"]
    assert own["metrics"] == other["metrics"]


def test_the_chunk_changes_no_metric(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fresh = document(place, capsys, "chunk=7", "fresh=true")
    assert fresh["metrics"] == document(place, capsys, "fresh=true")["metrics"]


def test_the_table_has_the_run_its_interval_and_the_floors(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate(place, "format=csv") == 0
    head, *rows = csv.reader(io.StringIO(capsys.readouterr().out))
    assert head[:2] == ["name", "MRR@10"]
    assert [row[0].split("-")[0] for row in rows] == [
        *("run", "95 % interval", "chance", "BM25", "untrained")
    ]
    assert evaluate(place, "format=csv", "floors=false") == 0
    assert len(capsys.readouterr().out.splitlines()) == 3


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["split=nowhere"], "no split 'nowhere', there is dev, test, train"),
        (["checkpoint=nothing"], "checkpoint: nothing: no such file"),
        (["checkpoint=@mr_10"], "mr"),
        (["data=beir", "data.path=nowhere"], "nowhere: no such folder"),
        (["k=61"], "61"),
        (
            ["candidates=own"],
            "tiny, split dev: candidates=own: none of 10 lists (1.0 documents each) holds both",
        ),
        (["candidates_file=run.txt"], "candidates_file: got it with candidates=full, want candidates=own"),
        (["candidates=own", "candidates_file=nowhere.txt"], "nowhere.txt: no such file"),
        (["candidates=all"], "candidates: got 'all', want full or own"),
        (["run=x.run"], "data=stored: neither run= nor vectors= says what it was made from, want data="),
        (["run=x.run", "checkpoint=@best"], "x.run: no such file"),
        (["name=x"], "name: got 'x', want it with either run= or vectors="),
        (["slices=colour"], "slices: "),
        (["ceiling=nowhere"], "ceiling=nowhere: no modules.json"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(
    words: list[str], says: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate(place, *words) == 2
    err = capsys.readouterr().err
    assert says in err
    assert err.count("\n") == 1


def test_a_collection_that_changed_since_training_is_refused(
    tiny: Collection, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_beir(tiny, tmp_path / "tiny")
    train.run(small(folder, tmp_path, epochs=0, floors=False))
    text = (folder / "corpus.jsonl").read_text()
    (folder / "corpus.jsonl").write_text(text.replace("badger", "bodger"))
    capsys.readouterr()
    assert evaluate(tmp_path) == 2
    assert "tiny: changed since training" in capsys.readouterr().err


# each query's own candidates


@pytest.fixture(scope="module")
def listed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the passages and two small runs on them, one selected by each kind of candidates."""
    home = tmp_path_factory.mktemp("listed")
    folder = write_beir(passages(), home / "passages")
    for kind in config.Candidates:
        assert train.run(small(folder, home, name=kind.name, candidates=kind)) == 0
    return home


def run_file(place: Path, name: str, *, splits: tuple[str, ...] = ("dev",), size: int = 10) -> str:
    """The judged documents of `splits` as a run file, at most `size` a query."""
    lines = [
        f"{query} Q0 {doc} {rank} {-rank} run\n"
        for split in splits
        for query, grades in passages().split(split).items()
        for rank, doc in enumerate(list(grades)[:size], start=1)
    ]
    (place / name).write_text("".join(lines))
    return str(place / name)


def test_own_candidates_have_their_protocol_their_floors_and_a_remark(
    listed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = document(listed, capsys, "checkpoint=own", "candidates=own", "k=1,5,10")
    assert content["protocol"]["candidates"].startswith("own-")
    assert content["metrics"]["recall_10"] == content["floors"]["chance"]["recall_10"] == pytest.approx(1)
    assert 0.3 < content["floors"]["chance"]["mrr_10"] < 0.4
    (remark,) = content["remarks"]
    assert remark == "recall_10, success_10: at most 10 candidates a query, 1.0 for every model"
    assert evaluate(listed, "checkpoint=own", "candidates=own", "k=1,5,10") == 0
    out, err = capsys.readouterr()
    assert "passages dev, own candidates (8.0 a query), relevant from grade 1" in out
    assert err.count(remark) == 1


def test_the_corpus_is_harder_than_the_lists(listed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    full, own = (
        document(listed, capsys, "checkpoint=full", f"candidates={kind}") for kind in ("full", "own")
    )
    assert full["protocol"]["key"] != own["protocol"]["key"]
    assert full["metrics"]["mrr_10"] < own["metrics"]["mrr_10"]
    assert full["floors"]["chance"]["mrr_10"] < 0.03


def test_own_candidates_are_the_numbers_of_a_run_selected_by_them(
    listed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = document(listed, capsys, "candidates=own", "k=1,3,10")  # of two protocols the one asked for
    (path,) = (listed / "checkpoints").glob("training_history_own-*.json")
    stored = json.loads(path.read_text())
    assert content["checkpoint"] == str(listed / "checkpoints" / stored["file"]["name"])
    assert content["protocol"]["key"] == Protocol.from_dict(stored["protocol"]).key
    names = content["metrics"]
    assert content["metrics"] == pytest.approx(
        {name: stored["eval_results"][name] for name in names}, abs=1e-9
    )
    assert content["floors"]["chance"] == stored["floors"]["chance"]


def test_best_of_two_kinds_of_candidates_is_refused_where_nothing_says_which(listed: Path) -> None:
    with pytest.raises(ValueError, match=r"2 protocols, whose numbers do not compare: .*own candidates"):
        names.find("@best", listed / "checkpoints")


def test_neither_chunk_nor_threads_change_a_metric_of_own_candidates(
    listed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("candidates=own", "checkpoint=own", "fresh=true", "floors=false")
    plain, threads = document(listed, capsys, *words)["metrics"], torch.get_num_threads()
    assert document(listed, capsys, *words, "chunk=7")["metrics"] == plain
    try:
        torch.set_num_threads(3 - min(threads, 2))
        assert document(listed, capsys, *words)["metrics"] == pytest.approx(plain, abs=1e-12)
    finally:
        torch.set_num_threads(threads)


def test_a_run_file_of_the_judged_documents_is_the_same_protocol(
    listed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = document(listed, capsys, "candidates=own", "checkpoint=own")
    path = run_file(listed, "run.txt", splits=("dev", "test"))
    filed = document(listed, capsys, "candidates=own", "checkpoint=own", f"candidates_file={path}")
    assert filed["protocol"]["key"] == own["protocol"]["key"]
    assert filed["metrics"] == own["metrics"]
    assert filed["remarks"][0] == f"{path}: 12 queries that split dev does not judge left aside"


def test_a_shorter_run_file_is_another_protocol_and_says_what_it_misses(
    listed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = run_file(listed, "short.txt", size=5)
    content = document(
        listed, capsys, "candidates=own", "checkpoint=own", f"candidates_file={path}", "k=5,10"
    )
    own = document(listed, capsys, "candidates=own", "checkpoint=own", "k=5,10")
    assert content["protocol"]["key"] != own["protocol"]["key"]
    missed, fixed = content["remarks"]
    assert re.fullmatch(r"[1-9] of 14 relevant documents are in no list and count as missed", missed)
    assert fixed == ("recall_5, success_5 and beyond: at most 5 candidates a query, the same for every model")
    assert content["metrics"]["recall_10"] < 1


def test_a_faulty_run_file_is_one_line_and_exit_code_2(
    listed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "run.txt"
    path.write_text("1000 Q0 1000_0 1 2.5\n")
    assert evaluate(listed, "checkpoint=own", "candidates=own", f"candidates_file={path}") == 2
    err = capsys.readouterr().err
    assert err == f"twotower: {path}:1: 5 fields, want 6: query Q0 document rank score tag\n"


# several, kept


def test_all_are_evaluated_under_one_protocol(listed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = document(listed, capsys, "checkpoint=@all", "split=test")["evaluations"]
    assert sorted(row["name"].rpartition("-")[0] for row in rows) == ["full", "own"]
    assert len({row["protocol"]["key"] for row in rows}) == 1
    assert {row["protocol"]["split"] for row in rows} == {"test"}
    named = document(listed, capsys, "checkpoint=own,full,own", "split=test")["evaluations"]
    assert [row["metrics"] for row in named] == [row["metrics"] for row in reversed(rows)]


def test_what_is_kept_is_not_measured_again(
    listed: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("checkpoint=own", "split=test", "k=1,7")
    first = document(listed, capsys, *words)
    monkeypatch.setattr(checkpoint, "load", None)  # whoever calls it fails
    second = document(listed, capsys, *words)
    assert (first["reused"], second["reused"]) == (False, True)
    assert first | {"reused": True} == second
    assert evaluate(listed, *words) == 0
    assert f"kept: {first['name']} was evaluated before, {first['kept']}" in capsys.readouterr().err


def test_fresh_measures_again(listed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = document(listed, capsys, "checkpoint=own")
    again = document(listed, capsys, "checkpoint=own", "fresh=true")
    assert not again["reused"]
    assert (again["kept"], again["metrics"]) == (first["kept"], first["metrics"])


def test_a_slicing_asked_for_later_is_added_to_what_is_kept(
    listed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("checkpoint=full", "k=1,6")
    before = document(listed, capsys, *words)
    sliced = document(listed, capsys, *words, "slices=length,unknown")
    assert (before["slices"], list(sliced["slices"]), sliced["reused"]) == ({}, ["length", "unknown"], True)
    for parts in sliced["slices"].values():
        whole = sum(part["queries"] * part["metrics"]["mrr_6"] for part in parts) / 12
        assert whole == pytest.approx(sliced["metrics"]["mrr_6"])
    assert document(listed, capsys, *words, "slices=length")["slices"].keys() == {"length"}
    assert evaluate(listed, *words, "slices=length", "format=markdown") == 0
    assert "**by length**" in capsys.readouterr().out


def test_one_changed_document_is_another_protocol(
    place: Path, tiny: Collection, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = write_beir(tiny, tmp_path / "copy")
    text = (copy / "corpus.jsonl").read_text()
    (copy / "corpus.jsonl").write_text(text.replace("plums", "pears", 1))
    changed = document(place, capsys, "data=beir", f"data.path={copy}")
    assert changed["protocol"]["key"] != document(place, capsys)["protocol"]["key"]
    assert not changed["reused"]


def test_checkpoints_of_two_collections_stand_in_one_group(
    tiny: Collection, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = [write_beir(made, tmp_path / made.name) for made in (tiny, passages())]
    for folder in folders:
        assert train.run(small(folder, tmp_path, name=folder.name, epochs=1, floors=False)) == 0
    rows = document(tmp_path, capsys, "checkpoint=@all", "data=beir", f"data.path={folders[0]}")
    key = rows["evaluations"][0]["protocol"]["key"]
    assert cli.main(["leaderboard", f"checkpoint_dir={tmp_path / 'checkpoints'}", "format=json"]) == 0
    groups = json.loads(capsys.readouterr().out)["groups"]
    (group,) = (group for group in groups if group["protocol"]["key"] == key)
    names = [row["name"].rpartition("-")[0] for row in group["rows"] if row["kind"] == "checkpoint"]
    assert sorted(names) == ["passages", "tiny"]


def test_of_several_a_broken_one_is_said_and_the_others_go_on(
    tiny: Collection, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_beir(tiny, tmp_path / "tiny")
    for name in ("good", "bad"):
        assert train.run(small(folder, tmp_path, name=name, epochs=0, floors=False)) == 0
    (bad,) = (tmp_path / "checkpoints").glob("two_tower_best_bad-*.pt")
    content = bytearray(bad.read_bytes())
    content[len(content) // 2] ^= 255  # as long as before: only reading it shows the damage
    bad.write_bytes(content)
    capsys.readouterr()
    assert evaluate(tmp_path, "checkpoint=@all", "format=json", "split=test") == 1
    out, err = capsys.readouterr()
    assert [row["name"].rpartition("-")[0] for row in json.loads(out)["evaluations"]] == ["good"]
    assert f"not evaluated: {bad}: " in err
    assert evaluate(tmp_path, f"checkpoint={bad}", "split=test") == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_interrupted_what_is_done_is_kept(
    listed: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = keeping.evaluation, iter(range(9))

    def twice(*given: Any) -> Any:
        if next(calls):
            raise KeyboardInterrupt
        return real(*given)

    monkeypatch.setattr(keeping, "evaluation", twice)
    words = ("checkpoint=@all", "k=1,9", "floors=false", "format=json")
    assert evaluate(listed, *words) == 130
    out, err = capsys.readouterr()
    assert out == ""
    assert "1 of 2 evaluated and kept; the same command goes on from there" in err
    monkeypatch.undo()
    assert [row["reused"] for row in document(listed, capsys, *words)["evaluations"]] == [True, False]


def test_a_folder_that_cannot_be_written_is_a_remark(
    tiny: Collection, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train.run(small(write_beir(tiny, tmp_path / "tiny"), tmp_path, epochs=0, floors=False))
    (tmp_path / "checkpoints" / "evaluations").write_text("in the way")
    content = document(tmp_path, capsys, "floors=false")
    assert content["kept"] is None
    assert content["remarks"][-1].startswith(f"not kept: {tmp_path / 'checkpoints' / 'evaluations'}: ")


def test_a_checkpoint_from_elsewhere_is_kept_where_the_leaderboard_looks(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (path,) = (place / "checkpoints").glob("*.pt")
    words = (f"checkpoint_dir={tmp_path}", f"checkpoint={path}", f"cache_dir={place / 'cache'}")
    capsys.readouterr()
    assert cli.main(["evaluate", *words, "format=json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert Path(content["kept"]).parent == tmp_path / "evaluations"
    assert results.read(Path(content["kept"])).checkpoint == str(path)
    assert cli.main(["leaderboard", *words[::2], "format=json"]) == 0
    (group,) = json.loads(capsys.readouterr().out)["groups"]
    assert [row["name"] for row in group["rows"] if row["kind"] == "checkpoint"] == [content["name"]]


# files for and from other tools


def test_files_are_written_that_other_tools_score_alike(
    listed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    content = document(listed, capsys, "checkpoint=full", f"out={out}", "k=1,5,10")
    assert f"out: 4 files written to {out}" in content["remarks"]
    name = content["name"]
    qrels = list(ir_measures.read_trec_qrels(str(out / "qrels.txt")))
    run = list(ir_measures.read_trec_run(str(out / f"{name}.run")))
    theirs = ir_measures.calc_aggregate([ir_measures.nDCG @ 10, ir_measures.R @ 5], qrels, run)
    assert theirs[ir_measures.nDCG @ 10] == pytest.approx(content["metrics"]["ndcg_10"], abs=1e-9)
    assert theirs[ir_measures.R @ 5] == pytest.approx(content["metrics"]["recall_5"], abs=1e-9)
    rows = list(csv.DictReader((out / f"{name}.queries.csv").read_text().splitlines()))
    mean = sum(float(row["mrr_10"]) for row in rows) / len(rows)
    assert mean == pytest.approx(content["metrics"]["mrr_10"])
    again = document(listed, capsys, "checkpoint=full", f"out={out}", "k=1,5,10")
    assert f"out: 4 files written to {out}, 4 of them in place of older ones" in again["remarks"]


def test_a_run_file_is_a_row_like_the_model_that_wrote_it(
    listed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = document(listed, capsys, "checkpoint=full", f"out={tmp_path}")
    run = tmp_path / f"{own['name']}.run"
    both = document(listed, capsys, "checkpoint=full", f"run={run}", "name=theirs")["evaluations"]
    assert [row["kind"] for row in both] == ["checkpoint", "run"]
    assert both[1]["name"] == "theirs"
    assert both[1]["checkpoint"] is None
    assert both[0]["protocol"]["key"] == both[1]["protocol"]["key"]
    assert both[1]["metrics"] == pytest.approx(both[0]["metrics"], abs=1e-9)
    alone = document(
        listed, capsys, f"run={run}", "data=beir", f"data.path={listed / 'passages'}", "name=theirs"
    )
    assert (alone["metrics"], alone["reused"]) == (both[1]["metrics"], True)


def test_vectors_are_a_row_like_the_model_that_made_them(
    listed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = document(listed, capsys, "checkpoint=full")
    retriever, made = checkpoint.load(Path(own["checkpoint"])).retriever, passages()
    np.save(tmp_path / "docs.npy", retriever.encode_docs(made.doc_inputs()))
    np.save(tmp_path / "queries.npy", retriever.encode_queries(made.query_texts))
    (tmp_path / "doc_ids.txt").write_text("".join(f"{doc}\n" for doc in made.doc_ids))
    (tmp_path / "query_ids.txt").write_text("".join(f"{query}\n" for query in made.query_ids))
    row = document(
        listed, capsys, f"vectors={tmp_path}", "data=beir", f"data.path={listed / 'passages'}", "name=theirs"
    )
    assert (row["kind"], row["name"], row["checkpoint"]) == ("vectors", "theirs", None)
    assert row["protocol"]["key"] == own["protocol"]["key"]
    assert row["metrics"] == pytest.approx(own["metrics"], abs=1e-6)
    assert row["geometry"] == pytest.approx(own["geometry"], abs=1e-4)
