#!/usr/bin/env python3
"""Draws with Z-Image-Tiny in every encoding, written by the library that each comes from, and compares with bf16.

    python -m pip install -r requirements.txt && python compare_encodings.py ../../build/release/zimage

Prints a table: bits for a weight of the quantized matrices, and the PSNR of the pictures' 8-bit pixels against those
of bf16 (over all pictures together, and the least of one) with the transformer, the text encoder or both in that
encoding. The autoencoder stays as it is. Matrices whose rows no block divides take ggml's own substitute for their
type (SUBSTITUTES); vectors and the embedding of tokens stay bf16.
"""

import argparse
import ctypes
import json
import math
import subprocess
import tempfile
from pathlib import Path

import comfy_kitchen
import ggml
import gguf
import numpy as np
import torch
from comfy_kitchen.backends import eager
from gguf import GGMLQuantizationType as GgmlType
from PIL import Image
from safetensors import safe_open
from safetensors.torch import save_file

MODEL = Path(__file__).resolve().parents[2] / "models" / "zimage-tiny"
REQUESTS = [("a red apple", 1), ("a fox on a light blue background", 2), ("一只猫", 3), ("a castle and a yellow star", 4)]
GGML_TYPES = ["Q8_0", "Q6_K", "Q5_K", "Q5_1", "Q5_0", "Q4_K", "Q4_1", "Q4_0", "IQ4_NL", "IQ4_XS", "Q3_K", "Q2_K"]
# As llama.cpp's quantizer falls back.
SUBSTITUTES = {"Q6_K": "Q8_0", "Q5_K": "Q5_1", "Q4_K": "Q5_0", "IQ4_XS": "IQ4_NL", "Q3_K": "IQ4_NL", "Q2_K": "IQ4_NL"}
# The largest power of 4 that divides every row of Z-Image-Tiny; ComfyUI's own files have 256.
ROTATION = 64


def read_part(name):
    tensors = {}
    for path in sorted((MODEL / name).glob("*.safetensors")):
        with safe_open(path, "pt") as file:
            tensors |= {key: file.get_tensor(key) for key in file.keys()}
    return tensors


def is_matrix(name, tensor):
    return tensor.ndim == 2 and tensor.shape[0] > 1 and "embed_tokens" not in name


def mark(**fields):
    return torch.tensor(list(json.dumps(fields).encode()), dtype=torch.uint8)


# Each of these returns the tensors that stand for a layer's weight.
def cast(dtype):
    return lambda weight: {"weight": weight.to(dtype)}


def fp8(dtype, name):
    def write(weight):
        scale = weight.abs().amax().to(torch.float32) / torch.finfo(dtype).max
        codes = (weight.to(torch.float32) / scale).to(dtype)
        return {"weight": codes, "weight_scale": scale, "comfy_quant": mark(format=name)}

    return write


def int8(weight):
    with comfy_kitchen.registry.use_backend("eager"):
        rows, scale = eager.quantize_int8_convrot_weight(weight.to(torch.float32), ROTATION)
    quant = mark(format="int8_tensorwise", convrot=True, convrot_groupsize=ROTATION)
    return {"weight": rows, "weight_scale": scale, "comfy_quant": quant}


def nvfp4(weight):
    weight = weight.to(torch.float32)
    scale = weight.abs().amax() / (448 * 6)
    rows, block_scale = eager.quantize_nvfp4(weight, scale)
    return {"weight": rows, "weight_scale": block_scale, "weight_scale_2": scale, "comfy_quant": mark(format="nvfp4")}


SAFETENSORS = {
    "f32": cast(torch.float32),
    "f16": cast(torch.float16),
    "fp8 e4m3": fp8(torch.float8_e4m3fn, "float8_e4m3fn"),
    "fp8 e4m3, no scale": cast(torch.float8_e4m3fn),
    "fp8 e5m2": fp8(torch.float8_e5m2, "float8_e5m2"),
    "int8, rotated": int8,
    "nvfp4": nvfp4,
}


def write_safetensors(path, tensors, write):
    """Returns the bits and the number of the weights that it quantizes."""
    result, bits, weights = {}, 0, 0
    for name, tensor in tensors.items():
        if not is_matrix(name, tensor):
            result[name] = tensor
            continue
        layer = write(tensor)
        stored = [value for kind, value in layer.items() if kind != "comfy_quant"]
        bits += sum(8 * value.numel() * value.element_size() for value in stored)
        weights += tensor.numel()
        result |= {name.removesuffix("weight") + kind: value.clone().contiguous() for kind, value in layer.items()}
    save_file(result, path)
    return bits, weights


def ggml_rows(weight, kind):
    values = np.ascontiguousarray(weight.to(torch.float32).numpy())
    elements, size = gguf.GGML_QUANT_SIZES[kind]
    rows = np.zeros((values.shape[0], values.shape[1] // elements * size), np.uint8)
    source = values.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
    ggml.ggml_quantize_chunk(int(kind), source, rows.ctypes.data, 0, *values.shape, None)
    return rows


def write_gguf(path, tensors, name):
    """Returns the bits and the number of the weights that it quantizes."""
    writer = gguf.GGUFWriter(path, "lumina2")
    bits, weights = 0, 0
    for key, tensor in tensors.items():
        if not is_matrix(key, tensor):
            writer.add_tensor(key, tensor.to(torch.float32).numpy())
            continue
        kind = GgmlType[name]
        if tensor.shape[1] % gguf.GGML_QUANT_SIZES[kind][0] != 0:
            kind = GgmlType[SUBSTITUTES[name]]
        rows = ggml_rows(tensor, kind)
        bits, weights = bits + 8 * rows.size, weights + tensor.numel()
        writer.add_tensor(key, rows, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return bits, weights


def draw(program, folder, options):
    """The pixels of every request."""
    pictures = []
    for prompt, seed in REQUESTS:
        path = Path(folder) / "picture.png"
        command = [program, "generate", "-q", "-m", str(MODEL), "-p", prompt, "--seed", str(seed), "--force", "-o", str(path)]
        subprocess.run(command + options, check=True, stdout=subprocess.DEVNULL)
        pictures.append(np.asarray(Image.open(path).convert("RGB"), dtype=np.float64))
    return pictures


def psnr(squares):
    return math.inf if squares == 0 else 10 * math.log10(255**2 / squares)


def compare(pictures, expected):
    squares = [np.mean((a - b) ** 2) for a, b in zip(pictures, expected, strict=True)]
    pooled, least = psnr(np.mean(squares)), psnr(max(squares))
    return "same" if pooled == math.inf else f"{pooled:.1f} ({least:.1f})"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program", help="the built zimage")
    parser.add_argument("encodings", nargs="*", default=[*SAFETENSORS, *GGML_TYPES], help="some of the table's rows (default: all)")
    arguments = parser.parse_args()
    program = arguments.program
    parts = {"transformer": read_part("transformer"), "text_encoder": read_part("text_encoder")}
    with tempfile.TemporaryDirectory() as folder:
        expected = draw(program, folder, [])
        print("| encoding | bits a weight | transformer | text encoder | both |\n|---|---|---|---|---|")
        for name in arguments.encodings:
            options, cells, sizes = [], [], []
            for part, tensors in parts.items():
                is_ggml = name in GGML_TYPES
                path = Path(folder) / f"{part}.{'gguf' if is_ggml else 'safetensors'}"
                if is_ggml:
                    sizes.append(write_gguf(path, tensors, name))
                else:
                    sizes.append(write_safetensors(path, tensors, SAFETENSORS[name]))
                option = ["--" + part.replace("_", "-"), str(path)]
                options += option
                cells.append(compare(draw(program, folder, option), expected))
            both = compare(draw(program, folder, options), expected)
            bits = sum(size for size, _ in sizes) / sum(count for _, count in sizes)
            print(f"| {name} | {bits:.2f} | {' | '.join(cells)} | {both} |", flush=True)


if __name__ == "__main__":
    main()
