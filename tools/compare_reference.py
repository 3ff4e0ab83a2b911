#!/usr/bin/env python3
"""Draws random requests with zimage and with the reference (diffusers), and compares pictures and times.

The reference is installed from PyPI into build/reference-env, pinned by tools/reference/requirements.txt. Prints
each request's PSNR (8-bit pixels; "same" when every value is equal), the largest difference and both times, then the
medians, the whole process of each (start to file) and its peak memory. Exits 1 when a picture is under --bound dB or
off by more than 1 anywhere.
"""

import argparse
import hashlib
import json
import math
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENT = ROOT / "build" / "reference-env"
REQUIREMENTS = ROOT / "tools" / "reference" / "requirements.txt"
DRAW = ROOT / "tools" / "reference" / "draw_reference.py"
# Prints the sum of squared differences, the largest difference and the count of values of two pictures.
DIFFERENCE = """
import sys, numpy
from PIL import Image
a, b = (numpy.asarray(Image.open(f).convert("RGB"), dtype=numpy.int64) for f in sys.argv[1:3])
d = numpy.abs(a - b) if a.shape == b.shape else sys.exit(f"sizes differ: {a.shape} and {b.shape}")
print((d * d).sum(), d.max(), d.size)
"""

THINGS = ["a red apple", "a fox", "a castle", "an owl", "a unicorn", "robot", "a green circle", "a rocket", "two dogs"]
PLACES = ["", " on a light blue background", " on a black background", " and a yellow star", ", close up, soft light"]
CHINESE = ["一只猫", "蓝色背景上的火箭", "左边是西瓜，右边是香蕉", "蓝色的“福”字", "四个苹果", "红色的心", "一辆公共汽车和一棵树"]


def environment():
    """The reference's interpreter, installed if it is not there yet."""
    python = ENVIRONMENT / "bin" / "python"
    stamp = ENVIRONMENT / "installed"
    wanted = hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()
    if not stamp.exists() or stamp.read_text() != wanted:
        print(f"installing the reference into {ENVIRONMENT.relative_to(ROOT)} ...", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(ENVIRONMENT)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", "-r", str(REQUIREMENTS)], check=True)
        stamp.write_text(wanted)
    return str(python)


def random_requests(count, seed, folder):
    rng = random.Random(seed)
    requests = []
    for i in range(count):
        prompt = rng.choice(CHINESE) if rng.random() < 0.4 else rng.choice(THINGS) + rng.choice(PLACES)
        requests.append({
            "prompt": prompt,
            "width": 16 * rng.randint(8, 24),
            "height": 16 * rng.randint(8, 24),
            "steps": rng.choice([1, 2, 4, 6, 8, 8, 8, 9, 12]),
            "seed": rng.randrange(2**63),
            "output": str(folder / f"reference-{i}.png"),
        })
    return requests


def run_reference(python, args, requests):
    """Answers of one reference process, and its wall time."""
    start = time.perf_counter()
    process = subprocess.run(
        [python, str(DRAW), "--model", args.model, "--threads", str(args.threads)],
        input="".join(json.dumps(r) + "\n" for r in requests), stdout=subprocess.PIPE, text=True, check=True)
    wall = time.perf_counter() - start
    return [json.loads(line) for line in process.stdout.splitlines()], wall


def run_zimage(args, request, output):
    """The JSON line of one zimage process, and its wall time."""
    command = [args.zimage, "generate", "--model", args.model, "--prompt", request["prompt"],
               "--size", f"{request['width']}x{request['height']}", "--steps", str(request["steps"]),
               "--seed", str(request["seed"]), "--threads", str(args.threads), "--output", str(output),
               "--device", "cpu", "--force", "--json"]
    start = time.perf_counter()
    process = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(process.stdout), time.perf_counter() - start


def difference(python, a, b):
    output = subprocess.run([python, "-c", DIFFERENCE, str(a), str(b)], stdout=subprocess.PIPE, text=True, check=True)
    squares, largest, count = (int(word) for word in output.stdout.split())
    psnr = math.inf if squares == 0 else 10 * math.log10(255**2 * count / squares)
    return psnr, largest


def compare(python, args, folder):
    """Prints a line for each request; gives the number of bad pictures and the ratios of warm times."""
    requests = random_requests(args.count, args.seed, folder)
    # One picture more in front, so that none of the reference's times holds its first-use costs.
    answers, _ = run_reference(python, args, [requests[0], *requests])
    bad, ratios = 0, []
    print(f"{'PSNR':>8} {'off by':>6} {'reference':>10} {'zimage':>8} {'ratio':>6}  request")
    for request, answer in zip(requests, answers[1:]):
        drawn = folder / "zimage.png"
        line, _ = run_zimage(args, request, drawn)
        ours = sum(line["seconds"][stage] for stage in ("text_encoder", "denoise", "decode"))
        psnr, largest = difference(python, request["output"], drawn)
        wrong = psnr < args.bound or largest > 1
        bad += wrong
        ratios.append(ours / answer["seconds"])
        print(f"{'same' if psnr == math.inf else f'{psnr:.1f} dB':>8} {largest:>6} {answer['seconds']:>8.2f} s "
              f"{ours:>6.2f} s {ratios[-1]:>6.2f}  {request['width']}x{request['height']}, {request['steps']} steps, "
              f"seed {request['seed']}, {request['prompt']}{'  <-- BAD' if wrong else ''}", flush=True)
    return bad, ratios


def compare_processes(python, args, folder):
    """Prints the whole processes' times and memory for the embedded default's own size."""
    request = {"prompt": "a red heart on a black background", "width": 256, "height": 256, "steps": 8, "seed": 42,
               "output": str(folder / "reference.png")}
    reference, ours, peaks = [], [], []
    for _ in range(3):
        answers, wall = run_reference(python, args, [request])
        line, own = run_zimage(args, request, folder / "zimage.png")
        reference.append(wall)
        ours.append(own)
        peaks.append((line["peak_memory_bytes"] / 2**20, answers[0]["peak_mib"]))
    ratio = statistics.median(a / b for a, b in zip(ours, reference))
    print(f"whole process, 256x256, 8 steps, median of 3: reference {statistics.median(reference):.2f} s, "
          f"zimage {statistics.median(ours):.2f} s, ratio {ratio:.3f}")
    print(f"peak memory: reference {statistics.median(p[1] for p in peaks):.0f} MiB, "
          f"zimage {statistics.median(p[0] for p in peaks):.0f} MiB")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=5, help="requests (default %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the random requests (default %(default)s)")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of both (default %(default)s)")
    parser.add_argument("--bound", type=float, default=80.0, help="least PSNR in dB (default %(default)s)")
    parser.add_argument("--model", default=str(ROOT / "models" / "zimage-tiny"), help="a model folder")
    parser.add_argument("--zimage", default=str(ROOT / "build" / "release" / "zimage"), help="the program")
    args = parser.parse_args()
    python = environment()
    with tempfile.TemporaryDirectory() as name:
        bad, ratios = compare(python, args, Path(name))
        compare_processes(python, args, Path(name))
    print(f"warm pictures: zimage takes {statistics.median(ratios):.2f} of the reference's time (median of {len(ratios)})")
    print(f"{args.count - bad} of {args.count} pictures at {args.bound:g} dB or better")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
