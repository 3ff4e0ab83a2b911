"""A server on this machine that speaks as much of both hubs' APIs as their own clients ask for.

Hub(files) serves one model, OWNER/NAME, at `url`; large files come from a second server at another
port, as the hubs' do from theirs. `faults` makes it fail the way networks and servers do, `requests`
records what was asked, and `sent` counts the bytes of each file that went out. Standard library only.
"""

import hashlib
import http.server
import json
import re
import socket
import threading
import time
from dataclasses import dataclass, field
from urllib.parse import parse_qs, quote, unquote, urlsplit

OWNER, NAME = "Own.er", "Tiny-1.0"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
PIECE = 16384


@dataclass
class Fault:
    """What happens to one request: any of these."""

    status: int = 0  # this instead of the answer
    headers: dict = field(default_factory=dict)
    cut_after: int = -1  # the connection ends after so many bytes of the body
    corrupt: bool = False  # the first byte is another
    content: bytes | None = None  # another body
    ignores_range: bool = False
    pause: float = 0.0  # before each piece of the body
    redirect: str = ""  # the address to go to
    chunked: bool = False  # no Content-Length


def git_sha1(data):
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def sha256(data):
    return hashlib.sha256(data).hexdigest()


class Hub:
    def __init__(self, files, lfs=lambda path: path.endswith(".safetensors"), tls=None):
        self.tls = tls  # an ssl.SSLContext: https in place of http
        self.files = dict(files)  # path -> bytes
        self.lfs = lfs
        self.listed = {}  # path -> entries of the listing to be replaced
        self.extra_entries = []  # further entries of the listing
        self.page_size = 1000
        self.token = None  # what is asked for
        self.revisions = {"main": COMMIT, "master": COMMIT, COMMIT: COMMIT}
        self.faults = {}  # a path of the model, or "api" -> list of faults, one a request
        self.requests = []  # (method, host and port, path, headers)
        self.sent = {}  # path -> bytes of bodies
        self.lock = threading.Lock()
        self.servers = []
        self.url = self.serve(main=True)
        self.cdn = self.serve(main=False)

    def serve(self, main):
        hub = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_GET(self):
                hub.answer(self, main)

            do_HEAD = do_GET

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if self.tls:
            server.socket = self.tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        server.daemon_threads = True
        server.handle_error = lambda *_: None  # a client that was killed
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        self.servers.append(server)
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{server.server_address[1]}"

    def close(self):
        for server in self.servers:
            server.shutdown()
            server.server_close()

    def next_fault(self, key):
        with self.lock:
            waiting = self.faults.get(key)
            return waiting.pop(0) if waiting else Fault()

    def content_requests(self, path):
        """The requests for a file's bytes."""
        names = (quote(path), sha256(self.files[path]), quote(path, safe=""))
        return [r for r in self.requests if r[0] == "GET" and r[2].endswith(names)]

    def answer(self, handler, main):
        url = urlsplit(handler.path)
        with self.lock:
            self.requests.append(
                (handler.command, handler.headers.get("Host"), handler.path, dict(handler.headers))
            )
        parts = unquote(url.path).strip("/")
        query = {k: v[0] for k, v in parse_qs(url.query).items()}
        if not main:
            return self.answer_cdn(handler, parts)
        if self.token and handler.headers.get("Authorization") != f"Bearer {self.token}":
            return refuse(handler, 401, "RepoNotFound", "Invalid username or password.")
        model = f"{OWNER}/{NAME}"
        if match := re.fullmatch(f"api/models/{model}(?:/revision/(.+))?", parts):
            return self.answer_api(handler, lambda: self.hf_info(match[1] or "main"))
        if match := re.fullmatch(f"api/models/{model}/tree/([^/]+)", parts):
            return self.answer_api(handler, lambda: self.hf_tree(match[1], query))
        if match := re.fullmatch(f"{model}/resolve/([^/]+)/(.+)", parts):
            return self.answer_resolve(handler, match[1], match[2])
        if parts == f"api/v1/models/{model}/repo/files":
            return self.answer_api(handler, lambda: self.ms_files(query))
        if parts == f"api/v1/models/{model}/repo":
            return self.answer_content(handler, query.get("FilePath", ""), query.get("Revision"))
        if parts.startswith("api/v1/"):
            return refuse(handler, 404, "", "", {"Code": 10010205001, "Message": "no such model"})
        return refuse(handler, 404, "RepoNotFound", "Repository not found")

    def answer_api(self, handler, make):
        fault = self.next_fault("api")
        if fault.status:
            return refuse(handler, fault.status, "", "", headers=fault.headers)
        result = make()
        if result is None:
            return refuse(handler, 404, "RevisionNotFound", "Invalid rev id")
        document, headers = result
        body = json.dumps(document).encode() if fault.content is None else fault.content
        send(handler, 200, body, {"Content-Type": "application/json", **headers})

    def entries(self):
        """Of both hubs' listings: (path, kind, data)."""
        folders = {p.rsplit("/", n)[0] for p in self.files for n in range(1, p.count("/") + 1)}
        return [(f, "folder", b"") for f in sorted(folders)] + [
            (p, "file", d) for p, d in sorted(self.files.items())
        ]

    def hf_info(self, revision):
        commit = self.revisions.get(revision)
        return commit and ({"id": f"{OWNER}/{NAME}", "sha": commit, "siblings": []}, {})

    def hf_tree(self, revision, query):
        if revision not in self.revisions:
            return None
        entries = []
        for path, kind, data in self.entries():
            entry = {"type": "directory", "oid": "0" * 40, "size": 0, "path": path}
            if kind == "file":
                entry = {"type": "file", "oid": git_sha1(data), "size": len(data), "path": path}
                if self.lfs(path):
                    entry["oid"] = git_sha1(b"pointer to " + sha256(data).encode())
                    entry["lfs"] = {"oid": sha256(data), "size": len(data), "pointerSize": 134}
            entries.append(entry | self.listed.get(path, {}))
        entries += self.extra_entries
        start = int(query.get("cursor", "0"))
        headers = {}
        if start + self.page_size < len(entries):
            next_url = f"{self.url}/api/models/{OWNER}/{NAME}/tree/{revision}?recursive=true"
            headers["Link"] = f'<{next_url}&cursor={start + self.page_size}>; rel="next"'
        return entries[start : start + self.page_size], headers

    def ms_files(self, query):
        if query.get("Revision") not in self.revisions:
            return None
        files = []
        for path, kind, data in self.entries():
            name = path.rsplit("/", 1)[-1]
            entry = {"Name": name, "Path": path, "Type": "tree", "Size": 0, "Revision": COMMIT}
            if kind == "file":
                entry |= {"Type": "blob", "Size": len(data), "Sha256": sha256(data)}
                entry["IsLFS"] = self.lfs(path)
            files.append(entry | self.listed.get(path, {}))
        return {"Code": 200, "Success": True, "Data": {"Files": files + self.extra_entries}}, {}

    def answer_resolve(self, handler, revision, path):
        if revision not in self.revisions or path not in self.files:
            return refuse(handler, 404, "EntryNotFound", "Entry not found")
        data = self.files[path]
        headers = {"X-Repo-Commit": self.revisions[revision], "ETag": f'"{git_sha1(data)}"'}
        if not self.lfs(path):
            return self.answer_content(handler, path, revision, headers)
        headers |= {
            "X-Linked-ETag": f'"{sha256(data)}"',
            "X-Linked-Size": str(len(data)),
            "Location": f"{self.cdn}/{sha256(data)}",
        }
        send(handler, 302, b"", headers)

    def answer_cdn(self, handler, name):
        for path, data in self.files.items():
            if sha256(data) == name:
                return self.answer_content(handler, path, "main")
        refuse(handler, 404, "", "")

    def answer_content(self, handler, path, revision, headers=None):
        if revision not in self.revisions or path not in self.files:
            return refuse(handler, 404, "EntryNotFound", "Entry not found")
        fault = self.next_fault(path) if handler.command == "GET" else Fault()
        headers = dict(headers or {}) | {"Accept-Ranges": "bytes"} | fault.headers
        if fault.redirect:
            return send(handler, 302, b"", {"Location": fault.redirect})
        if fault.status:
            return refuse(handler, fault.status, "", "", headers=fault.headers)
        data = self.files[path] if fault.content is None else fault.content
        if fault.corrupt:
            data = bytes([data[0] ^ 1]) + data[1:]
        status = 200
        match = re.fullmatch(r"bytes=(\d+)-(\d*)", handler.headers.get("Range", ""))
        if match and not fault.ignores_range:
            first = int(match[1])
            last = min(int(match[2] or len(data)), len(data) - 1)
            if first >= len(data):
                return refuse(handler, 416, "", "", headers={"Content-Range": f"bytes */{len(data)}"})
            headers["Content-Range"] = f"bytes {first}-{last}/{len(data)}"
            data, status = data[first : last + 1], 206
        self.send_content(handler, path, status, data, headers, fault)

    def send_content(self, handler, path, status, data, headers, fault):
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name, value)
        if fault.chunked:
            handler.send_header("Connection", "close")
            handler.close_connection = True
        else:
            handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        if handler.command == "HEAD":
            return
        whole = len(data) if fault.cut_after < 0 else min(fault.cut_after, len(data))
        for at in range(0, whole, PIECE):
            piece = data[at : min(at + PIECE, whole)]
            if fault.pause:
                time.sleep(fault.pause)
            handler.wfile.write(piece)
            with self.lock:
                self.sent[path] = self.sent.get(path, 0) + len(piece)
        if fault.cut_after >= 0:
            handler.wfile.flush()
            handler.close_connection = True
            handler.connection.shutdown(socket.SHUT_RDWR)


def send(handler, status, body, headers):
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name, value)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    if handler.command != "HEAD":
        handler.wfile.write(body)


def refuse(handler, status, code, message, document=None, headers=None):
    head = dict(headers or {})
    if code:
        head |= {"X-Error-Code": code, "X-Error-Message": message}
    body = json.dumps(document or {"error": message}).encode()
    send(handler, status, body, head)
