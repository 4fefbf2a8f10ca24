"""The model card of an exported checkpoint: what it is, what it was measured on, how it is loaded; Markdown.

Everything stands in the checkpoint and its per-query values; nothing names a folder of this machine.
"""

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from twotower import config
from twotower.evaluation.metrics import shown
from twotower.evaluation.protocol import Protocol
from twotower.evaluation.statistics import intervals
from twotower.model import remote, sidecar

METRICS = ("mrr_10", "recall_1", "recall_10", "recall_100", "ndcg_10", "map_100", "success_1")
"""Rows of the table, as far as they were measured."""

_HEAD = """\
---
pipeline_tag: sentence-similarity
tags: [two-tower, retrieval{library}]
---

# {name}
"""
_LIBRARY = """\
from sentence_transformers import SentenceTransformer
model = SentenceTransformer("{where}")
print(model.encode_query(["a query"]) @ model.encode_document(["a document"]).T)
"""
_PLAIN = """\
from twotower.model.export import load_safetensors
model = load_safetensors({where})
print(model.encode_queries(["a query"]) @ model.encode_docs(["a document"]).T)
"""
_LICENCE = """\
## Licence

Not stated: it is for the publisher of this model to choose, within the terms of its training data and word
vectors.
"""


def text(path: Path, content: Mapping[str, Any], form: config.ExportFormat, where: str) -> str:
    """The card of the checkpoint at `path`, exported as `form` to the folder or `hf://user/name` of `where`.

    Raises:
        ValueError: the file of per-query values is damaged.
    """
    name = str(content.get("run") or path.stem)
    library = ", sentence-transformers" if form is config.SENTENCE_TRANSFORMERS else ""
    parts = (
        _HEAD.format(name=name, library=library),
        _described(content),
        _loading(form, where),
        _measured(path, content),
        _trained(content),
        _LICENCE,
    )
    return "\n".join(parts)


def _described(content: Mapping[str, Any]) -> str:
    shape, cost = content["model_config"], content.get("cost") or {}
    towers = f"{shape['query_tower']['kind']} for queries, {shape['doc_tower']['kind']} for documents"
    tied = "one tower for both sides" if shape["tied"] else "a tower a side"
    parameters = f", {cost['parameters']:,} parameters" if "parameters" in cost else ""
    return (
        f"A two-tower text-retrieval model trained by twotower: {towers}, {tied}, {shape['vocabulary']:,} "
        f"words{parameters}. A text becomes a unit vector of {shape['dim']} numbers; the score of a query "
        "and a document is their dot product.\n\n"
        f"It reads the first {shape['max_query_words']} words of a query and {shape['max_doc_words']} of a "
        f"document, matches of `{shape['pattern']}` in NFKC and lower case. Words that it does not know "
        "share one vector.\n"
    )


def _loading(form: config.ExportFormat, where: str) -> str:
    repo = where.removeprefix(remote.PREFIX) if where.startswith(remote.PREFIX) else ""
    if form is config.SENTENCE_TRANSFORMERS:
        code = _LIBRARY.format(where=repo or where)
    elif repo:
        code = "from pathlib import Path\nfrom huggingface_hub import snapshot_download\n"
        code += _PLAIN.format(where=f'Path(snapshot_download("{repo}"))')
    else:
        code = "from pathlib import Path\n" + _PLAIN.format(where=f'Path("{where}")')
    named = f"\nEvery command of twotower takes it as `checkpoint={where}`.\n" if repo else ""
    return f"## Load\n\n```python\n{code}```\n{named}"


def _measured(path: Path, content: Mapping[str, Any]) -> str:
    results, stored = content.get("eval_results") or {}, content.get("protocol") or {}
    names = [name for name in METRICS if name in results]
    if not names or not stored:
        return "## Measured\n\nIts metrics are not known.\n"
    protocol = Protocol.from_dict(stored)
    spread = _intervals(path, names)
    floors = {floor: means for floor, means in (content.get("floors") or {}).items() if means}
    how = " Intervals are 95 %, by bootstrap over queries." if spread else ""
    lines = [
        f"## Measured\n\n{protocol}; {results.get('judged', 'an unknown number of')} queries; "
        f"protocol `{protocol.key}`. Numbers of another protocol do not compare. Ties count at their "
        f"expected value.{how}\n",
        f"| | {' | '.join(['this model', *(['95 % interval'] if spread else []), *floors])} |",
        "|---|" + "---|" * (1 + bool(spread) + len(floors)),
    ]
    for name in names:
        cells = [shown(name), f"{results[name]:.4f}"]
        cells += ["{:.3f} to {:.3f}".format(*spread[name])] if spread else []
        cells += [f"{means[name]:.4f}" if name in means else "" for means in floors.values()]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _intervals(path: Path, names: list[str]) -> dict[str, tuple[float, float]]:
    """Intervals from the per-query values beside the checkpoint; empty where they are not there."""
    file = sidecar.per_query_of(path)
    if not file.is_file():
        return {}
    try:
        with file.open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
            values = {name: arrays[name] for name in names if name in arrays.files}
    except (zipfile.BadZipFile, ValueError, OSError) as error:
        raise ValueError(f"{file}: damaged ({error}); without the file the card has no intervals") from None
    return intervals(values, np.random.default_rng(0)) if len(values) == len(names) else {}


def _trained(content: Mapping[str, Any]) -> str:
    data = content.get("data") or {}
    if not data:
        return "## Trained on\n\nIts training data are not known.\n"
    queries = ", ".join(f"{count:,} in {split}" for split, count in (data.get("queries") or {}).items())
    config = (content.get("training_stats") or {}).get("config") or {}
    vectors = Path(str((data.get("vectors") or {}).get("source", ""))).name
    lines = [
        f"## Trained on\n\n- Collection `{data.get('name', '')}`, content hash `{data.get('hash', '')}`: "
        f"{data.get('documents', 0):,} documents; judged queries: {queries or 'unknown'}.",
        f"- Word vectors to begin with: `{vectors}`." if vectors else "",
        f"- Epoch {content.get('epoch')}, seed {config['seed']}." if "seed" in config else "",
        f"- With twotower {version}."
        if (version := (content.get("environment") or {}).get("twotower"))
        else "",
    ]
    return "\n".join(line for line in lines if line) + "\n"
