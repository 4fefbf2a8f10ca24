import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from search_case import WORDS, encode, index_of

from twotower import config, prompt
from twotower.data import judged
from twotower.search.desk import Desk
from twotower.search.orders import Orders
from twotower.search.searcher import Searcher
from twotower.text.ragged import Ragged

TEXTS = {
    "d1": "csv",
    "d2": "csv file",
    "d3": "matrix \x1b[31mred",
    "d4": "csv",
    "d5": "line one\nline\x9btwo",
}
CORPUS = "c" * 64
Say = Callable[..., str]


def other(name: str) -> Searcher:
    raise ValueError(f"no checkpoint {name}")


@pytest.fixture
def orders(tmp_path: Path) -> Orders:
    """Five documents, of which two read the same."""
    manifest = {"corpus": CORPUS, "checkpoint": {"run": "case", "path": "model.pt"}}
    made = index_of(TEXTS, ("", "Two", "", "", ""), tmp_path, collection="five", **manifest)
    made.duplicates[3] = 0
    cfg = config.Search(data=config.Stored(), k=3, judgements=str(tmp_path / "data" / "judgements.jsonl"))
    return Orders(Desk(cfg, Searcher(made, encode, "cpu"), "model.pt"), other)


@pytest.fixture
def say(orders: Orders, capsys: pytest.CaptureFixture[str]) -> Say:
    """What lines at the prompt print, stdout and stderr together; errors as they are raised."""

    def lines(*typed: str) -> str:
        table = prompt.completed(orders.table())
        for line in typed:
            if line.startswith(":"):
                prompt.obey(line, table)
            else:
                orders.desk.answer(line)
        return "".join(capsys.readouterr())

    return lines


def test_every_command_stands_in_the_help(say: Say) -> None:
    said = say(":help")
    for name in ("k N", "why n", "near word", "ab @other|off", "hybrid on|off|rrf|weighted [share]",
                 "filter source=name|off", "judge n yes|no", "open n", "save FILE", "quit"):  # fmt: skip
        assert f"  :{name} " in said


def test_documents_that_read_the_same_are_one_hit(say: Say) -> None:
    said = say("csv")
    assert " 1  1.0000  d1\n    csv\n    the same: d4\n 2  0.7071  d2  Two\n" in said


# settings


def test_k_is_changed_and_said(say: Say) -> None:
    assert say(":k 1", "csv").count("\n    csv\n") == 1
    assert say(":k") == "k: 1\n"
    with pytest.raises(ValueError, match="k: got 6, want at most 5"):
        say(":k 6")


@pytest.mark.parametrize("line", [":hybrid on", ":hybrid rrf", ":hybrid weighted 0.25"])
def test_a_hybrid_search_says_what_bm25_thinks(line: str, say: Say) -> None:
    assert "BM25" in say(line, "csv file")
    assert "BM25" not in say(":hybrid off", "csv file")


def test_the_share_of_a_weighted_search_is_said(say: Say) -> None:
    assert say(":hybrid weighted 0.25") == "hybrid: weighted, the tower's share 0.25\n"
    assert say(":hybrid on") == "hybrid: rrf\n"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (":hybrid maybe", "hybrid: got 'maybe', want on, off, rrf, weighted, or weighted and a share"),
        (":hybrid rrf 0.5", "hybrid: got 'rrf 0.5'"),
        (":hybrid weighted 2", "weight: got 2.0, want at least 0 and at most 1"),
        (":hybrid weighted x", "weight: got 'x', want a number"),
        (":filter source=wiki", "source: five has no 'wiki'"),
        (":ab @best", "no checkpoint @best"),
        (":open 1", "no answer yet"),
        (":save x", "no answer yet"),
        (":near nothing", "not in the vocabulary"),
        (":near csv file", "want one word"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_changes_nothing(
    line: str, said: str, orders: Orders, say: Say
) -> None:
    before = orders.desk.cfg
    with pytest.raises(ValueError, match=rf"^[^\n]*{re.escape(said)}[^\n]*$"):
        say(line)
    assert orders.desk.cfg == before


def test_one_source_alone_answers(orders: Orders, say: Say, tmp_path: Path) -> None:
    from twotower.search.documents import Document, DocumentStore

    with DocumentStore.open(tmp_path / "documents.db", write=True) as store:
        store.put([Document("d2", "Two", TEXTS["d2"], "wiki")])
        store.finish()
    assert say(":filter source=wiki") == "source: wiki\n"
    said = say("csv")
    assert ("d2" in said, "d1" in said) == (True, False)
    assert "[wiki]" in said
    assert [*orders.sources("")] == ["source=wiki", "off"]
    assert say(":filter off") == "source: all\n"
    assert "d1" in say("csv")


def test_another_checkpoint_answers_beside_this_one(orders: Orders, say: Say) -> None:
    def backwards(ids: Ragged) -> object:
        return -encode(ids)

    mine = orders.desk.opened
    orders.open_other = lambda name: Searcher(mine.index, backwards, "cpu")  # type: ignore[arg-type]
    said = say("csv", ":ab @other")
    assert "beside: @other" in said
    assert "hits in both: model.pt, then @other" in said
    assert "gone" in said
    assert "new" in say("file")
    assert say(":ab off") == "beside: nothing\n"
    assert "hits in both" not in say("file")


# the hits


def test_a_whole_document_is_opened_line_by_line_and_harmless(say: Say) -> None:
    said = say(":k 5", "csv", ":open 4")
    assert "d5\n    line one\n    line two\n" in said
    assert "\x1b" not in say("matrix", ":open 1")


@pytest.mark.parametrize("number", ["0", "4", "x", "-1", "", "²"])
def test_a_hit_that_is_not_there_is_refused(number: str, say: Say) -> None:
    say("csv")
    with pytest.raises(ValueError, match="want a number from 1 to 3"):
        say(f":open {number}")


def test_judgements_are_kept_with_the_query_and_the_corpus(orders: Orders, say: Say) -> None:
    said = say("csv  file", ":judge 1 yes", ":judge 2 no", ":judge 1 no")
    assert "d2 is relevant; kept in" in said
    lines, _ = judged.read(Path(orders.desk.cfg.judgements))
    assert [(line.query, line.doc_id, line.grade) for line in lines] == [
        ("csv file", "d2", 1),
        ("csv file", "d1", 0),
        ("csv file", "d2", 0),
    ]
    assert {line.collection for line in lines} == {CORPUS}
    assert lines[0].document == judged.content_of("Two", "csv file")


@pytest.mark.parametrize("line", [":judge 1", ":judge 1 maybe", ":judge 1 yes no", ":judge yes"])
def test_a_judgement_without_yes_or_no_is_refused(line: str, orders: Orders, say: Say) -> None:
    say("csv")
    with pytest.raises(ValueError, match=r"want yes or no|want a number"):
        say(line)
    assert not Path(orders.desk.cfg.judgements).exists()


@pytest.mark.parametrize("ending", [".json", ".trec", ".txt"])
def test_the_last_answer_is_saved_as_its_name_ends(ending: str, say: Say, tmp_path: Path) -> None:
    path = tmp_path / f"answer{ending}"
    assert f"saved in {path}" in say("csv", f":save {path}")
    text = path.read_text()
    match ending:
        case ".json":
            assert [hit["doc_id"] for hit in json.loads(text)["hits"]] == ["d1", "d2", "d3"]
        case ".trec":
            assert text.splitlines()[0] == "1 Q0 d1 1 1.0 case"
        case _:
            assert text.startswith("csv\n 1  1.0000  d1\n")
    with pytest.raises(ValueError, match="exists; want another name"):
        say(f":save {path}")


# completion


def test_known_words_sources_and_modes_are_completed(orders: Orders) -> None:
    assert list(orders.words("c")) == ["csv"]
    assert list(orders.words("")) == sorted(WORDS)
    assert list(orders.words("<")) == []
    assert orders.sources("o") == ["off"]
    assert orders.hybrids("r") == ["rrf"]
    table, aid = prompt.completed(orders.table()), prompt.Aid(orders.words, orders.desk.toolbar)

    def offered(text: str) -> list[str]:
        return [
            f"{text[: len(text) - typed]}{word}" for word, typed, _ in prompt.completions(text, table, aid)
        ]

    assert offered(":h") == [":help", ":hybrid"]
    assert offered(":hybrid w") == [":hybrid weighted"]
    assert offered(":near m") == [":near matrix"]
    assert offered("read a cs") == ["read a csv"]
    assert offered("read a ") == offered("") == offered(":nothing x") == []


def test_the_toolbar_says_what_is_set(orders: Orders, say: Say) -> None:
    assert orders.desk.toolbar() == "5 documents of five  k 3"
    say(":hybrid weighted 0.25")
    orders.desk.cfg = replace(orders.desk.cfg, log="asked.jsonl", source="wiki")
    assert (
        orders.desk.toolbar()
        == "5 documents of five  k 3  hybrid weighted 0.25  source wiki  log asked.jsonl"
    )
