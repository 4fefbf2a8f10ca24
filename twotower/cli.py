"""The command line: `twotower <command> [argument] [knob=value ...]`; the only module that knows Hydra.

Results go to stdout, talk to stderr. Exit codes: 0; 1 a run failed; 2 the user's mistake, in one line;
130 and 143 interrupted.
"""

import importlib
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import fields, make_dataclass
from functools import cache
from itertools import takewhile
from pathlib import Path
from types import FrameType
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.errors import HydraException
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError  # type: ignore[import-untyped]  # Hydra reads conf/ with it

from twotower import __version__, knobs, manual, show
from twotower.config import GROUPS
from twotower.manual import COMMANDS, Command
from twotower.show import one_line
from twotower.training import runs


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    show.prepare()
    before = signal.signal(signal.SIGTERM, _terminate)
    try:
        return _run(words)
    except KeyboardInterrupt as interrupt:
        code = 143 if interrupt.args == ("SIGTERM",) else 130
        show.talk("terminated" if code == 143 else "interrupted")
        return code
    except BrokenPipeError:  # the reader of a pipe left (`| head`)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except FloatingPointError as error:
        show.error(str(error))
        return 1
    except (ValueError, OSError) as error:
        show.error(one_line(error))
        return 2
    finally:
        signal.signal(signal.SIGTERM, before or signal.SIG_DFL)


def _terminate(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt("SIGTERM")


def _run(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help", "help"):
        show.result(manual.overview())
        return 0
    if words[0] == "--version":
        show.result(f"twotower {__version__}")
        return 0
    name, *rest = words
    if name not in COMMANDS:
        raise ValueError(
            f"{name}: no such command{knobs.nearest(name, COMMANDS)} (want one of {', '.join(COMMANDS)})"
        )
    if not {"--help", "-h"}.isdisjoint(_before_dashes(rest)):
        show.result(help_of(name))
        return 0
    bare, cfg = load(name, rest, runs.stored(rest) if name == "train" else None)
    _limit(getattr(cfg, "threads", 0))
    module = importlib.import_module(f"twotower.commands.{name}")  # only the command's own imports are paid
    return int(module.run(cfg, *bare) or 0)


def _limit(threads: int) -> None:
    """Hold every library to `threads`; they read these names once, when they are first imported."""
    # waiting threads that spin slow a step three to fifteen times where anything else runs beside it
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if threads:
        for name in ("OMP", "OPENBLAS", "MKL"):
            os.environ[f"{name}_NUM_THREADS"] = str(threads)
        os.environ["POLARS_MAX_THREADS"] = str(threads)


def load(name: str, words: Sequence[str], run: knobs.Stored | None = None) -> tuple[list[str], Any]:
    """Bare arguments and the frozen config object of `name`, composed and checked.

    The knobs of `run`, which is to be continued, stand where `words` say nothing.

    Raises:
        ValueError: an unknown knob, a wrong type, a value out of bounds, a missing value, a surplus argument.
    """
    bare, settings = knobs.split(words)
    command = COMMANDS[name]
    if bad := [word for word in _before_dashes(words) if word.startswith("-")]:
        way = f"a {command.bare} that begins with - stands after --" if command.bare else "with no dashes"
        raise ValueError(f"{bad[0]}: no such option; knobs are written name=value, {way} ({name} --help)")
    if len(bare) > len(command.bare.split()):
        want = command.wanted or "knobs alone, as name=value"
        raise ValueError(f"{name}: got {' '.join(bare)[:60]!r}, want {want}")
    kept = run or knobs.Stored({}, {})
    typed = {key: settings.pop(key) for key in list(settings) if key in _groups(command)}
    try:
        node = _compose(name, {**kept.groups, **typed})
        cfg = _freeze(node, {**kept.values, **_given(node, settings, command)})
    except (HydraException, OmegaConfBaseException, YAMLError) as error:  # someone's own conf/
        raise ValueError(f"{conf_dir()}: {one_line(error)}") from None
    knobs.check_bounds(cfg)
    return bare, cfg


def _before_dashes(words: Sequence[str]) -> list[str]:
    return list(takewhile(lambda word: word != "--", words))


def conf_dir() -> Path:
    """`conf/` of the source tree, or of the installed package."""
    here = Path(__file__).resolve().parent
    return here / "conf" if (here / "conf").is_dir() else here.parent / "conf"


def _groups(command: Command) -> list[str]:
    return [field.name for field in fields(command.config) if field.name in GROUPS]


def _compose(name: str, groups: Mapping[str, str]) -> DictConfig:
    for group, choice in groups.items():
        have = sorted(path.stem for path in (conf_dir() / group).glob("*.yaml"))
        if choice not in have:
            raise ValueError(
                f"{group}: got {choice!r}, want {' or '.join(have)}{knobs.nearest(choice, have)}"
            )
    register()
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        return compose(name, overrides=[f"{group}={choice}" for group, choice in groups.items()])


def register() -> None:
    """Put every config class into Hydra's store, as `schema/...`."""
    store = ConfigStore.instance()
    for name, command in COMMANDS.items():
        store.store(group="schema/command", name=name, node=_schema(command.config))
    for group, choices in GROUPS.items():
        for name, kind in choices.items():
            store.store(group=f"schema/{group}", name=name, node=_schema(kind))


@cache
def _schema(kind: type) -> type:
    """`kind` without its frost and with open group slots: Hydra can merge into neither."""
    slots = [(field.name, Any if field.name in GROUPS else field.type, field) for field in fields(kind)]
    return make_dataclass(kind.__name__, slots, namespace={"frozen": kind}, kw_only=True)


def _freeze(node: DictConfig, given: Mapping[str, Any], prefix: str = "") -> Any:
    """The frozen config object that a composed node stands for, with the `given` values by dotted name.

    They do not pass through OmegaConf, which would take `${...}` and `???` in a text for its own.
    """
    kind = _kind(node)
    values: dict[str, Any] = {}
    for field in fields(kind):
        name = f"{prefix}{field.name}"
        if field.name in GROUPS:
            values[field.name] = _freeze(node[field.name], given, f"{name}.")
        elif name in given:
            values[field.name] = given[name]
        elif OmegaConf.is_missing(node, field.name):
            doc = knobs.docs_of(kind).get(field.name, "").lower()
            raise ValueError(f"{name}: missing; write {name}=..., {doc}")
        else:
            value = node[field.name]
            values[field.name] = list(value) if isinstance(value, ListConfig) else value
    return kind(**values)


def _kind(node: Any) -> type:
    """The config class of a composed node."""
    kind: type = OmegaConf.get_type(node).frozen  # type: ignore[union-attr]
    return kind


def _given(node: DictConfig, settings: Mapping[str, str], command: Command) -> dict[str, Any]:
    """Typed values by dotted name; short names first, so that the full name wins whatever the order."""
    types, elsewhere = _types(node, command)
    given: dict[str, Any] = {}
    for name in sorted(settings, key=lambda name: name in types):
        targets = knobs.resolve(name, types, elsewhere)
        if not targets:
            show.talk(f"{name}={settings[name]} has no effect: no choice in force has that knob")
        given |= {target: knobs.convert(name, settings[name], types[target]) for target in targets}
    return given


def _types(node: DictConfig, command: Command) -> tuple[dict[str, Any], dict[str, str]]:
    """Types of the knobs in force, and which choices have each that any has."""
    types = knobs.types_of(command.config)
    elsewhere: dict[str, str] = {}
    for group in _groups(command):
        types |= knobs.types_of(_kind(node[group]), f"{group}.")
        for choice, kind in GROUPS[group].items():
            for full in knobs.types_of(kind, f"{group}."):
                elsewhere[full] = (
                    f"{elsewhere[full]} or {choice}" if full in elsewhere else f"{group}={choice}"
                )
    return types, elsewhere


def help_of(name: str) -> str:
    """`twotower <name> --help`: every knob, its default, its unit; groups with each of their choices."""
    node = _compose(name, {})
    return manual.page(name, {group: _choice(group, node) for group in _groups(COMMANDS[name])})


def _choice(group: str, node: DictConfig) -> str:
    return next(choice for choice, kind in GROUPS[group].items() if kind is _kind(node[group]))
