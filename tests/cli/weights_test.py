"""Float32 files held as they are or in bf16: the same picture where they hold bf16's numbers."""

import json

from program import ProgramTest, main, pixels
from tiny_files import read_part, write_safetensors


def widened(data):
    """The f32 numbers of bf16 ones."""
    wide = bytearray(2 * len(data))
    wide[2::4] = data[0::2]
    wide[3::4] = data[1::2]
    return bytes(wide)


class Weights(ProgramTest):
    def setUp(self):
        super().setUp()
        self.tensors = {
            name: ("F32", shape, widened(data) if dtype == "BF16" else data)
            for name, (dtype, shape, data) in read_part("transformer").items()
        }
        self.write("wide.safetensors")

    def write(self, name):
        write_safetensors(self.folder / name, self.tensors)

    def draw(self, *arguments):
        """The pixels, and what was said."""
        result = self.generate("-v", "--seed", "1", "--force", "-o", "a.png", *arguments)
        return pixels((self.folder / "a.png").read_bytes()), result.stderr.decode()

    def weights_bytes(self, *arguments):
        """What the plan says of the transformer."""
        result = self.run_program("plan", "--device", "cpu", "--size", "64x64", "--json", *arguments)
        return json.loads(result.stdout)["devices"][0]["pictures"][0]["stages"][1]["weights_bytes"]

    def test_numbers_of_bf16_are_held_exactly_in_half_the_memory(self):
        plain, _ = self.draw()
        wide = ("--transformer", "wide.safetensors")
        drawn, said = self.draw(*wide, "--weights", "bf16")
        self.assertEqual(drawn, plain)
        self.assertIn("no number of the transformer had to be rounded", said)
        self.assertEqual(self.weights_bytes(*wide, "--weights", "bf16"), self.weights_bytes())
        self.assertGreater(self.weights_bytes(*wide), 1.9 * self.weights_bytes())

    def test_what_is_rounded_is_counted(self):
        dtype, shape, data = self.tensors["layers.0.attention.to_q.weight"]
        self.tensors["layers.0.attention.to_q.weight"] = (dtype, shape, b"\1" + data[1:4] + b"\1" + data[5:])
        self.write("odd.safetensors")
        _, said = self.draw("--transformer", "odd.safetensors", "--weights", "bf16")
        self.assertIn("weights: 2 numbers of the transformer were rounded to bf16", said)

    def test_both_are_cached_apart(self):
        arguments = ("--transformer", "wide.safetensors", "--weights-cache", "cache", "--weights")
        bf16, _ = self.draw(*arguments, "bf16")
        _, said = self.draw(*arguments, "stored")
        self.assertIn("for another processor or with other options; it is written anew", said)
        again, said = self.draw(*arguments, "bf16")
        self.assertEqual(again, bf16)
        self.assertIn("no number of the transformer had to be rounded", said)

    def test_the_types_are_these(self):
        self.assert_fails(
            self.run_program("generate", "-p", "a", "--weights", "f32"), 2, "--weights: expected"
        )


if __name__ == "__main__":
    main()
