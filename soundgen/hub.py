"""The Hugging Face hub: models fetched into its cache, and models sent there.

Only named files travel, none of which can run code. The token is read from the environment
(`HF_TOKEN`) and nowhere else; the cache, the endpoint and the offline switch are those of
`huggingface_hub` (`HF_HOME`, `HF_ENDPOINT`, `HF_HUB_OFFLINE`).
"""

from __future__ import annotations

import errno
import logging
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import cache
from pathlib import Path

from soundgen.errors import CheckpointError, InputError, OutputError, SoundgenError

HUB_PREFIX = "hf:"
_TOKEN = "HF_TOKEN"


@dataclass(frozen=True)
class HubName:
    """A model on the hub: `hf:owner/name`, or `hf:owner/name@revision`.

    Attributes:
        repo: `owner/name`.
        revision: Branch, tag or commit; `None` for the newest.
    """

    repo: str
    revision: str | None = None

    def __str__(self) -> str:
        at = "" if self.revision is None else f"@{self.revision}"
        return f"{HUB_PREFIX}{self.repo}{at}"


@dataclass(frozen=True)
class Snapshot:
    """A model as it was fetched.

    Attributes:
        name: Which, its revision the commit: names these very files for ever.
        path: Folder in the hub's cache.
    """

    name: HubName
    path: Path


def parse_hub_name(text: str, *, revision: str | None = None) -> HubName:
    """Read `hf:owner/name[@revision]`.

    Args:
        text: The name.
        revision: One that was given beside it.

    Raises:
        CheckpointError: It is not such a name, or names two revisions.
    """
    repo, at, named = text.removeprefix(HUB_PREFIX).partition("@")
    owner, slash, name = repo.partition("/")
    whole = text.startswith(HUB_PREFIX) and slash and owner and name and "/" not in name
    if not whole or (at and not named):
        raise CheckpointError(
            f"{text}: not a name of the form {HUB_PREFIX}owner/name or "
            f"{HUB_PREFIX}owner/name@revision"
        )
    if named and revision is not None and named != revision:
        raise CheckpointError(f"{text}: names another revision than --revision {revision}")
    return HubName(repo, named or revision)


def fetch(name: HubName, files: Sequence[str], *, force: bool = False) -> Snapshot:
    """Fetch files of a model into the hub's cache, or find them there.

    Without a network, or with `HF_HUB_OFFLINE=1`, what was fetched before serves. A revision that
    is a commit needs no network once it is there. A process asks once for a name.

    Args:
        name: Which model.
        files: Names and patterns of the files.
        force: Fetch again what is in the cache.

    Raises:
        CheckpointError: There is no such model or revision, it may not be read, or it is neither
            to be reached nor in the cache.
        OutputError: The cache cannot be written.
    """
    if force:
        _fetch.cache_clear()
    return _fetch(name, tuple(files), force)


@cache
def _fetch(name: HubName, files: tuple[str, ...], force: bool) -> Snapshot:
    from huggingface_hub import snapshot_download

    with _quiet(), _failures(name, CheckpointError):
        folder = snapshot_download(
            name.repo,
            revision=name.revision,
            allow_patterns=list(files),
            token=os.environ.get(_TOKEN) or False,
            force_download=force,
        )
    path = Path(folder)
    return Snapshot(HubName(name.repo, path.name), path)


def send(
    name: HubName,
    files: Mapping[str, Path | bytes],
    *,
    replaced: Sequence[str],
    message: str,
    private: bool = False,
) -> HubName:
    """Send files to a repository in one commit, made first if there is none.

    Args:
        name: Where to; its revision is a branch that exists.
        files: Files, or their contents, by their names there.
        replaced: Patterns of files that go if they are there and not among `files`.
        message: Of the commit.
        private: Whether a repository that is made can be seen by its owner only.

    Returns:
        The name with the commit that they are in.

    Raises:
        OutputError: There is no token, or it may not write there; or the hub cannot be reached.
        InputError: The hub does not accept the model card.
    """
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi

    token = os.environ.get(_TOKEN)
    if not token:
        raise OutputError(
            f"{name}: sending a model needs a token",
            hint=f"make one that may write on the hub's settings page, and set {_TOKEN} to it",
        )
    api = HfApi(token=token, library_name="soundgen")
    with _quiet(), _failures(name, OutputError):
        api.create_repo(name.repo, private=private, exist_ok=True)
        there = api.list_repo_files(name.repo, revision=name.revision)
        gone = [
            path
            for path in there
            if path not in files and any(fnmatch(path, pattern) for pattern in replaced)
        ]
        done = api.create_commit(
            name.repo,
            operations=[
                *(CommitOperationAdd(path, _source(value)) for path, value in files.items()),
                *map(CommitOperationDelete, gone),
            ],
            commit_message=message,
            revision=name.revision,
        )
    return HubName(name.repo, str(done.oid))


def _source(value: Path | bytes) -> str | bytes:
    # A path that is a link is sent as what it leads to.
    return value if isinstance(value, bytes) else str(value.resolve())


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the hub's bars off a stderr that is no terminal, and its remarks off any."""
    from huggingface_hub.utils import logging as hub_logging
    from huggingface_hub.utils.tqdm import (
        are_progress_bars_disabled,
        disable_progress_bars,
        enable_progress_bars,
    )

    verbosity, had_bars = hub_logging.get_verbosity(), not are_progress_bars_disabled()
    hub_logging.set_verbosity(logging.ERROR)
    if had_bars and not sys.stderr.isatty():
        disable_progress_bars()
    try:
        yield
    finally:
        hub_logging.set_verbosity(verbosity)
        if had_bars and not sys.stderr.isatty():
            enable_progress_bars()


@contextmanager
def _failures(name: HubName, kind: type[CheckpointError | OutputError]) -> Iterator[None]:
    """Turn what the hub and the way there may do into one line of ours."""
    from huggingface_hub import errors

    # The hub's HTTP library has changed twice; its errors are a base of the hub's own. So is
    # OSError itself, which a full disk is too.
    bases = errors.HfHubHTTPError.__bases__
    http = tuple(c for c in bases if issubclass(c, Exception) and c is not OSError)
    try:
        yield
    except errors.HFValidationError as error:
        raise CheckpointError(f"{name}: not a name of the form {HUB_PREFIX}owner/name") from error
    except errors.GatedRepoError as error:
        raise kind(
            f"{name}: its owner must let you have it",
            hint=f"ask for access on its page, and set {_TOKEN} to your token",
        ) from error
    except errors.RepositoryNotFoundError as error:
        hint = f"check the name; a private model needs a token, in {_TOKEN}"
        if os.environ.get(_TOKEN):
            hint = f"check the name; the token in {_TOKEN} may not reach it"
        raise kind(f"{name}: no such model on the hub, or a private one", hint=hint) from error
    except errors.RevisionNotFoundError as error:
        raise kind(f"{name}: the model has no such revision") from error
    except errors.LocalEntryNotFoundError as error:
        raise _unreachable(name, kind, "not in the cache, and ") from error
    except errors.HfHubHTTPError as error:
        raise _refused(name, kind, error.response.status_code) from error
    except errors.OfflineModeIsEnabled as error:
        raise _unreachable(name, kind, "") from error
    except ValueError as error:  # of a card that the hub does not accept
        if kind is CheckpointError:  # of an answer that is none
            raise _unfinished(name, kind, error) from error
        raise InputError(
            f"{name}: {' '.join(str(error).split())}", hint="mend the metadata of README.md"
        ) from error
    except http as error:
        raise _unreachable(name, kind, "") from error
    except (OSError, RuntimeError) as error:
        raise _unfinished(name, kind, error) from error


def _refused(
    name: HubName, kind: type[CheckpointError | OutputError], status: int
) -> SoundgenError:
    if status in (401, 403):
        can = "read" if kind is CheckpointError else "write"
        return kind(
            f"{name}: the hub does not let you {can} it ({status})",
            hint=f"set {_TOKEN} to a token that may {can} it",
        )
    return kind(f"{name}: the hub answers with error {status}", hint="try again later")


def _unreachable(
    name: HubName, kind: type[CheckpointError | OutputError], where: str
) -> SoundgenError:
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return kind(
            f"{name}: {where}HF_HUB_OFFLINE keeps the hub away",
            hint="unset it where there is a network, or name a model folder",
        )
    return kind(
        f"{name}: {where}the hub cannot be reached ({constants.ENDPOINT})",
        hint="check the network, or name a model folder",
    )


def _unfinished(
    name: HubName,
    kind: type[CheckpointError | OutputError],
    error: OSError | RuntimeError | ValueError,
) -> SoundgenError:
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EACCES, errno.EROFS):
        return OutputError(
            f"{name}: cannot be kept in the cache ({error.strerror})",
            hint="make room, or set HF_HOME to a folder on another disk",
        )
    # Of a file's transfer, in a thread of the hub's: the cause says more.
    cause = error.__cause__ or error
    reason = str(cause).strip().splitlines()[0] if str(cause).strip() else type(cause).__name__
    return kind(f"{name}: the transfer failed ({reason})", hint="try again; what is done is kept")
