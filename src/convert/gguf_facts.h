// What the GGUF files of the two networks say of themselves.
#pragma once

#include <cstdint>
#include <string>

#include "base/json.h"
#include "convert/convert.h"
#include "convert/plan_gguf.h"

namespace zimage {

// `config` is the text of the part's config.json, or empty; it goes into the file whole, under
// "config", so that this program knows the part without its folder. Source: tools/convert.py of
// city96/ComfyUI-GGUF.
GgufFacts transformer_facts(const std::string& config, TargetEncoding encoding);

// Of llama.cpp's Qwen3, with the vocabulary of `tokenizer`, a tokenizer.json; of one that is null
// or of another kind, which is logged, without. Throws InvalidFile. Source: conversion of
// Qwen3ForCausalLM in convert_hf_to_gguf.py of ggml-org/llama.cpp.
GgufFacts text_encoder_facts(const JsonObject& config, const Json& tokenizer,
                             TargetEncoding encoding);

}  // namespace zimage
