"""`zimage repl`: lines from a pipe, and a user's keys on a terminal."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time

from program import MODEL, QUICK, TIMEOUT, ProgramTest, environment, main, pixels, texts

SIGN = b"zimage> "
UP = b"\x1b[A"


class Pipe(ProgramTest):
    def repl(self, *lines, arguments=QUICK, code=0):
        result = self.run_program("repl", *arguments, input="".join(line + "\n" for line in lines).encode())
        self.assertEqual(result.returncode, code, result.stderr.decode())
        self.errors = [line for line in result.stderr.decode().splitlines() if line.startswith("zimage: ")]
        self.messages = result.stderr.decode()
        return result.stdout.decode().splitlines()

    def test_each_line_is_a_picture_and_the_one_that_generate_draws(self):
        files = self.repl("a red apple", "", "  一只猫  ", arguments=[*QUICK, "--seed", "3"])
        self.assertEqual(files, ["zimage-3.png", "zimage-3-1.png"])
        for prompt, file in zip(("a red apple", "一只猫"), files):
            self.generate("--seed", "3", "-o", "alone.png", "--force", prompt=prompt)
            found = (self.folder / file).read_bytes()
            self.assertEqual(pixels(found), pixels((self.folder / "alone.png").read_bytes()))
            self.assertIn(prompt, texts(found)["parameters"])
        # The model is opened once, and no sign or colour is shown.
        self.assertEqual(self.messages.count("loading the model"), 1)
        self.assertEqual(len(re.findall(r"^drawn in [\d.]+ s$", self.messages, re.M)), 2)
        self.assertNotIn("\x1b", self.messages)
        self.assertNotIn("zimage> ", self.messages)

    def test_options_change_between_lines(self):
        files = self.repl(
            "/set size 32x48", "/set --steps 3", "/set -o out.webp", "/set negative blurred, dark",
            "/set guidance 2", "/set seed 9", "a", "/unset o", "/unset guidance", "/set sigmas 1,0.5", "/set json", "b",
            arguments=[],
        )
        self.assertEqual(files[0], "out.webp")
        self.assertRegex(files[1], r'^\{"file":"zimage-9.png","seed":9,.*"width":32,"height":48,"steps":2,"sampler":"euler","sigmas":\[1.0,0.5\]')
        self.assertIn("steps is unset: it and sigmas exclude each other", self.messages)

    def test_options_have_underscores_too(self):
        self.generate("--seed", "1", "-o", "in.png")
        self.repl("/set init_image in.png", "/set strength 0.5", "/help init_image", "a", "/unset --init_image", arguments=[*QUICK, "--seed", "2"], code=1)
        self.assertIn("--init-image FILE\n", self.messages)
        self.assertEqual(len(self.errors), 1)  # a strength of nothing
        self.assertIn("--strength has no meaning without --init-image", self.errors[0])
        self.assertIn('"file":"in.png"', texts((self.folder / "zimage-2.png").read_bytes())["zimage"].replace(" ", ""))

    def test_pictures_are_shown_while_they_are_drawn(self):
        files = self.repl("/set preview 1", "/set show", "a", "/unset preview", "b", arguments=[*QUICK, "--seed", "2"])
        self.assertEqual(files, ["zimage-2.png", "zimage-2-1.png"])
        self.assertEqual(sorted(os.listdir(self.folder)), ["zimage-2-1.png", "zimage-2-preview.png", "zimage-2.png"])

    def test_what_is_wrong_is_one_sentence_and_the_next_line_is_drawn(self):
        bad = {
            "/set steps 0": "--steps: expected a whole number of 1 or more",
            "/set steps 1001": "steps is 1001, expected 1 to 1000",
            "/set stpes 4": 'unknown option "stpes"; did you mean --steps?',
            "/set steps": "--steps: a value is needed: (1 to 1000; default: ",
            "/set force yes": '--force takes no value, found "yes"',
            "/set prompt a": "--prompt is an option of zimage generate alone",
            "/set seeds 1,2": "--seeds is an option of zimage generate alone",
            "/set from_image a.png": "--from-image is an option of zimage generate alone",
            "/set mask m.png": "--mask has no meaning without --init-image",
            "/set init-image missing.png": "missing.png",
            "/set model missing": '--model: there is no folder "missing"',
            "/set output nowhere/": 'there is no folder "nowhere/"',
            "/agian": 'unknown command "/agian"; did you mean /again?',
            "/again": "there is no prompt yet",
            "/quit now": '/quit: expected nothing after it, found "now"',
            "/unset": 'unknown option ""',
        }
        files = self.repl(*bad, "a", arguments=[*QUICK, "--seed", "1"], code=1)
        self.assertEqual(files, ["zimage-1.png"])
        self.assertEqual(len(self.errors), len(bad))
        for number, (error, expected) in enumerate(zip(self.errors, bad.values()), 1):
            self.assertIn(f"line {number}: ", error)
            self.assertIn(expected, error)

    def test_lines_that_are_no_text(self):
        data = b"caf\xe9\na\0b\n" + b"x" * ((1 << 20) + 1) + b"\na red apple"
        result = self.run_program("repl", *QUICK, "--seed", "1", input=data)
        self.assertEqual((result.returncode, result.stdout), (1, b"zimage-1.png\n"))
        self.assertIn(b"line 1: prompt: expected UTF-8, found byte 0xe9 at offset 3", result.stderr)
        self.assertIn(b"line 2: prompt: expected text, found a zero byte", result.stderr)
        self.assertIn(b"line 3: a line has more than 1048576 bytes", result.stderr)

    def test_seeds(self):
        first, second = self.repl("a", "/again", "/seed")
        seed = int(re.fullmatch(r"zimage-(\d+)\.png", first).group(1))
        self.assertEqual(second, f"zimage-{(seed + 1) % 2**64}.png")
        self.assertIn(f"the last picture's seed is {(seed + 1) % 2**64}\nthe next one's is random", self.messages)

    def test_another_model(self):
        files = self.repl("/set threads 1", f"/model {MODEL}", "/model", "a", arguments=[*QUICK, "--seed", "1"])
        self.assertEqual(files, ["zimage-1.png"])
        self.assertIn("zimage-tiny, cpu: ", self.messages)
        self.assertIn("1 thread", self.messages)

    def test_help_and_lists(self):
        self.repl("/help", "/help steps", "/options", "//a", "/quit", "never drawn", arguments=[*QUICK, "--seed", "1"])
        for text in ("/set OPTION [VALUE]", "-s,--steps N\nNoise levels", "steps = 2 ", "(1 to 1000; default: ",
                     "but for --prompt, --prompt-file, --from-image and --seeds"):
            self.assertIn(text, self.messages)
        self.assertTrue(texts((self.folder / "zimage-1.png").read_bytes())["parameters"].startswith("/a\n"))
        self.assertEqual(os.listdir(self.folder), ["zimage-1.png"])

    def test_what_generate_refuses_at_the_start(self):
        self.assert_fails(self.run_program("repl", "--steps", "1001"), 2, "steps is 1001")
        self.assert_fails(self.run_program("repl", "-m", "missing"), 1, "no folder")
        self.assert_fails(self.run_program("repl", "-p", "a"), 2, 'unknown option "-p"')

    def test_signals_end_it(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            process = subprocess.Popen(
                self.command("repl", *QUICK), cwd=self.folder, env=environment(),
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            )
            process.stdin.write(b"a\n")
            process.stdin.flush()
            process.stdout.readline()
            process.send_signal(number)
            process.stdout.read()
            self.assertEqual(process.wait(TIMEOUT), 128 + number)
            self.assertIn(b"zimage: interrupted;", process.stderr.read())
            for stream in (process.stdin, process.stdout, process.stderr):
                stream.close()


class Terminal(ProgramTest):
    def start(self, *arguments, columns=80, **changes):
        self.master, theirs = pty.openpty()
        self.addCleanup(os.close, self.master)
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        self.modes = termios.tcgetattr(theirs)
        self.process = subprocess.Popen(
            self.command("repl", *arguments), cwd=self.folder,
            env=environment(XDG_STATE_HOME=str(self.folder / "state"), **changes),
            stdin=theirs, stdout=subprocess.PIPE, stderr=theirs, start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        self.theirs = theirs
        self.addCleanup(os.close, theirs)
        self.addCleanup(self.process.stdout.close)
        self.addCleanup(self.process.wait)
        self.addCleanup(self.process.kill)
        self.shown = b""
        self.until(SIGN)

    def until(self, text):
        """Reads what is shown up to some text; gives what came before it."""
        deadline = time.monotonic() + TIMEOUT
        while text not in self.shown:
            if not select.select([self.master], [], [], max(deadline - time.monotonic(), 0))[0]:
                self.fail(f"{text!r} did not come; shown: {self.shown!r}")
            self.shown += os.read(self.master, 65536)
        before, self.shown = self.shown.split(text, 1)
        return before

    def send(self, keys):
        os.write(self.master, keys)

    def finish(self, code):
        self.assertEqual(self.process.wait(TIMEOUT), code)
        # The terminal is as it was.
        self.assertEqual(termios.tcgetattr(self.theirs)[:4], self.modes[:4])
        return self.process.stdout.read().decode().splitlines()

    def prompts(self):
        return [texts((self.folder / name).read_bytes())["parameters"].split("\n")[0]
                for name in sorted(os.listdir(self.folder)) if name.endswith(".png")]

    def test_lines_are_edited_and_drawn(self):
        self.start(*QUICK, "--seed", "1")
        self.send("a réd 猫猫".encode() + b"\x7f" + "狗".encode() + b"\x01\x1b[C\x1b[Cx\x04\r")
        self.until(b"drawn in ")
        self.until(SIGN)
        self.send(b"\x04")
        self.assertEqual(self.finish(0), ["zimage-1.png"])
        self.assertEqual(self.prompts(), ["a xéd 猫狗"])

    def test_a_line_typed_while_the_terminal_answers_late_is_drawn(self):
        self.start(*QUICK, "--seed", "1", "--preview", "1")
        self.send(b"a dog\r")
        self.until(b"denoise")
        self.send(b"\x1b_Gi=31;OK\x1b\\\x1b[?62;4;22ca cat\n")
        self.until(b"drawn in ")
        self.until(b"drawn in ")
        self.until(SIGN)
        self.send(b"\x04")
        self.assertEqual(self.finish(0), ["zimage-1.png", "zimage-1-1.png"])
        for name in self.folder.glob("*-preview.png"):
            name.unlink()
        self.assertEqual(self.prompts(), ["a cat", "a dog"])

    def test_the_cursor_stands_behind_wide_characters(self):
        self.start(columns=20)
        self.send("猫猫".encode())
        self.until("zimage> 猫猫".encode() + b"\r\x1b[12C")
        self.send("猫猫猫猫".encode())  # 8 columns of 19 are the sign's
        self.until("zimage> ".encode() + "猫".encode() * 5 + b"\r\x1b[18C")
        self.send(b"\x15\x04")
        self.finish(0)

    def test_history_goes_on_in_the_next_run(self):
        self.start(*QUICK, "--seed", "1")
        self.send(b"/seed 4\ra pear\r")
        self.until(b"drawn in ")
        self.until(SIGN)
        self.send(b"/quit\r")
        self.finish(0)
        history = self.folder / "state" / "zimage" / "history"
        self.assertEqual(history.read_text(), "/seed 4\na pear\n/quit\n")
        self.start(*QUICK, "--seed", "2")
        self.send(UP + UP + b"!\r")
        self.until(b"drawn in ")
        self.until(SIGN)
        self.send(b"\x04")
        self.assertEqual(self.finish(0), ["zimage-2.png"])
        self.assertEqual(self.prompts(), ["a pear!", "a pear"])

    def test_ctrl_c_stops_the_picture_and_the_prompt_returns(self):
        self.start("--size", "128x128", "--seed", "1", "--steps", "1000")
        self.send(b"a\r")
        self.until(b"denoise ")
        time.sleep(0.3)
        self.send(b"\x03")
        self.until(b"stopped")
        self.until(SIGN)
        self.send(b"/set steps 1\ra\r")
        self.until(b"drawn in ")
        self.until(SIGN)
        self.send(b"half a line\x03")
        self.until(b"^C\r\n")
        self.until(SIGN)
        self.send(b"\x03")
        self.until(b"once more ends")
        self.until(SIGN)
        self.send(b"\x03")
        self.assertEqual(self.finish(130), ["zimage-1.png"])

    def test_a_signal_at_the_prompt_gives_the_terminal_back(self):
        self.start()
        self.process.send_signal(signal.SIGTERM)
        self.until(b"zimage: interrupted;")
        self.finish(143)

    def test_a_dumb_terminal_edits_itself(self):
        self.start(*QUICK, "--seed", "1", TERM="dumb")
        self.send(b"a pear\n")
        self.until(b"drawn in ")
        self.until(SIGN)
        self.assertNotIn(b"\x1b", self.shown)
        self.send(b"\x04")
        self.assertEqual(self.finish(0), ["zimage-1.png"])

    def test_an_error_is_told_and_no_failure(self):
        self.start(*QUICK)
        self.send(b"/set steps no\r")
        self.until(b"zimage: --steps: expected a whole number")
        self.until(SIGN)
        self.send(b"\x04")
        self.finish(0)


if __name__ == "__main__":
    main()
