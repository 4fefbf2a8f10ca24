from dataclasses import replace

import pytest
from board_case import OTHER, PROTOCOL, TEST, row, scores

from twotower.evaluation import choice
from twotower.evaluation.choice import Splits
from twotower.evaluation.protocol import Protocol
from twotower.evaluation.row import Row

DEV_TEST = Splits("dev", "test")


def protocols(*several: Protocol) -> dict[str, Protocol]:
    return {one.key: one for one in several}


def there(name: str, mrr: float) -> Row:
    return replace(row(name, mrr, scores(mrr, 300), checkpoint=f"{name}.pt"), protocol=TEST)


def here(name: str, mrr: float = 0.3) -> Row:
    return row(name, mrr, checkpoint=f"{name}.pt")


def test_neither_split_is_no_choice() -> None:
    assert Splits.of("", "") is None
    assert Splits.of("dev", "test") == DEV_TEST


def test_protocols_that_differ_in_the_queries_belong_together() -> None:
    assert choice.partners(DEV_TEST, protocols(PROTOCOL, TEST, OTHER)) == {PROTOCOL.key: TEST.key}


@pytest.mark.parametrize(
    "other",
    [
        replace(TEST, corpus_hash="another"),
        replace(TEST, candidates="own-00000000000a"),
        replace(TEST, min_grade=2),
        replace(TEST, tie_rule="none"),
        replace(TEST, split="train"),
    ],
)
def test_protocols_that_differ_in_more_do_not(other: Protocol) -> None:
    with pytest.raises(ValueError, match="no rows of one corpus on both"):
        choice.partners(DEV_TEST, protocols(PROTOCOL, other))


def test_own_lists_of_two_splits_belong_together_though_their_ids_differ() -> None:
    own = [replace(one, candidates=f"own-{one.split:a<12}") for one in (PROTOCOL, TEST)]
    assert choice.partners(DEV_TEST, protocols(*own)) == {own[0].key: own[1].key}


def test_two_protocols_that_could_report_are_refused() -> None:
    with pytest.raises(ValueError, match="report_split: 2 protocols of test fit tiny dev"):
        choice.partners(DEV_TEST, protocols(PROTOCOL, TEST, replace(TEST, qrels_hash="later")))


def test_reported_figures_come_with_their_intervals_and_move_no_row() -> None:
    rows = choice.reported(
        [here("a"), here("b", 0.2)], [there("b", 0.9), there("a", 0.1)], "mrr_10", draws=500
    )
    assert [one.name for one in rows] == ["a", "b"]
    assert rows[0].reported is not None
    assert rows[0].reported["metrics"]["mrr_10"] == 0.1
    low, high = rows[0].reported["intervals"]["mrr_10"]
    assert low < 0.1 < high


def test_seeds_are_reported_by_their_mean_if_all_were_measured() -> None:
    both = row("a (2 seeds)", 0.3, seeds=(here("a-0"), here("a-1")))
    (one,) = choice.reported([both], [there("a-0", 0.1), there("a-1", 0.3)], "mrr_10", draws=500)
    assert one.reported is not None
    assert one.reported["metrics"]["mrr_10"] == pytest.approx(0.2)
    (one,) = choice.reported([both], [there("a-0", 0.1)], "mrr_10", draws=500)
    assert one.reported is None
    assert choice.unreported([one], DEV_TEST) == [
        "a (2 seeds): no figures on test: `twotower evaluate checkpoint=a-0.pt,a-1.pt split=test` measures it"
    ]


def test_floors_are_reported_by_their_names() -> None:
    floor = row("untrained, best of 2", 0.1, kind="floor")
    other = replace(row("untrained", 0.2, scores(0.2, 300), kind="floor"), protocol=TEST)
    (one,) = choice.reported([floor], [other], "mrr_10", draws=500)
    assert one.reported is not None
    assert choice.unreported([replace(one, reported=None)], DEV_TEST) == []


def test_the_command_names_own_lists_and_quotes_paths() -> None:
    own = replace(here("a b"), protocol=replace(PROTOCOL, candidates="own-00000000000a"))
    (said,) = choice.unreported([own], DEV_TEST)
    assert "`twotower evaluate checkpoint='a b.pt' split=test candidates=own`" in said


def test_many_without_figures_are_counted() -> None:
    lines = choice.unreported([here(str(n)) for n in range(8)], DEV_TEST)
    assert len(lines) == 6
    assert lines[-1] == "and 3 more without figures"


def test_what_is_chosen_is_the_best_checkpoint() -> None:
    rows = [row("BM25", 0.5, kind="floor"), row("given", 0.4, kind="vectors"), here("a")]
    found = choice.chosen(rows, DEV_TEST)
    assert found is not None
    assert (found["chosen"], found["metrics"]) == ("a", {})
    assert choice.chosen(rows[:2], DEV_TEST) is None
