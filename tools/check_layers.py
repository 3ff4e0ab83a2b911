#!/usr/bin/env python3
"""Holds every include and every CMake dependency in src/ against the dependency rule.

The rule is the table below (docs/architecture.md draws it): a room may include only the rooms listed
for it. Prints one line for each breach, "file:line: what, which rule", and exits 1 if there was one.
"""

import argparse
import re
import sys
from pathlib import Path

BASE = {"base"}
MODEL = BASE | {"backend", "checkpoint", "quant", "nn"}
DEVICES = {"backend/reference", "backend/plan", "backend/profile", "backend/cpu", "backend/cuda"}

# room -> rooms it may include. Absent rooms may not exist.
RULE = {
    "base": set(),
    "hub": BASE,
    "quant": BASE,
    "checkpoint": BASE | {"quant"},
    "convert": BASE | {"quant", "checkpoint"},
    "download": BASE | {"hub"},
    "tokenizer": BASE,
    "scheduler": BASE,
    "image": BASE,
    "backend": BASE,
    "backend/reference": BASE | {"backend"},
    "backend/plan": BASE | {"backend"},
    "backend/profile": BASE | {"backend"},
    "backend/cpu": BASE | {"backend", "backend/reference"},
    "backend/cuda": BASE | {"backend"},
    "nn": BASE | {"backend", "checkpoint", "quant"},
    "text_encoder": MODEL,
    "transformer": MODEL,
    "vae": MODEL,
    "pipeline": MODEL
    | {"hub", "tokenizer", "scheduler", "image", "text_encoder", "transformer", "vae"}
    | {"backend/plan", "backend/profile"},
    "metadata": BASE | {"image", "pipeline"},
    "cli/terminal": BASE | {"image", "pipeline"},
    "cli/options": BASE | {"hub", "convert", "image", "pipeline", "cli/terminal"},
    "cli/drawing": BASE | {"hub", "image", "pipeline", "metadata", "cli/terminal", "cli/options"},
    "cli": BASE
    | {"download", "convert", "pipeline", "metadata"}
    | {"cli/terminal", "cli/options", "cli/drawing"},
    "server": BASE | {"image", "pipeline", "metadata"},
}

# Folders that belong to the room above them.
INNER = {"backend/cpu/kernels": "backend/cpu", "backend/cuda/kernels": "backend/cuda"}

# file -> rooms it alone in its room may include as well.
FILE_RULE = {"pipeline/make_backend.cc": DEVICES}

# Tests of these rooms need a device to run on.
TEST_RULE = {room: DEVICES - {"backend/cuda"} for room in ("backend", "nn", "text_encoder", "transformer", "vae")}

# Libraries that stay behind one room's wall: header's first part -> rooms.
LIBRARY_RULE = {
    "CLI": {"cli/options"},
    "cuda": {"backend/cuda"},
    "cublas": {"backend/cuda"},
    "pcre2": {"tokenizer"},
    "utf8proc": {"tokenizer", "cli/terminal"},
    "simdjson": {"tokenizer"},
    "png": {"image"},
    "turbojpeg": {"image"},
    "webp": {"image"},
    "zlib": {"image"},
    "curl": {"download"},
    "openssl": {"hub"},
}

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')
ROOM_CALL = re.compile(r"zimage_room\s*\(([^)]*)\)", re.S)
# set(name words...) and list(APPEND name words...), the latter under whatever condition.
CMAKE_LIST = re.compile(r"(?:\bset|\blist)\s*\(\s*(?:APPEND\s+)?(\w+)\s+([^)]*)\)")
KEYWORDS = {"DEPENDS", "LIBRARIES", "TEST_DEPENDS", "WITHOUT"}


def room_of(path):
    """The room a path below src/ lies in."""
    folder = "/".join(path.split("/")[:-1])
    return INNER.get(folder, folder)


def is_test(path):
    return path.endswith("_test.cc")


def allowed_rooms(path):
    room = room_of(path)
    rooms = RULE[room] | FILE_RULE.get(path, set()) | {room}
    return rooms | TEST_RULE.get(room, set()) if is_test(path) else rooms


def check_include(src, path, kind, name):
    """The breach in one include of the file `path`, or None; and the room it names, or None."""
    room = room_of(path)
    if kind == "<":
        library = re.split(r"[/._]", name)[0]
        rooms = LIBRARY_RULE.get(library)
        if rooms is not None and room not in rooms and not is_test(path):
            return f"includes <{name}>; only {', '.join(sorted(rooms))} may", None
        return None, None
    if is_test(path) and (src.parent / "tests" / name).is_file():
        return None, None
    target = room_of(name)
    if target not in RULE or not (src / name).is_file():
        return f'includes "{name}", which is no file of a room; paths start at src/', None
    if target not in allowed_rooms(path):
        return f'includes "{name}"; {room} may include only: {listed(RULE[room])}', None
    return None, target


def listed(rooms):
    return ", ".join(sorted(rooms)) or "no other room"


def check_sources(src):
    """Breaches in sources, and for each room the rooms that its library's files include."""
    breaches, uses = [], {}
    for file in sorted(p for p in src.rglob("*") if p.suffix in {".h", ".cc", ".cu", ".cuh"}):
        path = file.relative_to(src).as_posix()
        room = room_of(path)
        if room not in RULE:
            breaches.append(f"{file}:1: the folder \"{room}\" is not a room of the rule's table")
            continue
        used = uses.setdefault(room, set())
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
            match = INCLUDE.match(line)
            if not match:
                continue
            breach, target = check_include(src, path, *match.groups())
            if breach:
                breaches.append(f"{file}:{number}: {breach}")
            # main.cc belongs to the program, not to the room's library.
            elif target and target != room and not is_test(path):
                used.add(target)
    return breaches, uses


def read_room_call(text):
    """Name and DEPENDS of a zimage_room call, with the offset of the call; None without one."""
    text = re.sub(r"#[^\n]*", lambda comment: " " * len(comment.group()), text)
    call = ROOM_CALL.search(text)
    if not call:
        return None
    lists = {}
    for name, words in CMAKE_LIST.findall(text):
        lists.setdefault(name, []).extend(words.split())
    words = [item for word in call.group(1).split() for item in lists.get(word.strip("${}"), [word])]
    depends, key = [], None
    for word in words[1:]:
        if word in KEYWORDS:
            key = word
        elif key == "DEPENDS":
            depends.append(word)
    return words[0] if words else "", depends, call.start()


def reached(room, uses):
    """The rooms that `room` includes, and those that they include."""
    found, open_rooms = set(), [room]
    while open_rooms:
        for other in uses.get(open_rooms.pop(), set()) - found:
            found.add(other)
            open_rooms.append(other)
    return found


def check_cmake(src, uses):
    """Breaches between each room's DEPENDS, the table and what its files include."""
    breaches = []
    folders = {room.replace("/", "_"): room for room in RULE}
    for room, used in sorted(uses.items()):
        file = src / room / "CMakeLists.txt"
        call = read_room_call(file.read_text(encoding="utf-8")) if file.is_file() else None
        if call is None:
            breaches.append(f"{file}:1: has no zimage_room call")
            continue
        name, depends, offset = call
        line = file.read_text(encoding="utf-8")[:offset].count("\n") + 1
        if folders.get(name) != room:
            breaches.append(f"{file}:{line}: names the room {name}, expected {room.replace('/', '_')}")
        declared = {folders.get(word, word) for word in depends}
        extra = FILE_RULE.get(f"{room}/make_backend.cc", set())
        for other in sorted(declared - RULE[room] - extra):
            breaches.append(f"{file}:{line}: DEPENDS {other}; {room} may use only: {listed(RULE[room])}")
        for other in sorted(used - declared):
            breaches.append(f"{file}:{line}: DEPENDS lacks {other}, which its files include")
        for other in sorted((declared & set(RULE)) - reached(room, uses)):
            breaches.append(f"{file}:{line}: DEPENDS {other}, which no file includes")
    return breaches


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    root = Path(__file__).resolve().parent.parent
    parser.add_argument("--src", type=Path, default=root / "src", help="the folder of rooms")
    src = parser.parse_args().src
    if not src.is_dir():
        sys.exit(f"{src}: no such folder")
    breaches, uses = check_sources(src)
    if not uses:
        sys.exit(f"{src}: holds no sources")
    breaches += check_cmake(src, uses)
    for breach in breaches:
        print(breach)
    sys.exit(1 if breaches else 0)


if __name__ == "__main__":
    main()
