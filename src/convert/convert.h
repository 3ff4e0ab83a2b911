// A model, or one part of it, written anew in another encoding. Whatever its size, the numbers pass
// through a few megabytes of memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/part_files.h"

namespace zimage {

enum class TargetEncoding : std::uint8_t { Bf16, Q80, Q6K, Q5K, Q4K, Fp8 };
std::string_view name_of(TargetEncoding encoding);  // "bf16", "q4_k"

enum class Container : std::uint8_t { Safetensors, Gguf };
std::string_view name_of(Container container);  // "safetensors", "gguf"

// As diffusers and transformers cut them when they are told to.
inline constexpr std::uint64_t kMaxShardBytes = 5'000'000'000;

struct ConvertSettings {
  // A model's folder, or one file of weights; empty when `files` has every network.
  std::filesystem::path model;
  PartFiles files = {};  // in place of a folder's; of one file only the tokenizer counts
  // "transformer", "text_encoder" or "vae"; empty: all of a model, the only one of a file.
  std::string part = {};
  // A folder for a whole model, a file for one part.
  std::filesystem::path out;
  TargetEncoding encoding = TargetEncoding::Bf16;
  // Absent: what the name of a file says, or what the encoding needs.
  std::optional<Container> container = {};
  std::uint64_t max_shard_bytes = kMaxShardBytes;  // of safetensors in folders
  int threads = 0;                                 // 0: one for each processor
  bool replace = false;                            // what is at `out`
};

struct ConvertProgress {
  std::string_view part;     // "transformer"
  std::uint64_t bytes_done;  // of weights written
  std::uint64_t bytes;
};
using ConvertProgressFn = std::function<void(const ConvertProgress&)>;

struct ConvertedFile {
  std::string path;  // below `out`; of a file, its name
  std::uint64_t bytes = 0;
};

struct ConvertResult {
  std::vector<ConvertedFile> files;  // of weights
  // By "bf16", "q4_k": how many tensors are stored so.
  std::map<std::string, std::int64_t, std::less<>> tensors;
  std::uint64_t bytes = 0;  // of `files`
};

// Writes `settings.out`. A folder has the official layout: bf16 as diffusers saves it; quantized
// parts as one file each, under the names that ComfyUI and llama.cpp use; the autoencoder in bf16;
// everything else copied; a configuration that is no file is written as it was
// read. A file holds one part under those names. docs/checkpoints.md tells which tensors stay in a
// higher precision. It appears whole, under its name, or not at all.
// Throws InvalidArgument for what cannot be written so or for an `out` that exists, NotFound,
// InvalidFile and Unsupported as CheckpointPart::open, Io when the disk does not hold it, Numerics
// for NaN or infinity that the encoding cannot hold, Cancelled.
ConvertResult convert(const ConvertSettings& settings, const ConvertProgressFn& progress,
                      const std::stop_token& stop);

// Removes what a convert() on another thread has not finished, and keeps it from appearing: that
// call never returns. For the end of the process.
void abandon_conversion();

}  // namespace zimage
