"""Named indexes over a file of a few documents, built and edited with an untrained model."""

import json
from collections.abc import Mapping
from pathlib import Path

from search_case import TEXTS, Case

from twotower import config
from twotower.search import build, changes, edits, index, origins
from twotower.search.build import Encoder, Job
from twotower.search.changes import Change
from twotower.search.origins import Origin, Reading
from twotower.search.stages import Plan
from twotower.search.versions import Place

SAME = (
    "ids.npy",
    "ids_offsets.npy",
    "vectors.npy",
    "codes.npy",
    "scales.npy",
    "errors.npy",
    "duplicates.npy",
)
"""Files that an edited index shares, byte for byte, with one that is built anew."""


class Indexes:
    """A folder of indexes; `case` has the model, `said` what was said."""

    def __init__(self, folder: Path, tower: config.Tower | None = None) -> None:
        self.case = Case(folder, tower or config.MLPTower(hidden_dim=5))
        self.folder = folder
        self.root = folder / "indexes"
        self.file = folder / "docs.jsonl"
        self.write(TEXTS)

    @property
    def encoder(self) -> Encoder:
        return build.encoder(self.case.checkpoint, self.case.load)

    def write(self, texts: Mapping[str, str], file: Path | None = None) -> Path:
        """A file of these documents."""
        lines = (json.dumps({"_id": doc_id, "title": "", "text": text}) for doc_id, text in texts.items())
        path = file or self.file
        path.write_text("\n".join(lines) + "\n")
        return path

    def origin(self, file: Path | None = None) -> Origin:
        return origins.of_docs(config.Index(data=config.Stored(), docs=str(file or self.file)))

    def reading(self, file: Path | None = None) -> tuple[Reading, str]:
        origin = self.origin(file)
        return origins.read(origin, self.case.cache_dir), origins.stamp(origin)

    def job(self, plan: Plan | None = None, origin: Origin | None = None) -> Job:
        say = self.case.said.append
        return Job(origin or self.origin(), self.encoder, self.case.cache_dir, say, plan or Plan())

    def build(self, name: str = "docs", plan: Plan | None = None, origin: Origin | None = None) -> Place:
        return build.named(self.root, name, self.job(plan, origin))

    def edit(self, apply: changes.Apply, name: str = "docs") -> Change:
        return edits.edit(self.root, name, lambda _: self.encoder, apply).change

    def add(self, texts: Mapping[str, str], *wanted: str) -> Change:
        reading, stamp = self.reading(self.write(texts, self.folder / "more.jsonl"))
        return self.edit(changes.add(reading, stamp, wanted))

    def remove(self, *ids: str) -> Change:
        return self.edit(changes.remove(ids))

    def update(self, texts: Mapping[str, str], *wanted: str, prune: bool = False) -> Change:
        self.write(texts)
        return self.edit(changes.update([self.reading()], wanted, prune=prune))


def held(place: Place) -> dict[str, str]:
    """Texts by id, each with a vector of its own."""
    found = index.load(place.folder)
    with found.documents as store:
        texts = {document.id: document.text for document in store.scan()}
    assert [found.ids[row] for row in range(len(found))] == list(texts)
    assert len(found.vectors) == len(texts)
    return texts


def same_bytes(first: Path, second: Path) -> bool:
    """Whether two indexes hold the same ids, vectors and documents."""
    corpora = {index.read(folder)["corpus"] for folder in (first, second)}
    files = [name for name in SAME if (first / name).exists() or (second / name).exists()]
    return len(corpora) == 1 and all(
        (first / name).read_bytes() == (second / name).read_bytes() for name in files
    )
