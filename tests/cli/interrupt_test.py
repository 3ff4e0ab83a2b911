"""Signals: the program ends within a step, with the right code, and leaves nothing."""

import os
import signal
import subprocess
import time

from program import ProgramTest, environment, main

# More steps than any machine does before the signal comes.
ENDLESS = ["--size", "128x128", "--steps", "1000"]


class Interrupt(ProgramTest):
    def start(self, *arguments, **options):
        process = subprocess.Popen(
            self.command("generate", "-p", "a red apple", *arguments),
            cwd=self.folder,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            **options,
        )
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def wait_for(self, process, line):
        """Reads standard error up to a line, which stands for a moment of the run."""
        for found in process.stderr:
            if found.decode().startswith(line):
                return
        self.fail(f"{line!r} did not come")

    def start_denoising(self, *arguments, **options):
        process = self.start(*ENDLESS, *arguments, **options)
        self.wait_for(process, "denoise, 1000 steps")
        time.sleep(0.3)
        return process

    def finish(self, process, code):
        out, message = process.communicate(timeout=60)
        self.assertEqual(process.returncode, code, message)
        self.assertEqual(out, b"")
        return message.decode()

    def test_each_signal_has_its_code(self):
        for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)):
            with self.subTest(number):
                process = self.start_denoising("-o", "cat.png")
                process.send_signal(number)
                message = self.finish(process, code)
                self.assertEqual(message, "zimage: interrupted; no picture was written\n")
                self.assert_empty()

    def test_an_existing_picture_survives(self):
        (self.folder / "cat.png").write_text("mine")
        process = self.start_denoising("-o", "cat.png", "--force")
        process.send_signal(signal.SIGINT)
        self.finish(process, 130)
        self.assertEqual(os.listdir(self.folder), ["cat.png"])
        self.assertEqual((self.folder / "cat.png").read_text(), "mine")

    def test_at_any_moment(self):
        # From before main() to after the end: a signal ends the program by itself before it watches.
        delay = 0.0
        finished = False
        while not finished:
            process = self.start("--size", "16x16", "--steps", "1", "-q", "-o", "cat.png", "--force")
            time.sleep(delay)
            process.send_signal(signal.SIGINT)
            out, _ = process.communicate(timeout=60)
            finished = process.returncode == 0
            if finished:
                self.assertEqual(out, b"cat.png\n")
                self.assertEqual(os.listdir(self.folder), ["cat.png"])
            else:
                self.assertIn(process.returncode, (130, -signal.SIGINT))
                self.assert_empty()
            delay = delay * 1.5 + 0.002

    def test_the_second_signal_ends_it_at_once(self):
        # Nobody reads the pipe, so the first signal finds the program waiting in open(), after the
        # drawing, where it does not look at its stop token.
        os.mkfifo(self.folder / "pipe")
        process = self.start("--size", "16x16", "--steps", "1", "-o", "pipe")
        self.wait_for(process, "decode")
        deadline = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < deadline:
            process.send_signal(signal.SIGINT)
            time.sleep(0.2)
        self.finish(process, 130)
        self.assertEqual(os.listdir(self.folder), ["pipe"])

    def test_a_background_job_ignores_the_keyboard(self):
        # Shells without job control start background jobs with SIGINT ignored.
        process = self.start(
            "--size", "64x64", "--steps", "20", "-o", "cat.png",
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
        )
        self.wait_for(process, "denoise")
        process.send_signal(signal.SIGINT)
        out, message = process.communicate(timeout=60)
        self.assertEqual((process.returncode, out), (0, b"cat.png\n"), message)

    def test_a_prompt_that_never_comes(self):
        process = subprocess.Popen(
            self.command("generate", "--prompt-file", "-"),
            cwd=self.folder,
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
        self.assertEqual(process.returncode, -signal.SIGINT)
        self.assert_empty()


if __name__ == "__main__":
    main()
