import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twotower.search import answers
from twotower.search.explain import Explanation, Share, Side
from twotower.search.queries import Query
from twotower.search.searcher import Answer, Hit

CSV = Hit(1, "csv.reader", 0.71324, "Reading files", "Return a reader object for the given csv file.")
ODD = Hit(
    2, "a\x1b[31m", 0.5, "\x1b]0;x\x07", "b\x9b31m", source="s\r", percentile=99.987, duplicates=("d\x07",)
)


def answer(*hits: Hit, query: str = "csv file") -> Answer:
    return Answer(query, hits, 0.001, 0.002, 0.003, ())


def plain(*hits: Hit, query: str = "csv file") -> list[str]:
    return [line.plain for line in answers.lines(answer(*hits, query=query))]


def test_a_hit_shows_rank_score_id_title_and_what_speaks_of_the_query() -> None:
    assert plain(CSV) == [
        " 1  0.7132  csv.reader  Reading files",
        "    Return a reader object for the given csv file.",
    ]
    (_, text) = answers.lines(answer(CSV))
    assert [piece for piece, style in text.pieces if style] == ["csv", "file"]


def test_percentile_source_and_documents_that_read_the_same_are_named() -> None:
    hit = Hit(10, "d1", 0.5, "", "text", "wiki", 99.987, tuple(f"d{n}" for n in range(2, 9)))
    assert plain(hit) == [
        "10  0.5000  99.98%  d1  [wiki]",
        "    text",
        "    the same: d2, d3, d4, d5, d6 and 2 more",
    ]


def test_a_hybrid_hit_says_what_both_think_of_it() -> None:
    (head, _) = plain(Hit(1, "d1", 0.0325, "", "text", cosine=0.71, bm25=12.345))
    assert head == " 1  0.0325  d1  (cosine 0.7100, BM25 12.35)"


def test_documents_can_do_a_terminal_no_harm() -> None:
    assert all(line.isprintable() for line in plain(ODD))


@pytest.mark.parametrize(
    ("score", "percentile", "shade"),
    [
        (0.9, None, "bold green"),
        (0.1, None, "red"),
        (0.9, 50.0, "red"),
        (0.1, 99.95, "bold green"),
        (0.1, 90.0, "yellow"),
    ],
)
def test_the_percentile_decides_on_the_colour_where_there_is_one(
    score: float, percentile: float | None, shade: str
) -> None:
    head, _ = answers.lines(answer(Hit(1, "d", score, "", "text", percentile=percentile)))
    assert dict(head.pieces)[f"{score:.4f}"] == shade


def test_a_long_title_is_cut_and_an_empty_text_takes_no_line() -> None:
    (head,) = plain(Hit(1, "d", 0.5, "word " * 100, ""))
    assert len(head) < 200


def test_two_answers_beside_each_other_say_what_moved() -> None:
    def hits(*ids: str) -> tuple[Hit, ...]:
        return tuple(Hit(rank, doc, 1 / rank, "T", "") for rank, doc in enumerate(ids, 1))

    grid = answers.beside(answer(*hits("a", "b", "c")), answer(*hits("b", "a", "d")), ("one", "two"))
    assert grid.heading == "2 of 3 hits in both: one, then two"
    assert [[row[0], row[1], row[3], row[5]] for row in grid.rows] == [
        ["a  T", "1", "2", "down 1"],
        ["b  T", "2", "1", "up 1"],
        ["c  T", "3", "", "gone"],
        ["d  T", "", "3", "new"],
    ]


SIDE = st.builds(
    lambda adds: [Share(f"w{n}", value, 1 + n % 2, n % 3 > 0) for n, value in enumerate(adds)],
    st.lists(st.floats(-1, 1), max_size=30),
)


@given(SIDE, st.floats(-1, 1))
def test_what_why_prints_adds_up_to_the_score_it_prints(shares: list[Share], score: float) -> None:
    side = Side(tuple(shares), score - sum(share.adds for share in shares), 3)
    head, *lines = answers.why(Explanation(score, side, side, "occlusion"), CSV)
    (said,) = re.findall(r"cosine (-?\d\.\d{6})", head.plain)
    for line in (lines[0], lines[2]):
        assert "remainder" in line.plain
        parts = [round(float(part) * 1e6) for part in re.findall(r"[+-]\d+\.\d{6}", line.plain)]
        assert sum(parts) == round(float(said) * 1e6)
    assert lines[1].plain == "    3 more words were not read"


def test_near_words_stand_with_their_cosines() -> None:
    (line,) = answers.near([("json", 0.812), ("xml", 0.7)])
    assert line.plain == "    json 0.81  xml 0.70  "


def test_a_run_has_six_fields_and_scores_that_read_back_equal() -> None:
    lines = answers.trec(answer(CSV), "q1", "first run-a1b2c3")
    assert lines == ["q1 Q0 csv.reader 1 0.71324 first_run-a1b2c3"]


@pytest.mark.parametrize(("query", "doc"), [("q 1", "d"), ("q", "d\t1"), ("q", "a\x1b[31m"), ("", "d")])
def test_an_id_that_a_run_cannot_hold_is_refused(query: str, doc: str) -> None:
    with pytest.raises(ValueError, match="white space or control characters"):
        answers.trec(answer(Hit(1, doc, 0.5, "", "")), query, "tag")


def test_json_has_all_of_a_hit_and_of_hybrid_only_what_there_is() -> None:
    content = answers.content(answer(CSV), "model.pt", "docs@v0001", "q1")
    assert list(content) == ["query_id", "query", "checkpoint", "index", "seconds", "hits"]
    assert json.loads(json.dumps(content))["hits"] == [
        {
            "rank": 1,
            "doc_id": "csv.reader",
            "score": 0.71324,
            "title": CSV.title,
            "text": CSV.text,
            "source": "",
            "percentile": None,
            "duplicates": [],
        }
    ]
    (hit,) = answers.content(answer(Hit(1, "d", 0.5, "", "", cosine=0.1, bm25=2.0)), "model.pt")["hits"]
    assert (hit["cosine"], hit["bm25"]) == (0.1, 2.0)


def test_a_query_of_several_stands_above_its_hits() -> None:
    assert answers.heading(Query("q1", "read\n a csv")).plain == "q1: read a csv"
