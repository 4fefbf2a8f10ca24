"""`twotower push`: a checkpoint, its export and its card to the Hugging Face hub, or a list of them."""

import shutil
import tempfile
from pathlib import Path

from twotower import show
from twotower.config import Push, TableFormat
from twotower.evaluation import card, names
from twotower.model import checkpoint, export, remote, sidecar


def run(cfg: Push) -> int:
    """List the files, and upload them unless it is a dry run."""
    remote.check_repo(cfg.repo)
    if not cfg.dry_run:
        remote.check_access(cfg.repo)
    path = names.find(cfg.checkpoint, Path(cfg.checkpoint_dir))
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        gather(cfg, path, folder)
        show.talk("note: the checkpoint and its history name the folders of its run, such as data.path")
        sizes = [
            (file.relative_to(folder).as_posix(), file.stat().st_size)
            for file in sorted(folder.rglob("*"))
            if file.is_file()
        ]
        url = None if cfg.dry_run else remote.upload(folder, cfg.repo, private=cfg.private)
    _show(cfg, path, sizes, url)
    return 0


def gather(cfg: Push, path: Path, folder: Path) -> None:
    """Put into `folder` all that is uploaded: export, card, checkpoint and sidecar."""
    content = checkpoint.read(path)
    sidecar.read(path)  # rebuilds one that is missing
    text = card.text(path, content, cfg.export, f"{remote.PREFIX}{cfg.repo}")
    export.fill(folder, path, content, cfg.export, text)
    for file in (path, sidecar.sidecar_of(path)):
        shutil.copyfile(file, folder / file.name)


def _show(cfg: Push, path: Path, sizes: list[tuple[str, int]], url: str | None) -> None:
    total = sum(size for _, size in sizes)
    if cfg.format is TableFormat.json:
        files = [{"path": name, "bytes": size} for name, size in sizes]
        show.document(
            {"repo": cfg.repo, "checkpoint": str(path), "dry_run": cfg.dry_run, "files": files, "url": url}
        )
        return
    heading = f"{cfg.repo}: {len(sizes)} files, {total:,} bytes"
    show.grid(
        show.Grid(heading, ["file", "bytes"], [[name, f"{size:,}"] for name, size in sizes]), cfg.format.value
    )
    show.talk(url or "dry run, nothing was uploaded; dry_run=false uploads it")
