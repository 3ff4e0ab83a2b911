"""ComfyUI's folder of models as a model, and a tokenizer out of the caches."""

import json
import shutil

from program import MODEL, ProgramTest, environment, main, pixels
from tiny_files import bfl, config_of, native, read_part, text_encoder_in_checkpoint, write_gguf, write_safetensors

COMMIT = "0123456789abcdef0123456789abcdef01234567"
TRANSFORMER = "models/diffusion_models/z_image_turbo_bf16.safetensors"
TEXT_ENCODER = "models/text_encoders/qwen_3_4b.safetensors"
VAE = "models/vae/ae.safetensors"


class ComfyFolder(ProgramTest):
    def setUp(self):
        super().setUp()
        self.home = self.folder / "home"
        caches = ("MODELSCOPE_CACHE", "MS_CACHE_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE")
        self.env = environment(HOME=str(self.home), **dict.fromkeys((*caches, "HF_HOME", "XDG_CACHE_HOME")))

    def write(self, name, tensors, part):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_safetensors(path, tensors, {"config": config_of(part)})

    def fill(self):
        self.write(TRANSFORMER, native(read_part("transformer")), "transformer")
        self.write(TEXT_ENCODER, read_part("text_encoder"), "text_encoder")
        self.write(VAE, bfl(read_part("vae")), "vae")
        # What else lies in such folders: another network, notes, a download that is not whole.
        self.write("models/diffusion_models/flux1-dev.safetensors", {"img_in.weight": ("F32", [1], bytes(4))}, "vae")
        self.write("models/vae/wan.safetensors", {"conv1.weight": ("F32", [1, 1, 1, 1], bytes(4))}, "vae")
        (self.folder / "models/vae/put_vae_here").write_text("")
        (self.folder / "models/text_encoders/t5xxl.safetensors").write_bytes(b"\x10")

    def fill_cache(self):
        storage = self.home / ".cache/huggingface/hub/models--Tongyi-MAI--Z-Image-Turbo"
        tokenizer = storage / "snapshots" / COMMIT / "tokenizer"
        tokenizer.mkdir(parents=True)
        shutil.copy(MODEL / "tokenizer/tokenizer.json", tokenizer)
        (storage / "refs").mkdir()
        (storage / "refs/main").write_text(COMMIT)
        return tokenizer / "tokenizer.json"

    def draw(self, *arguments, env=None):
        return self.generate("--seed", "7", "-o", "-", *arguments, prompt="a red 苹果", env=env or self.env)

    def test_draws_with_a_tokenizer_from_a_cache(self):
        self.fill()
        tokenizer = self.fill_cache()
        expected = pixels(self.draw("-m", str(MODEL)).stdout)
        for place in ("models", "."):
            result = self.draw("-m", place, "-v")
            self.assertEqual(pixels(result.stdout), expected)
            for chosen in (*(name.removeprefix("models/") for name in (TRANSFORMER, TEXT_ENCODER, VAE)), str(tokenizer)):
                self.assertIn(f" is {chosen}", result.stderr.decode())

    def test_without_a_tokenizer_names_the_caches_and_the_option(self):
        self.fill()
        result = self.run_program("generate", "-p", "x", "-m", "models", env=self.env)
        self.assert_fails(result, 1, "qwen_3_4b.safetensors: holds no tokenizer", str(self.home / ".cache/huggingface/hub"),
                          "--tokenizer", "zimage pull Tongyi-MAI/Z-Image-Turbo --include 'tokenizer/*'")
        self.draw("-m", "models", "--tokenizer", str(MODEL / "tokenizer"))

    def test_a_folder_that_lacks_its_tokenizer_takes_it_from_a_cache(self):
        shutil.copytree(MODEL, self.folder / "tiny", ignore=shutil.ignore_patterns("tokenizer", "training"))
        result = self.run_program("generate", "-p", "x", "-m", "tiny", env=self.env)
        self.assert_fails(result, 1, "tiny: holds no tokenizer", "--tokenizer")
        self.fill_cache()
        self.assertEqual(pixels(self.draw("-m", "tiny").stdout), pixels(self.draw("-m", str(MODEL)).stdout))

    def test_several_that_fit_must_be_named(self):
        self.fill()
        self.fill_cache()
        (self.folder / "models/unet").mkdir()
        (self.folder / TRANSFORMER).rename(self.folder / "models/diffusion_models/mine.safetensors")
        self.draw("-m", "models")
        write_gguf(self.folder / "models/unet/mine.gguf", native(read_part("transformer")), {"general.architecture": "lumina2"})
        result = self.run_program("generate", "-p", "x", "-m", "models", env=self.env)
        self.assert_fails(result, 2, "--transformer: diffusion_models/mine.safetensors, unet/mine.gguf")
        self.draw("-m", "models", "--transformer", "models/diffusion_models/mine.safetensors")
        (self.folder / "models/diffusion_models/mine.safetensors").rename(self.folder / TRANSFORMER)
        self.assertIn("is diffusion_models/z_image_turbo_bf16.safetensors", self.draw("-m", "models", "-v").stderr.decode())

    def test_a_checkpoint_of_all_parts_is_taken_whole(self):
        tensors = native(read_part("transformer"), "model.diffusion_model.") | bfl(read_part("vae"), "vae.")
        tensors |= text_encoder_in_checkpoint(read_part("text_encoder"))
        config = ", ".join(f'"{part}": {config_of(part)}' for part in ("transformer", "text_encoder", "vae"))
        (self.folder / "models/checkpoints").mkdir(parents=True)
        write_safetensors(self.folder / "models/checkpoints/z.safetensors", tensors, {"config": "{" + config + "}"})
        self.fill_cache()
        self.draw("-m", "models")

    def convert(self, *arguments):
        result = self.run_program("convert", *arguments, env=self.env)
        self.assertEqual(result.returncode, 0, result.stderr.decode())

    def test_converts_to_a_folder_of_its_own(self):
        self.fill()
        self.fill_cache()
        expected = pixels(self.draw("-m", "models").stdout)
        self.convert("models", "out", "--to", "bf16")
        self.assertEqual(pixels(self.draw("-m", "out").stdout), expected)
        self.convert("models", "q8", "--to", "q8_0")
        self.draw("-m", "q8")
        index = json.loads((self.folder / "out/model_index.json").read_text())
        self.assertEqual(index["transformer"], ["diffusers", "ZImageTransformer2DModel"])
        self.assertEqual(index["tokenizer"], ["transformers", "Qwen2Tokenizer"])
        self.convert("models", "t.safetensors", "--to", "bf16", "--part", "transformer")
        self.assertEqual(pixels(self.draw("-m", str(MODEL), "--transformer", "t.safetensors").stdout), expected)

    def test_converts_what_has_no_configuration_at_all(self):
        self.fill()
        self.fill_cache()
        for name, tensors in ((TRANSFORMER, native(read_part("transformer"))), (TEXT_ENCODER, read_part("text_encoder"))):
            write_safetensors(self.folder / name, tensors)
        self.convert("models", "out", "--to", "bf16")
        self.assertEqual(pixels(self.draw("-m", "out").stdout), pixels(self.draw("-m", "models").stdout))

    def test_converts_with_a_tokenizer_that_is_named(self):
        self.fill()
        result = self.run_program("convert", "models", "out", "--to", "bf16", env=self.env)
        self.assert_fails(result, 1, "holds no tokenizer", "--tokenizer")
        given = ("--tokenizer", str(MODEL / "tokenizer/tokenizer.json"))
        self.convert("models", "out", "--to", "q8_0", *given)
        self.assertEqual((self.folder / "out/tokenizer/tokenizer.json").read_bytes(), (MODEL / "tokenizer/tokenizer.json").read_bytes())
        self.convert(TEXT_ENCODER, "e.gguf", "--to", "q8_0", *given)
        self.assertEqual(
            pixels(self.draw("-m", "models", "--text-encoder", "e.gguf").stdout),
            pixels(self.draw("-m", "models", "--text-encoder", "out/text_encoder/model.gguf").stdout))

    def test_a_missing_part_is_named_with_what_was_found(self):
        self.fill()
        (self.folder / VAE).unlink()
        result = self.run_program("generate", "-p", "x", "-m", "models", env=self.env)
        self.assert_fails(result, 1, "no autoencoder that fits in vae/ (found vae/wan.safetensors)", "--vae")
        (self.folder / TRANSFORMER).unlink()
        result = self.run_program("generate", "-p", "x", "-m", "models", env=self.env)
        self.assert_fails(result, 1, "no Z-Image transformer", "diffusion_models/flux1-dev.safetensors", "--transformer")


if __name__ == "__main__":
    main()
