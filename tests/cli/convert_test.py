"""`zimage convert`: every encoding written, opened and drawn with; what is refused; what is left behind."""

import hashlib
import json
import math
import os
import signal
import struct
import subprocess
import time
from pathlib import Path

import program
from program import MODEL, ProgramTest, main, pixels
from tiny_files import bfl, native, read_part, write_safetensors

ENCODINGS = ["bf16", "q8_0", "q6_k", "q5_k", "q4_k", "fp8"]
# dB against bf16 of the picture below; docs/checkpoints.md has what right code gives (41 and more). With one
# matrix's rows in another order: 14.
LEAST_PSNR = {"q8_0": 40, "q6_k": 38, "q5_k": 36, "q4_k": 28, "fp8": 28}


def psnr(a, b):
    assert a[:2] == b[:2]
    squares = [(x - y) ** 2 for one, other in zip(a[2], b[2]) for x, y in zip(one, other)]
    mean = sum(squares) / len(squares)
    return math.inf if mean == 0 else 10 * math.log10(255 * 255 / mean)


def digests(folder):
    return {
        p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(Path(folder).rglob("*")) if p.is_file()
    }  # fmt: skip


def header(path):
    data = Path(path).read_bytes()
    (size,) = struct.unpack("<Q", data[:8])
    return json.loads(data[8 : 8 + size])


def numbers(path):
    """tensor -> (dtype, shape, bytes) of a safetensors file."""
    data = Path(path).read_bytes()
    (size,) = struct.unpack("<Q", data[:8])
    entries = json.loads(data[8 : 8 + size])
    entries.pop("__metadata__", None)
    return {
        name: (e["dtype"], e["shape"], data[8 + size + e["data_offsets"][0] : 8 + size + e["data_offsets"][1]])
        for name, e in entries.items()
    }


class Convert(ProgramTest):
    def convert(self, *arguments, **options):
        result = self.run_program("convert", *map(str, arguments), **options)
        self.assertEqual(result.returncode, 0, result.stderr.decode(errors="replace"))
        return result

    def picture(self, *arguments):
        size = ["--size", "128x128", "--steps", "4"]
        return pixels(self.generate("--seed", "7", "-o", "-", *map(str, arguments), size=size).stdout)

    def assert_nothing_left(self, *expected):
        self.assertEqual(sorted(os.listdir(self.folder)), sorted(expected))

    def test_every_encoding_draws(self):
        plain = self.picture("-m", MODEL)
        for encoding in ENCODINGS:
            with self.subTest(encoding):
                result = self.convert(MODEL, encoding, "--to", encoding)
                self.assertEqual(result.stdout, encoding.encode() + b"\n")
                drawn = self.picture("-m", encoding)
                if encoding == "bf16":
                    self.assertTrue(drawn == plain)
                else:
                    self.assertGreaterEqual(psnr(drawn, plain), LEAST_PSNR[encoding])
        self.assert_nothing_left(*ENCODINGS)

    def test_a_bf16_folder_holds_the_same_bytes(self):
        self.convert(MODEL, "out", "--to", "bf16")
        for part in ("transformer", "text_encoder", "vae"):
            found = {}
            for path in (self.folder / "out" / part).glob("*.safetensors"):
                self.assertEqual(header(path)["__metadata__"], {"format": "pt"})
                found |= numbers(path)
            self.assertTrue(found == read_part(part), part)
        for name in ("model_index.json", "scheduler/scheduler_config.json", "tokenizer/tokenizer.json"):
            self.assertEqual((self.folder / "out" / name).read_bytes(), (MODEL / name).read_bytes())

    def test_shards_have_an_index(self):
        self.convert(MODEL, "out", "--to", "bf16", "--max-shard-size", "8MB")
        self.assertTrue(self.picture("-m", "out") == self.picture("-m", MODEL))
        folder = self.folder / "out" / "transformer"
        index = json.loads((folder / "diffusion_pytorch_model.safetensors.index.json").read_text())
        shards = sorted(folder.glob("*.safetensors"))
        self.assertGreater(len(shards), 3)
        self.assertEqual(set(index["weight_map"].values()), {p.name for p in shards})
        self.assertEqual(shards[0].name, f"diffusion_pytorch_model-00001-of-{len(shards):05}.safetensors")
        sizes = [sum(len(data) for _, _, data in numbers(p).values()) for p in shards]
        self.assertEqual(index["metadata"]["total_size"], sum(sizes))
        self.assertLessEqual(max(sizes), 8_000_000)

    def test_one_part_becomes_one_file(self):
        plain = self.picture("-m", MODEL)
        self.convert(MODEL, "t.safetensors", "--to", "bf16", "--part", "transformer")
        self.convert(MODEL, "e.gguf", "--to", "bf16", "--part", "text_encoder")
        self.convert(MODEL, "v.safetensors", "--to", "bf16", "--part", "vae")
        alone = ["--transformer", "t.safetensors", "--text-encoder", "e.gguf", "--vae", "v.safetensors"]
        # No folder: configurations and the tokenizer are inside the files.
        self.assertTrue(self.picture(*alone) == plain)
        self.assertEqual(set(numbers(self.folder / "t.safetensors")), set(native(read_part("transformer"))) - {"norm_final.weight"})

    def test_files_of_any_spelling_are_converted(self):
        plain = self.picture("-m", MODEL)
        write_safetensors(self.folder / "n.safetensors", native(read_part("transformer"), "model.diffusion_model."))
        write_safetensors(self.folder / "ae.safetensors", bfl(read_part("vae")))
        self.convert("n.safetensors", "n2.safetensors", "--to", "bf16")
        self.convert("n2.safetensors", "n3.gguf", "--to", "bf16")
        self.convert("n3.gguf", "n4.safetensors", "--to", "bf16")
        self.assertTrue(numbers(self.folder / "n2.safetensors") == numbers(self.folder / "n4.safetensors"))
        self.convert("ae.safetensors", "ae2.safetensors", "--to", "bf16")
        swapped = self.picture("-m", MODEL, "--transformer", "n4.safetensors", "--vae", "ae2.safetensors")
        self.assertTrue(swapped == plain)

    def test_float32_is_rounded(self):
        wide = {}
        for name, (dtype, shape, data) in read_part("transformer").items():
            self.assertEqual(dtype, "BF16")
            values = struct.iter_unpack("<2s", data)
            wide[name] = ("F32", shape, b"".join(b"\0\0" + half for (half,) in values))
        write_safetensors(self.folder / "wide.safetensors", wide)
        self.convert("wide.safetensors", "a.safetensors", "--to", "bf16")
        self.convert(MODEL, "b.safetensors", "--to", "bf16", "--part", "transformer")
        self.assertTrue(numbers(self.folder / "a.safetensors") == numbers(self.folder / "b.safetensors"))

    def test_blocks_of_the_same_type_are_copied(self):
        self.convert(MODEL, "a.gguf", "--to", "q4_k", "--part", "text_encoder")
        self.convert("a.gguf", "b.gguf", "--to", "q4_k")
        self.assertEqual(digests(self.folder)["a.gguf"], digests(self.folder)["b.gguf"])

    def test_threads_change_nothing(self):
        for threads in ("1", "3"):
            self.convert(MODEL, threads, "--to", "q5_k", "-t", threads)
        self.assertEqual(digests(self.folder / "1"), digests(self.folder / "3"))

    def test_fp8_is_marked_as_comfyui_marks_it(self):
        self.convert(MODEL, "t.safetensors", "--to", "fp8", "--part", "transformer")
        tensors = numbers(self.folder / "t.safetensors")
        layer = "layers.0.attention.qkv"
        self.assertEqual(tensors[layer + ".weight"][0], "F8_E4M3")
        self.assertEqual(tensors[layer + ".weight_scale"][:2], ("F32", []))
        mark = json.loads(tensors[layer + ".comfy_quant"][2])
        self.assertEqual(mark, {"format": "float8_e4m3fn", "full_precision_matrix_mult": True})
        quantized = [name for name, (dtype, _, _) in tensors.items() if dtype == "F8_E4M3"]
        self.assertEqual(len(quantized), 7 * 5)
        for name in ("layers.0.adaLN_modulation.0.weight", "x_embedder.weight", "cap_embedder.1.weight"):
            self.assertEqual(tensors[name][0], "BF16")

    def test_json_and_quiet(self):
        result = self.convert(MODEL, "out", "--to", "q4_k", "--json", "-q")
        self.assertEqual(result.stderr, b"")
        report = json.loads(result.stdout)
        self.assertEqual(report["encoding"], "q4_k")
        self.assertEqual(report["tensors"]["q4_k"], 38)
        sizes = {f["path"]: (self.folder / "out" / f["path"]).stat().st_size for f in report["files"]}
        self.assertEqual(sizes, {f["path"]: f["bytes"] for f in report["files"]})
        self.assertEqual(report["bytes"], sum(sizes.values()))

    def test_what_makes_no_sense_is_refused(self):
        cases = [
            ((MODEL, "x.gguf", "--to", "q4_k"), "a file holds one part, and IN is a whole model"),
            ((MODEL, "x", "--to", "q4_k", "--format", "safetensors"), "--to q4_k: blocks of ggml are kept in GGUF"),
            ((MODEL, "x", "--to", "fp8", "--format", "gguf"), "--to fp8: GGUF files have no such numbers"),
            ((MODEL, "x.gguf", "--to", "q4_k", "--part", "vae"), "--part vae: the autoencoder is kept in bf16"),
            ((MODEL, "x.bin", "--to", "bf16", "--part", "vae"), "expected a name that ends with"),
            ((MODEL, "x", "--to", "int3"), "--to: expected bf16 or q8_0"),
            ((MODEL, MODEL, "--to", "bf16"), "is IN itself"),
            ((MODEL, "x"), "--to is required"),
            ((MODEL,), "OUT is required"),
        ]
        for arguments, message in cases:
            with self.subTest(message):
                self.assert_fails(self.run_program("convert", *map(str, arguments)), 2, message)
        self.assert_fails(self.run_program("convert", str(MODEL), "none/x", "--to", "bf16"), 1, "there is no folder")
        self.assert_fails(self.run_program("convert", "no/model", "x", "--to", "bf16"), 1, "IN: ")
        self.assert_empty()

    def test_what_exists_is_kept(self):
        (self.folder / "x.gguf").write_text("mine")
        (self.folder / "full").mkdir()
        (self.folder / "full" / "mine").write_text("mine")
        part = ("--to", "q8_0", "--part", "transformer")
        self.assert_fails(self.run_program("convert", str(MODEL), "x.gguf", *part), 2, "exists; --force")
        self.assert_fails(self.run_program("convert", str(MODEL), "full", "--to", "q8_0"), 2, "exists; --force")
        self.assert_fails(
            self.run_program("convert", str(MODEL), "full", "--to", "q8_0", "--force"), 2, "something else than a model")
        self.assertEqual((self.folder / "x.gguf").read_text(), "mine")
        self.convert(MODEL, "x.gguf", *part, "--force")
        self.convert(MODEL, "model", "--to", "bf16")
        self.convert(MODEL, "model", "--to", "q8_0", "--force")
        self.assertTrue((self.folder / "model" / "transformer" / "diffusion_pytorch_model.gguf").exists())
        self.assertEqual(len(list((self.folder / "model" / "transformer").iterdir())), 2)
        self.assert_nothing_left("x.gguf", "full", "model")

    def test_nan_is_not_quantized(self):
        tensors = read_part("transformer")
        name = "layers.1.feed_forward.w2.weight"
        dtype, shape, data = tensors[name]
        tensors[name] = (dtype, shape, b"\xc0\x7f" + data[2:])
        write_safetensors(self.folder / "nan.safetensors", tensors)
        for encoding, out in (("q4_k", "x.gguf"), ("fp8", "x.safetensors")):
            self.assert_fails(
                self.run_program("convert", "nan.safetensors", out, "--to", encoding), 1, name, "NaN or infinity")
        self.convert("nan.safetensors", "b.safetensors", "--to", "bf16")
        self.assert_nothing_left("nan.safetensors", "b.safetensors")

    def test_a_file_of_several_parts_needs_one_named(self):
        both = native(read_part("transformer"), "model.diffusion_model.") | bfl(read_part("vae"), "first_stage_model.")
        write_safetensors(self.folder / "all.safetensors", both)
        self.assert_fails(
            self.run_program("convert", "all.safetensors", "x.gguf", "--to", "q8_0"), 2,
            "holds transformer, vae: name one with --part")
        self.convert("all.safetensors", "x.gguf", "--to", "q8_0", "--part", "transformer")
        write_safetensors(self.folder / "none.safetensors", {"a": ("F32", [1], bytes(4))})
        self.assert_fails(
            self.run_program("convert", "none.safetensors", "y.gguf", "--to", "q8_0"), 1, "holds no transformer")


class Large(ProgramTest):
    """A sparse file of 2 GB that takes seconds."""

    def setUp(self):
        super().setUp()
        rows, columns, layers = 16384, 4096, 8
        header, at = {"__metadata__": {"config": "{}"}}, 0
        for i in range(layers):
            size = rows * columns * 4
            header[f"layers.{i}.mlp.up_proj.weight"] = {
                "dtype": "F32", "shape": [rows, columns], "data_offsets": [at, at + size]}
            at += size
        header["embed_tokens.weight"] = {"dtype": "F32", "shape": [1, 1], "data_offsets": [at, at + 4]}
        self.header, self.bytes = json.dumps(header).encode(), at + 4
        self.write(at=8)

    def write(self, at):
        """The tensors begin at a multiple of 8, plus `at`."""
        text = self.header + b" " * (-len(self.header) % 8 + at)
        with open(self.folder / "sparse.safetensors", "wb") as file:
            file.write(struct.pack("<Q", len(text)) + text)
            file.truncate(8 + len(text) + self.bytes)

    def test_memory_does_not_grow_with_the_file(self):
        """Found: 26 MB. With pages of the source that are not given back: 2 GB."""
        self.check_memory()

    def test_nor_when_its_numbers_lie_at_odd_addresses(self):
        """Found: 26 MB. With tensors that are copied: 2 GB."""
        self.write(at=1)
        self.check_memory()

    def check_memory(self):
        arguments = ["convert", "sparse.safetensors", "x.safetensors", "--to", "fp8", "--part", "text_encoder", "-q"]
        process = subprocess.Popen(
            self.command(*arguments), cwd=self.folder, stdout=subprocess.DEVNULL, env=program.environment())
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        self.assertEqual(process.returncode, 0)
        self.assertLess(usage.ru_maxrss, 500_000)

    def test_an_interrupt_leaves_nothing(self):
        arguments = ["convert", "sparse.safetensors", "x.safetensors", "--to", "bf16", "--part", "text_encoder"]
        self.check(arguments, 0.05)
        self.check(arguments, 0.5)

    def check(self, arguments, seconds):
        process = subprocess.Popen(
            self.command(*arguments), cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env=program.environment())
        time.sleep(seconds)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
        # The second comes while it writes; the first may come before it listens.
        self.assertNotEqual(process.returncode, 0)
        if seconds > 0.1:
            self.assertEqual(process.returncode, 130, errors)
            self.assertIn(b"interrupted; nothing was written", errors)
        self.assertEqual(sorted(os.listdir(self.folder)), ["sparse.safetensors"])


if __name__ == "__main__":
    main()
