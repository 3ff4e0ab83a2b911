#!/usr/bin/env python3
"""Holds the caches that zimage writes and reads against the hubs' own clients, in both directions.

usage: hub_clients_test.py PROGRAM [unittest options]

The clients are installed from PyPI into build/hub-clients-env, pinned by requirements.txt beside this
file. They and zimage talk to the server of tests/cli/hub_server.py; nothing else is reached.
"""

import hashlib
import json
import os
import subprocess
import sys
import time
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "cli"))

from hub_server import COMMIT, NAME, OWNER, Fault, Hub, sha256  # noqa: E402
from program import MODEL, ProgramTest, environment, main  # noqa: E402

ENVIRONMENT = ROOT / "build" / "hub-clients-env"
REQUIREMENTS = Path(__file__).with_name("requirements.txt")
CLIENT = Path(__file__).with_name("client.py")
PYTHON = ENVIRONMENT / "bin" / "python"
MODEL_NAME = f"{OWNER}/{NAME}"
BIG = "vae/diffusion_pytorch_model.safetensors"


def install():
    stamp = ENVIRONMENT / "installed"
    wanted = hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()
    if not stamp.exists() or stamp.read_text() != wanted:
        print(f"installing the clients into {ENVIRONMENT.relative_to(ROOT)} ...", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(ENVIRONMENT)], check=True)
        pip = [str(PYTHON), "-m", "pip", "install", "--quiet", "-r", str(REQUIREMENTS)]
        subprocess.run(pip, check=True)
        stamp.write_text(wanted)


class Clients:
    """Run once for each hub, by the classes below."""

    hub_option = ""

    def setUp(self):
        super().setUp()
        files = {p.relative_to(MODEL).as_posix(): p.read_bytes() for p in MODEL.rglob("*") if p.is_file()}
        self.files = {p: d for p, d in files.items() if not p.startswith("training")}
        self.hub = Hub(self.files)
        self.addCleanup(self.hub.close)
        self.homes = 0
        self.use_new_home()

    def use_new_home(self):
        self.homes += 1
        self.home = self.folder / f"home{self.homes}"
        self.home.mkdir()
        clear = {n: None for n in os.environ if n.startswith(("HF_", "MODELSCOPE_", "XDG_")) or "proxy" in n.lower()}
        self.env = environment(
            **clear | {
                "HOME": str(self.home),
                "HF_ENDPOINT": self.hub.url,
                "MODELSCOPE_ENDPOINT": self.hub.url,
                "MODELSCOPE_DOWNLOAD_PARALLEL_THRESHOLD_MB": "500",
                "HF_HUB_DISABLE_TELEMETRY": "1",
            }
        )  # fmt: skip
        self.hub.sent.clear()
        self.hub.requests.clear()
        self.hub.faults.clear()

    def client_command(self, *arguments):
        return [str(PYTHON), str(CLIENT), self.hub_option, MODEL_NAME, *arguments]

    def client(self, *arguments):
        """The folder that the client prints last."""
        result = subprocess.run(self.client_command(*arguments), env=self.env, capture_output=True, timeout=120)
        self.assertEqual(result.returncode, 0, result.stderr.decode()[-3000:])
        return Path(result.stdout.decode().splitlines()[-1])

    def pull_command(self, *arguments):
        return self.command("pull", MODEL_NAME, "--from", self.hub_option, "--json", *arguments)

    def pull(self, *arguments):
        result = subprocess.run(self.pull_command(*arguments), env=self.env, capture_output=True, timeout=120)
        self.assertEqual(result.returncode, 0, result.stderr.decode())
        return json.loads(result.stdout)

    def info(self):
        return self.run_program("info", "-m", MODEL_NAME, "--json", env=self.env)

    def assert_resolves(self, folder):
        result = self.info()
        self.assertEqual(result.returncode, 0, result.stderr.decode())
        self.assertEqual(json.loads(result.stdout)["folder"], str(folder))

    def assert_whole(self, folder):
        for path, data in self.files.items():
            self.assertEqual((folder / path).read_bytes(), data, path)

    def kill_halfway(self, command):
        """Ends the process when a third of the big file is out."""
        self.hub.faults[BIG] = [Fault(pause=0.05)]
        process = subprocess.Popen(command, env=self.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        end = time.monotonic() + 60
        while self.hub.sent.get(BIG, 0) < len(self.files[BIG]) / 3 and time.monotonic() < end:
            time.sleep(0.01)
        process.kill()
        process.wait()
        time.sleep(0.2)
        self.hub.sent.clear()
        self.hub.requests.clear()

    def layout(self):
        """Names, kinds and link targets of all that lies in the cache but locks and tags."""
        result = {}
        for path in (self.home / ".cache").rglob("*"):
            name = path.relative_to(self.home).as_posix()
            if path.is_symlink():
                result[name] = os.readlink(path)
            elif path.is_file() and ".lock" not in name and path.name != "CACHEDIR.TAG":
                result[name] = sha256(path.read_bytes()) if path.suffix != ".json" else json.loads(path.read_bytes())
        return result

    def test_what_the_client_downloads_is_found(self):
        folder = self.client()
        self.assert_whole(folder)
        self.assert_resolves(folder)
        self.assertEqual(self.pull()["fetched_bytes"], 0)
        self.assertEqual(self.pull()["folder"], str(folder))

    def test_what_pull_wrote_the_client_finds_offline(self):
        folder = Path(self.pull()["folder"])
        self.assertEqual(self.client("--offline"), folder)
        self.assert_resolves(folder)
        self.hub.sent.clear()
        self.assertEqual(self.client(), folder)
        self.assertEqual(self.hub.sent, {})

    def test_both_write_the_same(self):
        self.client()
        expected = self.layout()
        self.use_new_home()
        self.pull()
        found = self.layout()
        self.assertEqual(sorted(found), sorted(expected))
        self.assertEqual(found, expected)

    def test_a_killed_client_is_no_model_and_pull_ends_its_work(self):
        self.kill_halfway(self.client_command())
        result = self.info()
        self.assertEqual(result.returncode, 1, result.stdout)
        self.assertIn(b"incomplete", result.stderr)
        folder = Path(self.pull()["folder"])
        self.assert_whole(folder)
        self.assert_resolves(folder)
        self.assertEqual(self.client("--offline"), folder)
        self.assert_resumed_here()

    def test_a_killed_pull_is_no_model_and_the_client_ends_its_work(self):
        self.kill_halfway(self.pull_command())
        self.assertEqual(self.info().returncode, 1)
        folder = self.client()
        self.assert_whole(folder)
        self.assert_resolves(folder)
        self.assert_resumed_there()
        self.assertEqual(self.pull()["fetched_bytes"], 0)

    def test_pull_and_client_at_once(self):
        self.hub.faults[BIG] = [Fault(pause=0.03)]
        processes = [
            subprocess.Popen(c, env=self.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            for c in (self.pull_command(), self.client_command())
        ]
        for process in processes:
            _, message = process.communicate(timeout=120)
            self.assertEqual(process.returncode, 0, message.decode()[-2000:])
        self.assertEqual(self.hub.sent[BIG], len(self.files[BIG]))

    def test_a_plain_folder(self):
        there = str(self.folder / "there")
        self.pull("--to", there)
        self.hub.sent.clear()
        self.client("--to", there)
        self.assertEqual(self.hub.sent, {})
        self.assert_whole(Path(there))
        self.client("--to", there + "2")
        self.assertEqual(self.pull("--to", there + "2")["fetched_bytes"], 0)

    def ranges(self):
        return [r[3]["Range"] for r in self.hub.content_requests(BIG) if "Range" in r[3]]

    def assert_resumed_here(self):
        self.assertLessEqual(self.hub.sent[BIG], len(self.files[BIG]))

    def assert_resumed_there(self):
        self.assertLessEqual(self.hub.sent[BIG], len(self.files[BIG]))


class HuggingFace(Clients, ProgramTest):
    """Its client begins a new file each time, so that nobody's beginning is used by the other."""

    hub_option = "hf"

    def test_the_ref_and_the_tree(self):
        self.pull()
        storage = self.home / ".cache/huggingface/hub" / f"models--{OWNER}--{NAME}"
        self.assertEqual((storage / "refs/main").read_text(), COMMIT)
        code = f"from huggingface_hub import get_cached_repo_tree as t; print(len(t({MODEL_NAME!r})))"
        result = subprocess.run([str(PYTHON), "-c", code], env=self.env, capture_output=True, check=True)
        self.assertEqual(int(result.stdout), len(self.files))


class ModelScope(Clients, ProgramTest):
    """Either goes on where the other ended."""

    hub_option = "modelscope"

    def assert_resumed_here(self):
        self.assertEqual(len(self.ranges()), 1)
        self.assertLess(self.hub.sent[BIG], len(self.files[BIG]))

    assert_resumed_there = assert_resumed_here


if __name__ == "__main__":
    install()
    main()
