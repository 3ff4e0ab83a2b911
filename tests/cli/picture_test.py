"""Pictures of requests: sizes, defaults, seeds, prompts; and what a model holds."""

import json
import os
import shutil

import program
from program import MODEL, ProgramTest, environment, main, pixels, texts


class Pictures(ProgramTest):
    def draw(self, *arguments, **options):
        """The pixels of one picture, and the JSON report."""
        result = self.generate("--json", *arguments, **options)
        report = json.loads(result.stdout)
        return pixels((self.folder / report["file"]).read_bytes()), report, result.stderr.decode()

    def test_one_seed_one_picture(self):
        first, _, _ = self.draw("--seed", "5")
        again, _, _ = self.draw("--seed", "5")
        other, _, _ = self.draw("--seed", "6")
        cuda, _, _ = self.draw("--seed", "5", "--rng", "cuda")
        self.assertEqual(first, again)
        self.assertNotEqual(first, other)
        self.assertNotEqual(first, cuda)

    def test_several_pictures_are_one_batch_of_the_seed(self):
        one, _, _ = self.draw("--seed", "5")
        lines = self.generate("--json", "--seed", "5", "-n", "3", "-o", "c.png").stdout.splitlines()
        reports = [json.loads(line) for line in lines]
        self.assertEqual([r["file"] for r in reports], ["c-1.png", "c-2.png", "c-3.png"])
        self.assertEqual([(r["index"], r["count"]) for r in reports], [(0, 3), (1, 3), (2, 3)])
        files = [(self.folder / r["file"]).read_bytes() for r in reports]
        pictures = [pixels(file) for file in files]
        self.assertEqual(pictures[0], one)
        self.assertNotEqual(pictures[1], pictures[2])
        for index, file in enumerate(files):
            request = json.loads(texts(file)["zimage"])
            self.assertEqual((request["seed"], request["count"], request["index"]), (5, 3, index))
            self.assertIn(f"Batch size: 3, Batch pos: {index}, ", texts(file)["parameters"])

    def test_samplers_draw_differently_and_say_who_they_are(self):
        euler, report, _ = self.draw("--seed", "5", "-o", "a.png")
        self.assertEqual(report["sampler"], "euler")
        heun, report, message = self.draw("--seed", "5", "--sampler", "heun", "-o", "b.png")
        self.assertEqual(report["sampler"], "heun")
        self.assertIn("denoise, 3 steps\n", message)
        self.assertNotEqual(euler, heun)
        sde = [
            self.draw("--seed", "5", "--sampler", name, "-o", "c.png", "--force")[0]
            for name in ("dpmpp-2m-sde", "sde-dpmsolver++")
        ]
        self.assertEqual(sde[0], sde[1])
        file = texts((self.folder / "c.png").read_bytes())
        self.assertEqual(json.loads(file["zimage"])["sampler"], "dpmpp-2m-sde")
        self.assertIn("Sampler: DPM++ 2M SDE, ", file["parameters"])

    def test_noise_levels_of_ones_own(self):
        spaced, _, _ = self.draw("--seed", "5", "-o", "a.png", size=["--size", "32x32", "-s", "2"])
        own, report, _ = self.draw("--seed", "5", "--sigmas", "1,0.5", "-o", "b.png", size=["--size", "32x32"])
        self.assertEqual(own, spaced)
        self.assertEqual((report["steps"], report["sigmas"]), (2, [1, 0.5]))
        self.assertNotIn("shift", report)
        moved, report, _ = self.draw(
            "--seed", "5", "--sigmas", "1,0.5", "--shift", "1", "-o", "c.png", size=["--size", "32x32"]
        )
        self.assertEqual(report["shift"], 1)
        self.assertNotEqual(moved, spaced)
        file = texts((self.folder / "c.png").read_bytes())
        self.assertIn('Shift: 1, Sigmas: "1,0.5", ', file["parameters"])
        for arguments, fragment in (
            (["--sigmas", "0.5,1"], "sigmas: number 2 is 1.000000, expected less than the one before"),
            (["--shift", "-1"], "shift is -1.000000, expected more than 0 and at most 1000"),
        ):
            result = self.run_program("generate", "-p", "a", *arguments)
            self.assert_fails(result, 2, fragment)

    def test_guidance_draws_away_from_the_negative_prompt(self):
        plain, report, _ = self.draw("--seed", "5", "-o", "a.png")
        self.assertEqual(report["guidance"], 0)
        self.assertNotIn("negative_prompt", report)
        zero, _, message = self.draw("--seed", "5", "--guidance", "0", "--negative", "red", "-o", "b.png")
        self.assertEqual(zero, plain)
        self.assertIn("the negative prompt has no effect without guidance\n", message)
        guided, report, message = self.draw(
            "--seed", "5", "-g", "3", "--negative", "red", "--cfg-normalization", "1", "-o", "c.png"
        )
        self.assertNotEqual(guided, plain)
        self.assertEqual((report["guidance"], report["negative_prompt"]), (3, "red"))
        self.assertEqual((report["cfg_normalization"], report["cfg_truncation"]), (1, 1))
        self.assertEqual(message.count("distilled to draw without"), 1)
        file = texts((self.folder / "c.png").read_bytes())
        self.assertIn("a red apple\nNegative prompt: red\nSteps: 2, ", file["parameters"])
        self.assertIn("CFG scale: 4, ", file["parameters"])
        self.assertEqual(json.loads(file["zimage"])["guidance"], 3)
        result = self.run_program("generate", "-p", "a", "--guidance", "-1")
        self.assert_fails(result, 2, "guidance is -1.000000, expected 0 to 100")

    def test_nine_steps_are_explained_and_drawn(self):
        _, report, message = self.draw(size=["--size", "32x32", "-s", "9"])
        self.assertEqual(report["steps"], 9)
        self.assertEqual(message.count("which is --steps 8\n"), 1)
        quiet = self.generate("-q", size=["--size", "32x32", "-s", "9"]).stderr
        self.assertEqual(quiet, b"")

    def test_pictures_that_do_not_fit_at_once_are_drawn_in_passes(self):
        def request(limit):
            return ["--size", "64x64", "--steps", "1", "-n", "20", "--keep", "all", *limit]

        def plan(count):
            options = [*request([]), "-n", str(count)]
            result = self.run_program("plan", "--json", "--device", "cpu", *options)
            return json.loads(result.stdout)["devices"][0]["pictures"][0]

        whole = plan(20)
        self.assertEqual((whole["count"], whole["pictures_per_pass"]), (20, 20))
        # Half way, because the program itself takes some MiB more or less in each run.
        limit = ["--memory-limit", f"{(whole['total_bytes'] + plan(1)['total_bytes']) // 2**21}MiB"]
        self.generate("--seed", "5", "-o", "whole.png", size=request([]))
        result = self.generate("--seed", "5", "-o", "parts.png", size=request(limit))
        message = result.stderr.decode()
        note = "to save memory: every network stays loaded, the 20 pictures are drawn in "
        self.assertIn(note, message)
        passes = int(message.split(note)[1].split(" passes")[0])
        self.assertGreater(passes, 1)
        self.assertIn(f"denoise, {passes} steps\n", message)
        for i in range(1, 21):
            self.assertEqual(
                pixels((self.folder / f"parts-{i}.png").read_bytes()),
                pixels((self.folder / f"whole-{i}.png").read_bytes()),
            )

    def test_the_number_of_threads_changes_no_more_than_rounding(self):
        one, _, _ = self.draw("--seed", "5", "-t", "1")
        two, _, _ = self.draw("--seed", "5", "-t", "2")
        difference = max(
            abs(a - b) for x, y in zip(one[2], two[2]) for a, b in zip(x, y)
        )
        self.assertLessEqual(difference, 1)

    def test_the_models_defaults(self):
        picture, report, _ = self.draw(size=[])
        self.assertEqual(picture[:2], (256, 256))
        self.assertEqual((report["width"], report["height"], report["steps"]), (256, 256, 8))

    def test_one_side_alone(self):
        picture, _, _ = self.draw(size=["-W", "32", "-s", "1"])
        self.assertEqual(picture[:2], (32, 256))

    def test_sizes_are_cropped_from_the_next_multiple(self):
        picture, report, message = self.draw(
            "--seed", "5", "-o", "cropped.png", size=["--size", "60x33", "-s", "1"]
        )
        self.assertEqual(picture[:2], (60, 33))
        self.assertIn("drawn at 64x48, cropped to 60x33\n", message)
        whole, _, message = self.draw(
            "--seed", "5", "-o", "whole.png", size=["--size", "64x48", "-s", "1"]
        )
        self.assertNotIn("cropped", message)
        self.assertEqual(picture[2], [row[: 60 * 3] for row in whole[2][:33]])
        smallest, _, _ = self.draw(size=["--size", "1x1", "-s", "1"])
        self.assertEqual(smallest[:2], (1, 1))

    def test_a_long_prompt_says_what_was_dropped(self):
        _, report, message = self.draw(prompt="apple " * 600)
        self.assertEqual(report["tokens"], 512)
        self.assertGreater(report["tokens_dropped"], 0)
        total = 512 + report["tokens_dropped"]
        self.assertIn(
            f"the prompt has {total} tokens, the model reads 512: "
            f"the last {report['tokens_dropped']} were dropped\n",
            message,
        )

    def test_prompts_from_files(self):
        direct, _, _ = self.draw("--seed", "5", prompt="\u4e00\u53ea\u732b")
        text = "\u4e00\u53ea\u732b".encode()
        for content in (text, text + b"\n", text + b"\r\n", b"\xef\xbb\xbf" + text):
            (self.folder / "prompt.txt").write_bytes(content)
            for source, options in (("prompt.txt", {}), ("-", {"input": content})):
                result = self.run_program(
                    "generate", "--prompt-file", source, *program.QUICK, "--seed", "5",
                    "-o", "file.png", "--force", **options,
                )
                self.assertEqual(result.returncode, 0, result.stderr)
                png = (self.folder / "file-1.png").read_bytes()
                self.assertEqual(pixels(png), direct)

    def test_sizes_that_no_machine_or_model_takes(self):
        def refused(size, code, *fragments):
            arguments = ("--size", size, "--steps", "1", "--memory-limit", "1GiB")
            result = self.run_program("generate", "-p", "a", *arguments)
            self.assert_fails(result, code, *fragments)
            self.assert_empty()

        refused("9223372036854775807x1", 2, "width is 9223372036854775807, expected 1 to ")
        refused("16x65536", 2, "height takes 4096 positions, the model has 512")
        refused("8192x8192", 1, "the request needs ", " GiB", " are available")


class Info(ProgramTest):
    def test_the_table_counts_every_part(self):
        text = self.run_program("info").stdout.decode()
        for part in ("text_encoder", "transformer", "vae", "total"):
            self.assertRegex(text, rf"(?m)^{part} +\d+ +[\d.]+ M +[\d.]+ MiB  bf16$")

    def test_json_agrees_with_the_files(self):
        report = json.loads(self.run_program("info", str(MODEL), "--json").stdout)
        self.assertEqual(report["model"], "zimage-tiny")
        parts = {part["name"]: part for part in report["parts"]}
        self.assertEqual(parts["transformer"]["class"], "ZImageTransformer2DModel")
        for part in parts.values():
            for file in part["files"]:
                path = MODEL / part["name"] / file["name"]
                self.assertEqual(file["bytes"], path.stat().st_size)
            self.assertEqual(sum(part["dtypes"].values()), part["parameters"])
            self.assertEqual(part["dtypes"].get("bf16", 0) * 2, part["bytes"])
        for key in ("tensors", "parameters", "bytes"):
            self.assertEqual(report[key], sum(part[key] for part in parts.values()))

    def test_the_default_model_is_found_beside_an_installed_program(self):
        (self.folder / "bin").mkdir()
        installed = self.folder / "share/zimage/models/zimage-tiny"
        installed.parent.mkdir(parents=True)
        installed.symlink_to(MODEL)
        copy = shutil.copy2(program.program, self.folder / "bin/zimage")
        self.addCleanup(setattr, program, "program", program.program)
        program.program = str(copy)
        report = json.loads(self.run_program("info", "--json").stdout)
        self.assertEqual(os.path.realpath(report["folder"]), str(MODEL))
        self.assertTrue(report["folder"].startswith(os.path.realpath(self.folder)))

    def test_the_environment_names_a_model(self):
        (self.folder / "mine").symlink_to(MODEL)
        env = environment(ZIMAGE_MODEL=str(self.folder / "mine"))
        report = json.loads(self.run_program("info", "--json", env=env).stdout)
        self.assertEqual(report["folder"], str(self.folder / "mine"))


class Bench(ProgramTest):
    ARGUMENTS = ["bench", "--size", "64x64", "--steps", "2", "--repeat", "2"]

    def test_the_table_has_every_stage(self):
        text = self.run_program(*self.ARGUMENTS).stdout.decode()
        self.assertRegex(text, r"(?m)^peak [\d.]+ GFLOP/s, memory [\d.]+ GB/s, measured in this run$")
        self.assertIn("\nevery network stays loaded\n", text)
        self.assertRegex(text, r"(?m)^decode +[\d.]+ MiB +[\d.]+ MiB$")
        self.assertRegex(text, r"(?m)^median of 2; warm it takes [\d.]+ s .* pictures a second")
        for stage in ("text encoder", "denoise", "decode", "total"):
            self.assertRegex(text, rf"(?m)^{stage} +\d+ +[\d.]+ ms +[\d.]+ +[\d.]+ +[\d.]+ % +[\d.]+$")
        self.assertRegex(text, r"(?m)^linear +\d+ +[\d.]+ ms +[\d.]+ +[\d.]+ +[\d.]+ %$")

    def test_several_pictures(self):
        report = json.loads(self.run_program(*self.ARGUMENTS, "-n", "3", "--json").stdout)
        self.assertEqual(report["count"], 3)
        self.assertEqual([s["calls"] for s in report["stages"]], [1, 2, 3])
        self.assertAlmostEqual(report["pictures_per_second"], 3 / report["warm_seconds"])
        for stage in report["stages"]:
            self.assertAlmostEqual(stage["pictures_per_second"], 3 / stage["seconds"])

    def test_json(self):
        report = json.loads(self.run_program(*self.ARGUMENTS, "--json").stdout)
        peak = report["peak_flops_per_second"]
        self.assertGreater(peak, 1e8)
        self.assertEqual([s["name"] for s in report["stages"]], ["text encoder", "denoise", "decode"])
        linear = next(op for op in report["operations"] if op["name"] == "linear")
        self.assertGreater(linear["calls"], 1)
        for stage in [*report["stages"], report["total"], linear]:
            self.assertGreater(stage["seconds"], 0)
            self.assertGreater(stage["flops"], 0)
            rate = stage["flops"] / stage["seconds"]
            self.assertAlmostEqual(stage["flops_per_second"] / rate, 1, places=9)
            self.assertAlmostEqual(stage["share_of_peak"] * peak / rate, 1, places=9)
        self.assertLessEqual(report["total"]["seconds"], report["warm_seconds"])
        self.assertLessEqual(report["load_seconds"], report["first_seconds"])
        for stage in report["stages"]:
            self.assertGreater(stage["memory_bytes"], 0)
            self.assertLessEqual(stage["memory_bytes"], stage["planned_bytes"] * 1.1)

    def test_a_configuration_takes_the_place_of_a_model(self):
        text = self.run_program("plan", "--config", "z-image-turbo", "--device", "cpu").stdout.decode()
        self.assertRegex(text, r"(?m)^1024x1024, 8 steps$")


if __name__ == "__main__":
    main()
