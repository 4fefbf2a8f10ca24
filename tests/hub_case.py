"""A hub on this machine: the few requests of the Hugging Face client that we make, answered from memory."""

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

TOKEN = "hf_" + "a" * 34


@dataclass
class Hub:
    """Repositories of one revision, `main`, as names to bytes; all requests, and those not known here."""

    repos: dict[str, dict[str, bytes]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    private: dict[str, bool] = field(default_factory=dict)
    url: str = ""

    def sha(self, repo: str) -> str:
        """The commit that a repository is at."""
        return hashlib.sha1(repr(sorted(self.repos[repo].items())).encode()).hexdigest()

    def environment(self, home: str, **more: str) -> dict[str, str]:
        """Variables that lead the client here, with an empty cache and store below `home`."""
        return {
            "HF_ENDPOINT": self.url,
            "HF_HOME": home,
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_TOKEN": "",
            "NO_PROXY": "127.0.0.1",
            **more,
        }


@contextmanager
def running(hub: Hub) -> Iterator[Hub]:
    """Serve `hub` on a free port of this machine."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    hub.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *words: object) -> None:
        pass

    def do_GET(self) -> None:
        parts = self._parts()
        match parts:
            case ["api", "models", user, name]:
                self._info(f"{user}/{name}", "main")
            case ["api", "models", user, name, "revision", revision]:
                self._info(f"{user}/{name}", revision)
            case [user, name, "resolve", revision, *file]:
                self._file(f"{user}/{name}", revision, "/".join(file))
            case _:
                self._unknown()

    do_HEAD = do_GET

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._parts()
            self._answer(401, {"error": "Invalid username or password."})
            return
        match self._parts():
            case ["api", "repos", "create"]:
                wanted = json.loads(body)
                repo = f"{wanted['organization']}/{wanted['name']}"
                self.hub.repos.setdefault(repo, {})
                self.hub.private[repo] = wanted.get("visibility") == "private" or bool(wanted.get("private"))
                self._answer(200, {"url": f"{self.hub.url}/{repo}"})
            case ["api", "models", _, _, "preupload", "main"]:
                files = [one["path"] for one in json.loads(body)["files"]]
                made = [{"path": path, "uploadMode": "regular", "shouldIgnore": False} for path in files]
                self._answer(200, {"files": made})
            case ["api", "models", user, name, "commit", "main"]:
                for line in map(json.loads, body.splitlines()):
                    if line["key"] == "file":
                        content = base64.b64decode(line["value"]["content"])
                        self.hub.repos[f"{user}/{name}"][line["value"]["path"]] = content
                sha = self.hub.sha(f"{user}/{name}")
                self._answer(
                    200, {"commitOid": sha, "commitUrl": f"{self.hub.url}/{user}/{name}/commit/{sha}"}
                )
            case ["api", "validate-yaml"]:
                self._answer(200, {"errors": [], "warnings": []})
            case _:
                self._unknown()

    def _parts(self) -> list[str]:
        path = self.path.split("?")[0]
        self.hub.asked.append(f"{self.command} {path}")
        return [unquote(part) for part in path.strip("/").split("/")]

    def _unknown(self) -> None:
        self.hub.unknown.append(f"{self.command} {self.path}")
        self._answer(404, {"error": "unknown"})

    def _info(self, repo: str, revision: str) -> None:
        if self._there(repo, revision):
            siblings = [{"rfilename": name} for name in self.hub.repos[repo]]
            self._answer(200, {"id": repo, "sha": self.hub.sha(repo), "siblings": siblings})

    def _there(self, repo: str, revision: str) -> bool:
        if repo not in self.hub.repos:
            self._answer(401, {"error": "Repository not found"}, {"X-Error-Code": "RepoNotFound"})
        elif revision not in ("main", self.hub.sha(repo)):
            self._answer(404, {"error": "no such revision"}, {"X-Error-Code": "RevisionNotFound"})
        else:
            return True
        return False

    def _file(self, repo: str, revision: str, name: str) -> None:
        if not self._there(repo, revision):
            return
        if name not in self.hub.repos[repo]:
            self._answer(404, {"error": "no such file"}, {"X-Error-Code": "EntryNotFound"})
            return
        content = self.hub.repos[repo][name]
        etag = hashlib.sha256(content).hexdigest()
        self._send(200, content, {"X-Repo-Commit": self.hub.sha(repo), "ETag": f'"{etag}"'})

    def _answer(self, code: int, content: object, more: dict[str, str] | None = None) -> None:
        self._send(code, json.dumps(content).encode(), {"Content-Type": "application/json", **(more or {})})

    def _send(self, code: int, content: bytes, headers: dict[str, str]) -> None:
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)
