"""A small Hub on this machine: what huggingface_hub's client asks of huggingface.co, over real HTTP."""

import base64
import hashlib
import json
import re
import sys
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

LARGE = 100_000
"""Files at least as large as this are uploaded as large files (LFS), and binary ones."""


@dataclass
class File:
    content: bytes
    lfs: bool

    @property
    def oid(self) -> str:
        if self.lfs:
            return hashlib.sha256(self.content).hexdigest()
        return hashlib.sha1(b"blob %d\0" % len(self.content) + self.content).hexdigest()


@dataclass
class Repo:
    private: bool
    commits: dict[str, dict[str, File]] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)

    def commit(self, branch: str, files: dict[str, File]) -> str:
        oid = hashlib.sha1(f"{len(self.commits)} {branch}".encode()).hexdigest()
        self.commits[oid], self.branches[branch] = files, oid
        return oid

    def resolve(self, revision: str) -> str | None:
        return self.branches.get(revision, revision if revision in self.commits else None)


class HubServer(ThreadingHTTPServer):
    """Serves on a free port of 127.0.0.1.

    `tokens` maps tokens to user names. `failures` are `[method, part of a path, status or None, times]`: such requests fail so
    many times, with None by a broken connection. `log` has all requests.
    """

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.tokens = {"hf_mine": "me", "hf_other": "somebody"}
        self.repos: dict[str, Repo] = {}
        self.objects: dict[str, bytes] = {}
        self.failures: list[list] = []
        self.log: list[tuple[str, str]] = []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, request, client_address):
        if not isinstance(sys.exc_info()[1], OSError):  # a client that goes away is no error
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: HubServer

    def log_message(self, *_):
        pass

    def answer(self, status: int, body=b"", **headers) -> None:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for key, value in {"Content-Length": str(len(raw)), **headers}.items():
            self.send_header(key.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(raw)

    def refuse(self, status: int, code: str, message: str) -> None:
        self.answer(status, {"error": message}, X_Error_Code=code, X_Error_Message=message)

    def handle_request(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.server.log.append((self.command, path))
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        for failure in self.server.failures:
            method, part, status, times = failure
            if times and method == self.command and part in path:
                failure[3] -= 1
                if status is None:
                    self.close_connection = True
                    self.connection.close()
                else:
                    self.refuse(status, "Trouble", "the server has trouble")
                return
        authorization = self.headers.get("Authorization", "")
        user = self.server.tokens.get(authorization.removeprefix("Bearer "))
        if authorization and not user:
            return self.refuse(401, "", "Invalid username or password.")
        for method, pattern, function in ROUTES:
            found = re.fullmatch(pattern, path)
            if method in (self.command, "ANY") and found:
                repo_id = found.groupdict().get("repo_id")
                repo = self.server.repos.get(repo_id)
                if repo_id and (repo is None or repo.private and user != repo_id.partition("/")[0]):
                    status = 404 if user else 401
                    return self.refuse(status, "RepoNotFound", "Repository not found")
                writes = self.command in ("POST", "PUT") and "/info/lfs" not in path
                if repo_id and writes and user != repo_id.partition("/")[0]:
                    return self.refuse(403, "", "You are not allowed to write here")
                return function(self, user, repo, body, **found.groupdict())
        self.refuse(404, "", f"no such page: {self.command} {path}")

    do_GET = do_HEAD = do_POST = do_PUT = handle_request

    # Each takes the user, the repository of the path, the body and the parts of the path.

    def create_repo(self, user, _, body) -> None:
        if not user:
            return self.refuse(401, "", "Invalid username or password.")
        asked = json.loads(body)
        owner = asked.get("organization") or user
        name = f"{owner}/{asked['name']}"
        if owner != user:
            return self.refuse(403, "", f"You don't have the rights to create a model under the namespace {owner!r}")
        if name in self.server.repos:
            return self.answer(409, {"url": f"{self.server.url}/{name}"})
        private = asked.get("visibility") == "private" or asked.get("private", False)
        self.server.repos[name] = Repo(private)
        self.server.repos[name].commit("main", {".gitattributes": File(b"*.safetensors filter=lfs\n", False)})
        self.answer(200, {"url": f"{self.server.url}/{name}", "name": name})

    def who_am_i(self, user, _, body) -> None:
        if not user:
            return self.refuse(401, "", "Invalid username or password.")
        self.answer(200, {"name": user, "type": "user", "orgs": []})

    def create_branch(self, user, repo, body, branch, **_) -> None:
        if branch in repo.branches:
            return self.refuse(409, "", "Reference already exists")
        repo.branches[branch] = repo.branches["main"]
        self.answer(200, {})

    def validate_yaml(self, user, _, body) -> None:
        assert json.loads(body)["content"].startswith("---\n")
        self.answer(200, {"errors": [], "warnings": []})

    def preupload(self, user, repo, body, revision, **_) -> None:
        there = repo.commits[repo.resolve(revision)]
        files = []
        for one in json.loads(body)["files"]:
            lfs = one["size"] >= LARGE or b"\0" in base64.b64decode(one["sample"])
            oid = there[one["path"]].oid if one["path"] in there else None
            files.append(
                {"path": one["path"], "uploadMode": "lfs" if lfs else "regular", "oid": oid, "shouldIgnore": False}
            )
        self.answer(200, {"files": files})

    def lfs_batch(self, user, repo, body, **_) -> None:
        objects = []
        for one in json.loads(body)["objects"]:
            action = {"upload": {"href": f"{self.server.url}/lfs/{one['oid']}"}}
            objects.append({**one, **({} if one["oid"] in self.server.objects else {"actions": action})})
        self.answer(200, {"transfer": "basic", "objects": objects})

    def lfs_upload(self, user, _, body, oid) -> None:
        assert hashlib.sha256(body).hexdigest() == oid
        self.server.objects[oid] = body
        self.answer(200)

    def commit(self, user, repo, body, repo_id, revision) -> None:
        files = dict(repo.commits[repo.resolve(revision)])
        for line in body.splitlines():
            operation = json.loads(line)
            value = operation["value"]
            if operation["key"] == "file":
                files[value["path"]] = File(base64.b64decode(value["content"]), False)
            elif operation["key"] == "lfsFile":
                files[value["path"]] = File(self.server.objects[value["oid"]], True)
            elif operation["key"] == "deletedFile":
                del files[value["path"]]
        oid = repo.commit(revision, files)
        self.answer(200, {"commitUrl": f"{self.server.url}/{repo_id}/commit/{oid}", "commitOid": oid, "success": True})

    def info(self, user, repo, body, repo_id, revision="main") -> None:
        oid = repo.resolve(revision)
        if oid is None:
            return self.refuse(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        siblings = [{"rfilename": path} for path in repo.commits[oid]]
        self.answer(200, {"id": repo_id, "sha": oid, "private": repo.private, "siblings": siblings, "tags": []})

    def tree(self, user, repo, body, revision, **_) -> None:
        oid = repo.resolve(revision)
        if oid is None:
            return self.refuse(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        entries = [
            {
                "type": "file", "path": path, "size": len(file.content), "oid": file.oid,
                **({"lfs": {"oid": file.oid, "size": len(file.content), "pointerSize": 130}} if file.lfs else {}),
            }
            for path, file in repo.commits[oid].items()
        ]  # fmt: skip
        self.answer(200, entries)

    def resolve(self, user, repo, body, revision, path, **_) -> None:
        oid = repo.resolve(revision)
        if oid is None:
            return self.refuse(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        if path not in repo.commits[oid]:
            return self.answer(404, {"error": "Entry not found"}, X_Error_Code="EntryNotFound", X_Repo_Commit=oid)
        file = repo.commits[oid][path]
        self.answer(200, file.content, ETag=f'"{file.oid}"', X_Repo_Commit=oid)


_REPO = "(?P<repo_id>[^/]+/[^/]+)"
ROUTES = [
    ("POST", "/api/repos/create", Handler.create_repo),
    ("GET", "/api/whoami-v2", Handler.who_am_i),
    ("POST", "/api/validate-yaml", Handler.validate_yaml),
    ("POST", f"/api/models/{_REPO}/branch/(?P<branch>.+)", Handler.create_branch),
    ("POST", f"/api/models/{_REPO}/preupload/(?P<revision>.+)", Handler.preupload),
    ("POST", f"/{_REPO}.git/info/lfs/objects/batch", Handler.lfs_batch),
    ("PUT", "/lfs/(?P<oid>.+)", Handler.lfs_upload),
    ("POST", f"/api/models/{_REPO}/commit/(?P<revision>.+)", Handler.commit),
    ("GET", f"/api/models/{_REPO}", Handler.info),
    ("GET", f"/api/models/{_REPO}/revision/(?P<revision>.+)", Handler.info),
    ("GET", f"/api/models/{_REPO}/tree/(?P<revision>[^/]+)", Handler.tree),
    ("ANY", f"/{_REPO}/resolve/(?P<revision>[^/]+)/(?P<path>.+)", Handler.resolve),
]
