from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from tests.diagnosis_case import DEPTH, KINDS, evidence_of, planted
from twotower.evaluation.diagnosis import Diagnosis
from twotower.evaluation.placed import Placed
from twotower.evaluation.reasons import CAUSES
from twotower.evaluation.remedies import Remedy


@pytest.fixture(scope="module", params=[0, 1])
def found(request: pytest.FixtureRequest) -> Diagnosis:
    case = planted(request.param)
    evidence = evidence_of(case.docs, case.queries, case.qrels, known=case.known)
    return Diagnosis(evidence, DEPTH, [*case.queries], [*case.queries.values()], 3)


def kinds(found: Diagnosis) -> list[str]:
    """What was planted in each query, in its order."""
    return [kind for kind in KINDS for _ in range(len(found.query_ids) // len(KINDS))]


def nothing(cause: str) -> Remedy:
    return Remedy(cause, "")


def test_nine_tenths_of_the_planted_causes_are_named(found: Diagnosis) -> None:
    failed = Counter(kind for kind, fails in zip(kinds(found), found.failed, strict=True) if fails)
    assert failed["plain"] == 0
    assert min(failed[kind] for kind in KINDS[1:]) >= 30  # of 60: what was planted does harm
    for kind in KINDS[1:]:
        named = [place for place in found.found[kind] if found.failed[place] and kinds(found)[place] == kind]
        assert len(named) >= 0.9 * failed[kind]


def test_few_causes_are_named_that_were_not_planted(found: Diagnosis) -> None:
    wrong = [
        (kinds(found)[place], cause)
        for cause, measured in found.found.items()
        for place in measured
        if kinds(found)[place] != cause
    ]
    assert len(wrong) <= 0.02 * len(found.query_ids)  # of all queries, found ones too


def test_the_counts_add_up(found: Diagnosis) -> None:
    content = found.document(nothing)
    assert content["failed"] == content["lost"] + content["buried"] == int(found.failed.sum())
    assert content["judged"] == 360
    assert [cause["queries"] for cause in content["causes"]] == sorted(
        (cause["queries"] for cause in content["causes"]), reverse=True
    )
    explained = {place for measured in found.found.values() for place in measured if found.failed[place]}
    assert content["unexplained"] == content["failed"] - len(explained)
    assert {cause["cause"] for cause in content["causes"]} == set(CAUSES)


def test_examples_are_failed_queries_with_what_was_measured(found: Diagnosis) -> None:
    causes = {cause["cause"]: cause for cause in found.document(nothing)["causes"]}
    for cause in KINDS[1:]:
        assert len(causes[cause]["examples"]) == 3
        for example in causes[cause]["examples"]:
            place = found.query_ids.index(example["query_id"])
            assert found.failed[place]
            assert example["said"] == found.found[cause][place]
            assert example["doc_id"] == f"gold{place:03}"
            assert example["rank"] is None or 10 < example["rank"] <= DEPTH
            assert (example["rank"] is None) == found.lost[place]


def test_a_new_limit_holds_the_documents_that_were_cut(found: Diagnosis) -> None:
    assert found.longest() == 120
    assert replace(found, evidence=replace(found.evidence, k=DEPTH + 1)).longest() == 0  # nothing fails


def moved(placed: Placed, ranks: dict[int, float]) -> Placed:
    rank = placed.rank.copy()
    rank[list(ranks)] = list(ranks.values())
    return replace(placed, rank=rank)


def test_against_another_model_queries_are_fixed_broken_or_as_they_were(found: Diagnosis) -> None:
    placed = replace(found.evidence.placed, rank=np.array([1.0, 2, 30, 40, 101]))
    diagnosis = replace(found, evidence=replace(found.evidence, placed=placed), examples=1)
    content = diagnosis.against(moved(placed, {0: 11.0, 1: 101.0, 2: 1.0, 3: 99.0}))
    counts = [content[key] for key in ("fixed", "broken", "unchanged_good", "unchanged_bad")]
    assert counts == [2, 1, 0, 2]
    (fixed,), (broken,) = (content["examples"][way] for way in ("fixed", "broken"))
    assert (fixed["query_id"], fixed["rank"], fixed["rank_against"]) == ("q001", 2, None)  # 50 times, not 11
    assert (broken["query_id"], broken["rank"], broken["rank_against"]) == ("q002", 30, 1)


def test_another_number_of_queries_is_refused(found: Diagnosis) -> None:
    short = replace(found.evidence.placed, rank=np.ones(3))
    with pytest.raises(ValueError, match="against: 3 judged queries, want the same 360"):
        found.against(short)


def test_where_nothing_fails_nothing_is_shared_out(found: Diagnosis) -> None:
    content = replace(found, evidence=replace(found.evidence, k=DEPTH + 1)).document(nothing)
    assert (content["failed"], content["unexplained"]) == (0, 0)
    assert {cause["share"] for cause in content["causes"]} == {0.0}
