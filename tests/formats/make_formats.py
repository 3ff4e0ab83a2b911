#!/usr/bin/env python3
"""Writes the small files of this folder, each with the library that its format comes from.

    python -m pip install -r requirements.txt && python make_formats.py

quant_types.safetensors: of each encoding some rows of bytes, their scales, and the numbers that its
own library makes of them: gguf for ggml's blocks, torch's casts for fp8, comfy_kitchen for nvfp4 and
rotated int8. Sums and products of scales are taken in float64 where the library leaves a choice.

layers.safetensors, scaled_fp8.safetensors: layers as ComfyUI's files have them, with marks, with a
list in the metadata, and in the older spelling; beside each LAYER.weight the numbers that it stands
for as LAYER.expected.

types.gguf: a tensor of every type, TYPE.weight, and the numbers it stands for, TYPE.expected; facts of
every kind.
"""

import json
from pathlib import Path

import comfy_kitchen
import gguf
import numpy as np
import torch
from comfy_kitchen.backends import eager
from gguf import GGMLQuantizationType as GgmlType
from safetensors.numpy import save_file
from safetensors.torch import save_file as save_torch

HERE = Path(__file__).resolve().parent
COLUMNS = 512

# Types that gguf writes itself, and those of which it only reads blocks.
WRITTEN = ["Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1"]
# type -> where the f16 factors lie in a block
READ = {"Q2_K": (80, 82), "Q3_K": (108,), "Q4_K": (0, 2), "Q5_K": (0, 2), "Q6_K": (208,), "IQ4_NL": (0,), "IQ4_XS": (0,)}


def ggml_rows(random):
    """name -> tensors of every ggml type."""
    tensors = {}
    for name in WRITTEN:
        values = random.standard_normal((1, COLUMNS), dtype=np.float32)
        tensors[name] = gguf.quants.quantize(values, GgmlType[name])
    for name, factors in READ.items():
        elements, size = gguf.GGML_QUANT_SIZES[GgmlType[name]]
        blocks = random.integers(0, 256, (COLUMNS // elements, size), dtype=np.uint8)
        for at in factors:
            values = random.uniform(0.001, 0.01, len(blocks)).astype(np.float16)
            blocks[:, at : at + 2] = values[:, None].view(np.uint8)
        tensors[name] = blocks.reshape(1, -1)
    result = {}
    for name, rows in tensors.items():
        values = gguf.quants.dequantize(rows, GgmlType[name])
        result[name.lower() + ".bytes"] = rows
        result[name.lower() + ".values"] = values.astype(np.float32)
    return result


def fp8_rows():
    codes = torch.arange(256, dtype=torch.uint8).reshape(2, 128)
    result = {}
    for name, dtype in (("fp8_e4m3", torch.float8_e4m3fn), ("fp8_e5m2", torch.float8_e5m2)):
        scale = torch.tensor([0.375, 0.0123], dtype=torch.float32)
        values = codes.view(dtype).to(torch.float64) * scale.to(torch.float64)[:, None]
        result[name + ".bytes"] = codes.numpy()
        result[name + ".scale"] = scale.numpy()
        result[name + ".values"] = values.to(torch.float32).numpy()
    return result


def int8_rows(generator):
    weight = torch.randn(3, COLUMNS, generator=generator)
    with comfy_kitchen.registry.use_backend("eager"):
        rows, scale = eager.quantize_int8_convrot_weight(weight, 256)
        values = eager.dequantize_int8_convrot_weight(rows, scale, 256)
    return {
        "int8.bytes": rows.view(torch.uint8).numpy(),
        "int8.scale": scale.reshape(-1).numpy(),
        "int8.values": values.numpy(),
        "int8.source": weight.numpy(),
    }


def nvfp4_rows(generator):
    """More rows than a tile of scales has, and a number of blocks in a row that fills no tile."""
    weight = torch.randn(160, 80, generator=generator)
    scale = weight.abs().amax() / (448 * 6)
    rows, block_scale = eager.quantize_nvfp4(weight, scale)
    unscaled = eager.dequantize_nvfp4(rows, torch.ones(()), block_scale, torch.float32)
    values = unscaled.to(torch.float64) * scale.to(torch.float64)
    checked = torch.tensor([0, 1, 31, 32, 63, 127, 128, 159])
    return {
        "nvfp4.bytes": rows.numpy(),
        "nvfp4.scale": scale.reshape(1).numpy(),
        "nvfp4.block_scale": block_scale.view(torch.uint8).numpy(),
        "nvfp4.rows": checked.numpy(),
        "nvfp4.values": values[checked].to(torch.float32).numpy(),
    }


def mark(**fields):
    return torch.tensor(list(json.dumps(fields).encode()), dtype=torch.uint8)


def product(codes, scale):
    return (codes.to(torch.float64) * scale.to(torch.float64)).to(torch.float32)


def save_layers(generator):
    """Every encoding under its mark; `listed` and `rows` are named in the metadata instead."""

    def codes(dtype):
        return torch.randn(3, 8, generator=generator).to(dtype)

    def nvfp4_layer():
        weight = torch.randn(16, 48, generator=generator)
        scale = weight.abs().amax() / (448 * 6)
        rows, block_scale = eager.quantize_nvfp4(weight, scale)
        unscaled = eager.dequantize_nvfp4(rows, torch.ones(()), block_scale, torch.float32)
        return {"weight": rows, "weight_scale": block_scale, "weight_scale_2": scale, "expected": product(unscaled, scale)}

    def int8_layer():
        with comfy_kitchen.registry.use_backend("eager"):
            rows, scale = eager.quantize_int8_convrot_weight(torch.randn(2, 256, generator=generator), 256)
            return {"weight": rows, "weight_scale": scale, "expected": eager.dequantize_int8_convrot_weight(rows, scale, 256)}

    e4m3, e5m2, listed, rows, plain = (codes(torch.float8_e4m3fn), codes(torch.float8_e5m2), codes(torch.float8_e4m3fn),
                                       codes(torch.float8_e5m2), codes(torch.float8_e4m3fn))
    scale = torch.tensor(0.4321)
    row_scale = torch.tensor([[0.5], [0.25], [3.0]], dtype=torch.bfloat16)
    half = torch.randn(3, 8, generator=generator).to(torch.float16)
    layers = {
        "e4m3": {"weight": e4m3, "weight_scale": scale, "input_scale": torch.tensor(2.0), "expected": product(e4m3, scale),
                 "comfy_quant": mark(format="float8_e4m3fn")},
        "e5m2": {"weight": e5m2, "weight_scale": scale[None], "expected": product(e5m2, scale),
                 "comfy_quant": mark(format="float8_e5m2", full_precision_matrix_mult=True)},
        "int8": int8_layer() | {"comfy_quant": mark(format="int8_tensorwise", convrot=True, convrot_groupsize=256)},
        "nvfp4": nvfp4_layer() | {"comfy_quant": mark(format="nvfp4")},
        "listed": {"weight": listed, "weight_scale": scale, "expected": product(listed, scale)},
        "rows": {"weight": rows, "weight_scale": row_scale, "expected": product(rows, row_scale)},
        "plain": {"weight": plain, "bias": torch.ones(3), "expected": plain.to(torch.float32)},
        "half": {"weight": half, "expected": half.to(torch.float32)},
    }
    tensors = {f"{layer}.{name}": value.clone().contiguous() for layer, parts in layers.items() for name, value in parts.items()}
    listing = {"format_version": "1.0", "layers": {"listed": {"format": "float8_e4m3fn"}, "rows": {"format": "float8_e5m2"}}}
    save_torch(tensors, HERE / "layers.safetensors", {"_quantization_metadata": json.dumps(listing)})
    older = {
        "model.scaled_fp8": torch.zeros(2, dtype=torch.float8_e4m3fn),
        "model.a.weight": e4m3,
        "model.a.scale_weight": scale,
        "model.a.scale_input": torch.ones(()),
        "model.a.expected": product(e4m3, scale),
    }
    save_torch(older, HERE / "scaled_fp8.safetensors")


def save_gguf(tensors, random):
    """`tensors` as ggml_rows() gives them; one block of 256 or eight of 32 numbers of each type."""
    writer = gguf.GGUFWriter(HERE / "types.gguf", "lumina2")
    writer.add_uint32("fact.u32", 7)
    writer.add_int32("fact.i32", -7)
    writer.add_uint64("fact.u64", 1 << 40)
    writer.add_float32("fact.f32", 0.5)
    writer.add_bool("fact.bool", True)
    writer.add_array("fact.texts", ["a", "\u82f9\u679c"])
    writer.add_array("fact.numbers", [1, 2, 3])
    writer.add_array("comfy.gguf.orig_shape.f16.weight", [2, 1, 3])
    plain = random.standard_normal((2, 3), dtype=np.float32)
    half = plain.astype(np.float16)
    brain = gguf.quants.quantize(plain, GgmlType.BF16)
    writer.add_tensor("f32.weight", plain)
    writer.add_tensor("f32.expected", plain)
    writer.add_tensor("f16.weight", half)
    writer.add_tensor("f16.expected", half.astype(np.float32))
    writer.add_tensor("bf16.weight", brain, raw_dtype=GgmlType.BF16)
    writer.add_tensor("bf16.expected", gguf.quants.dequantize(brain, GgmlType.BF16))
    for name in WRITTEN + list(READ):
        rows = tensors[name.lower() + ".bytes"]
        rows = np.ascontiguousarray(rows[:, : rows.shape[1] // 2])
        writer.add_tensor(name.lower() + ".weight", rows, raw_dtype=GgmlType[name])
        writer.add_tensor(name.lower() + ".expected", gguf.quants.dequantize(rows, GgmlType[name]).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main():
    random = np.random.default_rng(20260101)
    generator = torch.Generator().manual_seed(20260101)
    tensors = ggml_rows(random) | fp8_rows() | int8_rows(generator) | nvfp4_rows(generator)
    tensors = {name: np.ascontiguousarray(value) for name, value in tensors.items()}
    save_file(tensors, HERE / "quant_types.safetensors")
    save_layers(generator)
    save_gguf(tensors, random)


if __name__ == "__main__":
    main()
