"""Pictures to begin from: formats, sizes, masks, what is kept, what is refused, what is recorded."""

import hashlib
import json
import shutil
import struct
import zlib

from program import MODEL, ProgramTest, main, pixels, texts

ROOT = MODEL.parents[1]
INIT = ROOT / "tests" / "golden" / "init.png"
MASK = ROOT / "tests" / "golden" / "mask.png"
KINDS = ROOT / "tests" / "fuzz" / "corpus" / "picture"
STEPS = ["--steps", "2"]


def png(width, height, rows):
    """An RGB picture of rows of bytes."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = zlib.compress(b"".join(b"\0" + row for row in rows))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


class PictureIn(ProgramTest):
    def setUp(self):
        super().setUp()
        rows = [bytes((x * 4, y * 5, 90) [i % 3] for x in range(64) for i in range(3)) for y in range(48)]
        (self.folder / "in.png").write_bytes(png(64, 48, rows))
        self.rows = rows
        half = [bytes(0 if x < 32 else 255 for x in range(64) for _ in range(3))] * 48
        (self.folder / "mask.png").write_bytes(png(64, 48, half))

    def draw(self, *arguments, size=()):
        result = self.generate("--json", "--seed", "5", *STEPS, *arguments, "-o", "o.png", "--force", size=size)
        return pixels((self.folder / "o.png").read_bytes()), json.loads(result.stdout)

    def test_its_size_is_drawn_and_its_strength_decides_how_much_is_left(self):
        def distance(strength):
            (width, height, rows), report = self.draw("--init-image", "in.png", "--strength", strength)
            self.assertEqual((width, height), (64, 48))
            self.assertEqual(report["strength"], float(strength))
            self.assertIn("image_encoder", report["seconds"])
            return sum(abs(a - b) for x, y in zip(rows, self.rows) for a, b in zip(x, y))

        self.assertLess(distance("0.1"), distance("1"))

    def test_other_sizes_take_its_middle(self):
        (width, height, _), _ = self.draw("--init-image", "in.png", size=["--size", "32x32"])
        self.assertEqual((width, height), (32, 32))
        (width, height, _), _ = self.draw("--init-image", "in.png", size=["-W", "32"])
        self.assertEqual((width, height), (32, 24))

    def test_what_a_mask_keeps_comes_back_untouched(self):
        arguments = ("--init-image", "in.png", "--mask", "mask.png")
        (_, _, drawn), _ = self.draw(*arguments)
        (_, _, raw), _ = self.draw(*arguments, "--no-composite")
        for source, composited, plain in zip(self.rows, drawn, raw):
            self.assertEqual(composited[:96], source[:96])
            self.assertEqual(composited[96:], plain[96:])
        self.assertNotEqual(raw, drawn)

    def test_every_kind_of_file_is_read(self):
        for name in ("png_rgba", "png_palette", "png_grey16", "jpeg_exif", "jpeg_grey", "jpeg_cmyk",
                     "jpeg_progressive", "webp_lossy", "webp_lossless"):
            with self.subTest(name):
                shutil.copy(KINDS / name, self.folder / name)
                (width, height, _), _ = self.draw("--init-image", name)
                turned = name in ("jpeg_exif", "png_rgba", "webp_lossless")
                self.assertEqual((width, height), (6, 9) if turned else (9, 6))

    def test_what_is_no_picture_is_named_before_the_model_is_opened(self):
        def refused(name, content, *fragments, option="--init-image"):
            with self.subTest(name):
                (self.folder / name).write_bytes(content)
                others = [] if option == "--init-image" else ["--init-image", "in.png"]
                result = self.run_program("generate", "-p", "a", "-m", "missing", *others, option, name)
                self.assert_fails(result, 1, name, *fragments)

        whole = INIT.read_bytes()
        refused("a.gif", (KINDS / "gif").read_bytes(), "a GIF picture, expected PNG, JPEG or WebP")
        refused("b.webp", (KINDS / "webp_animated").read_bytes(), "an animated WebP")
        refused("c.png", whole[: len(whole) // 2], "damaged PNG")
        refused("d.jpg", (KINDS / "jpeg_exif").read_bytes()[:400], "damaged JPEG")
        refused("e.webp", (KINDS / "webp_lossy").read_bytes()[:60], "damaged WebP")
        refused("f.png", b"", "an empty file")
        refused("g.png", b"hello", "no picture of a known format", option="--mask")
        refused("h.png", png(65535, 65535, [b""]), "65535x65535 pixels")
        result = self.run_program("generate", "-p", "a", "--init-image", "nothing.png")
        self.assert_fails(result, 1, "nothing.png")
        self.assertFalse((self.folder / "zimage-5.png").exists())

    def test_strengths_without_meaning(self):
        for strength in ("0", "1.5", "-1"):
            result = self.run_program("generate", "-p", "a", "--init-image", "in.png", "--strength", strength)
            self.assert_fails(result, 2, "strength is ", "expected more than 0 and at most 1")

    def test_a_picture_says_what_it_began_from(self):
        self.draw("--init-image", "in.png", "--mask", "mask.png", "--strength", "0.75")
        written = texts((self.folder / "o.png").read_bytes())
        self.assertIn("Denoising strength: 0.75, ", written["parameters"])
        request = json.loads(written["zimage"])
        self.assertEqual(request["strength"], 0.75)
        for key, name in (("init_image", "in.png"), ("mask", "mask.png")):
            content = (self.folder / name).read_bytes()
            self.assertEqual(request[key], {"file": name, "sha256": hashlib.sha256(content).hexdigest()})
        self.assertIs(request["composite"], True)
        self.draw(size=["--size", "32x32"])
        request = json.loads(texts((self.folder / "o.png").read_bytes())["zimage"])
        self.assertNotIn("strength", request)
        self.assertNotIn("init_image", request)

    def test_the_plan_counts_the_encoder(self):
        def stages(*arguments):
            result = self.run_program("plan", "--json", "--device", "cpu", *arguments)
            self.assertEqual(result.returncode, 0, result.stderr)
            (picture,) = json.loads(result.stdout)["devices"][0]["pictures"]
            return {stage["name"]: stage for stage in picture["stages"]}

        with_picture = stages("--init-image", "in.png")
        self.assertEqual(list(with_picture), ["image encoder", "text encoder", "denoise", "decode"])
        self.assertGreater(with_picture["image encoder"]["activations_bytes"], 64 * 48 * 64 * 4)
        self.assertEqual(list(stages("--size", "64x48")), ["text encoder", "denoise", "decode"])


if __name__ == "__main__":
    main()
