#!/usr/bin/env python3
"""Measures what --seed-variety does: how far pictures of different seeds lie apart, and whether they are
still of their prompt.

    tools/measure_variety.py build/release/zimage [--amounts 0,0.25,0.5,0.75,1] [--seeds 1-8]
                             [--prompt TEXT ...] [-- OPTIONS OF zimage generate]

Draws each prompt with each seed at each amount, and prints a line for each amount:
  pixels     mean distance of two pictures of a prompt: root of the mean squared difference, 0 to 255
  layout     the same of their means over 8x8 fields: what lies where, and in which colour
  followed   share of the pictures whose fields lie nearer to the mean of their own prompt's pictures at
             the first amount than to that of any other prompt's
Needs numpy.
"""

import argparse
import itertools
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "cli"))
from program import pixels  # noqa: E402

PROMPTS = [
    "a red apple",
    "a fox on a light blue background",
    "a castle",
    "a green circle on the left and a red square on the right",
    "robot",
    "a yellow banana on a black background",
]
FIELDS = 8


def draw(program, prompts, seeds, amount, options):
    """Pictures [prompts, seeds, height, width, 3], 0 to 255."""
    with tempfile.TemporaryDirectory(prefix="zimage-variety-") as folder:
        lines = "".join(prompt + "\n" for prompt in prompts)
        command = [program, "generate", "--prompt-file", "-", "--seeds", seeds, "-o", folder, "-q"]
        result = subprocess.run(
            [*command, "--seed-variety", str(amount), *options],
            input=lines.encode(), stdout=subprocess.PIPE, check=True,
        )
        pictures = []
        for name in result.stdout.decode().splitlines():
            width, height, rows = pixels(Path(name).read_bytes())
            flat = np.frombuffer(b"".join(rows), np.uint8).astype(np.float32)
            pictures.append(flat.reshape(height, width, 3))
    return np.stack(pictures).reshape(len(prompts), -1, *pictures[0].shape)


def fields(pictures):
    """The means over FIELDS x FIELDS fields of each picture."""
    prompts, seeds, height, width, _ = pictures.shape
    cut = pictures[:, :, : height // FIELDS * FIELDS, : width // FIELDS * FIELDS]
    return cut.reshape(prompts, seeds, FIELDS, height // FIELDS, FIELDS, width // FIELDS, 3).mean((3, 5))


def spread(pictures):
    """The mean distance of two pictures of one prompt."""
    return np.mean([
        np.sqrt(((a - b) ** 2).mean())
        for of_prompt in pictures
        for a, b in itertools.combinations(of_prompt, 2)
    ])


def followed(layouts, centres):
    """The share of pictures that are nearest to their own prompt's centre."""
    own = [
        ((centres - layout) ** 2).mean((1, 2, 3)).argmin() == prompt
        for prompt, of_prompt in enumerate(layouts)
        for layout in of_prompt
    ]
    return np.mean(own)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("program", type=os.path.abspath)
    parser.add_argument("--amounts", default="0,0.25,0.5,0.75,1")
    parser.add_argument("--seeds", default="1-8")
    parser.add_argument("--prompt", action="append", help="one of several; at least two")
    parser.add_argument("options", nargs="*", help="of zimage generate, after --")
    arguments = parser.parse_args()
    prompts = arguments.prompt or PROMPTS
    centres = None
    print("amount  pixels  layout  followed")
    for amount in arguments.amounts.split(","):
        pictures = draw(arguments.program, prompts, arguments.seeds, amount, arguments.options)
        layouts = fields(pictures)
        if centres is None:
            centres = layouts.mean(1)
        print(f"{amount:>6}  {spread(pictures):6.1f}  {spread(layouts):6.1f}  "
              f"{followed(layouts, centres):8.0%}", flush=True)


if __name__ == "__main__":
    main()
