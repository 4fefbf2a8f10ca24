import csv
import io
import json
import re
from pathlib import Path

import pytest
import torch
from passages_case import passages

from tests.training_case import small, write_beir
from twotower import cli, config
from twotower.commands import train
from twotower.data.collection import Collection
from twotower.evaluation import names
from twotower.evaluation.protocol import Protocol


@pytest.fixture(scope="module")
def place(tiny: Collection, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the tiny collection and one small run on it."""
    home = tmp_path_factory.mktemp("evaluate")
    assert train.run(small(write_beir(tiny, home / "tiny"), home)) == 0
    return home


def evaluate(place: Path, *words: str) -> int:
    dirs = (f"checkpoint_dir={place / 'checkpoints'}", f"cache_dir={place / 'cache'}")
    return cli.main(["evaluate", *dirs, *words])


def document(place: Path, capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, dict[str, float]]:
    capsys.readouterr()
    assert evaluate(place, "format=json", *words) == 0
    content: dict[str, dict[str, float]] = json.loads(capsys.readouterr().out)
    return content


def test_json_has_the_words_that_scripts_rely_on(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = document(place, capsys, "k=1,10")
    assert {"checkpoint", "protocol", "queries", "metrics", "intervals"} <= set(content)
    assert (content["queries"], content["judged"]) == (10, 10)
    for name, value in content["metrics"].items():
        low, high = content["intervals"][name]  # type: ignore[misc]
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
    assert document(place, capsys, "chunk=7")["metrics"] == document(place, capsys)["metrics"]


def test_the_table_has_the_run_its_interval_and_the_floors(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate(place, "format=csv") == 0
    head, *rows = csv.reader(io.StringIO(capsys.readouterr().out))
    assert head[:2] == ["name", "MRR@10"]
    assert [row[0].split("-")[0] for row in rows] == ["run", "95 % interval", "chance", "BM25"]
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
    assert content["protocol"]["candidates"].startswith("own-")  # type: ignore[attr-defined]
    assert content["metrics"]["recall_10"] == content["floors"]["chance"]["recall_10"] == pytest.approx(1)  # type: ignore[index]
    assert 0.3 < content["floors"]["chance"]["mrr_10"] < 0.4  # type: ignore[index]
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
    assert full["floors"]["chance"]["mrr_10"] < 0.03  # type: ignore[index]


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
    words = ("candidates=own", "checkpoint=own")
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
    assert filed["remarks"][0] == f"{path}: 12 queries that split dev does not judge left aside"  # type: ignore[index]


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
