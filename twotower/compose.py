"""Words to configs: `data=beir epochs=3` -> a frozen `config.Train`; the only module that knows Hydra.

    conf/train.yaml, conf/loss/triplet.yaml, ["loss=triplet", "margin=0.3"] -> Train(loss=Triplet(0.3))

The defaults list of `conf/<command>.yaml` picks a choice of each group, words pick others and set knobs.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, make_dataclass
from functools import cache
from itertools import product, takewhile
from pathlib import Path
from typing import Any

import hydra
from hydra import version
from hydra._internal.callbacks import Callbacks
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from hydra.errors import HydraException
from hydra.types import HydraContext, RunMode
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError  # type: ignore[import-untyped]  # Hydra reads conf/ with it

from twotower import knobs, manual, show
from twotower.config import GROUPS, SHORT
from twotower.manual import COMMANDS, Command


@dataclass(frozen=True)
class Composed:
    """What words come to."""

    bare: list[str]
    """The arguments that are no knobs."""
    cfg: Any
    """The frozen config object of the command."""
    idle: tuple[str, ...]
    """Names of the knobs typed that no choice in force has, so that they change nothing."""


def load(name: str, words: Sequence[str], run: knobs.Stored | None = None) -> tuple[list[str], Any]:
    """As `composed`: bare arguments and config object; knobs without effect are said."""
    made = composed(name, words, run)
    settings = knobs.split(words)[1]
    for knob in made.idle:
        show.talk(f"{knob}={settings[knob]} has no effect: no choice in force has that knob")
    return made.bare, made.cfg


def composed(name: str, words: Sequence[str], run: knobs.Stored | None = None) -> Composed:
    """Bare arguments and the frozen config object of the command `name`, checked.

    The knobs of `run`, which is to be continued, stand where `words` say nothing.

    Raises:
        ValueError: an unknown knob, a wrong type, a value out of bounds, a missing value, a surplus argument.
    """
    bare, settings = knobs.split(words)
    command = COMMANDS[name]
    settings = _spelled_out(settings, command)
    if bad := [word for word in before_dashes(words) if word.startswith("-")]:
        way = f"a {command.bare} that begins with - stands after --" if command.bare else "with no dashes"
        raise ValueError(f"{bad[0]}: no such option; knobs are written name=value, {way} ({name} --help)")
    if len(bare) > command.limit:
        want = command.wanted or "knobs alone, as name=value"
        raise ValueError(f"{name}: got {' '.join(bare)[:60]!r}, want {want}")
    kept = run or knobs.Stored({}, {})
    typed = {key: settings.pop(key) for key in list(settings) if key in _groups(command)}
    try:
        node = _compose(name, {**kept.groups, **typed})
        given, idle = _given(node, settings, command)
        cfg = _freeze(node, {**kept.values, **given})
    except (HydraException, OmegaConfBaseException, YAMLError) as error:  # someone's own conf/
        raise ValueError(f"{conf_dir()}: {' '.join(str(error).split())}") from None
    knobs.check_bounds(cfg)
    return Composed(bare, cfg, idle)


def _spelled_out(settings: Mapping[str, str], command: Command) -> dict[str, str]:
    """`doc_tower=frozen:@best` as `doc_tower=frozen doc_tower.checkpoint=@best`; the rest as it is."""
    made: dict[str, str] = {}
    for key, value in settings.items():
        choice, colon, rest = value.partition(":")
        if colon and key in _groups(command) and choice in GROUPS[key] and choice in SHORT:
            made |= {key: choice, f"{key}.{SHORT[choice]}": rest}
        else:
            made[key] = value
    return made


def before_dashes(words: Sequence[str]) -> list[str]:
    """The words that may be knobs and options: those before a lone `--`."""
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
    return _read(str(conf_dir()), name, tuple(f"{group}={choice}" for group, choice in groups.items()))


@cache
def _read(folder: str, name: str, choices: tuple[str, ...]) -> DictConfig:
    """What Hydra composes, which takes it a tenth of a second; nothing changes it afterwards."""
    register([name])
    with hydra.initialize_config_dir(folder, version_base="1.3"):
        return hydra.compose(name, overrides=list(choices))


def register(names: Sequence[str] = tuple(COMMANDS)) -> None:
    """Put the config classes of these commands into Hydra's store, as `schema/...`; a class takes 1 ms."""
    store = ConfigStore.instance()
    wanted = [COMMANDS[name] for name in names]
    for command, name in zip(wanted, names, strict=True):
        store.store(group="schema/command", name=name, node=_schema(command.config))
    for group in {group for command in wanted for group in _groups(command)}:
        for choice, kind in GROUPS[group].items():
            store.store(group=f"schema/{group}", name=choice, node=_schema(kind))


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


def _given(
    node: DictConfig, settings: Mapping[str, str], command: Command
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Typed values by dotted name, and the names without effect.

    Short names come first, so that the full name wins whatever the order.
    """
    types, elsewhere = _types(node, command)
    given: dict[str, Any] = {}
    idle: list[str] = []
    for name in sorted(settings, key=lambda name: name in types):
        targets = knobs.resolve(name, types, elsewhere)
        given |= {target: knobs.convert(name, settings[name], types[target]) for target in targets}
        if not targets:
            idle.append(name)
    return given, tuple(idle)


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


def expanded(words: Sequence[str]) -> list[list[str]]:
    """The words of each job of a multirun, in Hydra's order: all combinations of what Hydra sweeps over.

    >>> expanded(["seed=0,1", "k=[1,5]"])
    [['seed=0', 'k=[1,5]'], ['seed=1', 'k=[1,5]']]

    Raises ValueError for a range that has no end of its own.
    """
    return [list(job) for job in product(*map(_alternatives, words))]


def _alternatives(word: str) -> list[str]:
    try:
        (override,) = OverridesParser.create().parse_overrides([word])
    except HydraException:  # such as a path with brackets: no sweep, and its knob will say if it is wrong
        return [word]
    if not override.is_sweep_override():
        return [word]
    name = override.get_key_element()
    if not override.is_discrete_sweep():
        raise ValueError(f"{name}: an interval has no end; want a,b or range(0,3), or `twotower sweep`")
    values = map(str, override.sweep_string_iterator())
    return [f"{name}={_unquoted(value)}" for value in values]


def _unquoted(text: str) -> str:
    return text[1:-1] if text[:1] in ("'", '"') else text


def launched(task: Callable[[Any], int], jobs: int, settings: Sequence[str], folder: Path) -> list[int]:
    """The exit codes of so many jobs, run by Hydra's launcher: `task` gets a config with the `job`'s number.

    `settings` are Hydra's own: without, the jobs run one after the other; `hydra/launcher=joblib` and its
    like are packages of their own. What the launcher writes is in `folder`.

    Raises ValueError for settings that Hydra does not know.
    """
    own = [f"hydra.sweep.dir='{folder}'", "hydra.sweep.subdir=${hydra.job.num}", "hydra.output_subdir=null"]
    own += ["hydra.job.chdir=false", "hydra/job_logging=disabled", "hydra/hydra_logging=disabled"]
    with hydra.initialize_config_dir(str(conf_dir()), version_base="1.3"):
        loader = GlobalHydra.instance().config_loader()
    version.setbase("1.3")  # the launcher asks for it; the jobs open Hydra anew
    try:
        config = loader.load_configuration(None, [*own, *settings], run_mode=RunMode.MULTIRUN)
    except (HydraException, OmegaConfBaseException) as error:
        raise ValueError(f"{' '.join(settings)}: {' '.join(str(error).split())}") from None
    context = HydraContext(config_loader=loader, callbacks=Callbacks())
    launcher = Plugins.instance().instantiate_launcher(context, task, config)
    ended = launcher.launch([[f"+job={number}"] for number in range(jobs)], initial_job_idx=0)
    return [_code(one) for one in ended]


def _code(ended: JobReturn) -> int:
    """A job's exit code; what nobody expected is said, and stops no other job."""
    code = ended._return_value  # the public one raises what the job raised
    if ended.status is JobStatus.COMPLETED:
        return int(code)
    show.error(f"{type(code).__name__}: {' '.join(str(code).split())}")
    return 1


def help_of(name: str) -> str:
    """`twotower <name> --help`: every knob, its default, its unit; groups with each of their choices."""
    node = _compose(name, {})
    return manual.page(name, {group: _choice(group, node) for group in _groups(COMMANDS[name])})


def _choice(group: str, node: DictConfig) -> str:
    return next(choice for choice, kind in GROUPS[group].items() if kind is _kind(node[group]))
