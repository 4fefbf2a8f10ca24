import gzip
import time
from pathlib import Path

import ir_measures
import numpy as np
import pytest
from ir_measures import AP, RR, P, R, nDCG
from passages_case import passages

from twotower.data.collection import Collection
from twotower.evaluation import candidates, metrics, ranking, trec
from twotower.evaluation.results import PerQuery

KS = (1, 3, 10, 20)


@pytest.fixture(scope="module")
def collection() -> Collection:
    return passages(16)


def run_of(collection: Collection, split: str) -> list[str]:
    """The judged documents as a run, backwards."""
    return [
        f"{query} Q0 {doc} {rank} {-rank / 2} tag"
        for query, grades in reversed(collection.split(split).items())
        for rank, doc in enumerate(reversed(grades), start=1)
    ]


def written(folder: Path, lines: list[str]) -> Path:
    path = folder / "run.txt"
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def test_the_judged_documents_as_a_run_are_the_same_lists(collection: Collection, tmp_path: Path) -> None:
    own = candidates.judged(collection.judgements("dev"))
    path = written(tmp_path, run_of(collection, "dev"))
    zipped = tmp_path / "run.txt.gz"
    zipped.write_bytes(gzip.compress(path.read_bytes()))
    for file in (path, zipped):
        found, remarks = trec.read(file, collection, "dev")
        assert found.queries.tolist() == own.queries.tolist()
        assert found.docs.tolist() == own.docs.tolist()
        assert remarks == []
        assert candidates.digest(found, collection) == candidates.digest(own, collection)


def test_tabs_and_several_spaces_part_fields(collection: Collection, tmp_path: Path) -> None:
    lines = [line.replace(" ", "\t", 2).replace(" ", "   ") for line in run_of(collection, "dev")]
    found, _ = trec.read(written(tmp_path, lines), collection, "dev")
    assert found.docs.tolist() == candidates.judged(collection.judgements("dev")).docs.tolist()


def test_queries_of_other_splits_are_left_aside_and_counted(collection: Collection, tmp_path: Path) -> None:
    lines = [*run_of(collection, "test"), *run_of(collection, "dev")]
    path = written(tmp_path, lines)
    found, remarks = trec.read(path, collection, "dev")
    assert len(found.queries) == 4
    assert remarks == [f"{path}: 4 queries that split dev does not judge left aside"]


def test_queries_without_a_list_are_refused(collection: Collection, tmp_path: Path) -> None:
    first, second = list(collection.split("dev"))[:2]
    lines = [line for line in run_of(collection, "dev") if line.split()[0] not in (first, second)]
    with pytest.raises(
        ValueError,
        match=f"run.txt: 2 of the 4 queries judged in split dev have no list, the first is '{first}'",
    ):
        trec.read(written(tmp_path, lines), collection, "dev")
    with pytest.raises(ValueError, match="4 of the 4 queries"):
        trec.read(written(tmp_path, []), collection, "dev")


FAULTS = {
    "1000 Q0 1000_0 1 2.5": "5 fields, want 6: query Q0 document rank score tag",
    "1000 Q0 1000_0 1 2.5 my tag": "7 fields, want 6",
    "": "0 fields, want 6",
    "nobody Q0 1000_0 1 2.5 tag": "no query 'nobody' in the collection",
    "1000 Q0 nothing 1 2.5 tag": "no document 'nothing' in the collection",
    "1000 Q0 1000_0 1 high tag": "score 'high', want a finite number",
    "1000 Q0 1000_0 1 nan tag": "score 'nan', want a finite number",
    "1000 Q0 1000_0 1 2.5 tag": "document '1000_0' again in the list of query '1000'",
}


@pytest.mark.parametrize(("line", "says"), FAULTS.items())
def test_a_faulty_line_is_named_by_file_and_number(
    line: str, says: str, collection: Collection, tmp_path: Path
) -> None:
    lines = run_of(collection, "dev")
    path = written(tmp_path, [*lines, line, "1000 Q0 1000_1 9 0 tag"])
    with pytest.raises(ValueError, match=r"run\.txt") as caught:
        trec.read(path, collection, "dev")
    assert str(caught.value).startswith(f"{path}:{len(lines) + 1}: {says}")


def test_a_line_that_is_not_utf_8_is_named(collection: Collection, tmp_path: Path) -> None:
    path = tmp_path / "run.txt"
    path.write_bytes(b"1000 Q0 1000_\xff 1 2.5 tag\n")
    with pytest.raises(ValueError, match=r"run\.txt:1: byte 0xff is not UTF-8"):
        trec.read(path, collection, "dev")


def test_a_missing_file_is_a_missing_file(collection: Collection, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        trec.read(tmp_path / "run.txt", collection, "dev")


def ranked_of(collection: Collection, split: str, seed: int = 0) -> metrics.Ranking:
    """Every document of the corpus under a score of its own, to depth 20."""
    rng = np.random.default_rng(seed)
    judged = collection.judgements(split)
    shape = len(np.unique(judged.queries)), len(collection.doc_ids)
    return ranking.rank_scores(
        rng.permuted(np.arange(shape[0] * shape[1])).reshape(shape) / 7, judged, depth=20
    )


def query_ids(collection: Collection, split: str) -> list[str]:
    return [collection.query_ids[row] for row in ranking.query_rows(collection.judgements(split))]


@pytest.mark.parametrize("name", ["run.txt", "run.txt.gz"])
def test_a_run_that_was_written_reads_back_the_same(
    name: str, collection: Collection, tmp_path: Path
) -> None:
    ours = ranked_of(collection, "dev")
    path = trec.write_run(tmp_path / name, ours, query_ids(collection, "dev"), collection.doc_ids, "tag")
    theirs, remarks = trec.read_run(path, collection, "dev", depth=20)
    assert theirs.scores.tobytes() == ours.scores.tobytes()
    assert theirs.rows is not None
    assert ours.rows is not None
    assert theirs.rows.tolist() == ours.rows.tolist()
    mine, other = (metrics.evaluate(each, KS, min_grade=1) for each in (ours, theirs))
    assert all(mine[metric].tolist() == other[metric].tolist() for metric in mine)
    assert remarks == []
    begins = gzip.decompress(path.read_bytes()) if name.endswith("gz") else path.read_bytes()
    assert begins.startswith(f"1000 Q0 {collection.doc_ids[ours.rows[0, 0]]} 1 ".encode())


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("ending", ["", ".gz"])
def test_ir_measures_reads_what_is_written_and_agrees(
    ending: str, collection: Collection, tmp_path: Path
) -> None:
    ours, judged = ranked_of(collection, "dev", seed=1), collection.judgements("dev")
    names = query_ids(collection, "dev")
    run = trec.write_run(tmp_path / f"a.run{ending}", ours, names, collection.doc_ids, "tag")
    qrels = trec.write_qrels(tmp_path / f"qrels.txt{ending}", judged, collection)
    theirs = {
        f"{name}_{k}": measure @ k
        for k in KS
        for name, measure in {"mrr": RR, "recall": R, "ndcg": nDCG, "map": AP, "precision": P}.items()
    }
    found = ir_measures.calc_aggregate(
        list(theirs.values()), ir_measures.read_trec_qrels(str(qrels)), ir_measures.read_trec_run(str(run))
    )
    means = {name: value.mean() for name, value in metrics.evaluate(ours, KS, min_grade=1).items()}
    assert means["mrr_20"] > 0
    for name, measure in theirs.items():
        assert means[name] == pytest.approx(found[measure], abs=1e-9), name


@pytest.mark.slow  # it compiles for half a minute
@pytest.mark.filterwarnings("ignore")
def test_ranx_reads_what_is_written_and_agrees(collection: Collection, tmp_path: Path) -> None:
    ranx = pytest.importorskip("ranx")
    ours, names = ranked_of(collection, "dev", seed=2), query_ids(collection, "dev")
    run = trec.write_run(tmp_path / "a.run", ours, names, collection.doc_ids, "tag")
    qrels = trec.write_qrels(tmp_path / "qrels.txt", collection.judgements("dev"), collection)
    read = ranx.Qrels.from_file(str(qrels), kind="trec"), ranx.Run.from_file(str(run), kind="trec")
    found = ranx.evaluate(*read, ["mrr@10", "recall@10", "map@10"])
    means = {name: value.mean() for name, value in metrics.evaluate(ours, [10], min_grade=1).items()}
    for theirs, name in (("mrr@10", "mrr_10"), ("recall@10", "recall_10"), ("map@10", "map_10")):
        assert means[name] == pytest.approx(found[theirs], abs=1e-9), name


def test_tied_scores_of_a_run_count_at_their_expected_value(collection: Collection, tmp_path: Path) -> None:
    # all of a query's documents under one score: chance over them, whatever the ranks say
    first, *_ = query_ids(collection, "dev")
    docs = list(collection.split("dev")[first])
    lines = [f"{first} Q0 {doc} {rank} 0.5 tag" for rank, doc in enumerate(docs, start=1)]
    relevant = sum(grade > 0 for grade in collection.split("dev")[first].values())
    found, remarks = trec.read_run(written(tmp_path, lines), collection, "dev", depth=3)
    assert found.tail_size.tolist() == [len(docs) - 3, 0, 0, 0]
    values = metrics.evaluate(found, [1, 3], min_grade=1)
    assert values["precision_1"].tolist() == pytest.approx([relevant / len(docs), 0, 0, 0])
    assert values["recall_3"].tolist() == pytest.approx([3 / len(docs), 0, 0, 0])
    assert remarks == [
        f"{tmp_path / 'run.txt'}: 3 of 4 queries have no list and score 0, the first is '1004'"
    ]


def test_queries_in_the_middle_may_have_no_list(collection: Collection, tmp_path: Path) -> None:
    names, ours = query_ids(collection, "dev"), ranked_of(collection, "dev", seed=3)
    path = trec.write_run(tmp_path / "run.txt", ours, names, collection.doc_ids, "tag")
    kept = [line for line in path.read_text().splitlines() if line.split()[0] not in (names[0], names[2])]
    theirs, _ = trec.read_run(written(tmp_path, kept), collection, "dev", depth=20)
    mine, other = (metrics.evaluate(each, [20], min_grade=1)["recall_20"] for each in (ours, theirs))
    assert other.tolist() == [0, mine[1], 0, mine[3]]
    assert theirs.judged.tolist() == ours.judged.tolist()
    with pytest.raises(ValueError, match="none of the 4 queries judged in split dev has a list"):
        trec.read_run(written(tmp_path, []), collection, "dev", depth=20)


def test_scores_that_others_tell_apart_are_remarked_on(collection: Collection, tmp_path: Path) -> None:
    lines = [f"1000 Q0 1000_{at} {at + 1} {0.5 - 1e-7 * at:.9f} tag" for at in range(3)]
    path = written(tmp_path, lines)
    _, remarks = trec.read_run(path, collection, "dev", depth=5)
    assert remarks[-1] == (
        f"{path}: 1 queries have scores that differ by less than 1e-06, which count as equal"
    )


def test_documents_that_are_no_candidates_are_left_aside(collection: Collection, tmp_path: Path) -> None:
    own = candidates.judged(collection.judgements("dev"))
    lines = [*run_of(collection, "dev"), "1000 Q0 1001_0 1 99 tag"]
    path = written(tmp_path, lines)
    found, remarks = trec.read_run(path, collection, "dev", depth=9, lists=own)
    plain, _ = trec.read_run(written(tmp_path, lines[:-1]), collection, "dev", depth=9)
    assert found.scores.tolist() == plain.scores.tolist()
    assert remarks == [f"{path}: 1 documents that are no candidates of their query left aside"]


def test_the_faults_of_a_run_are_named_for_a_system_too(collection: Collection, tmp_path: Path) -> None:
    path = written(tmp_path, ["1000 Q0 1000_0 1 2.5 tag", "1000 Q0 nothing 2 2.4 tag"])
    with pytest.raises(ValueError, match=r"run\.txt:2: no document 'nothing' in the collection"):
        trec.read_run(path, collection, "dev", depth=5)


@pytest.mark.parametrize("block", [1, 70])
def test_the_size_of_a_block_changes_no_line_number(
    block: int, collection: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trec, "BLOCK", block)
    lines = run_of(collection, "dev")
    found, _ = trec.read(written(tmp_path, lines), collection, "dev")
    assert found.docs.tolist() == candidates.judged(collection.judgements("dev")).docs.tolist()
    with pytest.raises(ValueError, match=rf"run\.txt:{len(lines) + 1}: 1 fields, want 6"):
        trec.read(written(tmp_path, [*lines, "odd"]), collection, "dev")


@pytest.mark.parametrize("end", ["", "\n\n \n", "\r\n"])
def test_the_end_of_the_file_may_be_none_or_blank(end: str, collection: Collection, tmp_path: Path) -> None:
    (tmp_path / "run.txt").write_bytes(("\n".join(run_of(collection, "dev")) + end).encode())
    found, _ = trec.read(tmp_path / "run.txt", collection, "dev")
    assert found.docs.tolist() == candidates.judged(collection.judgements("dev")).docs.tolist()


def test_lines_that_are_short_and_long_by_as_much_are_refused(collection: Collection, tmp_path: Path) -> None:
    lines = ["1000 Q0 1000_0 1 2.5", "tag 1000 Q0 1000_1 2 2.4 tag"]
    with pytest.raises(ValueError, match=r"run\.txt:1: 5 fields, want 6"):
        trec.read_run(written(tmp_path, lines), collection, "dev", depth=5)
    with pytest.raises(ValueError, match=r"run\.txt:1: 5 fields, want 6"):
        trec.read_run(written(tmp_path, ["1000 Q0 1000_0 1 2.5", "\x00"]), collection, "dev", depth=5)


def test_ids_with_white_space_have_no_place_in_a_run(tmp_path: Path) -> None:
    odd = Collection.from_dicts({"a b": "x", "c": "y"}, {"q": "z"}, {"test": {"q": {"a b": 1}}})
    ranked = ranking.rank_scores([np.array([1.0, 0.5])], odd.judgements("test"), depth=2)
    for write in (
        lambda: trec.write_run(tmp_path / "a.run", ranked, ["q"], odd.doc_ids, "tag"),
        lambda: trec.write_qrels(tmp_path / "qrels.txt", odd.judgements("test"), odd),
    ):
        with pytest.raises(ValueError, match="'a b' has white space in it"):
            write()
    assert list(tmp_path.iterdir()) == []


def test_chance_has_no_run(collection: Collection, tmp_path: Path) -> None:
    judged = collection.judgements("dev")
    constant = ranking.rank_constant(len(collection.doc_ids), judged, depth=5)
    with pytest.raises(ValueError, match="Chance orders by chance, so there is no run"):
        trec.write_run(tmp_path / "a", constant, query_ids(collection, "dev"), collection.doc_ids, "Chance")


def test_values_are_written_query_by_query(tmp_path: Path) -> None:
    ids, values = np.array(["q1", "q,2"]), {"mrr_10": np.array([0.5, 1 / 3]), "map": np.array([0.0, 1.0])}
    plain = trec.write_per_query(tmp_path / "a.csv", PerQuery(ids, values))
    assert plain.read_text() == 'query_id,mrr_10,map\nq1,0.5,0.0\n"q,2",0.3333333333333333,1.0\n'
    marked = trec.write_per_query(tmp_path / "b.csv", PerQuery(ids, values, np.array([True, False])))
    assert [line.rpartition(",")[2] for line in marked.read_text().splitlines()] == ["leaky", "1", "0"]


@pytest.mark.bench
def test_a_run_of_five_million_lines_takes_a_processor_less_than_fifteen_seconds(tmp_path: Path) -> None:
    docs = {f"d{number:06}": "x" for number in range(100_000)}
    queries = {f"q{number:04}": "x" for number in range(5_000)}
    qrels = {"test": {query: {"d000000": 1} for query in queries}}
    large = Collection.from_dicts(docs, queries, qrels)
    with (tmp_path / "run.txt").open("w") as out:
        for number, query in enumerate(queries):
            out.writelines(
                f"{query} Q0 d{(number * 17 + at * 97) % 100_000:06} {at + 1} {30 - at / 64} tag\n"
                for at in range(1_000)
            )
    start = time.process_time()
    found, _ = trec.read_run(tmp_path / "run.txt", large, "test", depth=100)
    seconds = time.process_time() - start
    assert found.scores.shape == (5_000, 100)
    assert seconds < 15, f"{seconds:.1f} s"
