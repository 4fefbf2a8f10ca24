import itertools
import math

import numpy as np
import pytest
from passages_case import passages
from test_metrics import plain

from twotower.data.collection import Judgements
from twotower.evaluation import candidates, floors
from twotower.evaluation.candidates import Lists
from twotower.evaluation.evaluate import evaluate
from twotower.text.ragged import Ragged
from twotower.text.tokenize import Tokens

KS = (1, 5, 10)


def judgements(*pairs: tuple[int, int, int]) -> Judgements:
    queries, docs, grades = np.array(sorted(pairs), dtype=np.int64).T
    return Judgements(queries, docs, grades.astype(np.int32))


def tokens(*texts: str) -> Tokens:
    index: dict[str, int] = {}
    ids = [[index.setdefault(word, len(index)) for word in text.split()] for text in texts]
    return Tokens(tuple(index), Ragged.of(ids))


def test_chance_with_one_relevant_document_by_hand() -> None:
    found = floors.chance(1000, judgements((0, 5, 1)), ks=KS, min_grade=1).metrics
    assert found["mrr_10"] == pytest.approx(sum(1 / rank for rank in range(1, 11)) / 1000)
    assert (found["recall_5"], found["success_5"]) == pytest.approx((5 / 1000, 5 / 1000))
    assert found["precision_10"] == pytest.approx(1 / 1000)
    assert found["ndcg_10"] == pytest.approx(sum(1 / math.log2(rank + 1) for rank in range(1, 11)) / 1000)


def test_chance_with_several_relevant_documents_is_hypergeometric() -> None:
    judged = judgements((0, 1, 1), (0, 3, 2), (0, 4, 1), (0, 6, 0))
    found = floors.chance(50, judged, ks=KS, min_grade=1).metrics
    assert found["success_10"] == pytest.approx(1 - math.comb(47, 10) / math.comb(50, 10))
    assert found["recall_10"] == pytest.approx(10 / 50)


def test_ten_candidates_have_the_known_chance_level() -> None:
    # H(10) / 10
    assert floors.chance(10, judgements((0, 0, 1)), ks=[10], min_grade=1).metrics["mrr"] == pytest.approx(
        0.29289682539682538
    )


def test_chance_over_own_lists_is_the_mean_of_their_harmonic_numbers() -> None:
    # one relevant document among n: the mean over ranks r of 1 / r, from r = 11 on nothing at MRR@10
    sizes = (2, 6, 8, 8, 10, 13)
    judged = judgements(*((query, doc, int(doc == 1)) for query, n in enumerate(sizes) for doc in range(n)))
    found = floors.chance(candidates.judged(judged), judged, ks=[10, 20], min_grade=1)
    harmonic = [sum(1 / rank for rank in range(1, n + 1)) for n in sizes]
    at_ten = [sum(1 / rank for rank in range(1, min(n, 10) + 1)) for n in sizes]
    assert found.metrics["mrr"] == pytest.approx(
        np.mean([h / n for h, n in zip(harmonic, sizes, strict=True)])
    )
    assert found.metrics["mrr_10"] == pytest.approx(
        np.mean([h / n for h, n in zip(at_ten, sizes, strict=True)])
    )
    assert found.per_query["mrr_10"][4] == pytest.approx(0.29289682539682538)
    assert found.per_query["recall_10"].tolist() == pytest.approx([1, 1, 1, 1, 1, 10 / 13])


def test_chance_over_own_lists_with_several_relevant_is_the_mean_over_all_orders() -> None:
    lists = [[1, 0, 1, 0, 0], [2, 0, 1], [0, 1, 1, 3], [0, 0]]
    judged = judgements(
        *((q, doc, grade) for q, grades in enumerate(lists) for doc, grade in enumerate(grades))
    )
    found = floors.chance(candidates.judged(judged), judged, ks=[3], min_grade=1)
    assert (found.queries, found.judged) == (4, 3)
    for query, grades in enumerate(lists[:3]):
        whole = [plain(order, grades, 3, 1) for order in itertools.permutations(grades)]
        for name in whole[0]:
            mean = np.mean([each[name] for each in whole])
            assert found.per_query[name][query] == pytest.approx(mean, abs=1e-12), name


def test_chance_over_the_passages_is_that_of_their_real_lengths() -> None:
    judged = passages().judgements("dev")
    own = candidates.judged(judged)
    found = floors.chance(own, judged, ks=[10], min_grade=1)
    expected = []
    for query in own.queries:
        grades = judged.grades[judged.queries == query]
        n, relevant = len(grades), int(grades.sum())
        # the first relevant document stands at r: the others lie in the n - r places below
        ways = [math.comb(n - rank, relevant - 1) / rank for rank in range(1, n + 1)]
        expected.append(sum(ways) / math.comb(n, relevant))
    assert found.per_query["mrr_10"].tolist() == pytest.approx(expected)


@pytest.mark.parametrize("documents", [3, 8, 40])
def test_a_model_that_gives_one_score_to_all_gets_chance(documents: int) -> None:
    judged = judgements((0, 0, 1), (0, 2, 2), (4, 1, 1), (5, 1, 0))
    queries = np.eye(3, 4, dtype=np.float32)
    docs = np.full((documents, 4), 0.5, dtype=np.float32)
    model = evaluate(queries, docs, judged, ks=KS, min_grade=1, chunk=7)
    floor = floors.chance(documents, judged, ks=KS, min_grade=1)
    assert model.metrics == pytest.approx(floor.metrics, abs=1e-12)
    assert (floor.queries, floor.judged) == (3, 2)


DOCS = tokens("the cat sat on the mat", "a dog and a cat and a dog", "birds sing", "the of and")


def test_bm25_ranks_as_its_formula_says() -> None:
    # without stop words: [cat sat mat] [dog cat dog] [birds sing] []: N 4, mean length 2
    def weight(held: int, count: int, length: int) -> float:
        idf = math.log(1 + (4 - held + 0.5) / (held + 0.5))
        return idf * count / (count + 0.9 * (1 - 0.4 + 0.4 * length / 2))

    rows = list(floors._score_rows(DOCS, tokens("the dog", "cat birds", "zebra", "")))
    assert rows[0] == pytest.approx([0, weight(1, 2, 3), 0, 0])
    assert rows[1] == pytest.approx([weight(2, 1, 3), weight(2, 1, 3), weight(1, 1, 2), 0])
    assert not rows[2].any()
    assert not rows[3].any()


def test_bm25_takes_the_judged_queries_and_shares_ties() -> None:
    queries = tokens("nothing asked", "cat", "birds")
    found = floors.bm25(DOCS, queries, judgements((1, 1, 1), (2, 2, 1)), ks=[1, 5], min_grade=1)
    # documents 0 and 1 tie for `cat`: success at 1 is 1/2; `birds` finds its one
    assert found.per_query["success_1"].tolist() == pytest.approx([1 / 2, 1])
    assert found.per_query["mrr_5"].tolist() == pytest.approx([3 / 4, 1])
    assert found.query_rows.tolist() == [1, 2]


def test_bm25_over_own_lists_keeps_the_weights_of_the_whole_corpus() -> None:
    # within the list of the first two, cat and bird weigh the same; in the corpus bird is rarer
    docs = tokens("cat sat", "bird sat", "cat ran", "cat slept")
    queries = tokens("cat bird", "zebra")
    judged = judgements((0, 0, 0), (0, 1, 1), (1, 0, 1), (1, 3, 0))
    found = floors.bm25(docs, queries, judged, candidates.judged(judged), ks=KS, min_grade=1)
    # query 1 has no known word: one of two at chance
    assert found.per_query["mrr_10"].tolist() == pytest.approx([1, 3 / 4])
    everything = Lists.of(np.repeat([0, 1], 4), np.tile(np.arange(4), 2))
    whole = floors.bm25(docs, queries, judged, ks=KS, min_grade=1).metrics
    assert floors.bm25(docs, queries, judged, everything, ks=KS, min_grade=1).metrics == pytest.approx(whole)


def test_a_query_without_known_words_gets_chance() -> None:
    judged = judgements((0, 2, 1))
    ours = floors.bm25(DOCS, tokens("zebra"), judged, ks=KS, min_grade=1)
    assert ours.metrics == pytest.approx(floors.chance(4, judged, ks=KS, min_grade=1).metrics)


def test_a_corpus_of_stop_words_gets_chance() -> None:
    judged = judgements((0, 1, 1))
    ours = floors.bm25(tokens("the of", "and", ""), tokens("the cat"), judged, ks=KS, min_grade=1)
    assert ours.metrics == pytest.approx(floors.chance(3, judged, ks=KS, min_grade=1).metrics)


def test_document_order_does_not_change_bm25() -> None:
    texts = ["cat sat mat", "dog cat dog", "birds sing loudly", "dog birds"]
    ours = floors.bm25(tokens(*texts), tokens("dog birds"), judgements((0, 3, 1)), ks=KS, min_grade=1)
    theirs = floors.bm25(tokens(*texts[::-1]), tokens("dog birds"), judgements((0, 0, 1)), ks=KS, min_grade=1)
    assert ours.metrics == theirs.metrics


def test_judgements_beyond_the_texts_are_refused() -> None:
    with pytest.raises(ValueError, match="document row 9, want below 4"):
        floors.bm25(DOCS, tokens("cat"), judgements((0, 9, 1)), ks=KS, min_grade=1)
    with pytest.raises(ValueError, match="query row 1, want below 1"):
        floors.bm25(DOCS, tokens("cat"), judgements((1, 0, 1)), ks=KS, min_grade=1)


def test_a_split_without_a_relevant_document_is_refused() -> None:
    with pytest.raises(ValueError, match="no relevant document among 1 judged"):
        floors.chance(4, judgements((0, 0, 0)), ks=KS, min_grade=1)
