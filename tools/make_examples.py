#!/usr/bin/env python3
"""Makes docs/examples.md and its pictures by running the program on the model that comes with it.

The list below is the whole page: each example's commands are run as they are printed, in a folder that
holds a link to tests/, and what they draw goes to docs/images/examples. Without a program only the text
is written.

Usage: tools/make_examples.py [PROGRAM]
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "examples.md"
PICTURES = ROOT / "docs" / "images" / "examples"

# Title, what it shows, the commands, and the pictures that they draw.
EXAMPLES = [
    (
        "A prompt and a seed",
        "The same prompt, seed and size are the same picture. The file's name chooses the format; the file "
        "carries the request.",
        ['zimage generate -p "a red apple" --seed 42 -o apple.webp --quality 80'],
        ["apple.webp"],
    ),
    (
        "Any language, any size",
        "What is no multiple of 16 is drawn on the next one and cropped.",
        ['zimage generate -p "一只猫" --seed 42 --size 250x230 -o cat.webp --quality 80'],
        ["cat.webp"],
    ),
    (
        "Several pictures at once",
        "One prompt, one seed, the noise of the reference's batch.",
        ['zimage generate -p "a yellow star" --seed 7 -n 2 -o star.webp --quality 80'],
        ["star-1.webp", "star-2.webp"],
    ),
    (
        "Steps and samplers",
        "Eight steps of euler are what the model was distilled to; [sampling.md](sampling.md) has the others.",
        [
            'zimage generate -p "a rocket" --seed 3 --steps 12 --sampler dpmpp-2m -o rocket.webp --quality 80',
            'zimage generate -p "a rocket" --seed 3 --sigmas 1,0.8,0.5,0.25 --shift 2 -o levels.webp --quality 80',
        ],
        ["rocket.webp", "levels.webp"],
    ),
    (
        "Guidance and a negative prompt",
        "Two forwards a step, away from what is not wanted.",
        ['zimage generate -p "a panda next to a cake" --negative "red" --guidance 0.5 --seed 42 -o panda.webp --quality 80'],
        ["panda.webp"],
    ),
    (
        "From a picture",
        "A strength of 0.7 draws seven tenths of the steps; [pictures.md](pictures.md) has the details.",
        ['zimage generate -p "a red apple on a yellow background" --init-image tests/golden/init.png --strength 0.7 --seed 42 -o yellow.webp --quality 80'],
        ["yellow.webp"],
    ),
    (
        "A part of a picture",
        "White parts of the mask are drawn anew, the others come back byte for byte.",
        ['zimage generate -p "a strawberry" --init-image tests/golden/init.png --mask tests/golden/mask.png --seed 42 -o part.webp --quality 80'],
        ["part.webp"],
    ),
    (
        "Many prompts and seeds",
        "Each line of a file is a prompt, or JSON with options of its own; [many.md](many.md) says what else it can be. "
        "A seed variety moves the pictures of different seeds apart.",
        [
            """printf '%s\\n' "a pear" '{"prompt": "a strawberry", "seed": 9}' | zimage generate --prompt-file - --seed 4 -o many.webp --quality 80""",
            'zimage generate -p "a panda next to a cake" --seeds 1-2 --seed-variety 0.5 -o varied.webp --quality 80',
        ],
        ["many-1.webp", "many-2.webp", "varied-1.webp", "varied-2.webp"],
    ),
    (
        "Line after line",
        "`zimage repl` keeps the model loaded. On a terminal lines are edited, and come back with the arrow keys.",
        ['printf \'%s\\n\' "a green leaf" "/set steps 4" "/again" | zimage repl --seed 5 --format webp --quality 80'],
        ["zimage-5.webp", "zimage-6.webp"],
    ),
    (
        "While it is drawn",
        "What the picture will be, an eighth of its size, as it stood after four of the eight steps, and the picture. "
        "A terminal that shows pictures gets the preview in place of the file, and with `--show` the picture too.",
        ['zimage generate -p "a red apple" --seed 8 --preview 4 -o soon.webp --quality 80'],
        ["soon-preview.png", "soon.webp"],
    ),
    (
        "Drawn again",
        "A picture says how it was drawn, and is drawn again from that, with what is to be different.",
        [
            "zimage show-metadata apple.webp",
            "zimage generate --from-image apple.webp --seed 8 -o again.webp --quality 80",
        ],
        ["again.webp"],
    ),
    (
        "Before it is drawn",
        "What a request needs is known before anything is loaded; more than there is is refused, with the sizes that fit.",
        ["zimage plan --size 256x256,512x512", "zimage info"],
        [],
    ),
]

HEAD = """# Examples

Every picture here was drawn by the command above it, with the model that comes with the program, on a CPU.
`tools/make_examples.py build/release/zimage` makes this page; the commands are run where `tests/` is.
`zimage generate --help` names every option with its range and its default.
"""


def page():
    """The text of docs/examples.md."""
    parts = [HEAD]
    for title, words, commands, pictures in EXAMPLES:
        parts.append(f"## {title}\n\n{words}\n\n```sh\n" + "\n".join(commands) + "\n```\n")
        if pictures:
            parts.append(" ".join(f"![{title.lower()}](images/examples/{name})" for name in pictures) + "\n")
    return "\n".join(parts)


def draw(program):
    """Runs every command and puts what it draws beside the page."""
    with tempfile.TemporaryDirectory(prefix="zimage-examples-") as folder:
        (Path(folder) / "tests").symlink_to(ROOT / "tests")
        (Path(folder) / "bin").mkdir()
        (Path(folder) / "bin" / "zimage").symlink_to(program)
        environment = {**os.environ, "PATH": f"{folder}/bin:{os.environ['PATH']}"}
        environment["ZIMAGE_MODEL"] = str(ROOT / "models" / "zimage-tiny")
        shutil.rmtree(PICTURES, ignore_errors=True)
        PICTURES.mkdir(parents=True)
        for title, _, commands, pictures in EXAMPLES:
            for command in commands:
                print(f"{title}: {command}")
                subprocess.run(command, shell=True, check=True, cwd=folder, env=environment, stdout=subprocess.DEVNULL)
            for name in pictures:
                shutil.copy(Path(folder) / name, PICTURES / name)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", nargs="?", type=Path)
    program = parser.parse_args().program
    if program:
        draw(program.resolve())
    PAGE.write_text(page(), encoding="utf-8")
    size = sum(path.stat().st_size for path in PICTURES.glob("*"))
    print(f"{PAGE.relative_to(ROOT)}: {len(EXAMPLES)} examples, {size} bytes of pictures")


if __name__ == "__main__":
    sys.exit(main())
