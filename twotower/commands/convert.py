"""`twotower convert`: a checkpoint of an older system as one of ours."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from twotower import config, knobs, show
from twotower.config import Convert
from twotower.evaluation import legacy_results
from twotower.model import checkpoint, legacy, legacy_towers, sidecar
from twotower.model.legacy import MARKS, Legacy, Words
from twotower.model.legacy_towers import Parts, Said
from twotower.model.retriever import Retriever
from twotower.text.tokenize import Tokenizer
from twotower.text.vocabulary import SPECIAL
from twotower.training.record import environment

BOTH = ("max_length", "max_len", "max_seq_length", "max_seq_len", "max_words")
SAID = {
    "pooling": ("pooling", "pooling_type"),
    "activation": ("activation",),
    "max_query_words": ("max_query_words", "max_query_length", "max_query_len", *BOTH),
    "max_doc_words": ("max_doc_words", "max_document_length", "max_doc_length", "max_doc_len", *BOTH),
}
"""What older configs call our knobs."""
EXAMPLES = {"pattern": r"'[a-z0-9]+'", "pooling": "mean", "activation": "relu"}


def run(cfg: Convert, file: str | None = None) -> int:
    """Convert `file`, prove the new one by loading it, and print its path."""
    if file is None:
        raise ValueError("convert: no file, want `twotower convert old.pt pattern=... pooling=...`")
    path = Path(file)
    out = Path(cfg.out) if cfg.out else path.with_name(f"{path.stem}-converted.pt")
    _check_new(out)
    older = legacy.read(path)
    parts = legacy_towers.sort(older)
    beside = legacy.read_history(path)
    values = settled(cfg, older, parts)
    words = legacy.carried_words(older, cfg.unknown)
    retriever = _retriever(older, parts, words, values)
    record, lines = _record(older, retriever, out, beside)
    for line in (*_remarks(older, parts, words, retriever), *lines):
        show.talk(line)
    checkpoint.save(out, retriever, record)
    checkpoint.load(out)
    show.result(str(out))
    show.talk(f"next: twotower evaluate checkpoint={out} data=... measures it under a protocol")
    return 0


def _check_new(out: Path) -> None:
    for path in (out, sidecar.sidecar_of(out)):
        if path.exists():
            raise FileExistsError(f"out: {path}: exists, want a new file; name another with out=...")


def settled(cfg: Convert, older: Legacy, parts: Parts) -> dict[str, Any]:
    """The knobs that the tensors need, given or said by the file.

    Raises:
        ValueError: neither says one, or both do and differ; the line names the knobs.
    """
    needed = ["pattern", *(name for name in SAID if name != "activation" or parts.has_activation)]
    values: dict[str, Any] = {"activation": "relu"}  # where nothing stands between layers, it is never used
    for name in needed:
        given, said = getattr(cfg, name), older.said(SAID.get(name, ()))
        given = None if given in ("", 0, "stored") else given
        if None not in (given, said) and str(given) != str(said):
            raise ValueError(f"{name}: got {given}, {older.path} says {said}; leave it out, or give the same")
        values[name] = said if given is None else given
    if missing := [name for name in needed if values[name] is None]:
        examples = " ".join(f"{name}={EXAMPLES.get(name, 64)}" for name in missing)
        raise ValueError(
            f"{older.path} does not say {', '.join(missing)}; write what it was trained with: {examples}"
        )
    for name in ("max_query_words", "max_doc_words"):
        if type(values[name]) is not int or values[name] < 1:
            raise ValueError(f"{name}: {older.path} says {values[name]!r}, want a whole number of at least 1")
    for name, kind in (("pooling", config.Pooling), ("activation", config.Activation)):
        values[name] = knobs.convert(name, str(values[name]).lower(), kind)
    if values["pooling"] is config.Pooling.attention:  # its weights have no place in the older files
        raise ValueError(f"pooling: got 'attention', want last or mean or max, as {older.path} was trained")
    return values


def _retriever(older: Legacy, parts: Parts, words: Words, values: dict[str, Any]) -> Retriever:
    said = Said(values["pooling"], values["activation"])
    two_tower = legacy_towers.build(older, parts, words, said)
    tokenizer = Tokenizer(values["pattern"])
    limits = (values["max_query_words"], values["max_doc_words"])
    return Retriever(two_tower, words.vocab, tokenizer, *limits)


def _record(older: Legacy, retriever: Retriever, out: Path, beside: Any) -> tuple[dict[str, Any], list[str]]:
    """Everything of the new checkpoint but the model, and a line on each thing that was left out."""
    content = older.content
    stored = content.get("eval_results")
    if isinstance(stored, dict) and "evaluation_type" in content:
        stored = {"evaluation_type": content["evaluation_type"], **stored}
    found = legacy_results.results("eval_results", stored)
    rows, lines = legacy_results.history(content.get("training_stats"), beside)
    kept = content.get("training_stats")
    settings = kept.get("config") if isinstance(kept, dict) else None
    form = retriever.two_tower.form
    parameters = list(retriever.two_tower.parameters())
    written = datetime.fromtimestamp(older.path.stat().st_mtime)
    record = {
        "run": out.stem,
        "created": written.isoformat(timespec="milliseconds"),
        "history_file": sidecar.sidecar_of(out).name,
        "training_stats": {"config": {**_object(settings), **knobs.plain(form)}, **rows},
        "epoch": legacy_results.tidy(content.get("epoch")),
        "eval_results": dict(found.metrics),
        "floors": {},
        "protocol": {},
        "data": {},
        "cost": {
            "megabytes": round(sum(p.numel() * p.element_size() for p in parameters) / 1e6, 3),
            "parameters": sum(p.numel() for p in parameters),
        },
        "environment": environment(),
        "wandb_run_id": legacy_results.tidy(content.get("wandb_run_id")),
        "converted": {
            "file": older.path.name,
            "sha256": sidecar.sha256(older.path),
            "model_config": legacy_results.tidy(content.get("model_config")),
            "eval_results": legacy_results.tidy(content.get("eval_results")),
        },
    }
    return record, [*found.dropped, *lines]


def _object(settings: Any) -> dict[str, Any]:
    return dict(legacy_results.tidy(settings)) if isinstance(settings, dict) else {}


def _remarks(older: Legacy, parts: Parts, words: Words, retriever: Retriever) -> Iterator[str]:
    """What the user should know of the conversion, a line each."""
    form = retriever.two_tower.form
    kinds = [knobs.plain(form)[name]["kind"] for name in ("query_tower", "doc_tower")]
    yield f"{older.path.name}: towers {'/'.join(kinds)}, {len(words.vocab):,} words, dim {form.dim}"
    yield (
        "vectors have length 1 and scores are cosines here; a system that ranked by dot products of others "
        "ranked otherwise"
    )
    if parts.scalars:
        yield f"left out, for no vector needs it: {', '.join(parts.scalars)}"
    names = words.vocab.words[len(SPECIAL) :]
    if marks := [word for word in names if word.lower() in {mark.lower() for mark in MARKS}]:
        yield f"its vocabulary has {', '.join(marks)}: no text gets them here; if yours did, vectors differ"
    found = retriever.tokenizer.leaves_whole(names)
    if lost := [word for word, fine in zip(names, found.tolist(), strict=True) if not fine]:
        yield f"{len(lost):,} of {len(names):,} words never match pattern in lower case: {lost[0]!r}, ..."
    if words.skip_unknown:
        yield "unknown words are skipped, and count towards max_query_words and max_doc_words"
    if not older.content.get("eval_results"):
        yield "it holds no results"
    else:
        yield "its results have no protocol: the leaderboard leaves the checkpoint out of its tables"
