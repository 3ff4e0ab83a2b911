#!/usr/bin/env python3
"""One turn of another engine, run by compare.py under the Python of that engine's environment.

    peer_turn.py export MODEL FOLDER                                       a model of the official layout for OpenVINO
    peer_turn.py openvino-stages FOLDER f32|bf16|int8 THREADS WxH REPEAT   one forward and one decode
    peer_turn.py openvino-picture FOLDER f32|bf16 THREADS WxH REPEAT       a warm picture of 8 steps
    peer_turn.py genai-file FOLDER f32|bf16 THREADS WxH PNG                OpenVINO GenAI: a picture to a file
    peer_turn.py diffusers-file MODEL THREADS WxH PNG                      diffusers in float32: a picture to a file
    peer_turn.py sdcpp MODEL THREADS WxH REPEAT                            stable-diffusion.cpp: a step and a decode
    peer_turn.py openvino-error ROWS DEPTH COLUMNS                         the relative error of an int8 product

Those that measure print the least of REPEAT times as a last line of JSON, in seconds; the first time is left out.
Above 1 B parameters OpenVINO's exporter stores int8 weights: int8 computes with those and int8 activations, which is
its default for such a model, f32 and bf16 widen them.
"""

import json
import re
import sys
import time
from pathlib import Path

PROMPT = "a red apple"
STEPS = 8
CHANNELS = 16
PATCH = 16  # pixels of a token's side
TEXT_TOKENS = 32


def least(repeat, call):
    times = []
    for _ in range(int(repeat) + 1):
        begin = time.monotonic()
        call()
        times.append(time.monotonic() - begin)
    return min(times[1:])


def pixels(size):
    return (int(side) for side in size.split("x"))


def openvino_settings(precision, threads):
    settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": str(threads)}
    settings["INFERENCE_PRECISION_HINT"] = "bf16" if precision == "bf16" else "f32"
    if precision != "int8":
        settings["DYNAMIC_QUANTIZATION_GROUP_SIZE"] = "0"
    return settings


def export(model, folder):
    import openvino
    from openvino_tokenizers import convert_tokenizer
    from optimum.exporters.openvino import main_export
    from transformers import AutoTokenizer

    main_export(model, folder, task="text-to-image", library_name="diffusers")
    tokenizer = Path(folder) / "tokenizer"
    models = convert_tokenizer(AutoTokenizer.from_pretrained(tokenizer), with_detokenizer=True)
    for name, converted in zip(("tokenizer", "detokenizer"), models, strict=True):
        openvino.save_model(converted, tokenizer / f"openvino_{name}.xml")


def openvino_stages(folder, precision, threads, size, repeat):
    import numpy as np
    import openvino

    core = openvino.Core()
    settings = openvino_settings(precision, threads)
    width, height = pixels(size)
    numbers = np.random.default_rng(0)
    latents = numbers.standard_normal((1, CHANNELS, height // 8, width // 8), np.float32)
    rows, columns = height // PATCH, width // PATCH
    # Text tokens stand at times 1 to 32, the picture at the one after them.
    text = np.zeros((1, TEXT_TOKENS, 3), np.int32)
    text[0, :, 0] = 1 + np.arange(TEXT_TOKENS)
    picture = np.zeros((rows, columns, 3), np.int32)
    picture[..., 0] = TEXT_TOKENS + 1
    picture[..., 1] = np.arange(rows)[:, None]
    picture[..., 2] = np.arange(columns)[None, :]
    network = core.read_model(Path(folder) / "transformer" / "openvino_model.xml")
    features = network.input("encoder_hidden_states").partial_shape[2].get_length()
    inputs = {
        "hidden_states": latents,
        "timestep": np.array([0.5], np.float32),
        "encoder_hidden_states": numbers.standard_normal((1, TEXT_TOKENS, features), np.float32),
        "encoder_attention_mask": np.ones((1, TEXT_TOKENS), np.float32),
        "txt_ids": text,
        "img_ids": picture.reshape(1, rows * columns, 3),
    }
    forward = core.compile_model(network, "CPU", settings).create_infer_request()
    times = {"forward": least(repeat, lambda: forward.infer(inputs))}
    del forward, network
    decoder = core.compile_model(Path(folder) / "vae_decoder" / "openvino_model.xml", "CPU", settings)
    request = decoder.create_infer_request()
    times["decode"] = least(repeat, lambda: request.infer([latents]))
    return times


def openvino_picture(folder, precision, threads, size, repeat):
    import torch
    from optimum.intel.openvino import OVDiffusionPipeline

    settings = openvino_settings(precision, threads)
    pipeline = OVDiffusionPipeline.from_pretrained(folder, device="CPU", ov_config=settings)
    pipeline.set_progress_bar_config(disable=True)
    width, height = pixels(size)

    def draw():
        generator = torch.Generator("cpu").manual_seed(42)
        pipeline(PROMPT, height=height, width=width, num_inference_steps=STEPS, guidance_scale=0.0, generator=generator)

    return {"picture": least(repeat, draw)}


def genai_file(folder, precision, threads, size, file):
    import openvino_genai
    from PIL import Image

    settings = openvino_settings(precision, threads)
    pipeline = openvino_genai.Text2ImagePipeline(folder, "CPU", **settings)
    width, height = pixels(size)
    picture = pipeline.generate(PROMPT, width=width, height=height, num_inference_steps=STEPS, guidance_scale=0.0,
                                rng_seed=42)
    Image.fromarray(picture.data[0]).save(file)


def diffusers_file(model, threads, size, file):
    import torch
    from diffusers import ZImagePipeline

    torch.set_num_threads(int(threads))
    pipeline = ZImagePipeline.from_pretrained(model, torch_dtype=torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    width, height = pixels(size)
    generator = torch.Generator("cpu").manual_seed(42)
    picture = pipeline(PROMPT, height=height, width=width, num_inference_steps=STEPS, guidance_scale=0.0,
                       generator=generator)
    picture.images[0].save(file)


def openvino_error(rows, depth, columns):
    """Root of the mean square of the error over that of the result: weights and activations are normal numbers."""
    import nncf
    import numpy as np
    import openvino
    from openvino import opset13

    numbers = np.random.default_rng(0)
    weight = numbers.standard_normal((int(columns), int(depth)), dtype=np.float32)
    x = numbers.standard_normal((1, int(rows), int(depth)), dtype=np.float32)
    parameter = opset13.parameter([1, -1, int(depth)], np.float32)
    product = opset13.matmul(parameter, opset13.constant(weight), False, True)
    model = nncf.compress_weights(openvino.Model([opset13.result(product)], [parameter]),
                                  mode=nncf.CompressWeightsMode.INT8_ASYM)
    compiled = openvino.Core().compile_model(model, "CPU", openvino_settings("int8", 2))
    exact = x.astype(np.float64) @ weight.astype(np.float64).T
    return {"error": float(np.sqrt(np.mean((compiled([x])[0] - exact) ** 2) / np.mean(exact**2)))}


def only_file(folder):
    files = [file for file in sorted(Path(folder).iterdir()) if file.suffix in (".safetensors", ".gguf")]
    if len(files) != 1:
        sys.exit(f"peer_turn.py: {folder} has {len(files)} files of weights, expected one")
    return str(files[0])


def sdcpp(model, threads, size, repeat):
    import ctypes

    import stable_diffusion_cpp
    import stable_diffusion_cpp.stable_diffusion_cpp as library

    logged = []

    @library.sd_log_callback
    def keep(_level, line, _data):
        logged.append(line.decode("utf-8", "replace"))

    folder = Path(model)
    pipeline = stable_diffusion_cpp.StableDiffusion(
        diffusion_model_path=only_file(folder / "transformer"),
        llm_path=only_file(folder / "text_encoder"),
        vae_path=only_file(folder / "vae"),
        vae_decode_only=True,
        n_threads=int(threads),
    )
    library.sd_set_log_callback(keep, ctypes.c_void_p(0))
    width, height = pixels(size)
    steps = 2
    patterns = {"forward": r"sampling completed, taking ([0-9.]+)s", "decode": r"latent 1 decoded, taking ([0-9.]+)s"}
    found = {name: [] for name in patterns}
    for _ in range(int(repeat)):
        logged.clear()
        pipeline.generate_image(PROMPT, width=width, height=height, cfg_scale=1.0, sample_steps=steps, seed=42)
        text = "".join(logged)
        for name, pattern in patterns.items():
            match = re.search(pattern, text)
            if match is None:
                sys.exit(f"peer_turn.py: the log has no time of {name}:\n{text[-3000:]}")
            found[name].append(float(match.group(1)))
    return {"forward": min(found["forward"]) / steps, "decode": min(found["decode"])}


WHAT = {
    "export": (export, 2),
    "openvino-stages": (openvino_stages, 5),
    "openvino-picture": (openvino_picture, 5),
    "genai-file": (genai_file, 5),
    "diffusers-file": (diffusers_file, 4),
    "sdcpp": (sdcpp, 4),
    "openvino-error": (openvino_error, 3),
}


def main():
    if sys.argv[1:] in (["-h"], ["--help"]):
        print(__doc__.strip())
        return
    function, count = WHAT.get(sys.argv[1] if len(sys.argv) > 1 else "", (None, 0))
    if function is None or len(sys.argv) != count + 2:
        sys.exit(__doc__.strip())
    times = function(*sys.argv[2:])
    if times is not None:
        print(json.dumps(times))


if __name__ == "__main__":
    main()
