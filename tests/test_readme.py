"""The README's commands exist and compose, its make targets and links are there."""

import re
import shlex
from pathlib import Path

import pytest

from twotower import cli, manual

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```sh\n(.*?)```", README, flags=re.DOTALL)
LINES = [line for block in BLOCKS for line in block.splitlines() if line.strip()]
MINE = [line for line in LINES if line.startswith("twotower ")]


@pytest.mark.parametrize("line", MINE)
def test_every_command_of_the_readme_composes(line: str) -> None:
    _, name, *words = shlex.split(line.partition(" > ")[0])
    if name == "--help":
        assert "train" in manual.overview()
    elif "--help" in words:
        assert cli.help_of(name)
    else:
        cli.load(name, words)


def test_every_make_target_of_the_readme_is_there() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^\s*make (\w+)", README, flags=re.MULTILINE))
    assert {"demo", "test", "check"} <= targets
    assert all(re.search(rf"^{target}:", makefile, flags=re.MULTILINE) for target in targets)


def test_every_command_of_the_table_is_in_the_readme() -> None:
    assert {line.split()[1] for line in MINE} >= set(cli.COMMANDS)


def test_every_extra_of_the_readme_is_declared() -> None:
    project = (ROOT / "pyproject.toml").read_text()
    extras = set(re.findall(r"[\[,](cpu|gpu|glove|hub|gensim|export|ceiling|redis|qdrant|dev)\b", README))
    assert all(re.search(rf"^{extra} = \[", project, flags=re.MULTILINE) for extra in extras)


def test_links_lead_to_files() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert target.startswith("http") or (ROOT / target).exists()
