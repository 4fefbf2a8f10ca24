import json
import re
from dataclasses import dataclass, fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twotower import config, knobs
from twotower.config import Bounds, Device, Optimizer, Scheduler, knob

TYPES = {"k": list[int], "name": str, "query_tower.hidden_dim": int, "doc_tower.hidden_dim": int}
ELSEWHERE = {
    "loss.margin": "loss=triplet",
    "data.path": "data=beir",
    "query_tower.pooling": "query_tower=gru",
}


def test_a_word_with_a_name_and_an_equals_sign_is_a_knob() -> None:
    assert knobs.split(["k=3", "loss.margin=0.1"]) == ([], {"k": "3", "loss.margin": "0.1"})


@pytest.mark.parametrize("word", ["what is a=b", "3=k", "=x", "a-b=1", ".k=1", "k.=1", "", "π"])
def test_every_other_word_is_bare(word: str) -> None:
    assert knobs.split([word]) == ([word], {})


def test_of_a_knob_given_twice_the_last_counts() -> None:
    assert knobs.split(["k=3", "k=4"]) == ([], {"k": "4"})


def test_after_two_dashes_every_word_is_bare() -> None:
    assert knobs.split(["k=3", "--", "e=mc2", "--"]) == (["e=mc2", "--"], {"k": "3"})


@given(st.text())
def test_a_value_is_kept_to_the_letter(value: str) -> None:
    assert knobs.split([f"name={value}"]) == ([], {"name": value})
    assert knobs.convert("name", value, str) == value


def test_the_nearest_name_is_offered() -> None:
    assert knobs.nearest("batchsize", ["batch_size", "dim"]) == "; did you mean batch_size?"
    assert knobs.nearest("MLP", ["gru", "mlp"]) == "; did you mean mlp?"
    assert knobs.nearest("hiden_dim", TYPES) == "; did you mean hidden_dim?"
    assert knobs.nearest("doc_tower.hiden_dim", TYPES) == "; did you mean doc_tower.hidden_dim?"
    assert knobs.nearest("zzz", TYPES) == ""


def test_a_full_name_means_itself_and_a_short_one_all_that_end_so() -> None:
    both = ["query_tower.hidden_dim", "doc_tower.hidden_dim"]
    assert knobs.resolve("query_tower.hidden_dim", TYPES, ELSEWHERE) == both[:1]
    assert knobs.resolve("hidden_dim", TYPES, ELSEWHERE) == both
    assert knobs.resolve("name", TYPES, ELSEWHERE) == ["name"]


def test_stored_knobs_come_back_typed_by_choice_and_name() -> None:
    tower = config.MLPTower(hidden_dim=12)
    cfg = config.Train(
        data=config.Docstrings(packages=["json"]),
        query_tower=tower,
        doc_tower=config.GRUTower(),
        loss=config.Triplet(margin=0.3),
        k=[1, 10],
        optimizer=Optimizer.sgd,
        learning_rate=1e-5,
    )
    stored = knobs.stored(config.Train, json.loads(json.dumps(knobs.plain(cfg))))
    assert stored.groups == {
        "data": "docstrings",
        "query_tower": "mlp",
        "doc_tower": "gru",
        "loss": "triplet",
    }
    assert stored.values["loss.margin"] == 0.3
    assert stored.values["optimizer"] is Optimizer.sgd
    assert (stored.values["k"], stored.values["data.packages"]) == ([1, 10], ["json"])
    with pytest.raises(ValueError, match="old_knob: not a knob of this version"):
        knobs.stored(config.Train, {"old_knob": 1})


def test_a_short_name_of_a_choice_not_in_force_means_nothing() -> None:
    assert knobs.resolve("margin", TYPES, ELSEWHERE) == []


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("loss.margin", "loss.margin: belongs to loss=triplet, the loss in force has none"),
        (
            "query_tower.pooling",
            "belongs to query_tower=gru, the query_tower in force has query_tower.hidden_dim",
        ),
        ("path", "path: belongs to data=beir, the data in force has none"),
        ("nme", "nme: no such knob; did you mean name? (--help lists them)"),
        ("lsos", "lsos: no such knob; did you mean loss? (--help lists them)"),
        ("zzzzzz", "zzzzzz: no such knob (--help lists them)"),
    ],
)
def test_a_name_that_cannot_be_meant_is_refused(name: str, says: str) -> None:
    with pytest.raises(ValueError, match=re.escape(says)):
        knobs.resolve(name, TYPES, ELSEWHERE)


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("5", int, 5),
        ("-1", int, -1),
        ("1e-05", float, 1e-05),
        ("1", float, 1.0),
        ("True", bool, True),
        ("False", bool, False),
        ("true", bool, True),
        ("off", bool, False),
        ("0", bool, False),
        ("1,5,10", list[int], [1, 5, 10]),
        ("[1, 5, 10]", list[int], [1, 5, 10]),
        ("5", list[int], [5]),
        ("5,", list[int], [5]),
        ("['a', \"b\"]", list[str], ["a", "b"]),
        ("a.b,c", list[str], ["a.b", "c"]),
        ("sgd", Optimizer, Optimizer.sgd),
    ],
)
def test_a_value_is_read_as_its_type(text: str, kind: object, value: object) -> None:
    got = knobs.convert("x", text, kind)
    assert got == value
    assert type(got) is type(value)


@pytest.mark.parametrize(
    ("text", "kind", "says"),
    [
        ("ten", int, "x: got 'ten', want a whole number"),
        ("1.5", int, "x: got '1.5', want a whole number"),
        ("", int, "x: got '', want a whole number"),
        ("1,5", float, "x: got '1,5', want a number"),
        ("nan", float, "x: got 'nan', want a finite number"),
        ("-inf", float, "x: got '-inf', want a finite number"),
        ("maybe", bool, "x: got 'maybe', want true or false"),
        ("[]", list[int], "x: got an empty list, want at least one int"),
        ("", list[int], "x: got an empty list, want at least one int"),
        ("[1,2", list[int], "x: got '[1,2', want a list such as a,b or [a,b]"),
        ("1,,2", list[int], "x: got '', want a whole number"),
        ("1,b", list[int], "x: got 'b', want a whole number"),
        ("ADAM", Optimizer, "x: got 'ADAM', want adamw or adam or sgd; did you mean adam?"),
        ("gpu", Device, "x: got 'gpu', want auto or cpu or cuda or mps; did you mean cpu?"),
    ],
)
def test_a_value_of_another_type_is_refused_in_one_line(text: str, kind: object, says: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(says)}$"):
        knobs.convert("x", text, kind)


@dataclass(frozen=True)
class Inner:
    """Inside."""

    share: float = knob(0.5, above=0, below=1)


@dataclass(frozen=True)
class Outer:
    """Outside."""

    inner: Inner
    ks: list[int] = knob([1], at_least=1, at_most=9)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        (Outer(Inner(0.0)), "inner.share: got 0.0, want above 0 and below 1"),
        (Outer(Inner(1.0)), "inner.share: got 1.0, want above 0 and below 1"),
        (Outer(Inner(float("nan"))), "inner.share: got nan, want above 0 and below 1"),
        (Outer(Inner(), [3, 0]), "ks: got 0, want at least 1 and at most 9"),
        (Outer(Inner(), [10]), "ks: got 10, want at least 1 and at most 9"),
    ],
)
def test_a_value_out_of_bounds_is_named_with_them(values: Outer, says: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(says)}$"):
        knobs.check_bounds(values)


def test_bounds_hold_their_closed_ends() -> None:
    knobs.check_bounds(Outer(Inner(0.999), [1, 9]))
    assert Bounds(at_least=0, at_most=1).admit(0)
    assert Bounds(at_least=0, at_most=1).admit(1)
    assert str(Bounds()) == ""


def test_the_string_below_a_knob_is_its_description() -> None:
    docs = knobs.docs_of(config.GRUTower)
    assert docs["pooling"] == "States to one vector: last, mean, max, attention."
    assert docs["dropout"] == "Share of units dropped while training."  # from the parent
    assert "each direction" in docs["hidden_dim"]  # its own word, not the parent's


def test_a_config_survives_being_made_plain() -> None:
    cfg = config.GRUTower(hidden_dim=8, pooling=config.Pooling.max)
    plain = knobs.plain(Holder(cfg))
    assert plain["query_tower"]["kind"] == "gru"
    assert plain["query_tower"]["pooling"] == "max"
    assert type(plain["query_tower"]["pooling"]) is str
    assert knobs.restore("query_tower", plain["query_tower"]) == cfg


@dataclass(frozen=True)
class Holder:
    """Of one choice."""

    query_tower: config.Tower
    scheduler: Scheduler = Scheduler.cosine


@pytest.mark.parametrize("group", list(config.GROUPS))
def test_every_choice_with_defaults_survives_being_made_plain(group: str) -> None:
    for word, kind in config.GROUPS[group].items():
        made = kind(**{field.name: "x" for field in fields(kind) if knobs.is_required(field)})
        assert knobs.restore(group, {"kind": word, **knobs.plain(made)}) == made


@pytest.mark.parametrize(
    ("stored", "says"),
    [
        ({}, "query_tower: got kind 'None', want mlp or gru"),
        ({"kind": "lstm"}, "query_tower: got kind 'lstm', want mlp or gru"),
        ({"kind": "mlp", "depth": 3}, "query_tower.depth: not a knob of query_tower=mlp in this version"),
        (
            {"kind": "mlp", "activation": "swish"},
            "query_tower.activation: got 'swish', want gelu or relu or tanh",
        ),
        ({"kind": "mlp", "hidden_dim": "wide"}, "query_tower.hidden_dim: got 'wide', want int"),
        ({"kind": "mlp", "hidden_dim": True}, "query_tower.hidden_dim: got True, want int"),
        ({"kind": "mlp", "dropout": 1.5}, "query_tower.dropout: got 1.5, want at least 0 and below 1"),
    ],
)
def test_a_stored_choice_that_this_version_would_refuse_is_refused(
    stored: dict[str, object], says: str
) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(says)}$"):
        knobs.restore("query_tower", stored)


def test_a_stored_choice_must_have_what_has_no_default() -> None:
    with pytest.raises(ValueError, match=r"data\.path: missing from data=beir"):
        knobs.restore("data", {"kind": "beir"})


def test_a_whole_number_will_do_where_a_stored_float_is_wanted() -> None:
    assert knobs.restore("query_tower", {"kind": "mlp", "dropout": 0}) == replace(
        config.MLPTower(), dropout=0
    )


def test_defaults_are_shown_as_one_would_type_them() -> None:
    assert knobs.shown(1e-05) == "1e-05"
    assert knobs.shown(Optimizer.sgd) == "sgd"
    assert knobs.shown(False) == "false"
    assert knobs.convert("k", knobs.shown([1, 5]), list[int]) == [1, 5]


def test_knobs_are_flat_with_dotted_names() -> None:
    nested = {"a": {"b": {"c": 1}, "d": [1, 2]}, "e": None}
    assert knobs.flat(nested) == {"a.b.c": 1, "a.d": [1, 2], "e": None}
    assert knobs.flat({}) == {}
