"""What `models` lists and `verify` finds, in caches laid out by hand."""

import hashlib
import json
import os
import shutil

from program import MODEL, ProgramTest, environment, main

NAME = "Own.er/Tiny-1.0"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
OTHER = "76543210fedcba9876543210fedcba9876543210"
SHARD = "transformer/diffusion_pytorch_model-00002-of-00003.safetensors"


def git_sum(data):
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


class CacheTest(ProgramTest):
    def setUp(self):
        super().setUp()
        caches = ("MODELSCOPE_CACHE", "MS_CACHE_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE")
        clear = dict.fromkeys((*caches, "HF_HOME", "XDG_CACHE_HOME"))
        self.env = environment(HOME=str(self.folder), **clear)
        self.hf = self.folder / ".cache/huggingface/hub/models--Own.er--Tiny-1.0"
        self.ms = self.folder / ".cache/modelscope/models"

    def model_files(self):
        for path in sorted(MODEL.rglob("*")):
            name = path.relative_to(MODEL).as_posix()
            if path.is_file() and name.split("/")[0] not in ("training", "LICENSES"):
                yield name, path.read_bytes()

    def fill_hf(self):
        """The tiny model as huggingface_hub lays it out: blobs, links, a listing and a ref."""
        listing = {}
        for name, data in self.model_files():
            large = name.endswith(".safetensors")
            sha256 = hashlib.sha256(data).hexdigest()
            blob = self.hf / "blobs" / (sha256 if large else git_sum(data))
            blob.parent.mkdir(parents=True, exist_ok=True)
            blob.write_bytes(data)
            link = self.hf / "snapshots" / COMMIT / name
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(os.path.relpath(blob, link.parent))
            listing[name] = {"size": len(data), "blob_id": git_sum(data)}
            if large:
                listing[name] |= {"blob_id": git_sum(b"pointer"), "lfs_sha256": sha256}
                listing[name]["lfs_size"] = len(data)
        listing["README.md"] = {"size": 5, "blob_id": git_sum(b"never fetched")}
        (self.hf / "refs").mkdir()
        (self.hf / "refs/main").write_text(COMMIT)
        (self.hf / "trees").mkdir()
        text = json.dumps({"format_version": 1, "files": listing})
        (self.hf / f"trees/{COMMIT}.json").write_text(text)
        return self.hf / "snapshots" / COMMIT

    def fill_ms(self, name=NAME):
        folder = self.ms / name.replace("/", "--") / "snapshots/master"
        for path, data in self.model_files():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(data)
        return folder

    def read(self, code, *arguments):
        """The command's JSON; the exit code must be `code`."""
        result = self.run_program(*arguments, "--json", env=self.env)
        self.assertEqual(result.returncode, code, result.stderr.decode())
        return json.loads(result.stdout)

    def damage(self, path, at=5000):
        """Flips one bit of a weight, behind a link or not."""
        data = bytearray(path.read_bytes())
        data[-at] ^= 1
        path.write_bytes(data)


class Models(CacheTest):
    def test_every_cache_is_listed(self):
        snapshot = self.fill_hf()
        folder = self.fill_ms()
        (folder / "vae/config.json").unlink()
        other = self.hf.parent / f"models--google--bert/snapshots/{OTHER}"
        other.mkdir(parents=True)
        (other / "config.json").write_text("{}")
        (self.hf.parent / "models--a--b").mkdir()
        report = self.read(0, "models")
        models = {(model["hub"], model["name"]): model for model in report["models"]}
        whole = models["Hugging Face", NAME]
        self.assertTrue(whole["complete"])
        self.assertEqual((whole["revision"], whole["references"]), (COMMIT, ["main"]))
        self.assertEqual(whole["folder"], str(snapshot))
        self.assertEqual(whole["bytes"], sum(len(data) for _, data in self.model_files()))
        self.assertEqual(whole["dtypes"], ["bf16"])
        broken = models["ModelScope", NAME]
        self.assertFalse(broken["complete"])
        self.assertEqual(broken["revision"], "master")
        self.assertIn("vae/config.json", broken["defects"][0])
        self.assertIn("model_index.json", models["Hugging Face", "google/bert"]["defects"][0])
        self.assertIn("holds no snapshot", report["refusals"][0]["reason"])

    def test_the_table(self):
        self.fill_hf()
        result = self.run_program("models", env=self.env)
        self.assertEqual(result.returncode, 0)
        lines = result.stdout.decode().splitlines()
        self.assertEqual(lines[0].split(), ["name", "revision", "bytes", "dtypes", "state"])
        self.assertRegex(lines[1], rf"{NAME} +main \({COMMIT[:12]}\) +\S+ MiB +bf16 +complete")
        self.assertIn(str(self.hf), lines[2])

    def test_no_model_at_all(self):
        result = self.run_program("models", env=self.env)
        self.assertEqual((result.returncode, result.stdout), (0, b""))
        message = result.stderr.decode()
        self.assertIn("no cache holds a model; looked at:", message)
        self.assertIn(f"{self.folder}/.cache/modelscope: absent", message)
        self.assertEqual(self.read(0, "models", "--cache-dir", str(self.folder))["models"], [])


class Verify(CacheTest):
    def bad_files(self, report):
        return {file["path"]: file["problem"] for file in report["files"] if file["problem"]}

    def test_a_whole_snapshot(self):
        self.fill_hf()
        report = self.read(0, "verify", NAME, "--deep")
        self.assertTrue(report["good"])
        self.assertEqual((report["name"], report["revision"]), (NAME, COMMIT))
        checks = {file["path"]: file["checks"] for file in report["files"]}
        self.assertEqual(checks[SHARD], ["size", "header", "SHA-256 (the hub's listing)"])
        self.assertEqual(checks["vae/config.json"], ["size", "git's SHA-1 (the hub's listing)"])
        (self.hf / f"trees/{COMMIT}.json").unlink()
        report = self.read(0, "verify", NAME, "--deep", "--threads", "1")
        checks = {file["path"]: file["checks"] for file in report["files"]}
        self.assertEqual(checks[SHARD], ["header", "SHA-256 (the blob's name)"])

    def test_a_changed_bit_needs_the_deep_check(self):
        self.damage(self.fill_hf() / SHARD)
        self.assertTrue(self.read(0, "verify", NAME)["good"])
        for model in (NAME, str(self.hf), str(self.hf / "snapshots" / COMMIT)):
            bad = self.bad_files(self.read(3, "verify", model, "--deep"))
            self.assertEqual(list(bad), [SHARD])
            self.assertRegex(bad[SHARD], r"^SHA-256 \(the hub's listing\) is \w{64}, expected \w{64}$")

    def test_a_cut_file_and_a_missing_one(self):
        snapshot = self.fill_hf()
        blob = (snapshot / SHARD).resolve()
        size = blob.stat().st_size
        blob.write_bytes(blob.read_bytes()[:1000000])
        (snapshot / "vae/config.json").unlink()
        report = self.read(3, "verify", NAME)
        self.assertEqual(self.bad_files(report), {SHARD: f"1000000 bytes, expected {size}"})
        self.assertEqual(len(report["defects"]), 1)
        self.assertRegex(report["defects"][0], r"^vae/config\.json: missing, expected \d+ bytes$")
        result = self.run_program("verify", NAME, env=self.env)
        self.assertEqual(result.returncode, 3)
        self.assertIn(f"BAD: 1000000 bytes, expected {size}", result.stdout.decode())
        self.assertIn("1 damaged, 1 missing or unusable", result.stdout.decode())

    def test_a_download_into_a_folder(self):
        folder = self.folder / "local"
        for name, data in self.model_files():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(data)
            record = folder / ".cache/huggingface/download" / (name + ".metadata")
            record.parent.mkdir(parents=True, exist_ok=True)
            record.write_text(f"{COMMIT}\n{hashlib.sha256(data).hexdigest()}\n1.0\n")
        self.assertTrue(self.read(0, "verify", str(folder), "--deep")["good"])
        self.damage(folder / SHARD)
        bad = self.bad_files(self.read(3, "verify", str(folder), "--deep"))
        self.assertIn("SHA-256 (the download's record) is", bad[SHARD])

    def test_the_published_sums_count_where_the_name_claims_them(self):
        self.fill_ms("Tongyi-MAI/Z-Image-Turbo")
        bad = self.bad_files(self.read(3, "verify", "Tongyi-MAI/Z-Image-Turbo", "--deep"))
        self.assertIn("expected fe81e804658d345323512c63224b0604 as published", bad[SHARD])
        self.assertNotIn("vae/config.json", bad)
        # A folder of one's own may hold another model of the same layout.
        self.assertTrue(self.read(0, "verify", str(MODEL), "--deep")["good"])

    def test_a_single_file(self):
        file = self.folder / "a.safetensors"
        shutil.copy(MODEL / SHARD, file)
        report = self.read(0, "verify", str(file), "--deep")
        self.assertEqual([entry["path"] for entry in report["files"]], ["a.safetensors"])
        file.write_bytes(file.read_bytes()[:100])
        self.assertIn("truncated", self.bad_files(self.read(3, "verify", "a.safetensors"))["a.safetensors"])

    def test_nothing_to_check(self):
        result = self.run_program("verify", NAME, env=self.env)
        self.assert_fails(result, 1, "whole in no cache")
        self.assertIn(f"zimage pull {NAME}", result.stderr.decode())
        self.assert_fails(self.run_program("verify", "x", env=self.env), 1, "no name of a model")
        self.assert_fails(self.run_program("verify", "a/b", "--threads", "0"), 2, "--threads")


if __name__ == "__main__":
    main()
