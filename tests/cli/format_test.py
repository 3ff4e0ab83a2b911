"""The formats that are written: their names, what they carry, what they cannot hold."""

import json
import struct

from program import ProgramTest, main, texts


def exif(data):
    """The UserComment and the ImageDescription of a big-endian TIFF file."""
    entries = {}

    def read(at):
        (count,) = struct.unpack(">H", data[at : at + 2])
        for i in range(count):
            tag, kind, size, value = struct.unpack(">HHII", data[at + 2 + 12 * i : at + 14 + 12 * i])
            if tag == 0x8769:
                read(value)
            else:
                entries[tag] = data[value : value + size]

    assert data[:4] == b"MM\0*"
    read(struct.unpack(">I", data[4:8])[0])
    comment = entries[0x9286]
    assert comment[:8] == b"UNICODE\0"
    return comment[8:].decode("utf-16-be"), entries[0x10E].rstrip(b"\0").decode()


def exif_of_jpeg(data):
    assert data[:4] == b"\xff\xd8\xff\xe1" and data[6:12] == b"Exif\0\0"
    (size,) = struct.unpack(">H", data[4:6])
    return exif(data[12 : 4 + size])


def exif_of_webp(data):
    assert data[:4] == b"RIFF" and data[8:16] == b"WEBPVP8X"
    assert struct.unpack("<I", data[4:8])[0] == len(data) - 8
    at = 12
    while data[at : at + 4] != b"EXIF":
        (size,) = struct.unpack("<I", data[at + 4 : at + 8])
        at += 8 + size + size % 2
    (size,) = struct.unpack("<I", data[at + 4 : at + 8])
    return exif(data[at + 8 : at + 8 + size])


class Formats(ProgramTest):
    def test_each_carries_the_request(self):
        prompt = "a \u732b \U0001f408, red"
        self.generate("--seed", "5", "-o", "a.png", prompt=prompt)
        expected = texts((self.folder / "a.png").read_bytes())
        for arguments, name, read in (
            (["-o", "b.jpg"], "b.jpg", exif_of_jpeg),
            (["-o", "c.WEBP"], "c.WEBP", exif_of_webp),
            (["--format", "jpeg"], "zimage-5.jpg", exif_of_jpeg),
            (["--format", "webp", "-o", "d"], "d", exif_of_webp),
        ):
            with self.subTest(name):
                self.generate("--seed", "5", *arguments, prompt=prompt)
                parameters, request = read((self.folder / name).read_bytes())
                self.assertEqual(parameters, expected["parameters"])
                self.assertEqual(json.loads(request), json.loads(expected["zimage"]))

    def test_what_is_written_can_be_drawn_from(self):
        for name in ("a.jpg", "b.webp"):
            self.generate("--seed", "5", "-o", name)
            self.generate("--init-image", name, "-o", "out.png", "--force", size=["--steps", "2"])

    def test_quality_decides_the_size(self):
        for ending in ("jpg", "webp"):
            sizes = []
            for quality in ("10", "95"):
                name = f"{quality}.{ending}"
                self.generate("--seed", "5", "--quality", quality, "-o", name)
                sizes.append((self.folder / name).stat().st_size)
            self.assertLess(sizes[0], sizes[1])

    def test_what_a_format_cannot_hold_is_refused_before_drawing(self):
        result = self.run_program("generate", "-p", "a" * 40000, "-o", "a.jpg", "--size", "32x32")
        self.assert_fails(result, 2, "JPEG: ", "bytes of metadata, expected up to 65527")
        self.assert_empty()

    def test_values(self):
        result = self.run_program("generate", "-p", "a", "--format", "gif")
        self.assert_fails(result, 2, '--format: expected png or jpeg or webp, found "gif"')
        result = self.run_program("generate", "-p", "a", "--format", "webp", "-o", "a.png")
        self.assert_fails(result, 2, '--format is webp, but --output is "a.png"')
        result = self.run_program("generate", "-p", "a", "--quality", "0")
        self.assert_fails(result, 2, "--quality: expected", 'found "0"')


if __name__ == "__main__":
    main()
