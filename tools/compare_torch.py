#!/usr/bin/env python3
"""Holds each network, with random weights of any size, against diffusers and transformers in float64.

Writes a checkpoint of random bf16 weights for the configuration files of --config (models/z-image-turbo is the full
model) into a temporary folder, computes one block, one forward, the text encoder and the decoder with torch in float64
and in bf16, and the same with build/<preset>/tests/stage_results. Prints the relative root-mean-square error of each
against float64: what bf16 costs in torch is the yardstick. Exits 1 where ours is more than --bound times as large.

Needs torch, diffusers, transformers and safetensors: tools/compare_reference.py makes such an environment for a CPU; the
full size needs a GPU of 80 GB.
"""

import argparse
import gc
import json
import math
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from diffusers import AutoencoderKL, ZImageTransformer2DModel
from diffusers.models.transformers.transformer_z_image import RopeEmbedder
from safetensors.torch import load_file, save_file
from transformers import Qwen3Config, Qwen3Model

ROOT = Path(__file__).resolve().parent.parent
PARTS = ("text_encoder", "transformer", "vae")
WEIGHTS = {"text_encoder": "model.safetensors", "transformer": "diffusion_pytorch_model.safetensors",
           "vae": "diffusion_pytorch_model.safetensors"}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--config", type=Path, default=ROOT / "models" / "z-image-turbo", help="folder of configurations")
    parser.add_argument("--program", type=Path, default=ROOT / "build" / "cuda" / "tests" / "stage_results")
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--size", type=int, default=1024, help="side of the picture in pixels")
    parser.add_argument("--tokens", type=int, default=101, help="length of the prompt")
    parser.add_argument("--precisions", nargs="+", default=None, help="of ours: auto, f32, fp8")
    parser.add_argument("--bound", type=float, default=1.1, help="largest ratio of our bf16 error to torch's")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    if args.precisions is None:
        args.precisions = ["auto", "f32", "fp8"] if args.device == "cuda" else ["auto"]
    return args


def config_of(args, part):
    config = json.loads((args.config / part / "config.json").read_text())
    return {key: value for key, value in config.items() if key not in ("_class_name", "architectures", "model_type")}


def network(args, part, dtype):
    """The reference's network without weights that mean anything."""
    default = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with torch.device(args.device):
            config = config_of(args, part)
            if part == "text_encoder":
                return Qwen3Model(Qwen3Config(**config)).eval()
            return (AutoencoderKL if part == "vae" else ZImageTransformer2DModel).from_config(config).eval()
    finally:
        torch.set_default_dtype(default)


def randomise(model, seed):
    """Matrices keep their input's size, norms are near one, so activations stay in range at any depth."""
    generator = torch.Generator(next(model.parameters()).device).manual_seed(seed)
    for name, p in model.named_parameters():
        noise = torch.randn(p.shape, generator=generator, device=p.device, dtype=torch.float32)
        if p.dim() >= 2 and "pad_token" not in name:
            p.data.copy_(noise / math.sqrt(p[0].numel()))
        elif "norm" in name and name.endswith("weight") or name == "cap_embedder.0.weight":
            p.data.copy_(1 + 0.1 * noise)
        else:
            p.data.copy_(0.1 * noise)


def write_checkpoint(args, folder):
    shutil.copytree(args.config, folder, dirs_exist_ok=True,
                    ignore=shutil.ignore_patterns("*.safetensors", "*.safetensors.index.json"))
    tiny = ROOT / "models" / "zimage-tiny"
    shutil.copytree(tiny / "tokenizer", folder / "tokenizer", dirs_exist_ok=True)
    shutil.copy(tiny / "model_index.json", folder / "model_index.json")
    for index, part in enumerate(PARTS):
        progress(f"writing random weights: {part}")
        model = network(args, part, torch.bfloat16)
        randomise(model, args.seed + index)
        state = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
        if part == "text_encoder":
            state = {f"model.{name}": tensor for name, tensor in state.items()}
        save_file(state, folder / part / WEIGHTS[part])
        del model, state
        free()


def progress(text):
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def free():
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def load(args, folder, part, dtype):
    model = network(args, part, dtype)
    state = load_file(folder / part / WEIGHTS[part])
    model.load_state_dict({name.removeprefix("model.") if part == "text_encoder" else name: tensor
                           for name, tensor in state.items()})
    return model


def tokens_from_planes(planes, patch):
    c, h, w = planes.shape
    x = planes.reshape(c, h // patch, patch, w // patch, patch)
    return x.permute(1, 3, 2, 4, 0).reshape(h // patch * (w // patch), patch * patch * c)


def make_inputs(args):
    g = torch.Generator().manual_seed(args.seed)
    text, dit, vae = (config_of(args, part) for part in PARTS)
    side = args.size // 2 ** (len(vae["block_out_channels"]) - 1)
    patch = dit["all_patch_size"][0]
    normal = lambda *shape: torch.randn(shape, generator=g)
    rows = (side // patch) ** 2
    ids = torch.stack([torch.tensor([1 + i % 4, i // 64, i % 64]) for i in range(rows)])
    angles = RopeEmbedder(dit["rope_theta"], dit["axes_dims"], dit["axes_lens"])(ids)
    return {
        "ids": torch.randint(0, text["vocab_size"], (args.tokens,), generator=g),
        "block_x": normal(rows, dit["dim"]),
        "block_cos_sin": torch.view_as_real(angles).float().contiguous(),
        "block_modulation": normal(4 * dit["dim"]) * 0.5,
        "features_in": normal(args.tokens, text["hidden_size"]),
        "planes": normal(dit["in_channels"], side, side),
        "grid": torch.tensor([side // patch, side // patch]),
        "time": torch.tensor([0.3]),
        "map": normal(side, side, vae["latent_channels"]),
    }


def torch_block(transformer, inputs, device, dtype):
    """ZImageTransformerBlock.forward behind its modulation, which is an input here."""
    block = transformer.layers[0]
    x = inputs["block_x"].to(device, dtype)[None]
    scale_a, gate_a, scale_f, gate_f = inputs["block_modulation"].to(device, dtype)[None, None].chunk(4, dim=2)
    angles = torch.view_as_complex(inputs["block_cos_sin"]).to(device)[None]
    y = block.attention(block.attention_norm1(x) * (1 + scale_a), attention_mask=None, freqs_cis=angles)
    x = x + gate_a.tanh() * block.attention_norm2(y)
    y = block.feed_forward(block.ffn_norm1(x) * (1 + scale_f))
    return (x + gate_f.tanh() * block.ffn_norm2(y))[0]


def torch_results(args, folder, inputs, dtype):
    results = {}
    with torch.no_grad():
        progress(f"torch {dtype}: transformer")
        model = load(args, folder, "transformer", dtype)
        patch = config_of(args, "transformer")["all_patch_size"][0]
        results["block"] = torch_block(model, inputs, args.device, dtype).cpu().double()
        planes = inputs["planes"].to(args.device, dtype)
        out = model([planes[:, None]], inputs["time"].to(args.device, dtype),
                    [inputs["features_in"].to(args.device, dtype)], return_dict=False)[0][0]
        results["velocity"] = tokens_from_planes(out[:, 0].cpu().double(), patch)
        del model
        free()
        progress(f"torch {dtype}: text encoder")
        model = load(args, folder, "text_encoder", dtype)
        hidden = model(inputs["ids"].to(args.device)[None], output_hidden_states=True).hidden_states[-2][0]
        results["features"] = hidden.cpu().double()
        del model
        free()
        progress(f"torch {dtype}: decoder")
        model = load(args, folder, "vae", dtype)
        latents = inputs["map"].permute(2, 0, 1)[None].to(args.device, dtype)
        results["pixels"] = model.decode(latents, return_dict=False)[0][0].permute(1, 2, 0).cpu().double()
        del model
        free()
    return results


def error(found, expected):
    return ((found.double() - expected).pow(2).mean() / expected.pow(2).mean()).sqrt().item()


def main():
    args = arguments()
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "model"
        write_checkpoint(args, folder)
        inputs = make_inputs(args)
        given = {name: tensor.contiguous() for name, tensor in inputs.items() if name != "planes"}
        patch = config_of(args, "transformer")["all_patch_size"][0]
        given["latents"] = tokens_from_planes(inputs["planes"], patch).contiguous()
        save_file(given, Path(temporary) / "inputs.safetensors")
        exact = torch_results(args, folder, inputs, torch.float64)
        columns = {"torch bf16": torch_results(args, folder, inputs, torch.bfloat16)}
        for precision in args.precisions:
            progress(f"zimage {precision}")
            output = Path(temporary) / f"{precision}.safetensors"
            subprocess.run([args.program, folder, args.device, precision, Path(temporary) / "inputs.safetensors", output],
                           check=True)
            columns[f"zimage {precision}"] = load_file(output)
    print(f"{args.config.name}, {args.size}x{args.size}, {args.tokens} tokens, {args.device}: "
          "relative error against float64")
    print(f"{'':12}" + "".join(f"{name:>16}" for name in columns))
    failed = False
    for stage, expected in exact.items():
        errors = {name: error(found[stage].reshape(expected.shape), expected)
                  for name, found in columns.items() if stage in found}
        print(f"{stage:12}" + "".join(f"{errors[name]:>16.3e}" if name in errors else f"{'':16}" for name in columns))
        failed |= errors.get("zimage auto", 0) > args.bound * errors["torch bf16"]
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
