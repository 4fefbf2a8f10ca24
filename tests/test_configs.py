import typing
from dataclasses import FrozenInstanceError, fields
from enum import Enum
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from twotower import compose, config, knobs, manual
from twotower.config import GROUPS
from twotower.manual import COMMANDS

CONF = compose.conf_dir()
SWEEPS = sorted((CONF / "sweep").glob("*.yaml"))
FILES = sorted(set(CONF.rglob("*.yaml")) - set(SWEEPS))
KINDS = list(
    dict.fromkeys(
        [
            *(command.config for command in COMMANDS.values()),
            *(kind for choices in GROUPS.values() for kind in choices.values()),
        ]
    )
)
CHOICES = [
    (name, group, choice)
    for name, command in COMMANDS.items()
    for group in GROUPS
    if group in {field.name for field in fields(command.config)}
    for choice in GROUPS[group]
]


def needed(choice: str) -> list[str]:
    if choice == "frozen":
        return ["doc_tower.checkpoint=x"]
    return ["data.path=x"] if choice in ("beir", "triplets", "pairs") else []


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_composes_to_its_own_class(name: str) -> None:
    bare, cfg = compose.load(name, [])
    assert bare == []
    assert type(cfg) is COMMANDS[name].config


@pytest.mark.parametrize(("name", "group", "choice"), CHOICES)
def test_every_choice_of_every_command_composes_to_its_own_class(name: str, group: str, choice: str) -> None:
    _, cfg = compose.load(name, [f"{group}={choice}", *needed(choice)])
    assert type(getattr(cfg, group)) is GROUPS[group][choice]


def test_every_file_under_conf_is_a_command_or_a_choice() -> None:
    assert {path.relative_to(CONF).as_posix() for path in FILES} == {
        *(f"{name}.yaml" for name in COMMANDS),
        *(f"{group}/{choice}.yaml" for group, choices in GROUPS.items() for choice in choices),
    }


@pytest.mark.parametrize("name", COMMANDS)
def test_a_composed_config_is_frozen_throughout(name: str) -> None:
    _, cfg = compose.load(name, [])
    for value in (cfg, *(getattr(cfg, field.name) for field in fields(cfg) if field.name in GROUPS)):
        with pytest.raises(FrozenInstanceError):
            setattr(value, next((field.name for field in fields(value)), "any"), None)


@pytest.mark.parametrize("name", COMMANDS)
def test_defaults_are_those_of_the_dataclass(name: str) -> None:
    _, cfg = compose.load(name, [])
    for field in fields(cfg):
        if field.name not in GROUPS:
            assert getattr(cfg, field.name) == getattr(type(cfg)(**slots(cfg)), field.name)


def slots(cfg: object) -> dict[str, object]:
    return {name: getattr(cfg, name) for name in GROUPS if hasattr(cfg, name)}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_default_has_its_type_and_lies_in_its_bounds(kind: type) -> None:
    required = [field.name for field in fields(kind) if knobs.is_required(field)]
    made = kind(**dict.fromkeys(required, "x"))
    for name, wanted in knobs.types_of(kind).items():
        value = getattr(made, name)
        if typing.get_origin(wanted) is list:
            assert all(type(item) is typing.get_args(wanted)[0] for item in value), name
        else:
            assert type(value) is wanted or name in required, name
    knobs.check_bounds(made)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_knob_and_class_is_described(kind: type) -> None:
    docs = knobs.docs_of(kind)
    assert kind.__doc__
    for field in fields(kind):
        text = docs.get(field.name, "")
        assert text.endswith("."), field.name
        assert "\n" not in text, field.name


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_a_description_names_every_value_of_a_choice(kind: type) -> None:
    docs = knobs.docs_of(kind)
    for name, wanted in knobs.types_of(kind).items():
        if isinstance(wanted, type) and issubclass(wanted, Enum):
            assert [member.name for member in wanted if member.name not in docs[name]] == [], name


def test_a_number_that_cannot_be_negative_says_so() -> None:
    unbounded = [
        f"{kind.__name__}.{field.name}"
        for kind in KINDS
        for field in fields(kind)
        if field.type in (int, float) and "bounds" not in field.metadata
    ]
    assert unbounded == []


def test_enum_members_are_called_what_they_are_worth() -> None:
    enums = {value for value in vars(config).values() if isinstance(value, type) and issubclass(value, Enum)}
    assert enums
    assert all(member.name == member.value for kind in enums for member in kind)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(CONF).as_posix())
def test_yaml_holds_no_value_that_only_repeats_a_default(path: Path) -> None:
    content = OmegaConf.to_container(OmegaConf.load(path))
    assert isinstance(content, dict)
    values = {key: value for key, value in content.items() if key != "defaults"}
    folder = path.parent.name
    kind = COMMANDS[path.stem].config if path.parent == CONF else GROUPS[folder][path.stem]
    defaults = manual.defaults(kind)
    assert {
        key: value for key, value in values.items() if knobs.shown(value) == knobs.shown(defaults[key])
    } == {}
