#!/usr/bin/env python3
"""Draws requests with the reference pipeline (diffusers), in float32 on the CPU.

Reads one JSON request a line from standard input: prompt, width, height, steps, seed, output. Writes one JSON
line for each: seconds, and the process's peak memory so far in MiB. Runs in the environment that
compare_reference.py makes.
"""

import argparse
import json
import resource
import sys
import time

import torch
from diffusers import ZImagePipeline


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True, help="a model folder")
    parser.add_argument("--threads", type=int, required=True)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    pipeline = ZImagePipeline.from_pretrained(args.model, torch_dtype=torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    for line in sys.stdin:
        request = json.loads(line)
        start = time.perf_counter()
        image = pipeline(
            prompt=request["prompt"],
            width=request["width"],
            height=request["height"],
            num_inference_steps=request["steps"],
            guidance_scale=0.0,
            generator=torch.Generator("cpu").manual_seed(request["seed"]),
        ).images[0]
        seconds = time.perf_counter() - start
        image.save(request["output"])
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps({"seconds": seconds, "peak_mib": peak}), flush=True)


if __name__ == "__main__":
    main()
