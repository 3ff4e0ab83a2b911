"""A picture is drawn again from what it says of itself."""

from metadata_test import A1111, with_text
from program import ProgramTest, main, pixels, texts


class FromImage(ProgramTest):
    def redraw(self, source, name, *arguments):
        result = self.run_program("generate", "--from-image", source, "-o", name, *arguments)
        self.assertEqual(result.returncode, 0, result.stderr.decode())
        return result

    def read(self, name):
        return (self.folder / name).read_bytes()

    def test_the_same_pixels_from_every_format(self):
        options = ["--seed", "5", "--sampler", "dpmpp-2m", "-g", "1.5", "--negative", "red"]
        options += ["--shift", "2", "--rng", "cuda", "--precision", "exact"]
        for name in ("a.png", "a.jpg", "a.webp"):
            self.generate("-o", name, *options, prompt="a \u732b, \u00e9")
        expected = self.read("a.png")
        for name in ("a.png", "a.jpg", "a.webp"):
            with self.subTest(name):
                result = self.redraw(name, "b.png", "--force")
                self.assertEqual(self.read("b.png"), expected)
                self.assertNotIn(b"seed", result.stderr)
        self.redraw("a.png", "b.jpg")
        self.assertEqual(self.read("b.jpg"), self.read("a.jpg"))

    def test_options_override(self):
        self.generate("-o", "a.png", "--seed", "5")
        for arguments in (["--seed", "6"], ["--steps", "3"], ["--size", "32x48"], ["-p", "a pear"]):
            with self.subTest(arguments):
                plain = {"-p": "a red apple", "--seed": "5", "--steps": "2", "--size": "64x64"}
                plain[arguments[0]] = arguments[1]
                plain = [word for option in plain.items() for word in option]
                self.run_program("generate", *plain, "-o", "b.png", "--force")
                self.redraw("a.png", "c.png", "--force", *arguments)
                self.assertEqual(self.read("c.png"), self.read("b.png"))

    def test_noise_levels_and_steps_take_each_others_place(self):
        self.run_program("generate", "-p", "a", "--size", "64x64", "--seed", "1", "--sigmas", "1,0.5", "-o", "a.png")
        self.redraw("a.png", "b.png")
        self.assertEqual(self.read("b.png"), self.read("a.png"))
        self.redraw("a.png", "c.png", "--steps", "3")
        self.assertNotIn("sigmas", texts(self.read("c.png"))["zimage"])

    def test_one_of_several(self):
        self.generate("-n", "3", "-o", "a.png", "--seed", "5")
        self.redraw("a-2.png", "b.png")
        self.assertEqual(self.read("b.png"), self.read("a-2.png"))

    def test_a_picture_in_is_looked_for(self):
        self.generate("-o", "in.png", "--seed", "1")
        self.generate("-o", "mask.png", "--seed", "2")
        picture = ["--init-image", "in.png", "--mask", "mask.png", "--strength", "0.7"]
        self.generate("-o", "a.png", "--seed", "5", *picture, "--steps", "3")
        self.redraw("a.png", "b.png")
        self.assertEqual(self.read("b.png"), self.read("a.png"))
        (self.folder / "in.png").rename(self.folder / "moved.png")
        again = ["generate", "--from-image", "a.png", "-o", "c.png"]
        self.assert_fails(
            self.run_program(*again), 1, 'a.png: began from "in.png"', "name it with --init-image"
        )
        (self.folder / "in.png").write_bytes(self.read("mask.png"))
        self.assert_fails(self.run_program(*again), 1, "a file of that name has another")
        self.redraw("a.png", "c.png", "--init-image", "moved.png")
        self.assertEqual(pixels(self.read("c.png")), pixels(self.read("a.png")))

    def test_pictures_in_are_taken_away(self):
        self.generate("-o", "in.png", "--seed", "1")
        self.generate("-o", "mask.png", "--seed", "2")
        picture = ["--init-image", "in.png", "--mask", "mask.png", "--strength", "0.7"]
        self.generate("-o", "a.png", "--seed", "5", *picture, "--no-composite")
        self.generate("-o", "b.png", "--seed", "5", *picture[:2], *picture[4:])
        self.generate("-o", "c.png", "--seed", "5")
        self.generate("-o", "d.png", "--seed", "5", *picture)
        for expected, arguments in (
            ("b.png", ["--mask", ""]),
            ("c.png", ["--init-image="]),
            ("c.png", ["--init-image", "", "--mask="]),
            ("d.png", ["--no-composite=false"]),
        ):
            with self.subTest(arguments):
                result = self.redraw("a.png", "e.png", "--force", *arguments)
                self.assertEqual(pixels(self.read("e.png")), pixels(self.read(expected)))
                self.assertNotIn(b"not taken", result.stderr)

    def test_a1111s(self):
        self.generate("-o", "a.png")
        text = A1111.replace("Clip skip", "Denoising strength: 0.4, Clip skip")
        (self.folder / "b.png").write_bytes(with_text(self.read("a.png"), "parameters", text))
        result = self.redraw("b.png", "c.png")
        plain = ["-p", "a cat, red: or not", "--negative", "blurred", "--steps", "3"]
        plain += ["--sampler", "dpmpp-2m", "-g", "1.5", "--seed", "77", "--size", "96x64"]
        self.run_program("generate", *plain, "-o", "d.png")
        self.assertEqual(self.read("c.png"), self.read("d.png"))
        notes = result.stderr.decode()
        self.assertIn("not taken: Model hash, Clip skip", notes)
        self.assertIn("its denoising strength 0.4 is of a picture that it does not name", notes)
        self.assertIn('drawn by the model "other, model", this is "zimage-tiny"', notes)

    def test_refusals(self):
        self.generate("-o", "a.png")
        (self.folder / "b.png").write_bytes(with_text(self.read("a.png"), "", ""))
        refused = self.run_program("generate", "--from-image", "b.png")
        self.assert_fails(refused, 1, "b.png: says nothing about how it was drawn")
        text = '{"program":"zimage","prompt":"a","width":0,"height":64}'
        (self.folder / "c.png").write_bytes(with_text(self.read("a.png"), "zimage", text))
        refused = self.run_program("generate", "--from-image", "c.png")
        self.assert_fails(refused, 2, "width is 0, expected 1 to")


if __name__ == "__main__":
    main()
