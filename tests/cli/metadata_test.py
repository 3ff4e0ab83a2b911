"""What pictures say about how they were drawn, printed."""

import json
import struct
import zlib

from program import ProgramTest, main


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def with_text(png, keyword, text):
    """A PNG whose texts are replaced by one."""
    at, kept = 8, [png[:8]]
    while at < len(png):
        (size,) = struct.unpack(">I", png[at : at + 4])
        if png[at + 4 : at + 8] not in (b"tEXt", b"iTXt"):
            kept.append(png[at : at + 12 + size])
        at += 12 + size
    added = [chunk(b"tEXt", keyword.encode() + b"\0" + text.encode("latin-1"))] if keyword else []
    return b"".join(kept[:2] + added + kept[2:])


A1111 = """a cat, red: or not
Negative prompt: blurred
Steps: 3, Sampler: DPM++ 2M Karras, CFG scale: 2.5, Seed: 77, Size: 96x64, Model hash: 6ce0161689, \
Model: "other, model", Clip skip: 2, Version: v1.10.1"""


class ShowMetadata(ProgramTest):
    def show(self, name, *arguments):
        result = self.run_program("show-metadata", name, *arguments)
        self.assertEqual(result.returncode, 0, result.stderr)
        return result.stdout.decode()

    def test_our_own_in_every_format(self):
        prompt = "a \u732b \U0001f408, \u00e9,\nand more"
        options = ["--seed", "18446744073709551615", "-g", "1.5", "--negative", "red"]
        for name in ("a.png", "a.jpg", "a.webp"):
            with self.subTest(name):
                self.generate("-o", name, *options, prompt=prompt)
                read = json.loads(self.show(name, "--json"))
                self.assertEqual(read["file"], name)
                self.assertEqual(read["form"], "zimage")
                request = read["request"]
                self.assertEqual(request["prompt"], prompt)
                self.assertEqual(request["seed"], 18446744073709551615)
                self.assertEqual((request["width"], request["height"]), (64, 64))
                self.assertEqual((request["steps"], request["guidance"]), (2, 1.5))
                self.assertEqual(request["negative_prompt"], "red")
                self.assertEqual(read["notes"], [])
                table = self.show(name)
                self.assertIn(f"{name}: zimage's metadata\n", table)
                self.assertRegex(table, r"\nseed +18446744073709551615\n")

    def test_a1111s(self):
        self.generate("-o", "a.png")
        png = (self.folder / "a.png").read_bytes()
        (self.folder / "b.png").write_bytes(with_text(png, "parameters", A1111))
        read = json.loads(self.show("b.png", "--json"))
        self.assertEqual(read["form"], "a1111")
        self.assertEqual(read["version"], "v1.10.1")
        request = read["request"]
        self.assertEqual(request["prompt"], "a cat, red: or not")
        self.assertEqual(request["negative_prompt"], "blurred")
        self.assertEqual((request["steps"], request["sampler"]), (3, "dpmpp-2m"))
        self.assertEqual((request["guidance"], request["seed"]), (1.5, 77))
        self.assertEqual((request["width"], request["height"]), (96, 64))
        self.assertEqual(request["model"], "other, model")
        self.assertEqual(len(read["notes"]), 2)
        self.assertIn("not taken: Model hash, Clip skip", self.show("b.png"))

    def test_refusals(self):
        self.generate("-o", "a.png")
        png = (self.folder / "a.png").read_bytes()
        for name, data, words in (
            ("none.png", with_text(png, "", ""), "none.png: says nothing about how it was drawn"),
            ("other.png", with_text(png, "Software", "a"), 'found "Software"'),
            ("comfy.png", with_text(png, "prompt", "{}"), "a graph of ComfyUI"),
            ("json.png", with_text(png, "zimage", "{"), "json.png: metadata: not valid JSON"),
            ("cut.png", png[:-20], "cut.png: damaged PNG"),
            ("text.txt", b"words", "text.txt: no picture of a known format"),
        ):
            with self.subTest(name):
                (self.folder / name).write_bytes(data)
                self.assert_fails(self.run_program("show-metadata", name), 1, words)
        self.assert_fails(self.run_program("show-metadata", "absent.png"), 1, "absent.png")
        self.assert_fails(self.run_program("show-metadata"), 2, "FILE is required")

    def test_a_terminal_is_not_steered(self):
        self.generate("-o", "a.png")
        png = (self.folder / "a.png").read_bytes()
        text = "\x1b[31ma\nSteps: 3, Seed: 77, Mod\x1bel: \x07"
        (self.folder / "b.png").write_bytes(with_text(png, "parameters", text))
        self.assertNotRegex(self.show("b.png"), "[\x00-\x09\x0b-\x1f]")


if __name__ == "__main__":
    main()
