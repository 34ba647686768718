"""A small Hugging Face hub on this machine: the endpoints that fetching and sending a model need.

It holds repositories in memory, commits and all, asks for tokens where the real one does, and
checks sizes and SHA-256 of what is sent. `HubServer.environment` points a program at it.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
import yaml

READER, WRITER = "hf_reader", "hf_writer"
# Of the licences that the hub knows, those that tests use.
LICENSES = {"cc0-1.0", "cc-by-4.0", "cc-by-nc-4.0", "mit", "apache-2.0", "other"}
REPO = r"(?P<repo>[\w.-]+/[\w.-]+)"


@dataclass
class Repository:
    """Commits by their hash, and what branches and tags name."""

    private: bool = False
    gated: bool = False
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)

    def commit(self, files: dict[str, bytes], branch: str = "main") -> str:
        """Put `files` there and return the commit's hash."""
        parts = [f"{len(self.commits)}"] + [
            f"{path} {hashlib.sha1(data).hexdigest()}" for path, data in sorted(files.items())
        ]
        sha = hashlib.sha1("\n".join(parts).encode()).hexdigest()
        self.commits[sha], self.names[branch] = dict(files), sha
        return sha

    def resolve(self, revision: str) -> str | None:
        """Return the commit that a branch, a tag or a hash names."""
        return self.names.get(revision, revision if revision in self.commits else None)


class HubServer:
    """The hub; `with HubServer() as hub`."""

    def __init__(self) -> None:
        self.repositories: dict[str, Repository] = {}
        self.uploads: dict[str, bytes] = {}
        self.requests: list[tuple[str, str]] = []
        self.broken = False
        """Answer everything with error 500."""
        handler = type("Handler", (_Handler,), {"hub": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> HubServer:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def environment(self, home: Path, token: str = "") -> dict[str, str]:
        """Return what lets a program find this hub, keep its cache in `home` and show a token."""
        return {
            "HF_ENDPOINT": self.url, "HF_HOME": str(home), "HF_TOKEN": token,
            "HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_OFFLINE": "0",
            "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1",
        }  # fmt: skip

    def connect(
        self, patch: pytest.MonkeyPatch, home: Path, token: str = "", *, url: str = "",
        offline: bool = False,
    ) -> None:  # fmt: skip
        """Point this very process there, as `environment` does a new one."""
        from huggingface_hub import constants

        from soundgen import hub

        for name, value in self.environment(home, token).items():
            patch.setenv(name, value)
        endpoint = url or self.url
        template = endpoint + "/{repo_id}/resolve/{revision}/{filename}"
        patch.setattr(constants, "ENDPOINT", endpoint)
        patch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        patch.setattr(constants, "HF_HUB_CACHE", str(home / "hub"))
        patch.setattr(constants, "HF_HUB_OFFLINE", offline)
        patch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        hub._fetch.cache_clear()

    def add(self, repo: str, folder: Path, **settings: Any) -> str:
        """Put a folder's files into a repository, made if it is not there; return the commit."""
        found = self.repositories.setdefault(repo, Repository(**settings))
        files = {
            str(path.relative_to(folder)): path.read_bytes()
            for path in folder.rglob("*")
            if path.is_file()
        }
        return found.commit(files)


class _Handler(BaseHTTPRequestHandler):
    hub: HubServer
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        self._route("GET")

    def do_HEAD(self) -> None:
        self._route("HEAD")

    def do_POST(self) -> None:
        self._route("POST")

    def do_PUT(self) -> None:
        self._route("PUT")

    def _route(self, method: str) -> None:
        path = unquote(urlsplit(self.path).path)
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Transfer-Encoding") == "chunked":
            self.body = self._chunks()
        self.hub.requests.append((method, path))
        if self.hub.broken:
            self._answer(500, {"error": "down"})
            return
        for methods, pattern, serve in _ROUTES:
            found = re.fullmatch(pattern, path)
            if found and method in methods:
                self._guarded(serve, found.groupdict())
                return
        self._answer(404, {"error": "no such endpoint"})

    def _chunks(self) -> bytes:
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _guarded(self, serve: Any, found: dict[str, str]) -> None:
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        self.token = token
        if token and token not in (READER, WRITER):
            message = "Invalid credentials in Authorization header"
            self._answer(401, {"error": message}, {"X-Error-Message": message})
            return
        if "repo" in found:
            repository = self.hub.repositories.get(found["repo"])
            if repository is None or (repository.private and not token):
                status = 404 if token else 401
                self._answer(status, {"error": "Repository not found"},
                             {"X-Error-Code": "RepoNotFound"})  # fmt: skip
                return
            if "revision" in found and repository.resolve(found["revision"]) is None:
                self._answer(404, {"error": "Invalid rev id"}, {"X-Error-Code": "RevisionNotFound"})
                return
            found["repository"] = repository  # type: ignore[assignment]
        serve(self, **found)

    def _answer(self, status: int, value: Any, headers: dict[str, str] | None = None) -> None:
        data = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send_response(status)
        for name, text in (headers or {}).items():
            self.send_header(name, text)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def _may_write(self) -> bool:
        if self.token == WRITER:
            return True
        self._answer(403 if self.token else 401, {"error": "You may not write"})
        return False

    def info(self, repo: str, repository: Repository, revision: str = "main") -> None:
        sha = repository.resolve(revision)
        assert sha is not None
        siblings = [{"rfilename": path} for path in repository.commits[sha]]
        self._answer(200, {"id": repo, "modelId": repo, "sha": sha, "siblings": siblings,
                           "private": repository.private, "tags": [], "downloads": 0,
                           "likes": 0})  # fmt: skip

    def tree(self, repo: str, repository: Repository, revision: str) -> None:
        sha = repository.resolve(revision)
        assert sha is not None
        rows = []
        for path, data in repository.commits[sha].items():
            row: dict[str, Any] = {
                "type": "file", "path": path, "size": len(data),
                "oid": hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest(),
            }  # fmt: skip
            if path.endswith(".safetensors"):
                digest = hashlib.sha256(data).hexdigest()
                row["lfs"] = {"oid": digest, "size": len(data), "pointerSize": 130}
            rows.append(row)
        self._answer(200, rows)

    def resolve(self, repo: str, repository: Repository, revision: str, path: str) -> None:
        if repository.gated and not self.token:
            self._answer(401, {"error": "gated"}, {"X-Error-Code": "GatedRepo"})
            return
        sha = repository.resolve(revision)
        assert sha is not None
        data = repository.commits[sha].get(path)
        if data is None:
            self._answer(404, {"error": "none"}, {"X-Error-Code": "EntryNotFound"})
            return
        etag = hashlib.sha256(data).hexdigest()
        self._answer(200, data, {"X-Repo-Commit": sha, "ETag": f'"{etag}"'})

    def create(self) -> None:
        if not self._may_write():
            return
        asked = json.loads(self.body)
        repo = f"{asked.get('organization') or 'someone'}/{asked['name']}"
        if repo in self.hub.repositories:
            self._answer(409, {"error": "exists", "url": f"{self.hub.url}/{repo}"})
            return
        made = Repository(private=bool(asked.get("private")))
        made.commit({".gitattributes": b""})
        self.hub.repositories[repo] = made
        self._answer(200, {"url": f"{self.hub.url}/{repo}", "id": repo})

    def validate(self) -> None:
        content = json.loads(self.body)["content"]
        errors = [{"message": error} for error in card_errors(content)]
        self._answer(400 if errors else 200, {"errors": errors, "warnings": []})

    def preupload(self, repo: str, repository: Repository, revision: str) -> None:
        rows = [
            {
                "path": row["path"], "shouldIgnore": False,
                "uploadMode": "lfs" if row["path"].endswith(".safetensors") else "regular",
            }
            for row in json.loads(self.body)["files"]
        ]  # fmt: skip
        if self._may_write():
            self._answer(200, {"files": rows})

    def batch(self, repo: str, repository: Repository) -> None:
        objects = []
        for wanted in json.loads(self.body)["objects"]:
            row = {"oid": wanted["oid"], "size": wanted["size"]}
            if wanted["oid"] not in self.hub.uploads:
                row["actions"] = {
                    "upload": {"href": f"{self.hub.url}/lfs/{wanted['oid']}"},
                    "verify": {"href": f"{self.hub.url}/verify"},
                }
            objects.append(row)
        self._answer(200, {"transfer": "basic", "objects": objects})

    def store(self, oid: str) -> None:
        if hashlib.sha256(self.body).hexdigest() != oid:
            self._answer(400, {"error": "other bytes than announced"})
            return
        self.hub.uploads[oid] = self.body
        self._answer(200, {})

    def verify(self) -> None:
        asked = json.loads(self.body)
        known = len(self.hub.uploads.get(asked["oid"], b"")) == asked["size"]
        self._answer(200 if known else 404, {})

    def commit(self, repo: str, repository: Repository, revision: str) -> None:
        if not self._may_write():
            return
        sha = repository.resolve(revision)
        assert sha is not None
        files = dict(repository.commits[sha])
        for line in self.body.decode().splitlines():
            row = json.loads(line)
            value = row["value"]
            if row["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif row["key"] == "lfsFile":
                files[value["path"]] = self.hub.uploads[value["oid"]]
            elif row["key"] == "deletedFile":
                del files[value["path"]]
        sha = repository.commit(files, revision)
        self._answer(200, {"commitUrl": f"{self.hub.url}/{repo}/commit/{sha}", "commitOid": sha})


def card_errors(content: str) -> list[str]:
    """Return what the hub would find wrong with a card's metadata."""
    found = re.match(r"\s*---\r?\n(.*?)\r?\n---\s", content, re.DOTALL)
    if found is None:
        return ["empty or missing yaml metadata"]
    data = yaml.safe_load(found[1])
    errors = []
    if data.get("license") not in LICENSES:
        errors.append(f'"license" must be one of {sorted(LICENSES)}')
    for name in ("library_name", "pipeline_tag"):
        if not re.fullmatch(r"[a-z][a-z0-9-]*", str(data.get(name, ""))):
            errors.append(f'"{name}" must be a name')
    if not all(isinstance(tag, str) for tag in data.get("tags", [])):
        errors.append('"tags" must be strings')
    return errors


_MODELS = f"/api/models/{REPO}"
_REVISION = r"(?P<revision>[^/]+)"
_ROUTES = [
    (("GET",), _MODELS, _Handler.info),
    (("GET",), f"{_MODELS}/revision/{_REVISION}", _Handler.info),
    (("GET",), f"{_MODELS}/tree/{_REVISION}", _Handler.tree),
    (("GET", "HEAD"), f"/{REPO}/resolve/{_REVISION}/(?P<path>.+)", _Handler.resolve),
    (("POST",), "/api/repos/create", _Handler.create),
    (("POST",), "/api/validate-yaml", _Handler.validate),
    (("POST",), f"{_MODELS}/preupload/{_REVISION}", _Handler.preupload),
    (("POST",), rf"/{REPO.replace(')', '?)')}\.git/info/lfs/objects/batch", _Handler.batch),
    (("PUT",), r"/lfs/(?P<oid>[0-9a-f]{64})", _Handler.store),
    (("POST",), "/verify", _Handler.verify),
    (("POST",), f"{_MODELS}/commit/{_REVISION}", _Handler.commit),
]
