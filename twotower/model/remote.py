"""Checkpoints on the Hugging Face hub; the only module that knows its client.

    hf://user/name[/file.pt][@revision]   ->  a file in the hub's cache, its sidecar beside it

The token is that of HF_TOKEN or of the client's own store; nobody is asked for one. Without a network what
the cache holds is used.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twotower.model import sidecar

PREFIX = "hf://"
"""Begins the name of a checkpoint on the hub."""
WANTED = "want hf://user/name, hf://user/name@revision or hf://user/name/file.pt@revision"
SECONDS = 10
"""That the hub may take to answer the first request."""
_REPO = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True)
class Address:
    """A checkpoint's place on the hub; `file` is empty for the only one of the repository."""

    repo: str
    file: str = ""
    revision: str = "main"

    @staticmethod
    def of(name: str) -> "Address":
        """The place that `hf://...` names; ValueError where it is not of that form.

        >>> Address.of("hf://me/model/run/a.pt@v1")
        Address(repo='me/model', file='run/a.pt', revision='v1')
        """
        where, at, revision = name.removeprefix(PREFIX).partition("@")
        parts = where.split("/")
        repo, file = "/".join(parts[:2]), "/".join(parts[2:])
        odd = (at and not revision) or {"", ".", ".."} & set(parts) or (file and not file.endswith(".pt"))
        if odd or not _is_repo(repo):
            raise ValueError(f"checkpoint={name}: {WANTED}")
        return Address(repo, file, revision or "main")


def _is_repo(repo: str) -> bool:
    """Whether the hub would take that name."""
    return (
        bool(_REPO.fullmatch(repo)) and not re.search(r"--|\.\.|[.-]$|[.-]/|\.git$", repo) and len(repo) <= 96
    )


def check_repo(repo: str) -> None:
    """Raises ValueError unless `repo` can name a repository of the hub."""
    if not repo:
        raise ValueError("repo: missing; write repo=user/name")
    if not _is_repo(repo):
        raise ValueError(f"repo: got {repo!r}, want user/name, each of letters, digits, '.', '_' and '-'")


def _client(what: str) -> Any:
    try:
        import huggingface_hub  # optional, of the extra `hub`, and slow: 0.5 s
    except ImportError:
        raise ValueError(f"{what}: huggingface_hub is not installed; pip install 'twotower[hub]'") from None
    return huggingface_hub


def fetch(name: str) -> Path:
    """The checkpoint file that `hf://...` names, in the hub's cache with its sidecar.

    It is not verified here: whoever loads it does that, as with any other checkpoint.

    Raises:
        ValueError: the name is malformed, or the repository holds several checkpoints or cannot be read.
        FileNotFoundError: there is no such repository, revision or checkpoint, or the hub cannot be reached.
    """
    address = Address.of(name)
    what = f"checkpoint={name}"
    hub = _client(what)
    try:
        info = hub.HfApi().model_info(address.repo, revision=address.revision, timeout=SECONDS)
    except _offline(hub) as error:
        if isinstance(error, hub.errors.HfHubHTTPError):
            raise _answered(hub, what, address, error) from None
        return _cached(hub, what, address, error)
    files = [file.rfilename for file in info.siblings or ()]
    chosen = _chosen(what, address, files)
    with _one_line(hub, what, address):
        beside = sidecar.sidecar_of(Path(chosen)).as_posix()
        if beside in files:
            hub.hf_hub_download(address.repo, beside, revision=address.revision)
        return Path(hub.hf_hub_download(address.repo, chosen, revision=address.revision))


def _offline(hub: Any) -> tuple[type[BaseException], ...]:
    """What the client raises where it gets no answer, or a bad one."""
    return (hub.errors.HTTPError, OSError)


def _chosen(what: str, address: Address, files: Sequence[str]) -> str:
    """The checkpoint among a repository's files."""
    found = sorted(file for file in files if file.endswith(".pt"))
    if address.file:
        found = [file for file in found if file == address.file] or found
        if address.file not in found:
            raise FileNotFoundError(f"{what}: no such file; {address.repo} has {_listed(found)}")
    if not found:
        raise FileNotFoundError(
            f"{what}: {address.repo} holds no checkpoint (*.pt); `twotower push` puts one there"
        )
    if len(found) > 1:
        raise ValueError(
            f"{what}: {len(found)} checkpoints, say which: {_listed(found)}, as "
            f"{PREFIX}{address.repo}/{found[0]}@{address.revision}"
        )
    return found[0]


def _listed(files: Sequence[str]) -> str:
    more = f" and {len(files) - 10} more" if len(files) > 10 else ""
    return (", ".join(files[:10]) + more) or "no checkpoint"


def _cached(hub: Any, what: str, address: Address, error: BaseException) -> Path:
    """The checkpoint in the hub's cache, where the hub cannot be reached."""
    unreached = FileNotFoundError(
        f"{what}: the hub cannot be reached ({_first_line(error)}), and the cache does not hold that revision"
    )
    try:
        repos = hub.scan_cache_dir().repos
    except hub.errors.CacheNotFound:
        raise unreached from None
    for revision in (one for repo in repos if repo.repo_id == address.repo for one in repo.revisions):
        if address.revision in revision.refs or revision.commit_hash.startswith(address.revision):
            folder = Path(revision.snapshot_path)
            files = [path.relative_to(folder).as_posix() for path in folder.rglob("*.pt")]
            return folder / _chosen(what, address, files)
    raise unreached


@contextmanager
def _one_line(hub: Any, what: str, address: Address) -> Iterator[None]:
    """The client's errors as one line each."""
    try:
        yield
    except _offline(hub) as error:
        raise _answered(hub, what, address, error) from None


def _answered(hub: Any, what: str, address: Address, error: BaseException) -> Exception:
    """The error to raise for the client's own."""
    errors = hub.errors
    match error:
        case errors.GatedRepoError():
            return ValueError(
                f"{what}: its terms must be accepted on the hub first, by the owner of the token"
            )
        case errors.RepositoryNotFoundError():
            return FileNotFoundError(
                f"{what}: no repository {address.repo}, or a private one; HF_TOKEN opens those"
            )
        case errors.RevisionNotFoundError():
            return FileNotFoundError(f"{what}: {address.repo} has no revision {address.revision}")
        case errors.HfHubHTTPError() if error.response.status_code in (401, 403):
            return ValueError(f"{what}: the hub refuses the token of HF_TOKEN or of `hf auth login`")
        case errors.HfHubHTTPError():
            return ValueError(f"{what}: the hub refuses: {_first_line(error)}")
        case _:
            return ValueError(f"{what}: the hub cannot be reached ({_first_line(error)})")


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__


def check_access(repo: str) -> None:
    """Raises ValueError unless there is a token and the hub answers; the repository need not be there."""
    what = f"repo={repo}"
    hub = _client(what)
    token = hub.get_token()
    if not token:
        raise ValueError(
            f"{what}: no token to upload with; set HF_TOKEN, or store one by `hf auth login` "
            "(dry_run=true shows what would be uploaded)"
        )
    try:
        hub.HfApi().model_info(repo, timeout=SECONDS)
    except hub.errors.RepositoryNotFoundError:
        return
    except _offline(hub) as error:
        raise _answered(hub, what, Address(repo), error) from None


def upload(folder: Path, repo: str, *, private: bool) -> str:
    """Upload a folder's files as one commit to `repo`, which is made if there is none; the commit's address.

    Raises:
        ValueError, FileNotFoundError: the hub refuses or cannot be reached.
    """
    what = f"repo={repo}"
    hub = _client(what)
    with _one_line(hub, what, Address(repo)):
        hub.HfApi().create_repo(repo, private=private, exist_ok=True)
        commit = hub.HfApi().upload_folder(
            repo_id=repo, folder_path=folder, commit_message="Upload a model by twotower push"
        )
    return str(commit.commit_url)
