import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from conftest import ROOT, Command
from test_compose import AWKWARD

from twotower import __version__, cli, compose, knobs, manual
from twotower.config import GROUPS
from twotower.manual import COMMANDS

Run = Callable[..., object]


@pytest.fixture(autouse=True)
def _environment(workplace: Path) -> Iterator[None]:
    """An empty folder; `threads=` sets variables, which must not stay."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Run], None]:
    """Puts a function in the place of a command."""

    def put(name: str, run: Run) -> None:
        monkeypatch.setitem(sys.modules, f"twotower.commands.{name}", SimpleNamespace(run=run))

    return put


def raising(error: BaseException) -> Run:
    def run(*_: object) -> int:
        raise error

    return run


# help


def test_without_a_command_the_table_of_commands_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    for words in ([], ["--help"], ["-h"], ["help"]):
        assert cli.main(words) == 0
        out = capsys.readouterr()
        assert out.err == ""
        for name, command in COMMANDS.items():
            assert re.search(rf"^  {name}\b.*  {re.escape(command.line)}$", out.out, re.MULTILINE)


def test_the_version_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"twotower {__version__}\n"


@pytest.mark.parametrize("name", COMMANDS)
def test_help_lists_every_knob_with_its_default_and_its_line(name: str) -> None:
    text = compose.help_of(name)
    _, cfg = compose.load(name, [])
    groups = [group for group in GROUPS if group in {field.name for field in fields(cfg)}]
    rows = [("", type(cfg), knobs.types_of(type(cfg)))]
    rows += [
        (f"{group}.", kind, knobs.types_of(kind))
        for group in groups
        if group != "doc_tower"
        for choice, kind in GROUPS[group].items()
        if choice != "stored"
    ]
    for prefix, kind, types in rows:
        defaults, docs = manual.defaults(kind), knobs.docs_of(kind)
        for knob in types:
            if knob in GROUPS:
                continue
            line = rf"^  {prefix}{knob}={re.escape(knobs.shown(defaults[knob]))} +{re.escape(docs[knob])}"
            assert re.search(line, text, re.MULTILINE), knob


@pytest.mark.parametrize("name", COMMANDS)
def test_help_says_the_choice_in_force_of_every_group(name: str) -> None:
    _, cfg = compose.load(name, [])
    text = compose.help_of(name)
    for group in GROUPS:
        if hasattr(cfg, group):
            word = next(word for word, kind in GROUPS[group].items() if kind is type(getattr(cfg, group)))
            assert re.search(rf"^  {group}={word} ", text, re.MULTILINE)


def test_help_is_shown_wherever_the_word_stands(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["train", "nonsense=1", "--help"]) == 0
    assert capsys.readouterr().out == compose.help_of("train") + "\n"


# messages


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("trian", "trian: no such command; did you mean train? (want one of train, evaluate, "),
        ("frobnicate", "frobnicate: no such command (want one of train, evaluate, leaderboard, compare"),
        ("train batchsize=3", "batchsize: no such knob; did you mean batch_size? (--help lists them)"),
        ("train qeury_tower=gru", "qeury_tower: no such knob; did you mean query_tower? (--help lists them)"),
        ("train loss.temprature=3", "loss.temprature: no such knob; did you mean loss.temperature? ("),
        ("train qqqqqq=1", "qqqqqq: no such knob (--help lists them)"),
        ("leaderboard data=beir", "data: no such knob"),
        ("train query_tower=lstm", "query_tower: got 'lstm', want gru or mlp"),
        ("train query_tower=GRU", "query_tower: got 'GRU', want gru or mlp; did you mean gru?"),
        ("train loss=", "loss: got '', want contrastive or margin or triplet"),
        ("train epochs=ten", "epochs: got 'ten', want a whole number"),
        ("train learning_rate=fast", "learning_rate: got 'fast', want a number"),
        ("train learning_rate=inf", "learning_rate: got 'inf', want a finite number"),
        ("train tied=maybe", "tied: got 'maybe', want true or false"),
        ("train optimizer=adamm", "optimizer: got 'adamm', want adamw or adam or sgd; did you mean adam?"),
        ("train temperature=-1", "loss.temperature: got -1.0, want above 0 and at most 10"),
        ("train batch_size=0", "batch_size: got 0, want at least 1"),
        ("train dropout=1", "query_tower.dropout: got 1.0, want at least 0 and below 1"),
        ("train k=1,0", "k: got 0, want at least 1"),
        ("train k=[]", "k: got an empty list, want at least one int"),
        ("train k=[1,5", "k: got '[1,5', want a list such as a,b or [a,b]"),
        ("train loss.margin=0.1", "loss.margin: belongs to loss=triplet or margin, the loss in force has l"),
        ("train data.path=x", "data.path: belongs to data=beir or msmarco or triplets or pairs, the data "),
        ("train path=x", "path: belongs to data=beir or msmarco or triplets or pairs, the data in force"),
        ("train data=beir", "data.path: missing; write data.path=..., the folder."),
        ("train data=beir data.dev_share=0.1", "data.path: missing; write data.path=..., the folder."),
        ("train resume=first", "resume: no run first in checkpoints"),
        ("train resume=@latest epochs=3", "resume: no run in checkpoints is left to continue"),
        ("train fast", "train: got 'fast', want knobs alone, as name=value"),
        ("train +dim=3", "train: got '+dim=3', want knobs alone, as name=value"),
        ("train --dim=3", "--dim=3: no such option; knobs are written name=value, with no dashes ("),
        ("search read a file", "search: got 'read a file', want one QUERY, in quotes"),
        ("search -x", "-x: no such option; knobs are written name=value, a QUERY that begins with - stands "),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line_and_exit_code_2(
    words: str, says: str, workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(words.split()) == 2
    out = capsys.readouterr()
    assert out.out == ""
    assert out.err.startswith(f"twotower: {says}")
    assert out.err.count("\n") == 1
    assert list(workplace.iterdir()) == []


def test_a_missing_folder_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["leaderboard", "checkpoint_dir=nowhere"]) == 2
    assert capsys.readouterr().err == (
        "twotower: checkpoint_dir: nowhere: no such folder; `twotower train` makes checkpoints\n"
    )


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("batchsize: 3", "Key 'batchsize' not in 'Train'"),
        ("batch_size: many", "could not be converted to Integer"),
        ("a: [: b", "expected the node content"),
        ("name: ${nowhere}", "Interpolation key 'nowhere' not found"),
    ],
)
def test_a_mistake_in_yaml_is_one_line(
    line: str, says: str, workplace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    conf = shutil.copytree(compose.conf_dir(), workplace / "conf")
    monkeypatch.setattr(compose, "conf_dir", lambda: conf)
    with (conf / "train.yaml").open("a") as file:
        file.write(f"{line}\n")
    assert cli.main(["train"]) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"twotower: {conf}: ")
    assert says in err
    assert err.count("\n") == 1


def test_an_error_keeps_to_one_line_whatever_it_says() -> None:
    assert cli.one_line(ValueError("a\n  b\tc")) == "a b c"
    assert cli.one_line(FileNotFoundError(2, "No such file or directory", "x.txt")) == (
        "x.txt: no such file or directory"
    )
    assert cli.one_line(FileNotFoundError("x.txt: not here")) == "x.txt: not here"


# exit codes


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (ValueError("bad value"), 2, "twotower: bad value\n"),
        (FileNotFoundError("no file"), 2, "twotower: no file\n"),
        (PermissionError(13, "Permission denied", "x"), 2, "twotower: x: permission denied\n"),
        (FloatingPointError("the loss became nan"), 1, "twotower: the loss became nan\n"),
        (KeyboardInterrupt(), 130, "interrupted\n"),
        (KeyboardInterrupt("SIGTERM"), 143, "terminated\n"),
    ],
)
def test_how_a_command_ends_is_its_exit_code(
    error: BaseException,
    code: int,
    says: str,
    stub: Callable[[str, Run], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    stub("leaderboard", raising(error))
    assert cli.main(["leaderboard"]) == code
    assert capsys.readouterr().err == says


@pytest.mark.parametrize("error", [RuntimeError("a bug"), ModuleNotFoundError("a bug"), KeyError("a bug")])
def test_an_error_that_nobody_expected_is_not_hidden(
    error: Exception, stub: Callable[[str, Run], None]
) -> None:
    stub("leaderboard", raising(error))
    with pytest.raises(type(error), match="a bug"):
        cli.main(["leaderboard"])


def test_a_command_says_its_own_exit_code(stub: Callable[[str, Run], None]) -> None:
    stub("leaderboard", lambda cfg: 1)
    assert cli.main(["leaderboard"]) == 1
    stub("leaderboard", lambda cfg: None)
    assert cli.main(["leaderboard"]) == 0


def test_the_handler_of_signals_does_not_outlive_the_command(stub: Callable[[str, Run], None]) -> None:
    seen = []
    before = signal.getsignal(signal.SIGTERM)
    stub("leaderboard", lambda cfg: seen.append(signal.getsignal(signal.SIGTERM)))
    cli.main(["leaderboard"])
    assert seen != [before]
    assert signal.getsignal(signal.SIGTERM) == before


STUBBED = """
import sys, time, types
from twotower import show
module = types.ModuleType("leaderboard")
def run(cfg):
    {body}
module.run = run
sys.modules["twotower.commands.leaderboard"] = module
from twotower.cli import main
sys.exit(main(["leaderboard"]))
"""


def started(body: str) -> "subprocess.Popen[str]":
    """`twotower leaderboard` in a process of its own, its command replaced by `body`."""
    return subprocess.Popen(
        [sys.executable, "-c", STUBBED.format(body=body)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize(
    ("number", "code", "says"),
    [(signal.SIGINT, 130, "interrupted\n"), (signal.SIGTERM, 143, "terminated\n")],
)
def test_a_signal_ends_a_command_without_a_traceback(number: signal.Signals, code: int, says: str) -> None:
    with started("show.result('ready'); time.sleep(60)") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (code, says)


@pytest.mark.parametrize(
    "body",
    [
        "show.result('ready'); time.sleep(0.3); [show.result('x' * 1000) for _ in range(200)]",
        "show.result('ready'); time.sleep(0.3); "
        "[show.grid(show.Grid('h', ['a'], [['b' * 99]] * 99), 'table') for _ in range(9)]",
    ],
    ids=["text", "table"],
)
def test_a_reader_that_leaves_is_no_error(body: str) -> None:
    with started(body) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()  # `| head -1`
        assert process.stderr is not None
        err = process.stderr.read()
    assert (process.returncode, err) == (0, "")


# arguments


def test_a_bare_argument_arrives_to_the_letter(stub: Callable[[str, Run], None]) -> None:
    seen: list[Any] = []
    stub("search", lambda cfg, *bare: seen.append((cfg.k, bare)))
    assert cli.main(["search", AWKWARD, "k=3"]) == 0
    assert cli.main(["search", "k=4", "--", "-h k=3"]) == 0
    assert cli.main(["search", "--", "e=mc2"]) == 0
    assert cli.main(["search"]) == 0
    assert seen == [(3, (AWKWARD,)), (4, ("-h k=3",)), (5, ("e=mc2",)), (5, ())]


def test_threads_are_limited_before_the_libraries_are_imported(stub: Callable[[str, Run], None]) -> None:
    seen: list[object] = []
    stub(
        "search", lambda cfg: seen.append([os.environ.get(f"{name}_NUM_THREADS") for name in ("OMP", "MKL")])
    )
    cli.main(["search", "threads=3"])
    assert seen == [["3", "3"]]


# in a process of its own


def test_python_m_twotower_is_the_console_script(command: Command) -> None:
    project = (ROOT / "pyproject.toml").read_text()
    assert 'twotower = "twotower.cli:main"' in project
    code = "import sys; from twotower.cli import main; sys.exit(main())"  # what pip writes for it
    for words in (["train", "--help"], ["train", "epochs=x"]):
        module, script = command(*words), command(*words, code=code)
        assert (module.returncode, module.stdout, module.stderr) == (
            script.returncode,
            script.stdout,
            script.stderr,
        )


def test_nothing_is_left_behind(command: Command, workplace: Path) -> None:
    (workplace / "checkpoints").mkdir()
    done = command("leaderboard", "format=json")
    assert (done.returncode, json.loads(done.stdout)["groups"]) == (0, [])
    command("train", "epochs=x")
    assert [path.name for path in workplace.rglob("*")] == ["checkpoints"]


def test_conf_is_found_under_a_folder_of_any_name(command: Command, tmp_path: Path) -> None:
    tree = tmp_path / "odd a=b#c,d'e%20(f)[g]é"
    for name in ("conf", "twotower"):
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    done = command("train", "batch_size=0", PYTHONPATH=str(tree))
    assert done.stderr == "twotower: batch_size: got 0, want at least 1\n"


def test_a_terminal_without_unicode_gets_question_marks(command: Command) -> None:
    code = "from twotower import show; show.prepare(); show.result('é'); show.error('ü'); show.document('é')"
    done = command(code=code, PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stdout, done.stderr) == (0, '?\n"\\u00e9"\n', "twotower: ?\n")


def test_bytes_that_are_no_text_are_harmless(command: Command) -> None:
    done = command("leaderboard", os.fsdecode(b"metric=\xff"))
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
