from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from floors_case import ask
from hypothesis import given, settings
from hypothesis import strategies as st
from test_fields import written

from twotower.data.collection import Collection
from twotower.evaluation import slices
from twotower.evaluation.evaluate import Result
from twotower.evaluation.floors import Asked
from twotower.evaluation.slices import FEWEST, OTHERS
from twotower.text.vocabulary import SPECIAL, Vocab

TEXTS = (
    *["what is ulm"] * 6,
    *["how old is the town of ulm"] * 5,
    *["ulm"] * 2,
    "where is the one and only town of ulm that has so many words",
    "?",
)


def queries(texts: tuple[str, ...] = TEXTS) -> Collection:
    asked = {f"q{number:02}": text for number, text in enumerate(texts)}
    return Collection.from_dicts(
        {"d": "ulm", "e": "bonn"}, asked, {"dev": {query: {"d": 1} for query in asked}}
    )


def scored(asked: Asked, seed: int = 0) -> Result:
    """Random values, one each query."""
    rows = asked.query_rows
    rng = np.random.default_rng(seed)
    values = {name: rng.random(len(rows)) for name in ("mrr_10", "recall_10")}
    means = {name: float(value.mean()) for name, value in values.items()}
    return Result(means, values, rows, len(rows), len(rows))


def sliced(name: str, asked: Asked, *words: str) -> list[dict[str, Any]]:
    vocab = Vocab((*SPECIAL, *words))
    return slices.of([name], asked, scored(asked), vocab, np.random.default_rng(0))[name]


def counts(parts: list[dict[str, Any]]) -> dict[str, int]:
    return {part["value"]: part["queries"] for part in parts}


def test_queries_are_sliced_by_their_words(tmp_path: Path) -> None:
    # two of one word and the others of 0 and 14 are too few
    parts = sliced("length", ask(queries(), tmp_path))
    assert counts(parts) == {"1-3 words": 8, "7-10 words": 5, OTHERS: 2}
    assert list(counts(parts)) == ["1-3 words", "7-10 words", OTHERS]


def test_queries_are_sliced_by_their_first_word(tmp_path: Path) -> None:
    assert counts(sliced("first_word", ask(queries(), tmp_path))) == {"what": 6, "how": 5, OTHERS: 4}


def test_queries_are_sliced_by_their_share_of_unknown_words(tmp_path: Path) -> None:
    texts = (*["what is ulm"] * 5, *["what is ulm zyzzyva"] * 6, *["what zyzzyva"] * 5, "?")
    parts = sliced("unknown", ask(queries(texts), tmp_path), "what", "is", "ulm")
    assert list(counts(parts).items()) == [("none", 5), ("up to 1/4", 6), ("more", 6)]


def test_a_row_without_a_vocabulary_has_no_slices_of_unknown_words(tmp_path: Path) -> None:
    asked = ask(queries(), tmp_path)
    made = slices.of(["unknown", "length"], asked, scored(asked), None, np.random.default_rng(0))
    assert list(made) == ["length"]


def test_a_slice_has_the_mean_of_its_queries_with_an_interval(tmp_path: Path) -> None:
    asked = ask(queries(), tmp_path)
    first = sliced("first_word", asked)[0]
    values = scored(asked).per_query["mrr_10"][:6]  # `what` comes first
    assert first["metrics"]["mrr_10"] == pytest.approx(values.mean())
    low, high = first["intervals"]["mrr_10"]
    assert values.min() <= low < values.mean() < high <= values.max()


@settings(max_examples=25)
@given(st.lists(st.sampled_from(["a", "b c", "b d e f", "g", "x y z " * 3, "?"]), min_size=1, max_size=40))
def test_the_weighted_mean_over_the_slices_is_the_whole(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str]
) -> None:
    asked = ask(queries(tuple(texts)), tmp_path_factory.mktemp("cache"))
    result = scored(asked)
    for name in ("length", "first_word", "unknown"):
        parts = sliced(name, asked, "a", "b")
        assert sum(part["queries"] for part in parts) == len(texts)
        assert all(part["queries"] >= FEWEST for part in parts if part["value"] != OTHERS)
        for metric, mean in result.metrics.items():
            whole = sum(part["queries"] * part["metrics"][metric] for part in parts) / len(texts)
            assert whole == pytest.approx(mean)


def test_only_the_most_frequent_values_stand_alone() -> None:
    values = [f"w{number:02}" for number in range(12) for _ in range(20 - number)]
    pooled = slices._pooled(values)
    assert set(pooled) == {*(f"w{number:02}" for number in range(10)), OTHERS}
    assert pooled.count(OTHERS) == 10 + 9


def fielded(folder: Path, values: list[Any]) -> Asked:
    """A folder whose queries have these values in the field `topic`."""
    records = [{"_id": f"q{number}", "text": "where", "topic": value} for number, value in enumerate(values)]
    qrels = {"dev": {f"q{number}": {"d": 1} for number in range(len(values))}}
    return ask(replace(written(folder, records), qrels=qrels), folder / "cache")


def test_a_field_of_the_queries_file_is_a_slicing(tmp_path: Path) -> None:
    parts = sliced("topic", fielded(tmp_path / "b", [*["a"] * 5, *[True] * 6, *[None] * 7, "rare"]))
    assert counts(parts) == {"(none)": 7, "true": 6, "a": 5, OTHERS: 1}


def test_many_different_numbers_are_sliced_in_quarters(tmp_path: Path) -> None:
    parts = sliced("topic", fielded(tmp_path / "b", [*range(1990, 2010), None]))
    assert list(counts(parts).items()) == [
        *[("1990 to 1994", 5), ("1995 to 1999", 5), ("2000 to 2004", 5), ("2005 to 2009", 5)],
        (OTHERS, 1),
    ]


def test_few_different_numbers_are_values(tmp_path: Path) -> None:
    parts = sliced("topic", fielded(tmp_path / "b", [*[1] * 5, *[2.5] * 5]))
    assert counts(parts) == {"1": 5, "2.5": 5}


def test_a_name_that_is_nothing_is_refused_with_all_that_there_is(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"slices: .*no field 'lenght', only queries of data=beir .*; want length"
    ):
        sliced("lenght", ask(queries(), tmp_path))
    with pytest.raises(ValueError, match=r"slices: .*there is topic; want length, first_word, unknown or"):
        sliced("topik", fielded(tmp_path / "b", ["a"]))
