"""`twotower export`: a checkpoint as a folder that sentence-transformers loads, or as plain safetensors."""

from pathlib import Path

from twotower import show
from twotower.config import Export
from twotower.evaluation import card, names
from twotower.model import checkpoint, export


def run(cfg: Export) -> int:
    """Write the folder and print its path."""
    out = Path(cfg.out)
    export.check_new(out)
    path = names.find(cfg.checkpoint, Path(cfg.checkpoint_dir))
    content = checkpoint.read(path)
    text = card.text(path, content, cfg.format, out.name)
    export.write_aside(out, lambda folder: export.fill(folder, path, content, cfg.format, text))
    show.talk(f"{path.name} as {cfg.format.value}; README.md says how to load it")
    show.result(str(out))
    return 0
