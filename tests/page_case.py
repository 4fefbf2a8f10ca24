"""Documents of the leaderboard for the tests of its report page: runs of a sweep that look like real ones."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from twotower.evaluation.protocol import Protocol

QUERIES = 540
METRICS = ("mrr_10", "ndcg_10", "recall_1", "recall_10", "recall_100")
FLOORS = {"BM25": 0.2607, "mean of word vectors": 0.1433, "untrained": 0.1092, "chance": 0.0004}
TITLE = "msmarco dev, full corpus, relevant from grade 1"


def document(runs: int = 12, groups: int = 2, **knobs: Any) -> dict[str, Any]:
    """A leaderboard of `runs` checkpoints and four floors in each of `groups` protocols."""
    made = [group(runs, number, **knobs) for number in range(groups)]
    left = [{"file": "two_tower_best_cut_20260101_000000.pt", "why": "was never evaluated"}]
    return {"metric": "mrr_10", "found": runs + 1, "left_out": left, "alarms": [], "groups": made}


def group(runs: int, number: int = 0, *, history: bool = True) -> dict[str, Any]:
    """One protocol's rows; the second is of a small split on which nothing can be told apart."""
    rng = np.random.default_rng(number)
    judged = (QUERIES, 96)[number % 2]
    rows = [run(rng, place, judged, history=history) for place in range(runs)]
    rows += [floor(name, value, judged) for name, value in FLOORS.items()]
    rows.sort(key=lambda row: -row["metrics"]["mrr_10"])
    lettered(rows)
    protocol = Protocol(
        collection="msmarco" if number == 0 else f"docstrings{number}",
        split="dev",
        corpus_hash=f"c{number}",
        queries_hash="q",
        qrels_hash="r",
    )
    few = [f"{judged} judged queries; below 200 small gaps are luck"] if judged < 200 else []
    best = next((row for row in rows if row["kind"] != "floor"), rows[0])
    return {
        "protocol": {**protocol.to_dict(), "key": protocol.key, "title": str(protocol)},
        "judged": judged,
        "alarms": [*few, "recall_100 is above 0.98 in every row: it tells nothing apart"],
        "verdict": f"{best['name']} has the highest MRR@10, {best['metrics']['mrr_10']:.4f}; the rows that "
        "share its letter cannot be told from it.",
        "luck": None
        if runs < 2
        else {"rows": runs, "tried": 10 * runs, "mean": 0.271, "best": 0.2895, "tried_best": 0.3012},
        "choice": None,
        "rows": rows,
    }


def run(rng: np.random.Generator, place: int, judged: int, *, history: bool) -> dict[str, Any]:
    """A checkpoint of a sweep over six knobs, one of them a choice; every fifth has three seeds."""
    rate = (1e-2, 1e-3, 1e-4)[int(rng.integers(3))]
    tower = ("mlp", "gru")[place % 2]
    config = {
        "name": f"run{place}",
        "learning_rate": rate,
        "batch_size": int(2 ** rng.integers(7, 12)),
        "query_tower.kind": tower,
        "doc_tower.kind": tower,
        "query_tower.hidden_dim": 64 * (1 + place % 4),
        "doc_tower.hidden_dim": 64 * (1 + place % 4),
        "loss.kind": ("contrastive", "triplet")[int(rng.integers(2))],
        "loss.temperature": float(rng.choice([0.02, 0.05, 0.1])),
        "query_tower.dropout": float(rng.choice([0.0, 0.1, 0.3])),
        "epochs": 10,
    }
    value = 0.30 - 0.03 * abs(np.log10(rate) + 3) + float(rng.normal(0, 0.012)) + 0.01 * (tower == "gru")
    seconds = float(rng.uniform(8, 40)) * (9 if tower == "gru" else 1)
    row = line(f"{tower}-{config['loss.kind']}-lr{rate:g}-{place:02}", "checkpoint", value, judged)
    row |= {
        "checkpoint": f"checkpoints/two_tower_best_{place}.pt",
        "towers": f"{tower}, tied" if place % 3 else f"{tower}/{tower}",
        "created": f"2026-03-{1 + place % 28:02}T09:{place % 60:02}:00",
        "epoch": int(rng.integers(5, 11)),
        "sweep": "weekend",
        "history": f"training_history_{place}.json",
        "cost": {
            "seconds": round(seconds, 1),
            "pairs_per_second": round(40_000 / seconds, 1),
            "parameters": 300_000 + 64_000 * (place % 4),
            "checkpoint_mb": 13.6 + place % 4,
            "docs_per_second": 31_000 / (9 if tower == "gru" else 1),
            "query_p50_ms": 0.4 if tower == "mlp" else 2.1,
        },
        "pareto": [],
        "geometry": {
            "mean_cosine": 0.08,
            "effective_rank": 71.3,
            "alignment": 0.41,
            "uniformity": -3.1,
            "hub_skew": 2.2,
        },
        "config": config,
        "curve": curve(rng, value, seconds) if history else [],
        "diagnosis": diagnosis(judged) if place < 3 and history else None,
        "slices": slices(value) if place < 4 else None,
    }
    if place % 5 == 0:
        row["seeds"] = [
            {
                "seed": seed,
                "name": f"run{place}-{seed}",
                "checkpoint": None,
                "metrics": {"mrr_10": value + 0.003 * (seed - 1)},
            }
            for seed in range(3)
        ]
        row["spread"] = {"mrr_10": 0.003}
    return row


def line(name: str, kind: str, value: float, judged: int) -> dict[str, Any]:
    """What every row has."""
    half = 0.9 / judged**0.5
    metrics = {
        "mrr_10": value,
        "ndcg_10": value + 0.05,
        "recall_1": value * 0.6,
        "recall_10": min(value * 1.9, 1),
        "recall_100": 0.985,
    }
    intervals = {metric: [max(0.0, mean - half), min(1.0, mean + half)] for metric, mean in metrics.items()}
    return {
        "name": name, "kind": kind, "checkpoint": None, "metrics": metrics, "intervals": intervals,
        "letters": "", "p_best": None, "versus": None, "cost": {}, "pareto": [], "geometry": {},
        "leak": None, "slices": None, "spread": None, "seeds": None, "after": None, "reported": None,
        "created": "", "epoch": None, "sweep": None, "towers": "", "history": None, "curve": [],
        "config": {}, "diagnosis": None,
    }  # fmt: skip


def floor(name: str, value: float, judged: int) -> dict[str, Any]:
    """A floor; chance is exact and has no interval."""
    row = line(name, "floor", value, judged)
    return {**row, "intervals": {}} if name == "chance" else row


def lettered(rows: list[dict[str, Any]]) -> None:
    """Letters by distance to the best and Pareto marks, as the board would give them."""
    best = rows[0]["metrics"]["mrr_10"]
    for row in rows[1:]:
        row["p_best"] = 0.4 if best - row["metrics"]["mrr_10"] < 0.04 else 0.0004
    for row in rows:
        place = int((best - row["metrics"]["mrr_10"]) / 0.02)
        row["letters"] = "abcdefgh"[max(place - 1, 0) : place + 1] if place < 8 else "h"
    for cost, sign in {"seconds": 1, "parameters": 1, "docs_per_second": -1}.items():
        cheapest = float("inf")
        for row in rows:
            if cost in row["cost"] and sign * row["cost"][cost] < cheapest:
                cheapest = sign * row["cost"][cost]
                row["pareto"].append(cost)


def curve(rng: np.random.Generator, value: float, seconds: float) -> list[Mapping[str, Any]]:
    """Ten epochs that rise to about `value`."""
    rise = 1 - np.exp(-np.arange(11) / 2.5)
    means = 0.11 + (value - 0.11) * rise + rng.normal(0, 0.003, 11)
    return [
        {
            "epoch": epoch,
            "seconds": round(seconds * epoch / 10, 2),
            "train_loss": None if epoch == 0 else float(5.2 - 4 * rise[epoch]),
            "dev_loss": float(5.3 - 3.4 * rise[epoch]),
            "mrr_10": float(mean),
            "ndcg_10": float(mean) + 0.05,
        }
        for epoch, mean in enumerate(means)
    ]


def slices(value: float) -> dict[str, Any]:
    """By length of the query and by first word."""

    def part(name: str, queries: int, shift: float) -> dict[str, Any]:
        mean = value + shift
        return {
            "value": name,
            "queries": queries,
            "metrics": {"mrr_10": mean},
            "intervals": {"mrr_10": [mean - 0.06, mean + 0.06]},
        }

    return {
        "length": [
            part("1-3 words", 120, -0.08),
            part("4-6 words", 300, 0.01),
            part("7 or more words", 120, 0.05),
        ],
        "first_word": [part("what", 210, 0.02), part("how", 130, -0.03), part("other", 200, 0.0)],
    }


def diagnosis(judged: int) -> dict[str, Any]:
    """Three causes with commands and an example, and another checkpoint."""
    example = {
        "query_id": "q17",
        "query": "what is an xanthophyll",
        "doc_id": "d9",
        "rank": None,
        "said": "xanthophyll is unknown",
    }

    def cause(key: str, title: str, queries: int, knob: str) -> dict[str, Any]:
        command = f"twotower train data=beir data.path='my data/msmarco' query_tower=mlp {knob} name=try"
        return {
            "cause": key, "title": title, "queries": queries, "share": queries / 200,
            "knob": knob.split("=")[0], "command": command, "examples": [example],
        }  # fmt: skip

    return {
        "checkpoint": "run0", "protocol": {}, "k": 10, "depth": 100, "judged": judged,
        "failed": 200, "lost": 80, "buried": 120, "unexplained": 31, "geometry": {}, "warnings": [],
        "causes": [
            cause("no_common_word", "no word in common with the document", 94, "vectors=glove-50d+train"),
            cause("unknown_words", "words that the vocabulary lacks", 61, "min_count=1"),
            cause("hub", "a document that appears everywhere stands above", 22, "random_negatives=512"),
        ],
        "against": {
            "checkpoint": "run3", "fixed": 41, "broken": 17, "unchanged_good": 260, "unchanged_bad": 140,
            "examples": {"fixed": [example], "broken": []},
        },
    }  # fmt: skip
