"""`twotower index ACTION [NAME ...]`: build named indexes, change their documents, switch between them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twotower import knobs, show
from twotower.config import AnswerFormat, Index
from twotower.evaluation import index_compare
from twotower.search import build, changes, checking, edits, index, inventory, moving, origins, versions
from twotower.search.build import Job
from twotower.search.changes import Apply
from twotower.search.stages import Plan
from twotower.search.versions import Place
from twotower.training import index_knobs, index_rivals


def run(cfg: Index, *bare: str) -> int:
    """Do what the first bare word says, with the names behind it."""
    if not bare:
        raise ValueError(f"index: got no action, want {' or '.join(ACTIONS)}")
    word, *words = bare
    if word not in ACTIONS:
        near = knobs.nearest(word, ACTIONS)
        raise ValueError(f"index {word}: no such action{near} (want one of {', '.join(ACTIONS)})")
    action = ACTIONS[word]
    given = words or ([cfg.name] if cfg.name else [])
    fewest, most = action.names
    if not fewest <= len(given) <= most:
        want = ("no name", "one name", "two names")
        wanted = want[most] if fewest == most else f"{want[fewest]} or {want[most]}"
        got = repr(" ".join(given)[:60]) if given else "none"
        raise ValueError(f"index {word}: got {got}, want {wanted}")
    return action.run(cfg, given)


# building


def _build(cfg: Index, given: Sequence[str]) -> int:
    """A first index goes live; a later one is staged beside it, or made live if the gate lets it."""
    if cfg.ids or cfg.file:
        raise ValueError("index build: takes the whole source; want no ids= and no file=")
    (name,) = given
    versions.check_name(name)
    root = Path(cfg.index_dir)
    encoder = index_knobs.encoder_of(cfg)
    origin = index_knobs.origin_of(cfg) or origins.of_checkpoint(encoder.path, encoder.content)
    plan = Plan(cfg.kind, cfg.storage, cfg.recall, cfg.seed)
    place = build.named(root, name, Job(origin, encoder, Path(cfg.cache_dir), show.talk, plan))
    before = versions.live(root, name)
    if before != place.version and cfg.switch:
        return _switch(cfg, [f"{place.name}@{place.version}"])
    said = _said(place)
    if before != place.version:
        said += (
            f"; {before} stays live: `twotower index compare {name}@{before} {name}@{place.version}`, then "
            f"`twotower index switch {name}`"
        )
    _result(cfg, inventory.info(place), said)
    return 0


def _said(place: Place) -> str:
    manifest = index.read(place.folder)
    took = sum(manifest["seconds"].values())
    search = (
        "exact search"
        if manifest["kind"] == "flat"
        else f"{manifest['kind']}, recall {manifest['recall']:.3f}"
    )
    live = ", live" if versions.live(place.root, place.name) == place.version else ""
    return (
        f"{place}{live}: {manifest['documents']:,} documents x {manifest['dim']}, "
        f"{manifest['storage']}, {search}, {inventory.size(manifest) / 1e6:,.1f} MB, in {took:.1f} s"
    )


# changing documents


def _add(cfg: Index, given: Sequence[str]) -> int:
    origin = index_knobs.origin_of(cfg)
    if origin is None:
        raise ValueError("index add: got no source, want data=... or docs=FILE")
    reading, stamp = index_knobs.read(cfg, origin)
    return _edit(cfg, given[0], changes.add(reading, stamp, index_knobs.ids_of(cfg)))


def _remove(cfg: Index, given: Sequence[str]) -> int:
    ids = index_knobs.ids_of(cfg)
    if not ids:
        raise ValueError("index remove: got no ids, want ids=a,b or file=FILE")
    return _edit(cfg, given[0], changes.remove(ids))


def _update(cfg: Index, given: Sequence[str]) -> int:
    """From the source that the knobs name, or from those that the index was built from."""
    (name,) = given
    origin = index_knobs.origin_of(cfg)
    sources = index.read(versions.resolve(Path(cfg.index_dir), name).folder)["sources"]
    if origin and cfg.prune and len(sources) > 1:
        raise ValueError(
            f"index update: prune=true with one source, {name} has {len(sources)}; leave out data="
        )
    chosen = [origin] if origin else [origins.of_record(record) for record in sources]
    readings = [index_knobs.read(cfg, one) for one in chosen]
    return _edit(cfg, name, changes.update(readings, index_knobs.ids_of(cfg), prune=cfg.prune))


def _edit(cfg: Index, name: str, apply: Apply) -> int:
    root = Path(cfg.index_dir)
    edited = edits.edit(root, name, lambda found: index_knobs.own_encoder(cfg, found), apply)
    change, place = edited.change, edited.place
    said = f"{place}, live: {change}" if change else f"{place.name}: {change}"
    if change.left:
        said += f"; {change.left:,} are in no source any more, prune=true removes them"
    counts = {
        "added": len(change.added),
        "changed": len(change.changed),
        "removed": len(change.removed),
        "same": change.same,
        "left": change.left,
    }
    _result(cfg, {"index": str(place), **counts}, said)
    return 0


# looking


def _list(cfg: Index, given: Sequence[str]) -> int:
    root = Path(cfg.index_dir)
    rows = [row for row in inventory.listing(root) if not given or row["index"] == given[0]]
    for row in rows:
        if "problem" in row:
            show.talk(row["problem"])
    if cfg.format is AnswerFormat.json:
        show.document({"indexes": rows})
    elif rows:
        show.grid(inventory.table(rows), "table")
    else:
        show.talk(f"no index in {root}; `twotower index build NAME` makes one")
    return 0


def _info(cfg: Index, given: Sequence[str]) -> int:
    return _columns(cfg, inventory.info(_place(cfg, given[0])))


def _stats(cfg: Index, given: Sequence[str]) -> int:
    return _columns(cfg, inventory.stats(_place(cfg, given[0])))


def _columns(cfg: Index, content: Mapping[str, Any]) -> int:
    if cfg.format is AnswerFormat.json:
        show.document(content)
    else:
        _pairs(str(content["index"]), inventory.lines(content))
    return 0


def _check(cfg: Index, given: Sequence[str]) -> int:
    place = _place(cfg, given[0])
    rows = checking.check(place.folder, lambda found: index_knobs.own_encoder(cfg, found))
    name = str(place)
    if cfg.format is AnswerFormat.json:
        show.document({"index": name, "whole": True, "found": [list(row) for row in rows]})
    else:
        _pairs(f"{name} is whole", rows)
    return 0


def _place(cfg: Index, spec: str) -> Place:
    return versions.resolve(Path(cfg.index_dir), spec)


def _pairs(heading: str, rows: Sequence[tuple[str, str]]) -> None:
    width = max(len(left) for left, _ in rows)
    lines = (f"  {left:<{width}}  {show.printable(right)}" for left, right in rows)
    show.result("\n".join([show.printable(heading), *lines]))


def _result(cfg: Index, content: Mapping[str, Any], said: str) -> None:
    if cfg.format is AnswerFormat.json:
        show.document(content)
    else:
        show.result(show.printable(said))


# versions


def _switch(cfg: Index, given: Sequence[str]) -> int:
    """The newest version, or the one named, answers from now on, if the gate lets it."""
    root = Path(cfg.index_dir)
    name, _, version = given[0].partition("@")
    before = versions.live(root, name)
    version = version or next(reversed(versions.versions(root, name)), "")
    why = "forced"
    if not cfg.force and before not in ("", version):
        decision = index_rivals.gate(cfg, f"{name}@{before}", f"{name}@{version}")
        why = decision.why
        if not decision.passes:
            raise ValueError(f"index switch: {why}; {before} stays live, force=true switches anyway")
    place = versions.switch(root, name, version)
    moving.alias(place)
    content = {"index": str(place), "before": before, "why": why}
    _result(cfg, content, f"{place} is live: {why}; `twotower index rollback {name}` goes back to {before}")
    return 0


def _compare(cfg: Index, given: Sequence[str]) -> int:
    """Two indexes, or of one index the live version and the newest other one."""
    old, new = given if len(given) == 2 else _both(cfg, given[0])
    found = index_rivals.compared(cfg, old, new)
    if cfg.format is AnswerFormat.json:
        show.document(found.content)
    else:
        show.grid(index_compare.table(found), "table")
        show.result(show.printable(index_compare.verdict(found)))
    return 0


def _both(cfg: Index, name: str) -> tuple[str, str]:
    root = Path(cfg.index_dir)
    live = versions.resolve(root, name)
    others = [one for one in versions.versions(root, live.name) if one != live.version]
    if not others:
        raise ValueError(f"index compare: {name} has one version alone, want two indexes")
    return str(live), f"{live.name}@{others[-1]}"


def _rollback(cfg: Index, given: Sequence[str]) -> int:
    before = versions.live(Path(cfg.index_dir), given[0])
    place = versions.rollback(Path(cfg.index_dir), given[0])
    moving.alias(place)
    _result(cfg, {"index": str(place), "before": before}, f"{place} is live again, instead of {before}")
    return 0


def _prune(cfg: Index, given: Sequence[str]) -> int:
    gone, remarks = moving.prune(Path(cfg.index_dir), given[0], cfg.keep)
    for remark in remarks:
        show.talk(show.printable(remark))
    said = f"{given[0]}: {', '.join(gone)} deleted" if gone else f"{given[0]}: nothing to delete"
    _result(cfg, {"index": given[0], "deleted": gone}, said)
    return 0


def _move(cfg: Index, given: Sequence[str]) -> int:
    """The vectors to a database, or back into files."""
    place = moving.move(Path(cfg.index_dir), given[0], moving.target(cfg.store))
    manifest = index.read(place.folder)
    where = manifest["store"]["url"] if manifest["store"] else str(place.folder)
    vectors = f"{manifest['documents']:,} vectors x {manifest['dim']}, {manifest['kind']}"
    _result(cfg, inventory.info(place), f"{place}, live: {vectors}, in {where}")
    return 0


@dataclass(frozen=True)
class Action:
    """A row of the table of actions."""

    run: Callable[[Index, Sequence[str]], int]
    """Takes the knobs and the names behind the action; returns the exit code."""
    names: tuple[int, int] = (1, 1)
    """The fewest and the most names that it takes."""


ACTIONS: Mapping[str, Action] = {
    "build": Action(_build),
    "add": Action(_add),
    "remove": Action(_remove),
    "update": Action(_update),
    "list": Action(_list, (0, 1)),
    "info": Action(_info),
    "stats": Action(_stats),
    "check": Action(_check),
    "compare": Action(_compare, (1, 2)),
    "switch": Action(_switch),
    "rollback": Action(_rollback),
    "prune": Action(_prune),
    "move": Action(_move),
}
"""What `twotower index` does, by the word behind it."""
