import pytest

from twotower.evaluation import asking
from twotower.search.asked import Asked
from twotower.text.tokenize import Tokenizer
from twotower.text.vocabulary import SPECIAL, Vocab

READ_BY = Tokenizer(), Vocab((*SPECIAL, "read", "a", "csv", "file"))
TEXTS = ("read a csv", "read a file zip", "never judged")


def line(query: str, *percentiles: float | None, day: int = 1) -> Asked:
    return Asked(f"2026-11-{day:02}", query, [], [], percentiles, [], "docs", "model.pt", 0.001)


LOG = [
    line("Read a CSV!", 99.5, 20.0, day=3),
    line("kubectl", 80.0),
    line("kubectl", 80.0),
    line("kubectl csv kubectl helm", 98.0, None),
    line("a", None),
]


def test_what_is_asked_stands_beside_what_was_judged() -> None:
    content = asking.compare(LOG, TEXTS, [0, 1], READ_BY, examples=1)
    assert (content["asked"], content["distinct"]) == (5, 4)
    assert (content["first"], content["last"]) == ("2026-11-01", "2026-11-03")
    assert content["in_collection"] == 0.25  # "Read a CSV!" alone reads like one
    # asked: 3 + 1 + 1 + 4 + 1 words, of which kubectl four times and helm once are unknown
    assert content["words"]["mean"] == 2.0
    assert content["words"]["unknown_share"] == 0.5
    assert content["words"]["queries_with_unknown"] == 0.6
    # judged: 3 + 4 words, "zip" unknown
    assert content["judged"]["queries"] == 2
    assert content["judged"]["words"]["unknown_share"] == pytest.approx(1 / 7)
    assert content["judged"]["words"]["queries_with_unknown"] == 0.5
    assert content["unknown"] == [{"word": "kubectl", "queries": 3}, {"word": "helm", "queries": 1}]
    # of three different queries with a percentile the best hit of two is below 99
    assert content["weak"]["share"] == pytest.approx(2 / 3)
    assert content["weak"]["examples"] == [{"query": "kubectl", "percentile": 80.0}]


def test_the_comparison_is_said_in_lines() -> None:
    content = {"torn": 1, **asking.compare(LOG, TEXTS, [0, 1], READ_BY, examples=3)}
    said = "\n".join(asking.said(content))
    for part in (
        "5 queries asked, 4 of them different, from 2026-11-01 to 2026-11-03; 2 judged",
        "25.0% of the different ones",
        "unknown words: 50.0%, in 60.0% of the queries; of the judged 14.3%, in 50.0%",
        "kubectl 3, helm 1",
        "likely without an answer: 66.7%",
        "best hit at 80.00%: kubectl",
        "1 lines of the log are torn",
    ):
        assert part in said


def test_an_index_without_percentiles_says_nothing_of_them() -> None:
    content = asking.compare([line("a", None)], TEXTS, [0], READ_BY, examples=3)
    assert content["weak"]["share"] is None
    assert not any("likely" in one for one in asking.said({"torn": 0, **content}))


def test_queries_without_words_are_counted_too() -> None:
    content = asking.compare([line("?!")], ["!", "a"], [0], READ_BY, examples=3)
    assert content["words"]["unknown_share"] == 0.0
    assert content["unknown"] == []


def test_nothing_asked_is_refused() -> None:
    with pytest.raises(ValueError, match="got 0 queries asked"):
        asking.compare([], TEXTS, [0], READ_BY, examples=3)
