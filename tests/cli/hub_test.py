"""Models named as the hubs name them: caches laid out by hand, and what is said when none has it."""

import os
import shutil
import subprocess
from pathlib import Path

import program
from program import MODEL, QUICK, ProgramTest, environment, main

NAME = "Own.er/Tiny-1.0"
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def link_model(folder):
    """The tiny model as a folder of links, the way a cache of Hugging Face shows it."""
    for path in MODEL.rglob("*"):
        if path.is_file() and "training" not in path.parts:
            copy = Path(folder, path.relative_to(MODEL))
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.symlink_to(path)


class NamedModel(ProgramTest):
    def setUp(self):
        super().setUp()
        self.home = self.folder / "home"
        self.home.mkdir()
        caches = ("MODELSCOPE_CACHE", "MS_CACHE_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE")
        clear = dict.fromkeys((*caches, "HF_HOME", "XDG_CACHE_HOME"))
        self.env = environment(HOME=str(self.home), **clear)
        self.hf = self.home / ".cache/huggingface/hub/models--Own.er--Tiny-1.0"
        self.ms = self.home / ".cache/modelscope/models/Own.er--Tiny-1.0/snapshots/master"

    def fill_hf(self):
        link_model(self.hf / "snapshots" / COMMIT)
        (self.hf / "refs").mkdir()
        (self.hf / "refs/main").write_text(COMMIT)
        return self.hf / "snapshots" / COMMIT

    def info(self, *arguments):
        result = self.run_program("info", *arguments, env=self.env)
        self.assertEqual(result.returncode, 0, result.stderr.decode())
        return result

    def test_a_name_draws_from_the_cache(self):
        self.fill_hf()
        result = self.generate("-m", NAME, "--seed", "1", "-o", "a.png", "--json", env=self.env)
        self.assertIn(b'"model":"Tiny-1.0"', result.stdout)
        self.generate("--seed", "1", "-o", "b.png")
        self.assertEqual(
            program.pixels((self.folder / "a.png").read_bytes()),
            program.pixels((self.folder / "b.png").read_bytes()),
        )

    def test_a_folder_of_that_name_comes_first(self):
        self.fill_hf()
        local = self.folder / NAME
        link_model(local)
        self.assertIn(f"{NAME} (ZImagePipeline)".encode(), self.info("-m", NAME).stdout)

    def test_a_folder_of_one_model_in_the_cache(self):
        snapshot = self.fill_hf()
        self.assertIn(str(snapshot).encode(), self.info(str(self.hf)).stdout)

    def test_the_environment_may_hold_a_name(self):
        snapshot = self.fill_hf()
        self.env["ZIMAGE_MODEL"] = NAME + "@main"
        self.assertIn(str(snapshot).encode(), self.info().stdout)

    def test_the_tokenizer_may_lie_in_the_other_hub(self):
        snapshot = self.fill_hf()
        link_model(self.ms)
        shutil.rmtree(self.ms / "tokenizer")
        for part in ("vae", "transformer", "text_encoder"):
            shutil.rmtree(snapshot / part)
        self.assertIn(str(self.ms).encode(), self.info("-m", NAME).stdout)
        self.generate("-m", NAME, "-o", "a.png", env=self.env)
        self.assertTrue((self.folder / "a.png").is_file())

    def test_every_place_is_named_with_its_reason(self):
        snapshot = self.fill_hf()
        shard = "transformer/diffusion_pytorch_model-00002-of-00003.safetensors"
        whole = (MODEL / shard).read_bytes()
        (snapshot / shard).unlink()
        (snapshot / shard).write_bytes(whole[:1000000])
        link_model(self.ms)
        (self.ms / "vae/config.json").unlink()
        self.env["HF_HOME"] = str(self.folder / "nowhere")
        result = self.run_program("generate", "-m", NAME, "-p", "a", *QUICK, env=self.env)
        self.assert_fails(result, 1, f'--model: there is no folder of this name, and "{NAME}" is whole')
        message = result.stderr.decode()
        for line in (
            f"{self.ms} (ModelScope, the default): incomplete: vae/config.json",
            f"{self.folder}/nowhere/hub (Hugging Face, HF_HOME): absent",
            f"{snapshot} (Hugging Face, the default): incomplete: {shard}: truncated",
            f"expected {len(whole)} bytes, found 1000000",
            f"fetch it with: zimage pull {NAME}",
        ):
            self.assertIn(line, message)

    def test_permissions(self):
        snapshot = self.fill_hf()
        cache = self.folder / "cache"
        cache.mkdir()
        os.chmod(self.folder, 0o755)
        identity = {"user": 65534} if os.geteuid() == 0 else {}
        # A copy, since another user may be kept from the build folder.
        copy = self.folder / "zimage"
        shutil.copy(program.program, copy)

        def run(*arguments):
            return subprocess.run(
                [copy, "info", "-m", NAME, *arguments],
                capture_output=True, env=self.env, cwd="/", timeout=60, **identity,
            )  # fmt: skip

        os.chmod(self.hf, 0)
        self.addCleanup(os.chmod, self.hf, 0o755)
        result = run()
        self.assertEqual(result.returncode, 1)
        self.assertIn(f"{self.hf} (Hugging Face, the default): no permission", result.stderr.decode())
        os.chmod(cache, 0o555)
        result = run("--cache-dir", str(cache))
        self.assertIn("cannot be written (Permission denied): models", result.stderr.decode())
        os.chmod(self.hf, 0o755)
        self.assertTrue(snapshot.is_dir())

    def test_a_relative_cache_is_warned_of(self):
        self.fill_hf()
        shutil.move(self.home / ".cache/huggingface", self.folder / "here")
        self.env["HF_HOME"] = "here"
        result = self.info("-m", NAME)
        warnings = [line for line in result.stderr.decode().splitlines() if "warning" in line]
        self.assertEqual(len(warnings), 1)
        self.assertIn('HF_HOME is a relative path, "here/hub"', warnings[0])

    def test_pickles_are_refused_by_name(self):
        snapshot = self.fill_hf()
        (snapshot / "vae/diffusion_pytorch_model.safetensors").unlink()
        (snapshot / "vae/diffusion_pytorch_model.bin").write_bytes(b"anything")
        result = self.run_program("info", "-m", NAME, env=self.env)
        self.assert_fails(result, 1, "whole in no cache")
        self.assertIn("vae/diffusion_pytorch_model.bin is a pickle", result.stderr.decode())
        self.assert_fails(
            self.run_program("info", str(snapshot)), 1, "is a pickle", "safetensors edition"
        )
        (self.folder / "model.ckpt").write_bytes(b"anything")
        result = self.run_program("generate", "-m", "model.ckpt", "-p", "a", env=self.env)
        self.assert_fails(result, 1, 'model.ckpt is a pickle')

    def test_a_listing_that_leaves_the_folder_is_not_used(self):
        snapshot = self.fill_hf()
        trees = self.hf / "trees"
        trees.mkdir()
        entry = '{"size": 1, "blob_id": "%s"}' % COMMIT
        text = '{"format_version": 1, "files": {"vae/../../../x": %s}}' % entry
        (trees / f"{COMMIT}.json").write_text(text)
        result = self.info("-m", NAME)
        self.assertIn(str(snapshot).encode(), result.stdout)
        self.assertIn("not used", result.stderr.decode())
        self.assertIn("a path that stays in the folder", result.stderr.decode())

    def test_no_path_leaves_the_cache(self):
        self.fill_hf()
        (self.hf / "refs/main").write_text("../../../../..")
        result = self.run_program("info", "-m", NAME, env=self.env)
        self.assert_fails(result, 1, "whole in no cache")
        self.assertIn("expected a commit id", result.stderr.decode())
        self.assert_fails(self.run_program("info", "-m", NAME + "@../x", env=self.env), 1, "no name")
        result = self.run_program("info", "-m", NAME, "--revision", "../x", env=self.env)
        self.assert_fails(result, 2, "--revision", "a branch, a tag or a commit")


if __name__ == "__main__":
    main()
