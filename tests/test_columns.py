import pytest

from twotower.config import Pairs, Triplets
from twotower.data import columns
from twotower.data.columns import Document
from twotower.data.ledger import BadLine

PAIRS, TRIPLETS = Pairs(path=""), Triplets(path="")


@pytest.mark.parametrize("names", [("query", "positive", "negative"), ("negative", "query", "positive")])
def test_the_place_of_a_column_says_nothing(names):
    found = columns.find(names, TRIPLETS)
    assert (found.query, found.positive, found.negatives) == (
        "query",
        Document("positive"),
        (Document("negative"),),
    )


@pytest.mark.parametrize("query", columns.QUERY)
@pytest.mark.parametrize("positive", columns.POSITIVE)
def test_the_known_names_of_query_and_document(query, positive):
    found = columns.find([positive, query], PAIRS)
    assert (found.query, found.positive.text, found.ignored) == (query, positive, ())


@pytest.mark.parametrize("name", columns.SCORE)
def test_the_known_names_of_the_score(name):
    assert columns.find(["query", "doc", name], PAIRS).score == name
    assert columns.find(["query", "doc", "neg", name], TRIPLETS).ignored == (name,)


@pytest.mark.parametrize(
    "name",
    [
        *("neg", "negs", "negatives", "hard_negative", "hard_negatives", "hard_neg"),
        *("negative_1", "negative1", "neg_1", "hard_negative_12", "negative_text", "Hard-Negative 3"),
    ],
)
def test_the_known_names_of_negatives(name):
    assert columns.find(["query", "doc", name], TRIPLETS).negatives == (Document(name),)


def test_names_are_compared_without_case_hyphens_and_spaces():
    found = columns.find(
        ["Query-ID", " Question", "Corpus ID", "Doc-Text", "Similarity Score", "Split"], PAIRS
    )
    assert (found.query, found.query_id, found.score, found.split) == (
        *(" Question", "Query-ID", "Similarity Score"),
        "Split",
    )
    assert found.positive == Document("Doc-Text", id="Corpus ID")


def test_numbered_negatives_come_in_the_order_of_their_numbers_with_their_ids_and_titles():
    names = ["neg_10", "neg_2_id", "neg_2", "negative_id_10", "neg", "negative_title_2", "query", "pos"]
    assert columns.find(names, TRIPLETS).negatives == (
        Document("neg"),
        Document("neg_2", id="neg_2_id", title="negative_title_2"),
        Document("neg_10", id="negative_id_10"),
    )


def test_the_id_beside_a_column_comes_before_other_known_names():
    found = columns.find(["query", "passage", "passage_id", "doc_id", "passage_title", "title"], PAIRS)
    assert found.positive == Document("passage", id="passage_id", title="passage_title")
    assert found.ignored == ("doc_id", "title")


def test_knobs_name_columns_and_win_over_known_names():
    cfg = Triplets(path="", query="a", positive="query", negative=["c", "b"])
    found = columns.find(["a", "b", "c", "query", "positive", "c_id", "negative", "query_id"], cfg)
    assert (found.query, found.positive) == ("a", Document("query", id="query_id"))
    assert found.negatives == (Document("c", id="c_id"), Document("b"))
    assert found.ignored == ("positive", "negative")
    assert columns.find(["query", "doc", "points"], Pairs(path="", score="points")).score == "points"


@pytest.mark.parametrize(
    ("names", "cfg", "said"),
    [
        (
            ["a", "b"],
            PAIRS,
            "no column says which is the query: it has a, b; want query, question, anchor or another known "
            "name, or data.query=NAME",
        ),
        (["query", "b"], PAIRS, "no column says which is the positive: it has query, b; want positive, docu"),
        (
            ["query", "answer", "context"],
            PAIRS,
            "columns answer, context are both the positive; say data.positive=NAME",
        ),
        (["query", "Query", "doc"], PAIRS, "columns query, Query are both the query; say data.query=NAME"),
        (["query", "doc", "pid", "docid"], PAIRS, "columns pid, docid are both the positive id; want one"),
        (["query", "doc", "label", "score"], PAIRS, "columns label, score are both the score; say data.sc"),
        (["query", "doc", "neg"], PAIRS, "pairs with a negative column (neg), want data=triplets"),
        (
            ["query", "doc"],
            TRIPLETS,
            "no negative column: it has query, doc; want negative, negative_1 ... or data.negative=NAME; "
            "without negatives data=pairs",
        ),
        (
            ["query", "doc", "neg", "negative"],
            TRIPLETS,
            "columns neg, negative are both the text of one negative; say data.negative=NAME",
        ),
        (["query", "doc"], Pairs(path="", query="q"), "data.query=q: no such column, it has query, doc"),
        (
            ["query", "doc"],
            Pairs(path="", query="doc", positive="doc"),
            "data.query=doc: named twice, want one role for it",
        ),
        ([], PAIRS, "no column says which is the query: it has none"),
        (
            ["two\nlines", "\ud800"],
            PAIRS,
            r"no column says which is the query: it has 'two\nlines', '\ud800'",
        ),
        (["neg" + "9" * 5000], TRIPLETS, "no column says which is the query: it has neg999"),
    ],
)
def test_columns_that_do_not_say_enough_are_refused(names, cfg, said):
    with pytest.raises(BadLine) as caught:
        columns.find(names, cfg)
    assert str(caught.value).startswith(said)
    assert "\n" not in str(caught.value)
