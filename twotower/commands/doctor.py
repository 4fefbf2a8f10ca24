"""`twotower doctor`: what a checkpoint holds, and whether every check passes; or a whole folder."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from twotower import show
from twotower.config import AnswerFormat, Doctor
from twotower.evaluation import names
from twotower.evaluation.metrics import shown
from twotower.evaluation.names import Entry, label
from twotower.model import examination, sidecar
from twotower.model.examination import Examination, Leftover

METRICS = ("mrr_10", "mrr", "recall_1", "recall_10", "recall_100", "ndcg_10")
"""What is shown of a checkpoint's results; `format=json` has them all."""


def run(cfg: Doctor) -> int:
    """Print what was found; the exit code is 1 where any check fails."""
    path = Path(cfg.checkpoint)
    if path.is_dir():
        return _folder(cfg, path)
    if not path.is_file():
        path = names.find(cfg.checkpoint, Path(cfg.checkpoint_dir))
    found = examination.examine(path)
    if cfg.format is AnswerFormat.json:
        show.document(_json(found))
    else:
        for line in _lines(found):
            show.result(line)
    return 1 if found.failed else 0


def _folder(cfg: Doctor, folder: Path) -> int:
    """A line a checkpoint and a leftover, then counts; raises FileNotFoundError for a folder without any."""
    files = sidecar.checkpoints(folder)
    left = examination.leftovers(folder)
    if not files:
        raise FileNotFoundError(
            f"checkpoint: no checkpoint in {folder} ({len(left)} leftovers); `twotower train` makes one"
        )
    found = []
    for file in files:
        found.append(examination.examine(file))
        if cfg.format is AnswerFormat.text:
            show.result(_line(found[-1]))
    failed = sum(bool(one.failed) for one in found)
    if cfg.format is AnswerFormat.json:
        show.document(_folder_json(folder, found, left))
    else:
        for one in left:
            show.result(f"left    {one.file}: {one.what}")
        show.result(
            f"{len(found)} checkpoints: {len(found) - failed} ok, {failed} failed; {len(left)} leftovers"
        )
    return 1 if failed else 0


def _json(found: Examination) -> dict[str, Any]:
    checks = [vars(check) for check in found.checks]
    return {"checkpoint": str(found.path), "ok": not found.failed, "holds": found.holds, "checks": checks}


def _folder_json(folder: Path, found: list[Examination], left: list[Leftover]) -> dict[str, Any]:
    good = sum(not one.failed for one in found)
    return {
        "folder": str(folder),
        "ok": good,
        "failed": len(found) - good,
        "checkpoints": [_json(one) for one in found],
        "leftovers": [vars(one) for one in left],
    }


def _line(found: Examination) -> str:
    """A checkpoint in a line: ok, or the first check of the file itself that failed."""
    if not found.failed:
        return f"ok      {found.path.name}"
    first, *others = sorted(found.failed, key=lambda check: check.name == "sidecar")
    more = f" (and {', '.join(check.name for check in others)})" if others else ""
    return f"failed  {found.path.name}: {first.name}: {first.detail}{more}"


def _lines(found: Examination) -> Iterator[str]:
    yield str(found.path)
    for name, text in _said(found.holds, found.path) if found.holds else ():
        yield f"  {name:<12}{text}"
    yield "checks"
    for check in found.checks:
        yield f"  {'ok' if check.ok else 'failed':<8}{check.name:<12}{check.detail}"


def _said(holds: Mapping[str, Any], path: Path) -> Iterator[tuple[str, str]]:
    """Names and texts of what the file holds."""
    shape, environment = holds["model_config"], holds["environment"] or {}
    yield "size", f"{holds['bytes'] / 1e6:.2f} MB"
    yield "run", f"{holds['run']}, begun {holds['created']}, epoch {holds['epoch']}"
    if holds["converted"]:
        yield "converted", f"from {holds['converted'].get('file')}"
    for side in ("query_tower", "doc_tower"):
        yield side, _plain(shape.get(side) or {})
    ends = [key for key in ("dim", "tied", "share_words") if key in shape]
    yield "form", _plain({key: shape[key] for key in ends})
    yield "parameters", f"{holds['parameters']:,} in {len(holds['tensors'])} tensors"
    yield "vocabulary", f"{holds['words']:,} words, pattern {shape.get('pattern')}"
    yield (
        "cut after",
        f"{shape.get('max_query_words')} words of a query, {shape.get('max_doc_words')} of a document",
    )
    yield from _measured(holds, path)
    hashes = {key: str(value)[:12] for key, value in (holds["data"] or {}).items() if key.endswith("hash")}
    yield "data", f"{holds['data']['name']}: {_plain(hashes)}" if hashes else "not known"
    versions = {key: value for key, value in environment.items() if key not in ("commit", "dirty")}
    yield "versions", _plain(versions) or "not known"
    yield "changed", ", ".join(holds["changed_versions"]) or "nothing that computes"
    yield "commit", f"{environment.get('commit')}{', with changes' if environment.get('dirty') else ''}"


def _measured(holds: Mapping[str, Any], path: Path) -> Iterator[tuple[str, str]]:
    """Metrics and what they were measured on; a sidecar's entry reads both the same way."""
    try:
        entry = Entry(path, holds).check()
    except ValueError as error:
        yield "metrics", f"cannot be read: {error}"
        return
    metrics = [f"{shown(name)} {entry.metrics[name]:.4f}" for name in METRICS if name in entry.metrics]
    yield "metrics", ", ".join(metrics) or "none"
    yield "protocol", label(entry.protocol) if entry.protocol else "not known: they compare with nothing"


def _plain(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items())
