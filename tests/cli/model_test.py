"""Damaged models: each is refused by name, with what was expected and found, and no picture."""

import json
import os
import shutil
import struct
from pathlib import Path

from program import MODEL, QUICK, ProgramTest, main, pixels, texts

VAE = "vae/diffusion_pytorch_model.safetensors"
SHARD = "transformer/diffusion_pytorch_model-00002-of-00003.safetensors"


def read_safetensors(path):
    data = Path(path).read_bytes()
    (size,) = struct.unpack("<Q", data[:8])
    return json.loads(data[8 : 8 + size]), bytearray(data[8 + size :])


def write_safetensors(path, header, body):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    Path(path).write_bytes(struct.pack("<Q", len(text)) + text + body)


class DamagedModel(ProgramTest):
    """Every test changes a copy of the model, whose files are links until they are replaced."""

    def setUp(self):
        super().setUp()
        self.model = self.folder / "model"
        for folder, _, files in os.walk(MODEL):
            copy = self.model / os.path.relpath(folder, MODEL)
            copy.mkdir()
            for name in files:
                (copy / name).symlink_to(Path(folder, name))
        self.pictures = self.folder / "pictures"
        self.pictures.mkdir()

    def replace(self, name, content):
        (self.model / name).unlink()
        (self.model / name).write_bytes(content)

    def edit_json(self, name, **changes):
        value = json.loads((self.model / name).read_text())
        value.update(changes)
        self.replace(name, json.dumps(value).encode())

    def edit_tensors(self, name, edit):
        """Lets `edit` change the header and the data of a safetensors file in place."""
        header, body = read_safetensors(self.model / name)
        edit(header, body)
        (self.model / name).unlink()
        write_safetensors(self.model / name, header, body)

    def refused(self, *fragments):
        result = self.run_program(
            "generate", "-m", str(self.model), "-p", "a", *QUICK, "-o", str(self.pictures)
        )
        self.assert_fails(result, 1, *fragments)
        self.assert_empty(self.pictures)

    def test_the_unchanged_copy_draws(self):
        self.generate("-m", str(self.model), "-o", "cat.png")

    def test_a_folder_that_is_no_model(self):
        (self.model / "model_index.json").unlink()
        self.refused("model_index.json")

    def test_json_that_is_not_json(self):
        for name in ("model_index.json", "transformer/config.json", "tokenizer/tokenizer.json"):
            with self.subTest(name):
                kept = (self.model / name).read_bytes()
                self.replace(name, b'{"dim": 384,')
                self.refused(name, "not valid JSON")
                self.replace(name, kept)

    def test_a_missing_part(self):
        shutil.rmtree(self.model / "vae")
        self.refused("vae")

    def test_a_missing_shard_is_named(self):
        (self.model / SHARD).unlink()
        self.refused(SHARD.split("/")[1])

    def test_a_truncated_file_is_named(self):
        data = (self.model / VAE).read_bytes()
        for size in (0, 5, 100, len(data) // 2, len(data) - 1):
            with self.subTest(size):
                self.replace(VAE, data[:size])
                self.refused(VAE)

    def test_a_header_larger_than_the_file(self):
        data = (self.model / VAE).read_bytes()
        for size in (len(data), 1 << 40, (1 << 64) - 1):
            with self.subTest(size):
                self.replace(VAE, struct.pack("<Q", size) + data[8:])
                self.refused(VAE, "header")

    def test_a_header_that_is_not_json(self):
        _, body = read_safetensors(self.model / VAE)
        (self.model / VAE).unlink()
        write_safetensors(self.model / VAE, b"{" * 64, body)
        self.refused(VAE, "not valid JSON")

    def test_offsets_that_lie(self):
        kept = (self.model / VAE).read_bytes()

        def attempt(change):
            def edit(header, body):
                names = sorted(k for k in header if k != "__metadata__")
                change(header, names, len(body))

            self.edit_tensors(VAE, edit)
            self.refused(VAE)
            self.replace(VAE, kept)

        def beyond(header, names, size):
            header[names[0]]["data_offsets"] = [size, size + 2]

        def huge(header, names, size):
            header[names[0]]["data_offsets"] = [(1 << 64) - 2, (1 << 64) - 1]

        def negative(header, names, size):
            header[names[0]]["data_offsets"] = [-2, 0]

        def reversed_(header, names, size):
            begin, end = header[names[0]]["data_offsets"]
            header[names[0]]["data_offsets"] = [end, begin]

        def overlapping(header, names, size):
            first = header[names[0]]
            same = next(n for n in names[1:] if header[n]["shape"] == first["shape"])
            header[same]["data_offsets"] = first["data_offsets"]

        for change in (beyond, huge, negative, reversed_, overlapping):
            with self.subTest(change.__name__):
                attempt(change)

    def test_a_tensor_of_the_wrong_shape(self):
        def edit(header, body):
            header["decoder.conv_out.weight"]["shape"].reverse()

        self.edit_tensors(VAE, edit)
        self.refused("decoder.conv_out.weight", "expected", "[3, 3, 64, 3]", "[3, 64, 3, 3]")

    def test_a_tensor_of_the_wrong_dtype(self):
        def edit(header, body):
            # As many bytes in another type, so that only the type is wrong.
            header["decoder.conv_out.bias"]["dtype"] = "I16"

        self.edit_tensors(VAE, edit)
        self.refused("decoder.conv_out.bias", "I16")

    def test_a_tensor_that_nobody_uses(self):
        def edit(header, body):
            header["decoder.surplus.weight"] = {
                "dtype": "BF16", "shape": [2], "data_offsets": [len(body), len(body) + 4]
            }
            body.extend(b"\0\0\0\0")

        self.edit_tensors(VAE, edit)
        self.refused("decoder.surplus.weight")

    def test_a_tensor_that_is_not_there(self):
        # Renamed: the network lacks one, and the file has one too many.
        def edit(header, body):
            header["decoder.conv_oud.weight"] = header.pop("decoder.conv_out.weight")

        self.edit_tensors(VAE, edit)
        self.refused("decoder.conv_out.weight")

    def test_a_configuration_of_the_wrong_kind(self):
        self.edit_json("transformer/config.json", n_heads="three")
        self.refused("transformer/config.json", "n_heads", "expected an integer")

    def test_numbers_that_are_none_name_the_stage(self):
        shards = sorted(
            str(p.relative_to(MODEL)) for p in (MODEL / "transformer").glob("*.safetensors")
        )

        def owner(name):
            return next(s for s in shards if name in read_safetensors(MODEL / s)[0])

        inner = "layers.0.feed_forward.w2.weight"
        cases = (
            ("text_encoder/model.safetensors", "layers.0.mlp.down_proj.weight", "text encoder"),
            (owner(inner), inner, "denoise"),
            (VAE, "decoder.conv_in.bias", "decode"),
        )
        for file, tensor, stage in cases:
            for bits in (0x7FC0, 0x7F80):  # bf16 NaN, infinity
                with self.subTest(stage=stage, bits=bits):
                    kept = (self.model / file).read_bytes()

                    def edit(header, body):
                        begin, _ = header[tensor]["data_offsets"]
                        body[begin : begin + 2] = struct.pack("<H", bits)

                    self.edit_tensors(file, edit)
                    self.refused(stage + ": NaN or infinity")
                    self.replace(file, kept)

    def test_weights_that_need_float32_are_drawn_again_in_it(self):
        # What these do is said in src/pipeline/safer_precision_test.cc.
        two_to_60, minus_two_to_59, greatest = 0x5D80, 0xDD00, 0x7F7F

        def edit(header, body):
            def row(name, index=0):
                entry = header["context_refiner.0." + name]
                size = 2 * entry["shape"][-1]
                begin = entry["data_offsets"][0] + index * size
                return slice(begin, begin + size)

            def put(name, data, index=0):
                begin = row(name, index).start
                body[begin : begin + len(data)] = data

            gate, up = (body[row(f"feed_forward.w{i}.weight")] for i in (1, 3))
            larger = b"".join(struct.pack("<H", bits + (10 << 7)) for (bits,) in struct.iter_unpack("<H", up))
            put("feed_forward.w1.weight", 3 * gate)
            put("feed_forward.w3.weight", 3 * larger)
            down = "feed_forward.w2.weight"
            body[row(down)] = bytes(len(body[row(down)]))
            for index in range(header["context_refiner.0." + down]["shape"][0]):
                put(down, bytes(6), index)
            put(down, struct.pack("<3H", two_to_60, minus_two_to_59, minus_two_to_59))
            put("ffn_norm2.weight", struct.pack("<H", greatest))

        self.edit_tensors(SHARD.replace("00002", "00001"), edit)
        drawn = {}
        for precision in ("fast", "exact"):
            options = ["-m", str(self.model), "--device", "cpu", "--precision", precision, "--seed", "1"]
            result = self.generate(*options, "-o", precision + ".png")
            told = "drawn again in precision exact: denoise: NaN or infinity in the velocity of step 1"
            self.assertEqual(told in result.stderr.decode(), precision == "fast")
            png = (self.folder / (precision + ".png")).read_bytes()
            self.assertEqual(json.loads(texts(png)["zimage"])["precision"], "exact")
            drawn[precision] = pixels(png)
        self.assertEqual(drawn["fast"], drawn["exact"])
        _, _, rows = drawn["fast"]
        self.assertGreater(len(set(b"".join(rows))), 16)


if __name__ == "__main__":
    main()
