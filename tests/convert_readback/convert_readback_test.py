#!/usr/bin/env python3
"""Reads what `zimage convert` wrote with the formats' own libraries, and compares it in float64 with the source.

usage: convert_readback_test.py PROGRAM [unittest options]

Runs itself in build/convert-readback-env, whose packages requirements.txt beside this file pins; with
ZIMAGE_READBACK_PYTHON set, in that interpreter instead.
"""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = ROOT / "build" / "convert-readback-env"
REQUIREMENTS = Path(__file__).with_name("requirements.txt")
INSIDE = "ZIMAGE_READBACK_INSIDE"


def enter_environment():
    """Replaces this process by one of the environment's interpreter, installed if it is not there yet."""
    if os.environ.get(INSIDE):
        return
    python = os.environ.get("ZIMAGE_READBACK_PYTHON") or str(ENVIRONMENT / "bin" / "python")
    stamp = ENVIRONMENT / "installed"
    wanted = hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()
    if python.startswith(str(ENVIRONMENT)) and (not stamp.exists() or stamp.read_text() != wanted):
        print(f"installing the libraries into {ENVIRONMENT.relative_to(ROOT)} ...", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(ENVIRONMENT)], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", "-r", str(REQUIREMENTS)], check=True)
        stamp.write_text(wanted)
    os.execve(python, [python, *sys.argv], os.environ | {INSIDE: "1"})


enter_environment()
sys.path.insert(0, str(ROOT / "tests" / "cli"))

import gguf  # noqa: E402
import numpy as np  # noqa: E402
import torch  # noqa: E402
from diffusers import ZImagePipeline  # noqa: E402
from program import MODEL, ProgramTest, main  # noqa: E402
from safetensors.torch import load_file  # noqa: E402

# Root mean square errors as shares of the numbers' own: of numbers from a normal distribution 0.0054, 0.0178,
# 0.0361, 0.0714 and, of fp8, 0.0265. Rows or nibbles in another order: 1 and more.
MOST = {"q8_0": 0.009, "q6_k": 0.035, "q5_k": 0.05, "q4_k": 0.1, "fp8": 0.035}


def share(found, expected):
    found, expected = (np.asarray(x, dtype=np.float64) for x in (found, expected))
    return np.sqrt(np.mean((found - expected) ** 2) / np.mean(expected**2))


def source(part):
    tensors = {}
    for path in sorted((MODEL / part).glob("*.safetensors")):
        tensors |= load_file(path)
    return {name: tensor.to(torch.float64).numpy() for name, tensor in tensors.items()}


def native_source():
    """The transformer's tensors as single files have them."""
    tensors = source("transformer")
    result = {}
    for name, value in tensors.items():
        if name.endswith((".to_k.weight", ".to_v.weight")):
            continue
        if name.endswith(".to_q.weight"):
            value = np.concatenate([tensors[name.replace("to_q", x)] for x in ("to_q", "to_k", "to_v")])
            name = name.replace("to_q", "qkv")
        for old, new in {"all_x_embedder.2-1": "x_embedder", "all_final_layer.2-1": "final_layer", "to_out.0": "out",
                         "norm_q": "q_norm", "norm_k": "k_norm"}.items():
            name = name.replace(old, new)
        result[name] = value
    return result


class Readback(ProgramTest):
    def convert(self, out, encoding, part=None):
        part = ["--part", part] if part else []
        result = self.run_program("convert", str(MODEL), out, "--to", encoding, *part)
        self.assertEqual(result.returncode, 0, result.stderr.decode())
        return self.folder / out

    def check_gguf(self, path, expected, encoding):
        reader = gguf.GGUFReader(path)
        found = {t.name: t for t in reader.tensors}
        self.assertEqual(set(found), set(expected))
        for name, tensor in found.items():
            self.assertEqual(tuple(reversed([int(n) for n in tensor.shape])), expected[name].shape, name)
            values = gguf.quants.dequantize(tensor.data, tensor.tensor_type).reshape(expected[name].shape)
            kind = tensor.tensor_type.name.lower()
            if kind in MOST:
                self.assertLessEqual(share(values, expected[name]), MOST[kind], name)
            else:
                self.assertTrue(np.array_equal(values.astype(np.float64), expected[name]), name)
        if encoding != "bf16":
            self.assertIn(encoding, {t.tensor_type.name.lower() for t in reader.tensors})
        return reader

    def test_gguf_of_the_transformer(self):
        for encoding in ("bf16", "q8_0", "q6_k", "q5_k", "q4_k"):
            with self.subTest(encoding):
                path = self.convert(f"{encoding}.gguf", encoding, "transformer")
                reader = self.check_gguf(path, native_source(), encoding)
                self.assertEqual(reader.get_field("general.architecture").contents(), "lumina2")

    def test_gguf_of_the_text_encoder(self):
        names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.QWEN3, 64)
        expected = {}
        for name, value in source("text_encoder").items():
            full = name if name.startswith("model.") else f"model.{name}"
            expected[names.get_name(full, (".weight",))] = value
        for encoding in ("bf16", "q8_0", "q6_k", "q5_k", "q4_k"):
            with self.subTest(encoding):
                path = self.convert(f"{encoding}.gguf", encoding, "text_encoder")
                reader = self.check_gguf(path, expected, encoding)
                self.assertEqual(reader.get_field("general.architecture").contents(), "qwen3")
                tokens = reader.get_field("tokenizer.ggml.tokens").contents()
                self.assertEqual(len(tokens), expected["token_embd.weight"].shape[0])

    def test_q8_0_has_the_bytes_of_gguf(self):
        reader = gguf.GGUFReader(self.convert("x.gguf", "q8_0", "transformer"))
        expected = native_source()
        for tensor in reader.tensors:
            if tensor.tensor_type == gguf.GGMLQuantizationType.Q8_0:
                values = expected[tensor.name].astype(np.float32)
                self.assertTrue(np.array_equal(tensor.data, gguf.quants.quantize(values, tensor.tensor_type)))

    def test_fp8(self):
        tensors = load_file(self.convert("x.safetensors", "fp8", "transformer"))
        for name, expected in native_source().items():
            stored = tensors[name]
            if stored.dtype != torch.float8_e4m3fn:
                self.assertTrue(np.array_equal(stored.to(torch.float64).numpy(), expected), name)
                continue
            scale = tensors[name + "_scale"]
            self.assertEqual(scale.item(), np.float32(np.abs(expected).max()) / np.float32(448))
            # torch's own cast of the same quotients.
            cast = (torch.tensor(expected, dtype=torch.float32) * (1 / scale)).to(torch.float8_e4m3fn)
            self.assertTrue(torch.equal(stored.view(torch.uint8), cast.view(torch.uint8)), name)
            self.assertLessEqual(share(stored.to(torch.float64) * scale, expected), MOST["fp8"], name)

    def test_diffusers_opens_a_bf16_folder(self):
        self.convert("whole", "bf16")
        sharded = ["--to", "bf16", "--max-shard-size", "8MB"]
        self.assertEqual(self.run_program("convert", str(MODEL), "sharded", *sharded).returncode, 0)
        plain = ZImagePipeline.from_pretrained(MODEL, torch_dtype=torch.bfloat16)
        for folder in ("whole", "sharded"):
            found = ZImagePipeline.from_pretrained(self.folder / folder, torch_dtype=torch.bfloat16)
            for part in ("transformer", "text_encoder", "vae"):
                a, b = getattr(found, part).state_dict(), getattr(plain, part).state_dict()
                self.assertEqual(a.keys(), b.keys())
                self.assertTrue(all(torch.equal(a[name], b[name]) for name in a), part)


if __name__ == "__main__":
    main()
