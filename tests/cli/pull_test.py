"""`zimage pull` against a server on this machine: what it writes, and what it does when things break.

The server counts the bytes of each file that it sends: none that was good goes out twice.
"""

import json
import os
import random
import shutil
import signal
import ssl
import subprocess
import tempfile
import time
import unittest
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from hub_server import COMMIT, NAME, OWNER, Fault, Hub, git_sha1, sha256
from program import MODEL, ProgramTest, environment, main

MODEL_NAME = f"{OWNER}/{NAME}"
BIG = "vae/diffusion_pytorch_model.safetensors"
SMALL = "vae/config.json"
CACHES = ("MODELSCOPE_CACHE", "MS_CACHE_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME")
VARIABLES = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_TOKEN_PATH", "HF_HUB_OFFLINE")
VARIABLES += ("TRANSFORMERS_OFFLINE", "HF_HUB_DISABLE_IMPLICIT_TOKEN", "MODELSCOPE_DOMAIN")
VARIABLES += ("MODELSCOPE_API_TOKEN", "XDG_CACHE_HOME", *CACHES)
PROXIES = [name for name in os.environ if name.lower().endswith("_proxy")]


def some_files():
    """Enough for a model's shape: two large files and three small ones."""
    noise = random.Random(1).randbytes
    return {
        "README.md": b"# Tiny\n",
        "model_index.json": b'{"_class_name": "ZImagePipeline"}',
        SMALL: noise(3000),
        BIG: noise(400_000),
        "transformer/a b+%.safetensors": noise(70_000),
        "empty": b"",
    }


class PullTest(ProgramTest):
    hub_option = "hf"

    def setUp(self):
        super().setUp()
        self.files = some_files()
        self.serve(self.files)

    def serve(self, files, tls=None):
        self.hub = Hub(files, tls=tls)
        self.addCleanup(self.hub.close)
        self.home = self.folder / "home"
        self.home.mkdir(exist_ok=True)
        clear = dict.fromkeys((*VARIABLES, *PROXIES))
        self.env = environment(
            HOME=str(self.home),
            HF_ENDPOINT=self.hub.url,
            MODELSCOPE_ENDPOINT=self.hub.url,
            **clear,
        )
        self.cache = self.home / ".cache/huggingface/hub"
        self.storage = self.cache / f"models--{OWNER}--{NAME}"
        self.snapshot = self.storage / "snapshots" / COMMIT
        self.ms = self.home / f".cache/modelscope/models/{OWNER}--{NAME}/snapshots/master"

    def result_folder(self):
        return self.ms if self.hub_option == "modelscope" else self.snapshot

    def arguments(self, *arguments):
        return ("pull", MODEL_NAME, "--from", self.hub_option, "--retries", "2", *arguments)

    def try_pull(self, *arguments, **options):
        return self.run_program(*self.arguments(*arguments), env=self.env, **options)

    def pull(self, *arguments):
        result = self.try_pull(*arguments)
        self.assertEqual(result.returncode, 0, result.stderr.decode())
        return result

    def blob(self, path):
        """The name of a blob, as Hugging Face's cache has it."""
        data = self.files[path]
        return sha256(data) if path.endswith(".safetensors") else git_sha1(data)

    def target(self, path):
        return self.ms / path if self.hub_option == "modelscope" else self.storage / "blobs" / self.blob(path)

    def partial(self, path):
        return Path(f"{self.target(path)}.incomplete")

    def assert_whole(self, folder=None, files=None):
        """All files are there with their bytes, and nothing else under a good name."""
        folder = folder or self.result_folder()
        files = self.files if files is None else files
        found = {
            p.relative_to(folder).as_posix(): p.read_bytes()
            for p in folder.rglob("*")
            if p.is_file() and ".cache" not in p.relative_to(folder).parts
        }
        self.assertEqual(sorted(found), sorted(files))
        self.assertEqual(found, files)
        self.assert_no_partial()

    def assert_no_partial(self):
        self.assertEqual([str(p) for p in self.folder.rglob("*.incomplete")], [])
        self.assertEqual([str(p) for p in self.folder.rglob("*.tmp")], [])

    def assert_no_bad_file(self):
        """Whatever has a good name has the right bytes."""
        root = self.ms if self.hub_option == "modelscope" else self.snapshot
        for path in root.rglob("*"):
            if path.is_file() and not path.name.endswith(".incomplete"):
                self.assertEqual(path.read_bytes(), self.files[path.relative_to(root).as_posix()])
        for path in self.storage.glob("blobs/*"):
            if not path.name.endswith(".incomplete"):
                self.assertIn(path.name, [self.blob(p) for p in self.files])
                data = path.read_bytes()
                self.assertIn(path.name, (sha256(data), git_sha1(data)))

    def assert_sent_once(self):
        expected = {path: len(data) for path, data in self.files.items() if data}
        self.assertEqual(self.hub.sent, expected)


class Both(PullTest):
    """What holds for either hub; run for Hugging Face here, and for ModelScope below."""

    def test_every_file_arrives_once(self):
        result = self.pull("--json")
        report = json.loads(result.stdout)
        total = sum(map(len, self.files.values()))
        self.assertEqual(report["folder"], str(self.result_folder()))
        self.assertEqual((report["model"], report["hub"]), (MODEL_NAME, self.hub_option))
        self.assertEqual((report["files"], report["bytes"]), (len(self.files), total))
        self.assertEqual(report["fetched_bytes"], total)
        self.assert_whole()
        self.assert_sent_once()
        # Again: all is there, and nothing is fetched.
        result = self.pull("-q")
        self.assertEqual(result.stdout.decode(), f"{self.result_folder()}\n")
        self.assertEqual(result.stderr, b"")
        self.assert_sent_once()

    def test_a_cut_connection_is_resumed(self):
        self.hub.faults[BIG] = [Fault(cut_after=100_000), Fault(cut_after=0), Fault(cut_after=50_000)]
        self.hub.faults[SMALL] = [Fault(cut_after=7)]
        self.pull()
        self.assert_whole()
        self.assert_sent_once()

    def test_a_failed_download_is_continued_by_the_next(self):
        self.hub.faults[BIG] = [Fault(cut_after=100_000)] + [Fault(status=503)] * 3
        result = self.try_pull()
        self.assert_fails(result, 1, f"{BIG}: HTTP 503", "after 3 attempts")
        self.assertEqual(self.partial(BIG).stat().st_size, 100_000)
        self.assert_no_bad_file()
        self.pull()
        self.assert_whole()
        self.assertEqual(self.hub.sent[BIG], len(self.files[BIG]))

    def test_a_killed_process_is_continued(self):
        self.hub.faults[BIG] = [Fault(pause=0.05)]
        process = subprocess.Popen(
            self.command(*self.arguments()), env=self.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )  # fmt: skip
        while self.hub.sent.get(BIG, 0) < 100_000:
            time.sleep(0.01)
        process.kill()
        process.wait()
        self.assert_no_bad_file()
        kept = self.partial(BIG).stat().st_size
        self.assertGreater(kept, 50_000)
        self.hub.requests.clear()
        self.pull()
        self.assert_whole()
        ranges = {request[3].get("Range") for request in self.hub.content_requests(BIG)}
        self.assertEqual(ranges, {f"bytes={kept}-"})

    def test_two_processes_share_the_work(self):
        self.hub.faults[BIG] = [Fault(pause=0.02)]
        processes = [
            subprocess.Popen(
                self.command(*self.arguments()), env=self.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE
            )
            for _ in range(2)
        ]  # fmt: skip
        messages = [process.communicate(timeout=60)[1] for process in processes]
        self.assertEqual([process.returncode for process in processes], [0, 0], messages)
        self.assertIn(b"waiting for another process", b"".join(messages))
        self.assert_whole()
        self.assert_sent_once()

    def test_a_wrong_sum_never_gets_the_name(self):
        self.hub.faults[BIG] = [Fault(corrupt=True), Fault(corrupt=True)]
        result = self.try_pull()
        self.assert_fails(result, 1, f"{BIG}: its SHA-256 is ", sha256(self.files[BIG]))
        self.assertFalse(self.target(BIG).exists())
        self.assertFalse(self.partial(BIG).exists())
        self.assert_no_bad_file()
        # Once is forgiven.
        self.hub.faults[BIG] = [Fault(corrupt=True)]
        self.pull()
        self.assert_whole()

    def test_a_wrong_beginning_is_fetched_again(self):
        self.partial(BIG).parent.mkdir(parents=True)
        self.partial(BIG).write_bytes(b"x" * 5000)
        self.pull()
        self.assert_whole()

    def test_a_beginning_that_is_too_long_is_dropped(self):
        self.partial(BIG).parent.mkdir(parents=True)
        self.partial(BIG).write_bytes(b"x" * 500_000)
        self.pull()
        self.assert_whole()
        self.assertEqual(self.hub.sent[BIG], len(self.files[BIG]))

    def test_a_whole_beginning_needs_its_name_alone(self):
        self.partial(BIG).parent.mkdir(parents=True)
        self.partial(BIG).write_bytes(self.files[BIG])
        self.pull()
        self.assert_whole()
        self.assertNotIn(BIG, self.hub.sent)

    def test_a_damaged_file_is_replaced(self):
        self.pull()
        damaged = self.target(BIG)
        damaged.write_bytes(b"y" + self.files[BIG][1:])
        self.pull()
        self.assert_whole()
        self.assertEqual(self.hub.sent[BIG], 2 * len(self.files[BIG]))
        self.assertEqual(self.hub.sent[SMALL], len(self.files[SMALL]))

    def test_a_name_that_is_not_known(self):
        result = self.run_program("pull", "no/body", "--from", self.hub_option, env=self.env)
        self.assert_fails(result, 1, '"no/body" cannot be listed', "HTTP 404")
        self.assertIn(b"is the name right? the other hub is --from", result.stderr)
        result = self.try_pull("--revision", "v9")
        self.assert_fails(result, 1, f'"{MODEL_NAME}" at revision "v9" cannot be listed', "HTTP 404")
        self.assertFalse((self.home / ".cache").exists())

    def test_listings_that_leave_the_folder(self):
        for path in ("../x", "/etc/x", "a/../../x", "a//b", "a\\b", "", ".", "x.incomplete", "a\nb"):
            entry = {"type": "file", "Type": "blob", "path": path, "Path": path, "Name": path}
            entry |= {"size": 1, "Size": 1, "oid": "1" * 40}
            self.hub.extra_entries = [entry]
            self.assert_fails(self.try_pull(), 1, "path")
            self.assert_empty(self.home)
        self.hub.extra_entries = [entry | {"path": "README.md/x", "Path": "README.md/x"}]
        self.assert_fails(self.try_pull(), 1, '"README.md/x" is there twice, or a part of it is a file')
        self.assert_empty(self.home)

    def test_answers_that_are_no_listing(self):
        for body in (b"", b"{", b"[1]", b'{"Data": {"Files": 5}, "sha": "x"}', b"[" * 100_000, b"null"):
            self.hub.faults["api"] = [Fault(content=body)]
            self.assert_fails(self.try_pull(), 1, self.hub.url)
        self.hub.listed[BIG] = {"size": -1, "Size": -1, "lfs": None, "oid": "1" * 40}
        self.assert_fails(self.try_pull(), 1, "expected a size, found -1")

    def test_some_files(self):
        self.pull("--include", "vae/*", "--include", "*.md")
        self.assert_whole(files={p: d for p, d in self.files.items() if p[:3] in ("vae", "REA")})
        self.assert_fails(self.try_pull("--include", "nothing*"), 2, "--include: no path of")

    def test_a_plain_folder(self):
        self.hub.faults[BIG] = [Fault(cut_after=100_000)] + [Fault(status=503)] * 3
        self.assertEqual(self.try_pull("--to", "there").returncode, 1)
        result = self.pull("--to", "there")
        self.assertEqual(result.stdout.decode(), f"{self.folder}/there\n")
        self.assert_whole(self.folder / "there")
        self.assert_sent_once()

    def test_a_disk_that_is_too_small(self):
        self.hub.listed[BIG] = {"size": 10**17, "Size": 10**17}
        self.hub.listed[BIG] |= {"lfs": {"oid": "1" * 64, "size": 10**17}}
        self.assert_fails(self.try_pull(), 1, "bytes are to be fetched, and", "are free there")
        self.assertEqual(self.hub.sent, {})


class Transfer(PullTest):
    """What is the same code for both hubs."""

    def test_a_wrong_size_is_refused(self):
        for content, chunked, text in (
            (self.files[BIG] + b"z", False, "the server has 400001 bytes, expected 400000"),
            (self.files[BIG][:-1], False, "the server has 399999 bytes, expected 400000"),
            (self.files[BIG] + b"z", True, "more bytes came than the 400000"),
        ):
            self.hub.faults[BIG] = [Fault(content=content, chunked=chunked)] * 2
            self.assert_fails(self.try_pull(), 1, f"{BIG}: {text}")
            self.assertFalse(self.target(BIG).exists())
            self.assert_no_bad_file()

    def test_ranges_that_are_not_known_cost_the_beginning(self):
        self.hub.faults[BIG] = [Fault(cut_after=100_000), Fault(ignores_range=True)]
        self.pull()
        self.assert_whole()
        self.assertEqual(self.hub.sent[BIG], 500_000)

    def test_an_answer_for_another_range(self):
        other = {"Content-Range": "bytes 0-9/400000"}
        self.hub.faults[BIG] = [Fault(cut_after=100_000), Fault(status=206, headers=other)]
        self.pull()
        self.assert_whole()

    def test_busy_servers_are_asked_again(self):
        self.hub.faults["api"] = [Fault(status=500)]
        self.hub.faults[BIG] = [Fault(status=429, headers={"Retry-After": "1"}), Fault(status=502)]
        start = time.monotonic()
        self.pull()
        self.assertGreater(time.monotonic() - start, 1)
        self.assert_whole()
        self.assert_sent_once()

    def test_who_is_told_to_wait_for_long_says_so(self):
        self.hub.faults["api"] = [Fault(status=429, headers={"Retry-After": "4000"})]
        self.assert_fails(self.try_pull(), 1, "HTTP 429", "to be tried again in 4000 s")

    def test_a_server_that_is_not_there(self):
        self.hub.close()
        self.assert_fails(self.try_pull("--retries", "1"), 1, self.hub.url, "after 2 attempts")

    def test_a_disk_that_is_full(self):
        limit = ["prlimit", "--fsize=200000", *self.command(*self.arguments())]
        result = subprocess.run(limit, env=self.env, capture_output=True, timeout=60)
        self.assert_fails(result, 1, f"({BIG}) cannot be written: File too large")
        self.assertEqual(self.partial(BIG).stat().st_size, 200_000)
        self.assert_no_bad_file()
        self.hub.sent.clear()
        self.pull()
        self.assert_whole()
        self.assertEqual(self.hub.sent[BIG], 200_000)

    def test_a_folder_that_cannot_be_made(self):
        (self.home / ".cache").write_bytes(b"")
        self.assert_fails(self.try_pull(), 1, str(self.home / ".cache"), "Not a directory")

    def test_a_proxy_of_the_environment(self):
        self.env["http_proxy"] = "http://127.0.0.1:1"
        self.assert_fails(self.try_pull("--retries", "1"), 1, "port 1")
        self.env["no_proxy"] = "127.0.0.1"
        self.pull()
        self.assert_whole()

    def test_what_is_no_request(self):
        for arguments, text in (
            (["pull"], "NAME"),
            (["pull", "model"], 'expected OWNER/NAME or OWNER/NAME@REVISION, found "model"'),
            (["pull", "../x"], "found"),
            (["pull", "a/b", "--from", "moon"], "--from"),
            (["pull", "a/b", "--revision", "../x"], "--revision"),
            (["pull", "a/b@v1", "--revision", "v2"], "differ"),
        ):
            self.assert_fails(self.run_program(*arguments, env=self.env), 2, text)

    def test_an_interrupted_process_says_what_is_kept(self):
        self.hub.faults[BIG] = [Fault(pause=0.05)]
        process = subprocess.Popen(
            self.command(*self.arguments("-q")), env=self.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )  # fmt: skip
        while self.hub.sent.get(BIG, 0) < 50_000:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        output, message = process.communicate(timeout=20)
        self.assertEqual(process.returncode, 130)
        self.assertEqual(output, b"")
        self.assertIn(b"interrupted; what came is kept", message)
        self.assert_no_bad_file()


class ModelScope(Both):
    hub_option = "modelscope"


class HuggingFace(PullTest):
    def test_the_layout_is_the_clients(self):
        self.hub.page_size = 2
        self.pull()
        self.assertEqual((self.storage / "refs/main").read_text(), COMMIT)
        link = self.snapshot / BIG
        self.assertEqual(os.readlink(link), f"../../../blobs/{self.blob(BIG)}")
        tree = json.loads((self.storage / f"trees/{COMMIT}.json").read_text())
        self.assertEqual(tree["format_version"], 1)
        data = self.files[BIG]
        entry = tree["files"][BIG]
        self.assertEqual((entry["lfs_sha256"], entry["lfs_size"]), (sha256(data), len(data)))
        self.assertEqual(tree["files"][SMALL], {"blob_id": self.blob(SMALL), "size": 3000})
        lock = self.cache / ".locks" / self.storage.name / f"{self.blob(BIG)}.lock"
        self.assertTrue(lock.is_file())

    def test_a_commit_has_no_ref(self):
        self.pull("--revision", COMMIT)
        self.assertFalse((self.storage / "refs").exists())
        self.assert_whole()

    def test_the_ref_moves_when_all_is_there(self):
        self.pull()
        new = "f" * 40
        self.hub.revisions |= {"main": new, new: new}
        self.files[BIG] = self.hub.files[BIG] = b"new" * 1000
        self.hub.faults[BIG] = [Fault(status=403)]
        self.assert_fails(self.try_pull(), 1, f"{BIG}: HTTP 403")
        self.assertEqual((self.storage / "refs/main").read_text(), COMMIT)
        self.hub.sent.clear()
        self.pull()
        self.assertEqual((self.storage / "refs/main").read_text(), new)
        self.assertEqual(self.hub.sent, {BIG: 3000})
        self.assert_whole(self.storage / "snapshots" / new)

    def test_the_records_of_a_plain_folder(self):
        self.pull("--to", "there")
        record = self.folder / "there/.cache/huggingface/download" / f"{BIG}.metadata"
        commit, etag, when = record.read_text().split()
        self.assertEqual((commit, etag), (COMMIT, sha256(self.files[BIG])))
        self.assertLess(abs(float(when) - time.time()), 60)

    def test_cache_variables(self):
        for name, inner in (("HF_HUB_CACHE", ""), ("HF_HOME", "hub"), ("XDG_CACHE_HOME", "huggingface/hub")):
            self.env |= dict.fromkeys(CACHES, "") | {name: str(self.folder / name)}
            self.pull()
            self.assertTrue((self.folder / name / inner / self.storage.name / "refs/main").is_file())

    def test_offline(self):
        self.env["HF_HUB_OFFLINE"] = "1"
        self.assert_fails(self.try_pull(), 2, "HF_HUB_OFFLINE is set")
        self.assertEqual(self.hub.requests, [])

    def test_endpoints_that_are_none(self):
        for url in ("file:///etc", "hub", "http://a b", "http://me@host"):
            self.env["HF_ENDPOINT"] = url
            self.assert_fails(self.try_pull(), 2, "HF_ENDPOINT: expected http://HOST")


class Tokens(PullTest):
    def authorizations(self, hub, host=None):
        return {r[3].get("Authorization") for r in hub.requests if host is None or r[1] in host}

    def assert_kept_home(self, text):
        """The main server saw the token in every request, the other never."""
        home, away = self.hub.url[7:], self.hub.cdn[7:]
        seen = {host: [r for r in self.hub.requests if r[1] == host] for host in (home, away)}
        self.assertTrue(all(r[3].get("Authorization") == f"Bearer {text}" for r in seen[home]))
        self.assertTrue(seen[home])
        self.assertEqual([r for r in seen[away] if text in str(r)], [])
        return seen[away]

    def test_a_token_is_needed(self):
        self.hub.token = "secret-1"
        result = self.try_pull()
        self.assert_fails(result, 1, "HTTP 401 (Invalid username or password.)")
        self.assertIn(b"a private or gated model needs a token, HF_TOKEN", result.stderr)
        self.env["HF_TOKEN"] = "wrong"
        result = self.try_pull()
        self.assert_fails(result, 1, "HTTP 401")
        self.assertIn(b"may the token of HF_TOKEN read it?", result.stderr)
        self.assertNotIn(b"wrong", result.stderr)
        self.env["HF_TOKEN"] = "secret-1"
        self.pull()
        self.assert_whole()

    def test_it_stays_with_its_host(self):
        self.env["HF_TOKEN"] = self.hub.token = "secret-2"
        other = Hub(self.files)
        self.addCleanup(other.close)
        # Another name of the same machine, another port, and a page of the listing elsewhere.
        name = self.hub.cdn.replace("127.0.0.1", "localhost")
        self.hub.faults[SMALL] = [Fault(redirect=f"{name}/{sha256(self.files[SMALL])}")]
        self.hub.faults["README.md"] = [Fault(redirect=f"{other.url}/{MODEL_NAME}/resolve/main/README.md")]
        self.pull()
        self.assert_whole()
        self.assertGreaterEqual(len(self.assert_kept_home("secret-2")), 2)
        self.assertEqual(self.authorizations(self.hub, {name[7:]}), {None})
        self.assertEqual(self.authorizations(other), {None})

    def test_files_of_tokens(self):
        self.hub.token = "secret-3"
        for name, path in (
            ("HF_TOKEN_PATH", self.folder / "here"),
            ("HF_HOME", self.folder / "hf/token"),
            ("HOME", self.home / ".cache/huggingface/token"),
        ):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("secret-3\n")
            self.env |= dict.fromkeys(("HF_TOKEN_PATH", "HF_HOME"), "")
            self.env[name] = str(self.home if name == "HOME" else path.parent if name == "HF_HOME" else path)
            self.pull()
            path.unlink()
            self.assertEqual(self.try_pull().returncode, 1)

    def test_no_token_that_would_split_a_header(self):
        self.env["HF_TOKEN"] = "a\r\nX-Evil: 1"
        result = self.try_pull()
        self.assert_fails(result, 2, "HF_TOKEN: expected a token, found blanks")
        self.assertNotIn(b"Evil", result.stderr)

    def test_a_redirect_never_leaves_the_web(self):
        secret = self.folder / "secret"
        secret.write_bytes(self.files[SMALL])
        self.hub.faults[SMALL] = [Fault(redirect=f"file://{secret}")]
        self.assert_fails(self.try_pull(), 1, f"{SMALL}: Protocol")
        self.hub.faults[SMALL] = [Fault(redirect=f"{self.hub.url}/{MODEL_NAME}/resolve/main/{SMALL}")] * 30
        self.assert_fails(self.try_pull(), 1, f"{SMALL}: Maximum (10) redirects")


class Https(PullTest):
    """The server's certificate is its own authority."""

    def setUp(self):
        super().setUp()
        self.certificate, key = self.folder / "certificate.pem", self.folder / "key.pem"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
             "-days", "2", "-subj", "/CN=a hub of a test", "-addext", "subjectAltName=IP:127.0.0.1",
             "-keyout", key, "-out", self.certificate],
            check=True, capture_output=True)  # fmt: skip
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(self.certificate, key)
        self.serve(self.files, tls)
        for name in ("CURL_CA_BUNDLE", "SSL_CERT_FILE"):
            self.env.pop(name, None)

    def test_a_certificate_that_is_trusted(self):
        for name in ("CURL_CA_BUNDLE", "SSL_CERT_FILE"):
            with self.subTest(name):
                self.env[name] = str(self.certificate)
                self.pull()
                self.assert_whole()
                self.assert_sent_once()
                del self.env[name]
                shutil.rmtree(self.cache)
                self.hub.sent.clear()

    def test_curls_own_variable_is_first(self):
        self.env |= {"CURL_CA_BUNDLE": str(self.certificate), "SSL_CERT_FILE": "/none"}
        self.pull()

    def test_one_that_is_not_is_refused_at_once(self):
        result = self.try_pull()
        self.assert_fails(
            result, 1, self.hub.url, "the certificate of 127.0.0.1 is not trusted", "CURL_CA_BUNDLE or SSL_CERT_FILE")
        self.assertEqual(len(result.stderr.splitlines()), 1)
        self.assertEqual(self.hub.requests, [])

    def test_a_file_of_certificates_that_is_none(self):
        self.env["SSL_CERT_FILE"] = "/none/certificates.pem"
        self.assert_fails(self.try_pull(), 1, "/none/certificates.pem")

    def test_no_redirect_leaves_it(self):
        self.env["CURL_CA_BUNDLE"] = str(self.certificate)
        plain = Hub(self.files)
        self.addCleanup(plain.close)
        self.hub.faults[SMALL] = [Fault(redirect=f"{plain.url}/x")] * 3
        self.assert_fails(self.try_pull("--include", SMALL), 1, "http")
        self.assertEqual(plain.requests, [])


class Program(PullTest):
    def test_what_is_pulled_is_found(self):
        files = {p.relative_to(MODEL).as_posix(): p.read_bytes() for p in MODEL.rglob("*") if p.is_file()}
        self.files = {p: d for p, d in files.items() if not p.startswith("training")}
        self.hub.close()
        self.serve(self.files)
        self.pull()
        info = self.run_program("info", "-m", MODEL_NAME, env=self.env)
        self.assertEqual(info.returncode, 0, info.stderr.decode())
        self.assertIn(str(self.snapshot).encode(), info.stdout)

    def test_a_terminal_sees_one_line_move(self):
        import pty

        self.hub.faults[BIG] = [Fault(pause=0.02)]
        host, guest = pty.openpty()
        process = subprocess.Popen(
            self.command(*self.arguments()), env=self.env, stdout=subprocess.PIPE, stderr=guest
        )
        os.close(guest)
        text = b""
        try:
            while piece := os.read(host, 4096):
                text += piece
        except OSError:
            pass
        process.communicate(timeout=20)
        os.close(host)
        self.assertEqual(process.returncode, 0)
        self.assertRegex(text, rb"\r\x1b\[K?fetch \d/6 files, [0-9.]+ KiB of [0-9.]+ KiB, .*/s, .* left")

    def test_silence_on_a_pipe(self):
        lines = self.pull().stderr.decode().splitlines()
        self.assertEqual(sorted(lines[:-1]), sorted(f"{path}: fetched" for path in self.files))
        self.assertRegex(lines[-1], r"^6 files, .* KiB, of which .* KiB fetched, in ")


class Concurrent(unittest.TestSuite):
    """Most of a test's time is waiting: for the program's own pauses, and for the disk."""

    def run(self, result, debug=False):
        def flat(suite):
            for test in suite:
                yield from flat(test) if isinstance(test, unittest.TestSuite) else [test]

        with ThreadPoolExecutor(6) as pool:
            list(pool.map(lambda test: test.run(result), list(flat(self))))
        return result


unittest.defaultTestLoader.suiteClass = Concurrent

if __name__ == "__main__":
    main()
