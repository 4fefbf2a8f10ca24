"""A W&B server on this machine: the few requests that the client makes for a sweep, answered from memory.

It deals out a grid as W&B's own does, one point to each agent that asks while it has nothing to run, and
listens to what the runs log. What it does not know, it writes down, for the test to fail.
"""

import gzip
import itertools
import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml

KEY = "a" * 40
ENTITY = "someone"
QUIET = ("ServerFeaturesQuery", "OrganizationCoreWeaveOrganizationID")
"""Operations by which the client asks what the server can do; it can do nothing special."""


@dataclass
class Logged:
    """One run, as it arrived."""

    name: str
    number: int
    config: dict[str, Any] = field(default_factory=dict)
    display: str = ""
    group: str = ""
    sweep: str = ""
    history: list[dict[str, Any]] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    exitcode: int | None = None
    files: dict[str, bytes] = field(default_factory=dict)


@dataclass
class Server:
    """One account; one sweep at a time."""

    stop_at: Callable[[Logged], bool] = lambda run: False
    """Whether W&B finds a run not worth going on with."""
    url: str = ""
    sweep: dict[str, Any] = field(default_factory=dict)
    project: str = ""
    points: list[dict[str, Any]] = field(default_factory=list)
    """What is left of the grid."""
    runs: dict[str, Logged] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    agents: int = 0
    wanted: dict[str, str] = field(default_factory=dict)
    """Runs that an agent was told to start, with the agent."""
    lock: threading.RLock = field(default_factory=threading.RLock)

    def environment(self, home: Path) -> dict[str, str]:
        """Variables with which a process is logged in here, its home below `home`."""
        return {
            "WANDB_BASE_URL": self.url,
            "WANDB_API_KEY": KEY,
            "WANDB_ERROR_REPORTING": "false",
            "WANDB_CACHE_DIR": str(home / "cache"),
            "WANDB_CONFIG_DIR": str(home / "config"),
            "HOME": str(home),
            "NO_PROXY": "127.0.0.1",
            "no_proxy": "127.0.0.1",
        }

    def answer(self, operation: str, given: Mapping[str, Any]) -> dict[str, Any] | None:
        """The data that a GraphQL operation gets; None for one that is not known here."""
        known: dict[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
            "Viewer": lambda _: {"viewer": {"id": "u", "entity": ENTITY, "username": ENTITY, **_VIEWER}},
            "UpsertSweep": self._upsert_sweep,
            "SweepWithRuns": self._sweep,
            "CreateAgent": self._agent,
            "Heartbeat": self._heartbeat,
            "UpsertBucket": self._upsert_run,
            "CreateRunFiles": self._files,
            **dict.fromkeys(QUIET, lambda _: {"serverInfo": {"features": []}, "organization": None}),
        }
        with self.lock:
            return known[operation](given) if operation in known else None

    def _sweep(self, given: Mapping[str, Any]) -> dict[str, Any]:
        config = yaml.safe_dump(self.sweep)
        sweep = {"id": "s", "name": "sweep1", "config": config, "runs": {"edges": []}}
        return {"project": {"sweep": sweep}}

    def _agent(self, given: Mapping[str, Any]) -> dict[str, Any]:
        self.agents += 1
        return {"createAgent": {"agent": {"id": f"agent{self.agents}"}}}

    def _heartbeat(self, given: Mapping[str, Any]) -> dict[str, Any]:
        commands = list(self._commands(given["id"], json.loads(given["runState"])))
        return {"agentHeartbeat": {"agent": {"id": given["id"]}, "commands": json.dumps(commands)}}

    def _upsert_sweep(self, given: Mapping[str, Any]) -> dict[str, Any]:
        self.sweep = yaml.safe_load(given["config"])
        self.project = given["projectName"]
        names = list(self.sweep["parameters"])
        values = [one.get("values", [one.get("value")]) for one in self.sweep["parameters"].values()]
        self.points = [dict(zip(names, point, strict=True)) for point in itertools.product(*values)]
        del self.points[self.sweep.get("run_cap") or len(self.points) :]
        sweep = {"name": "sweep1", "project": self._place()}
        return {"upsertSweep": {"sweep": sweep, "configValidationWarnings": []}}

    def _place(self) -> dict[str, Any]:
        return {"id": "p", "name": self.project, "entity": {"id": "e", "name": ENTITY}}

    def _commands(self, agent: str, running: Mapping[str, bool]) -> Iterator[dict[str, Any]]:
        for name in running:
            if self.stop_at(self.runs[name]):
                yield {"type": "stop", "run_id": name}
        if running:
            return
        if not self.points:
            yield {"type": "exit"}
            return
        name = f"trial{len(self.wanted)}"
        point = self.points.pop(0)
        self.wanted[name] = agent
        self.runs[name] = Logged(name, len(self.runs))
        args = {knob: {"value": value} for knob, value in point.items()}
        yield {"type": "run", "run_id": name, "program": self.sweep["program"], "args": args}

    def _upsert_run(self, given: Mapping[str, Any]) -> dict[str, Any]:
        run = self.runs.setdefault(given["name"], Logged(given["name"], len(self.runs)))
        run.display = given.get("displayName") or run.display
        run.group = given.get("groupName") or run.group
        run.sweep = given.get("sweep") or run.sweep
        if given.get("config"):
            content = json.loads(given["config"])
            run.config |= {knob: one["value"] for knob, one in content.items() if knob != "_wandb"}
        bucket = {"id": f"id-{run.name}", "name": run.name, "displayName": run.display, "config": "{}"}
        bucket |= {"sweepName": run.sweep or None, "project": self._place(), "historyLineCount": 0}
        return {"upsertBucket": {"bucket": bucket, "inserted": True}}

    def _files(self, given: Mapping[str, Any]) -> dict[str, Any]:
        where = f"{self.url}/upload/{given['run']}"
        files = [{"name": name, "uploadUrl": f"{where}/{name}"} for name in given["files"]]
        return {"createRunFiles": {"runID": given["run"], "uploadHeaders": [], "files": files}}

    def stream(self, name: str, content: Mapping[str, Any]) -> None:
        """What a run sends line by line."""
        with self.lock:
            run = self.runs[name]
            for file, part in (content.get("files") or {}).items():
                if file == "wandb-history.jsonl":
                    run.history += [json.loads(line) for line in part["content"]]
                elif file == "wandb-summary.json":
                    run.summary |= json.loads(part["content"][-1])
            if content.get("complete"):
                run.exitcode = content.get("exitcode")


_VIEWER = {"email": "", "admin": False, "flags": "{}", "teams": {"edges": []}, "apiKeys": {"edges": []}}


@contextmanager
def running(server: Server) -> Iterator[Server]:
    """Serve on a free port of this machine."""
    http = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"server_of": server}))
    threading.Thread(target=http.serve_forever, daemon=True).start()
    server.url = f"http://127.0.0.1:{http.server_port}"
    try:
        yield server
    finally:
        http.shutdown()
        http.server_close()


class _Handler(BaseHTTPRequestHandler):
    server_of: Server
    protocol_version = "HTTP/1.1"

    def handle(self) -> None:
        with suppress(ConnectionResetError):  # a client that ends without closing
            super().handle()

    def log_message(self, *words: object) -> None:
        pass

    def do_POST(self) -> None:
        server, body, parts = self.server_of, self._body(), self._parts()
        match parts:
            case ["graphql"]:
                asked = json.loads(body)
                operation = re.findall(r"(?:query|mutation)\s+(\w+)", asked["query"])[0]
                server.asked.append(operation)
                data = server.answer(operation, asked.get("variables") or {})
                if data is None:
                    server.unknown.append(asked["query"])
                self._answer(200 if data is not None else 400, {"data": data})
            case ["files", _, _, name, "file_stream"]:
                server.stream(name, json.loads(body))
                self._answer(200, {})
            case ["sdk", "otel", *_]:
                self._answer(404, {})
            case _:
                self._unknown()

    def do_PUT(self) -> None:
        body = self._body()
        match self._parts():
            case ["upload", name, *file]:
                self.server_of.runs[name].files["/".join(file)] = body
                self._answer(200, {})
            case _:
                self._unknown()

    def do_GET(self) -> None:
        self._unknown()

    def _parts(self) -> list[str]:
        return self.path.split("?")[0].strip("/").split("/")

    def _body(self) -> bytes:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        return gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body

    def _unknown(self) -> None:
        self.server_of.unknown.append(f"{self.command} {self.path}")
        self._answer(404, {"error": "unknown"})

    def _answer(self, code: int, content: object) -> None:
        body = json.dumps(content).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
