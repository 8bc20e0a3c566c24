"""A test double of the Hub: the part of its HTTP protocol that pushing and loading a model use, in memory.

python hub_double.py TOKEN prints its port and serves until it is killed. Faults are ordered with POST /_faults, a JSON
list of {"method", "route" (a regular expression), "times", and one of "status" (with "headers", "error"), "drop_after"
(bytes of the body that are read before the connection is cut), "somebody_commits" (true)}. POST /_repository makes a
repository of {"name", "files"}; GET /_state tells all.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import socket
import struct
import sys
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

LARGE = (".safetensors", ".onnx")  # kept in the large file storage, whatever their size
REPO = r"(?P<repo>[^/]+/[^/]+)"
JSON_TYPE = "application/json"


@dataclass
class Commit:
    message: str
    parent: str | None
    files: dict[str, bytes]


@dataclass
class Repository:
    private: bool
    refs: dict[str, str] = field(default_factory=dict)
    commits: dict[str, Commit] = field(default_factory=dict)

    def add(self, ref: str, message: str, parent: str | None, files: dict[str, bytes]) -> str:
        sha = hashlib.sha1(f"{len(self.commits)}{message}{parent}{sorted(files)}".encode()).hexdigest()
        self.commits[sha] = Commit(message, parent, files)
        self.refs[ref] = sha
        return sha

    def sha_of(self, revision: str) -> str | None:
        return revision if revision in self.commits else self.refs.get(revision)


@dataclass
class Hub:
    token: str
    repositories: dict[str, Repository] = field(default_factory=dict)
    large: dict[tuple[str, str], bytes] = field(default_factory=dict)
    faults: list[dict[str, Any]] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def state(self) -> dict[str, Any]:
        return {
            "requests": self.requests,
            "repositories": {
                name: {
                    "private": repository.private,
                    "refs": repository.refs,
                    "commits": {
                        sha: {"message": one.message, "parent": one.parent, "files": sorted(one.files)}
                        for sha, one in repository.commits.items()
                    },
                }
                for name, repository in self.repositories.items()
            },
        }


class Refusal(Exception):  # noqa: N818 - an answer, not an error of the double
    def __init__(
        self, status: int, error: str, code: str = "", headers: dict[str, str] | None = None, **body: str
    ) -> None:
        self.status, self.error, self.body = status, error, body
        self.headers = {**({"X-Error-Code": code} if code else {}), "X-Error-Message": error, **(headers or {})}


class Dropped(Exception):  # noqa: N818
    """The connection was cut."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # or every answer waits for an acknowledgement
    hub: Hub

    def log_message(self, format: str, *arguments: object) -> None:
        pass

    def do_GET(self) -> None:
        self.answer()

    do_HEAD = do_POST = do_PUT = do_GET  # noqa: N815 - the names that http.server looks for

    def answer(self) -> None:
        self.path_only = urlsplit(self.path).path
        try:
            if not self.path_only.startswith("/_state"):
                self.hub.requests.append(f"{self.command} {self.path}")
            fault = self.next_fault()
            body = self.read_body((fault or {}).get("drop_after"))
            if fault and "status" in fault:
                raise Refusal(fault["status"], fault.get("error", "ordered by the test"), headers=fault.get("headers"))
            if fault and fault.get("somebody_commits"):
                self.commit_of_somebody()
            status, headers, content = self.route(body)
        except Dropped:
            # Closing with unread data and no lingering sends a reset, as a broken line does
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True
            self.connection.close()
            return
        except Refusal as refusal:
            status, headers = refusal.status, {"Content-Type": JSON_TYPE, **refusal.headers}
            content = json.dumps({"error": refusal.error, **refusal.body}).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def next_fault(self) -> dict[str, Any] | None:
        for fault in self.hub.faults:
            if fault["method"] == self.command and re.search(fault["route"], self.path) and fault.get("times", 1) > 0:
                fault["times"] = fault.get("times", 1) - 1
                return fault
        return None

    def read_body(self, drop_after: int | None) -> bytes:
        if drop_after is not None:
            self.rfile.read(min(drop_after, int(self.headers.get("Content-Length") or drop_after)))
            raise Dropped
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        chunks = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(chunks)

    def route(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        for method, pattern, action in ROUTES:
            match = re.fullmatch(pattern, self.path_only)
            if match and self.command in method.split():
                groups = {name: unquote(value) for name, value in match.groupdict().items() if value is not None}
                answer = action(self, body, **groups)
                if isinstance(answer, tuple):
                    return answer
                return 200, {"Content-Type": JSON_TYPE}, json.dumps(answer).encode()
        raise Refusal(404, f"no such route: {self.command} {self.path}")

    def commit_of_somebody(self) -> None:
        """A commit on main of the repository that the request is about."""
        repository = next(one for name, one in self.hub.repositories.items() if f"/{name}/" in self.path)
        head = repository.refs["main"]
        repository.add("main", "somebody was here", head, {**repository.commits[head].files, "somebody.txt": b"me"})

    # What the routes need

    def check_token(self) -> None:
        if self.headers.get("Authorization") != f"Bearer {self.hub.token}":
            raise Refusal(401, "Invalid credentials in Authorization header")

    def repository(self, name: str) -> Repository:
        found = self.hub.repositories.get(name)
        if found is None or (found.private and self.headers.get("Authorization") != f"Bearer {self.hub.token}"):
            raise Refusal(404, "Repository not found", "RepoNotFound")
        return found

    def commit(self, name: str, revision: str) -> tuple[str, Commit]:
        repository = self.repository(name)
        sha = repository.sha_of(revision)
        if sha is None:
            raise Refusal(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        return sha, repository.commits[sha]


def control_faults(handler: Handler, body: bytes) -> Any:
    handler.hub.faults = json.loads(body)
    return {}


def control_repository(handler: Handler, body: bytes) -> Any:
    asked = json.loads(body)
    repository = Repository(private=False)
    repository.add("main", "by somebody", None, {path: text.encode() for path, text in asked["files"].items()})
    handler.hub.repositories[asked["name"]] = repository
    return {}


def create(handler: Handler, body: bytes) -> Any:
    handler.check_token()
    asked = json.loads(body)
    name = f"{asked['organization']}/{asked['name']}"
    place = f"http://{handler.headers['Host']}/{name}"
    if name in handler.hub.repositories:
        raise Refusal(409, "You already created this model repo", url=place)
    private = bool(asked.get("private")) or asked.get("visibility") == "private"
    handler.hub.repositories[name] = Repository(private)
    attributes = "".join(f"*{ending} filter=lfs diff=lfs merge=lfs -text\n" for ending in LARGE).encode()
    handler.hub.repositories[name].add("main", "initial commit", None, {".gitattributes": attributes})
    return {"url": place}


def validate_yaml(handler: Handler, body: bytes) -> Any:
    return {"errors": [], "warnings": []}


def info(handler: Handler, body: bytes, repo: str, revision: str = "main") -> Any:
    sha, commit = handler.commit(repo, revision)
    siblings = [{"rfilename": path} for path in commit.files]
    private = handler.repository(repo).private
    return {"_id": "0", "id": repo, "modelId": repo, "sha": sha, "private": private, "siblings": siblings, "tags": []}


def tree(handler: Handler, body: bytes, repo: str, revision: str, folder: str = "") -> Any:
    _, commit = handler.commit(repo, revision)
    rows: list[dict[str, Any]] = []
    for path, content in sorted(commit.files.items()):
        if not path.startswith(f"{folder}/" if folder else ""):
            continue
        blob = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
        row = {"type": "file", "path": path, "size": len(content), "oid": blob}
        if path.endswith(LARGE):
            row["lfs"] = {"oid": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 130}
        rows.append(row)
    if folder and not rows:
        raise Refusal(404, f"{folder} does not exist", "EntryNotFound")
    folders = {path.rpartition("/")[0] for path in commit.files if "/" in path and not folder}
    return rows + [{"type": "directory", "path": path, "size": 0, "oid": "0" * 40} for path in sorted(folders)]


def branch(handler: Handler, body: bytes, repo: str, revision: str) -> Any:
    handler.check_token()
    repository = handler.repository(repo)
    if revision in repository.refs:
        raise Refusal(409, "this reference exists already")
    repository.refs[revision] = repository.refs["main"]
    return {}


def preupload(handler: Handler, body: bytes, repo: str, revision: str) -> Any:
    handler.check_token()
    handler.commit(repo, revision)
    modes = [
        {
            "path": file["path"],
            "uploadMode": "lfs" if file["path"].endswith(LARGE) else "regular",
            "shouldIgnore": False,
        }
        for file in json.loads(body)["files"]
    ]
    return {"files": modes}


def batch(handler: Handler, body: bytes, repo: str) -> Any:
    handler.check_token()
    place = f"http://{handler.headers['Host']}/_large"
    rows = []
    for asked in json.loads(body)["objects"]:
        row = {"oid": asked["oid"], "size": asked["size"]}
        if (repo, asked["oid"]) not in handler.hub.large:
            upload = {"href": f"{place}/{repo}/{asked['oid']}?X-Amz-Signature=SIGNED", "header": {}}
            row["actions"] = {"upload": upload, "verify": {"href": f"{place}-verify/{repo}", "header": {}}}
        rows.append(row)
    return {"objects": rows, "transfer": "basic"}


def put_large(handler: Handler, body: bytes, repo: str, oid: str) -> Any:
    if hashlib.sha256(body).hexdigest() != oid:
        raise Refusal(400, "the bytes are not those of the digest")
    handler.hub.large[repo, oid] = body
    return 200, {}, b""


def verify_large(handler: Handler, body: bytes, repo: str) -> Any:
    if (repo, json.loads(body)["oid"]) not in handler.hub.large:
        raise Refusal(404, "was not uploaded")
    return {}


def commit(handler: Handler, body: bytes, repo: str, revision: str) -> Any:
    handler.check_token()
    head, old = handler.commit(repo, revision)
    repository = handler.repository(repo)
    header: dict[str, Any] = {}
    files = dict(old.files)
    for line in body.splitlines():
        row = json.loads(line)
        key, value = row["key"], row["value"]
        if key == "header":
            header = value
        elif key == "file":
            files[value["path"]] = base64.b64decode(value["content"])
        elif key == "lfsFile":
            files[value["path"]] = handler.hub.large[repo, value["oid"]]
        elif key == "deletedFile":
            del files[value["path"]]
    if header.get("parentCommit") not in (None, head):
        raise Refusal(412, "A commit has happened since. Please refresh and try again.")
    ref, place = revision, f"http://{handler.headers['Host']}/{repo}"
    pull_request = None
    if "create_pr=1" in urlsplit(handler.path).query:
        number = sum(name.startswith("refs/pr/") for name in repository.refs) + 1
        ref, pull_request = f"refs/pr/{number}", f"{place}/discussions/{number}"
    sha = repository.add(ref, header["summary"], head, files)
    answer = {"success": True, "commitOid": sha, "commitUrl": f"{place}/commit/{sha}", "hookOutput": ""}
    return {**answer, "pullRequestUrl": pull_request}


def resolve(handler: Handler, body: bytes, repo: str, revision: str, path: str) -> Any:
    sha, commit = handler.commit(repo, revision)
    if path not in commit.files:
        raise Refusal(404, "Entry not found", "EntryNotFound", {"X-Repo-Commit": sha})
    content = commit.files[path]
    digest = hashlib.sha256 if path.endswith(LARGE) else hashlib.sha1
    headers = {"ETag": f'"{digest(content).hexdigest()}"', "X-Repo-Commit": sha, "Accept-Ranges": "bytes"}
    return 200, {**headers, "Content-Type": "application/octet-stream"}, content


ROUTES: list[tuple[str, str, Any]] = [
    ("POST", "/_faults", control_faults),
    ("POST", "/_repository", control_repository),
    ("GET", "/_state", lambda handler, body: handler.hub.state()),
    ("POST", "/api/repos/create", create),
    ("POST", "/api/validate-yaml", validate_yaml),
    ("GET", f"/api/models/{REPO}", info),
    ("GET", f"/api/models/{REPO}/revision/(?P<revision>[^/]+)", info),
    ("GET", f"/api/models/{REPO}/tree/(?P<revision>[^/]+)(/(?P<folder>.+))?", tree),
    ("POST", f"/api/models/{REPO}/branch/(?P<revision>[^/]+)", branch),
    ("POST", f"/api/models/{REPO}/preupload/(?P<revision>[^/]+)", preupload),
    ("POST", f"/{REPO}\\.git/info/lfs/objects/batch", batch),
    ("PUT", f"/_large/{REPO}/(?P<oid>[0-9a-f]+)", put_large),
    ("POST", f"/_large-verify/{REPO}", verify_large),
    ("POST", f"/api/models/{REPO}/commit/(?P<revision>[^/]+)", commit),
    ("GET HEAD", f"/{REPO}/resolve/(?P<revision>[^/]+)/(?P<path>.+)", resolve),
]


class Server(ThreadingHTTPServer):
    request_queue_size = 128  # more callers at once than the usual 5 would wait for seconds


def main() -> None:
    Handler.hub = Hub(sys.argv[1])
    server = Server(("127.0.0.1", 0), Handler)
    print(server.server_address[1], flush=True)  # noqa: T201 - how the test learns the port
    server.serve_forever()


if __name__ == "__main__":
    main()
