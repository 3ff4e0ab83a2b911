"""Z-Image-Tiny's parts as single files, in the spellings that others write."""

import json
import re
import struct
from pathlib import Path

from program import MODEL

BF16 = 30  # GGMLQuantizationType
F32 = 0


def read_part(name):
    """tensor -> (dtype, shape, bytes) of one part of Z-Image-Tiny."""
    tensors = {}
    for path in sorted((MODEL / name).glob("*.safetensors")):
        data = path.read_bytes()
        (size,) = struct.unpack("<Q", data[:8])
        for tensor, entry in json.loads(data[8 : 8 + size]).items():
            if tensor != "__metadata__":
                begin, end = entry["data_offsets"]
                tensors[tensor] = (entry["dtype"], entry["shape"], data[8 + size + begin : 8 + size + end])
    return tensors


def write_safetensors(path, tensors, metadata=None):
    header, at = {}, 0
    if metadata:
        header["__metadata__"] = metadata
    for name, (dtype, shape, data) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + len(data)]}
        at += len(data)
    text = json.dumps(header).encode()
    Path(path).write_bytes(struct.pack("<Q", len(text)) + text + b"".join(data for _, _, data in tensors.values()))


def gguf_string(text):
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def gguf_value(value):
    if isinstance(value, str):
        return 8, gguf_string(value)
    if isinstance(value, float):
        return 6, struct.pack("<f", value)
    if isinstance(value, int):
        return 4, struct.pack("<I", value)
    kind = gguf_value(value[0])[0]
    return 9, struct.pack("<IQ", kind, len(value)) + b"".join(gguf_value(entry)[1] for entry in value)


def write_gguf(path, tensors, facts):
    head = struct.pack("<4sIQQ", b"GGUF", 3, len(tensors), len(facts))
    for key, value in facts.items():
        kind, data = gguf_value(value)
        head += gguf_string(key) + struct.pack("<I", kind) + data
    body = b""
    for name, (dtype, shape, data) in tensors.items():
        body += bytes(-len(body) % 32)
        kind = {"BF16": BF16, "F32": F32}[dtype]
        head += gguf_string(name) + struct.pack(f"<I{len(shape)}Q", len(shape), *reversed(shape))
        head += struct.pack("<IQ", kind, len(body))
        body += data
    Path(path).write_bytes(head + bytes(-len(head) % 32) + body)


def native(tensors, prefix=""):
    """The transformer as Lumina 2's code and ComfyUI name it: fused projections, an unused norm."""
    result = {}
    for name, (dtype, shape, data) in tensors.items():
        name = name.replace("all_x_embedder.2-1.", "x_embedder.").replace("all_final_layer.2-1.", "final_layer.")
        name = name.replace("attention.to_out.0.", "attention.out.")
        name = re.sub(r"attention\.norm_([qk])\.", r"attention.\1_norm.", name)
        if name.endswith((".to_k.weight", ".to_v.weight")):
            continue
        if name.endswith(".to_q.weight"):
            others = [tensors[name.replace("to_q", other)][2] for other in ("to_k", "to_v")]
            name, shape, data = name.replace("to_q", "qkv"), [3 * shape[0], shape[1]], data + b"".join(others)
        result[prefix + name] = (dtype, shape, data)
    result[prefix + "norm_final.weight"] = ("BF16", [2], bytes(4))
    return result


def bfl(tensors, prefix=""):
    """The autoencoder's decoder as Black Forest Labs name it."""
    result = {}
    for name, (dtype, shape, data) in tensors.items():
        if not name.startswith("decoder."):
            continue
        name = re.sub(r"up_blocks\.(\d)\.resnets\.(\d)", lambda m: f"up.{3 - int(m[1])}.block.{m[2]}", name)
        name = re.sub(r"up_blocks\.(\d)\.upsamplers\.0", lambda m: f"up.{3 - int(m[1])}.upsample", name)
        name = name.replace("mid_block.resnets.0", "mid.block_1").replace("mid_block.resnets.1", "mid.block_2")
        name = name.replace("conv_shortcut", "nin_shortcut").replace("conv_norm_out", "norm_out")
        if ".attentions.0." in name:
            name = name.replace("mid_block.attentions.0.group_norm", "mid.attn_1.norm")
            name = name.replace("mid_block.attentions.0.to_out.0", "mid.attn_1.proj_out")
            name = re.sub(r"mid_block\.attentions\.0\.to_([qkv])", r"mid.attn_1.\1", name)
            shape = shape + [1, 1] if len(shape) == 2 else shape
        result[prefix + name] = (dtype, shape, data)
    return result


def llama(tensors):
    """The text encoder as llama.cpp names it."""
    layer = {
        "input_layernorm": "attn_norm", "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k",
        "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output", "self_attn.q_norm": "attn_q_norm",
        "self_attn.k_norm": "attn_k_norm", "post_attention_layernorm": "ffn_norm", "mlp.gate_proj": "ffn_gate",
        "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
    }
    result = {}
    for name, tensor in tensors.items():
        name = name.removeprefix("model.").replace("embed_tokens.", "token_embd.")
        if match := re.fullmatch(r"layers\.(\d+)\.(.*)\.weight", name):
            name = f"blk.{match[1]}.{layer[match[2]]}.weight"
        result["output_norm.weight" if name == "norm.weight" else name] = tensor
    return result


def llama_facts():
    config = json.loads((MODEL / "text_encoder/config.json").read_text())
    return {
        "general.architecture": "qwen3",
        "qwen3.block_count": config["num_hidden_layers"],
        "qwen3.embedding_length": config["hidden_size"],
        "qwen3.feed_forward_length": config["intermediate_size"],
        "qwen3.attention.head_count": config["num_attention_heads"],
        "qwen3.attention.head_count_kv": config["num_key_value_heads"],
        "qwen3.attention.key_length": config["head_dim"],
        "qwen3.rope.freq_base": float(config["rope_parameters"]["rope_theta"]),
        "qwen3.attention.layer_norm_rms_epsilon": config["rms_norm_eps"],
    }


def vocabulary_facts():
    tokenizer = json.loads((MODEL / "tokenizer/tokenizer.json").read_text())
    tokens, kinds = {}, {}
    for token, number in tokenizer["model"]["vocab"].items():
        tokens[number], kinds[number] = token, 1
    for token in tokenizer["added_tokens"]:
        tokens[token["id"]], kinds[token["id"]] = token["content"], 3 if token["special"] else 4
    count = max(tokens) + 1
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in tokenizer["model"]["merges"]]
    return {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "qwen2",
        "tokenizer.ggml.tokens": [tokens.get(i, f"[PAD{i}]") for i in range(count)],
        "tokenizer.ggml.token_type": [kinds.get(i, 5) for i in range(count)],
        "tokenizer.ggml.merges": merges,
    }


def text_encoder_in_checkpoint(tensors):
    """The text encoder as ComfyUI's checkpoints of all parts name it."""
    prefix = "text_encoders.qwen3_4b.transformer.model."
    return {prefix + name.removeprefix("model."): tensor for name, tensor in tensors.items()}


def config_of(part):
    return (MODEL / part / "config.json").read_text()
