#!/usr/bin/env python3
"""Times zimage and other engines on this machine's CPU in turns (A B A B ...), and prints the ratios.

What enters: a zimage program, model folders, and the Python of each engine's own environment
(bench/peers/README.md makes them). What leaves: for each time the median and the least of all turns, its rate,
the share of the peaks that zimage measured in the same turns, and as `ratio` the first one's median over its own:
below 1 where the first is faster. Every turn is a process of its own, so that nothing stays in memory between them.
Needs nothing but Python.

  full     one forward of the transformer and one decode: zimage exact, OpenVINO in f32
  fast     the same: zimage --precision fast, OpenVINO's int8 weights and activations
  bf16     the same: zimage --precision bf16, OpenVINO in bf16
  deep     the same of --deep, with its 30 blocks: zimage exact and fast, each stable-diffusion.cpp given
  quant, quant-fast
           the same: zimage on --model and on each --quantized, exact or fast
  threads  the same and the warm picture, of --model or else of --tiny: zimage with --threads and with one
  picture  a warm picture of --tiny, 8 steps: zimage in --precisions, OpenVINO in f32 and bf16
  start    a process from its start to a written file, of --tiny, 8 steps: zimage, OpenVINO GenAI, diffusers
  text     zimage's text encoder on a prompt of 32 tokens, of --text-model, against the peaks
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
PROMPT = "a red apple"
# 32 tokens of Z-Image-Tiny's tokenizer, the template among them.
TEXT_PROMPT = "a red apple on a wooden table, soft light, close up, a robot and an owl"
ROWS = ("full", "fast", "bf16", "deep", "quant", "quant-fast", "threads", "picture", "start", "text")


class Turn:
    """One process: its metrics in seconds, and what zimage says of the machine and of the work."""

    def __init__(self, seconds, peaks=None, flops=None):
        self.seconds = seconds
        self.peaks = peaks or {}
        self.flops = flops or {}


def run(command):
    """Standard output and error of the command, its wall time and its peak memory in bytes; raises when it fails."""
    begin = time.monotonic()
    with tempfile.TemporaryFile("w+") as output:
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        wall = time.monotonic() - begin
        output.seek(0)
        text = output.read()
    if child.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, command))} exited with {child.returncode}:\n{text[-3000:]}")
    return text, wall, usage.ru_maxrss * 1024


def last_json(text):
    """The last line that is a JSON object."""
    for line in reversed(text.splitlines()):
        if line.startswith("{"):
            return json.loads(line)
    raise RuntimeError(f"no line of JSON in:\n{text[-3000:]}")


def zimage_stages(text, _wall):
    report = last_json(text)
    stages = {stage["name"]: stage for stage in report["stages"]}
    denoise = stages["denoise"]
    times = {
        "forward": denoise["seconds"] / denoise["calls"],
        "decode": stages["decode"]["seconds"],
        "text": stages["text encoder"]["seconds"],
        "picture": report["warm_seconds"],
    }
    flops = {
        "forward": denoise["flops"] / denoise["calls"],
        "decode": stages["decode"]["flops"],
        "text": stages["text encoder"]["flops"],
    }
    peaks = {"f32": report["peak_flops_per_second"], "bytes": report["peak_bytes_per_second"]}
    if report["peak_encoded_flops_per_second"] > 0:
        peaks["rounded"] = report["peak_encoded_flops_per_second"]
    return Turn(times, peaks, flops)


def peer_stages(text, _wall):
    return Turn(last_json(text))


def whole_process(_text, wall):
    return Turn({"start to file": wall})


class Contender:
    def __init__(self, name, command, read):
        self.name = name
        self.command = [str(part) for part in command]
        self.read = read
        self.turns = []
        self.memory = 0

    def take_turn(self):
        text, wall, memory = run(self.command)
        turn = self.read(text, wall)
        self.turns.append(turn)
        self.memory = max(self.memory, memory)
        times = ", ".join(f"{name} {seconds:.3f} s" for name, seconds in turn.seconds.items())
        print(f"  {self.name}: {times} ({wall:.0f} s in all)", file=sys.stderr, flush=True)

    def values(self, metric):
        return [turn.seconds[metric] for turn in self.turns if metric in turn.seconds]


def zimage_bench(options, name, *more, threads=None):
    common = [options.zimage, "bench", "--device", "cpu", "--json", "--size", options.size, "--repeat", options.repeat]
    return Contender(name, [*common, "--threads", threads or options.threads, *more], zimage_stages)


def openvino(options, name, what, precision):
    folder = options.exported if what == "stages" else options.exported_tiny
    command = [options.openvino, HERE / "peer_turn.py", f"openvino-{what}", folder, precision]
    return Contender(name, [*command, options.threads, options.size, options.repeat], peer_stages)


def need(options, *names):
    for name in names:
        if not getattr(options, name):
            sys.exit(f"compare.py: this row needs --{name.replace('_', '-')}")


def contenders(options, row):
    """The first is the one that the others are compared with; and the metrics that count."""
    full = ["-m", options.model, "--steps", "1", "--prompt", PROMPT]
    stages = ["forward", "decode"]
    if row == "full":
        need(options, "model", "openvino", "exported")
        return [zimage_bench(options, "zimage exact", *full), openvino(options, "OpenVINO f32", "stages", "f32")], stages
    if row == "deep":
        need(options, "deep", "sdcpp")
        deep = ["-m", options.deep, "--steps", "2", "--prompt", PROMPT, "--keep", "none"]
        found = [zimage_bench(options, f"zimage {p}", *deep, "--precision", p) for p in ("exact", "fast")]
        for given in options.sdcpp:
            name, python = given.split("=", 1)
            command = [python, HERE / "peer_turn.py", "sdcpp", options.deep, options.threads, options.size]
            found.append(Contender(f"stable-diffusion.cpp {name}", [*command, options.repeat], peer_stages))
        return found, stages
    if row in ("fast", "bf16"):
        need(options, "model", "openvino", "exported")
        theirs = "int8" if row == "fast" else "bf16"
        ours = zimage_bench(options, f"zimage {row}", *full, "--precision", row)
        return [ours, openvino(options, f"OpenVINO {theirs}", "stages", theirs)], stages
    if row in ("quant", "quant-fast"):
        need(options, "model", "quantized")
        precision = "exact" if row == "quant" else "fast"
        found = []
        for model in [options.model, *options.quantized]:
            more = ["-m", model, "--steps", "1", "--prompt", PROMPT, "--precision", precision]
            found.append(zimage_bench(options, f"zimage {precision}, {Path(model).name}", *more))
        return found, stages
    if row == "threads":
        what = full if options.model else ["-m", options.tiny, "--steps", "8", "--prompt", PROMPT]
        return [zimage_bench(options, f"zimage, {n} threads", *what, threads=n) for n in (options.threads, 1)], [
            *stages,
            "picture",
        ]
    if row == "picture":
        need(options, "openvino", "exported_tiny")
        tiny = ["-m", options.tiny, "--steps", "8", "--prompt", PROMPT]
        found = [zimage_bench(options, f"zimage {p}", *tiny, "--precision", p) for p in options.precisions]
        found += [openvino(options, f"OpenVINO {precision}", "picture", precision) for precision in ("f32", "bf16")]
        return found, ["picture"]
    if row == "text":
        need(options, "text_model")
        more = ["-m", options.text_model, "--steps", "1", "--prompt", TEXT_PROMPT]
        return [zimage_bench(options, "zimage exact", *more)], ["text"]
    return start_contenders(options), ["start to file"]


def start_contenders(options):
    need(options, "openvino", "exported_tiny")
    folder = Path(options.pictures)
    draw = [options.zimage, "generate", "-m", options.tiny, "-p", PROMPT, "--size", options.size, "--steps", "8", "--seed", "42"]
    draw += ["--threads", options.threads, "--device", "cpu", "--force", "-o", folder / "zimage.png"]
    found = [Contender("zimage exact", draw, whole_process)]
    peer = [options.openvino, HERE / "peer_turn.py"]
    for precision in ("f32", "bf16"):
        last = [options.exported_tiny, precision, options.threads, options.size, folder / f"genai_{precision}.png"]
        found.append(Contender(f"OpenVINO GenAI {precision}", [*peer, "genai-file", *last], whole_process))
    last = [options.tiny, options.threads, options.size, folder / "diffusers.png"]
    found.append(Contender("diffusers f32", [*peer, "diffusers-file", *last], whole_process))
    return found


def highest(found, kind):
    """The highest of all turns, as neighbours only take away."""
    return max((turn.peaks.get(kind, 0) for one in found for turn in one.turns), default=0)


def report(row, found, metrics):
    peaks = {kind: highest(found, kind) for kind in ("f32", "rounded", "bytes")}
    print(f"\n{row}: {len(found[0].turns)} turns each")
    if peaks["f32"]:
        rounded = f", of rounded products {peaks['rounded'] / 1e9:.0f}" if peaks["rounded"] else ""
        print(f"peak {peaks['f32'] / 1e9:.0f} GFLOP/s{rounded}, memory {peaks['bytes'] / 1e9:.1f} GB/s")
    for metric in metrics:
        print(f"\n{metric:<32}{'median':>10}{'least':>10}{'GFLOP/s':>10}{'of f32':>9}{'of rounded':>12}"
              f"{'ratio':>8}{'peak MiB':>10}")
        flops = next((turn.flops[metric] for one in found for turn in one.turns if metric in turn.flops), 0)
        first = statistics.median(found[0].values(metric))
        for one in found:
            values = one.values(metric)
            if not values:
                continue
            median = statistics.median(values)
            rate = flops / median
            shares = [f"{100 * rate / peaks[kind]:.1f} %" if flops and peaks[kind] else "" for kind in ("f32", "rounded")]
            print(f"{one.name:<32}{median:>8.3f} s{min(values):>8.3f} s{f'{rate / 1e9:.0f}' if flops else '':>10}"
                  f"{shares[0]:>9}{shares[1]:>12}{first / median:>8.2f}{one.memory / 2**20:>10.0f}")


def parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("row", nargs="+", choices=ROWS, help="what to compare, in this order")
    parser.add_argument("--zimage", default=ROOT / "build/release/zimage", help="the program (default: %(default)s)")
    parser.add_argument("--model", help="a folder of full width in the official layout, a few blocks deep")
    parser.add_argument("--deep", help="the same with all 30 blocks and 36 layers, one file a part, for stable-diffusion.cpp")
    parser.add_argument("--quantized", nargs="+", default=[], help="that model as `zimage convert` wrote it")
    parser.add_argument("--tiny", default=ROOT / "models/zimage-tiny", help="the small model (default: %(default)s)")
    parser.add_argument("--text-model", help="a folder whose text encoder has full width and more layers than --model's")
    parser.add_argument("--openvino", help="the Python of OpenVINO's environment, which has diffusers too")
    parser.add_argument("--exported", help="--model as OpenVINO's exporter wrote it")
    parser.add_argument("--exported-tiny", help="--tiny as OpenVINO's exporter wrote it")
    parser.add_argument("--sdcpp", nargs="+", default=[], metavar="NAME=PYTHON",
                        help="builds of stable-diffusion-cpp-python, such as shipped=/envs/sd/bin/python")
    parser.add_argument("--precisions", nargs="+", default=["exact"], choices=("exact", "bf16", "fast"),
                        help="of zimage in `picture`; bf16 needs a processor with its products (default: exact)")
    parser.add_argument("--turns", type=int, default=3, help="processes of each (default: %(default)s)")
    parser.add_argument("--repeat", type=int, default=2, help="times measured in a process (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=2, help="threads of each (default: %(default)s)")
    parser.add_argument("--size", default="256x256", help="pixels (default: %(default)s)")
    parser.add_argument("--pictures", help="the folder to keep the files of `start` in (default: none is kept)")
    return parser.parse_args(arguments)


def main():
    options = parse(sys.argv[1:])
    with tempfile.TemporaryDirectory() as folder:
        options.pictures = options.pictures or folder
        for row in options.row:
            found, metrics = contenders(options, row)
            for turn in range(options.turns):
                print(f"{row}, turn {turn + 1} of {options.turns}", file=sys.stderr, flush=True)
                for one in found:
                    one.take_turn()
            report(row, found, metrics)


if __name__ == "__main__":
    try:
        main()
    except (RuntimeError, OSError) as error:
        sys.exit(f"compare.py: {error}")
