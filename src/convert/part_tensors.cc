// Canonical names, translated; projections stacked where files stack them.
#include "convert/part_tensors.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <utility>

#include "base/error.h"
#include "base/quote.h"
#include "checkpoint/names.h"

namespace zimage {
namespace {

constexpr std::string_view kWeight = ".weight";

// transformers' class that has the network inside of it, under "model.".
bool is_causal_model(const CheckpointPart& part) {
  const JsonObject config = part.config();
  if (!config.has("architectures")) return false;
  const std::vector<std::string> names = config.strings("architectures");
  return !names.empty() && names.front() == "Qwen3ForCausalLM";
}

// What becomes of the names of one part.
class Renamer {
 public:
  Renamer(std::string_view name, const CheckpointPart& part, Naming naming)
      : part_(part), naming_(naming), is_transformer_(name == "transformer") {
    if (name != "text_encoder" || naming == Naming::Llama) return;
    // Where there is no class to go by, programs look for the prefix.
    if (naming == Naming::Native || is_causal_model(part)) prefix_ = "model.";
  }

  std::string operator()(const std::string& name) const {
    if (naming_ == Naming::Llama) {
      if (const auto llama = llama_name(name)) return *llama;
      throw Error(ErrorCode::Unsupported, part_.file_of(name) + ": tensor " + quote(name) +
                                              ", which llama.cpp has no name for");
    }
    if (is_transformer_ && naming_ == Naming::Native) return native_name(name);
    return name.starts_with("lm_head.") ? name : prefix_ + name;
  }

  bool fuses() const { return is_transformer_ && naming_ == Naming::Native; }

 private:
  const CheckpointPart& part_;
  Naming naming_;
  bool is_transformer_;
  std::string prefix_;
};

// "a.to_q.weight" and 1 -> "a.to_k.weight": the ends of all three are equally long.
std::string sibling(const std::string& name, std::size_t index) {
  return name.substr(0, name.size() - kFusedParts[0].size()) + std::string(kFusedParts[index]);
}

bool is_part_of_fused(std::string_view name) {
  return name.find(".attention.") != std::string_view::npos &&
         std::ranges::any_of(kFusedParts,
                             [name](std::string_view end) { return name.ends_with(end); });
}

// All three projections stacked; nothing when they do not fit together.
std::optional<PlannedTensor> fused(const CheckpointPart& part, const std::string& name,
                                   const Renamer& rename) {
  std::vector<HostTensor> sources;
  std::int64_t rows = 0;
  for (std::size_t i = 0; i < kFusedParts.size(); ++i) {
    const auto found = part.tensors().find(sibling(name, i));
    if (found == part.tensors().end()) return std::nullopt;
    sources.push_back(found->second);
    rows += found->second.row_count();
    const Shape& shape = sources.back().shape;
    if (shape.rank() != 2 || shape != sources.front().shape) return std::nullopt;
  }
  const std::string module = name.substr(0, name.size() - kFusedParts[0].size());
  return PlannedTensor{.name = rename(module + std::string(kFusedProjection)),
                       .shape = {rows, sources.front().shape[1]},
                       .storage = {},
                       .sources = std::move(sources)};
}

// The scale of an fp8 tensor and what marks its layer. ComfyUI multiplies with the widened weights
// when it is told to; else it would quantize activations with a scale of 1, which cuts off the
// large ones that this model has. Source: comfy/ops.py (mixed_precision_ops) of ComfyUI.
void add_companions(std::vector<PlannedTensor>& tensors, const std::string& weight) {
  const std::string layer = weight.substr(0, weight.size() - kWeight.size());
  const std::string mark = R"({"format": "float8_e4m3fn", "full_precision_matrix_mult": true})";
  tensors.push_back({.name = layer + ".weight_scale",
                     .shape = {},
                     .storage = {.dtype = DType::F32},
                     .scale_of = weight});
  tensors.push_back({.name = layer + ".comfy_quant",
                     .shape = {static_cast<std::int64_t>(mark.size())},
                     .storage = {.dtype = DType::U8},
                     .bytes = mark});
}

}  // namespace

std::vector<PlannedTensor> part_tensors(std::string_view name, const CheckpointPart& part,
                                        const FileFormat& format, Naming naming) {
  const Renamer rename(name, part, naming);
  std::vector<PlannedTensor> tensors;
  std::set<std::string> taken;  // by a fused tensor
  for (const auto& [canonical, tensor] : part.tensors()) {
    if (taken.contains(canonical)) continue;
    const Storage storage = storage_of(name, canonical, tensor, format);
    if (rename.fuses() && is_part_of_fused(canonical)) {
      if (auto stacked = fused(part, canonical, rename)) {
        stacked->storage = storage;
        tensors.push_back(std::move(*stacked));
        for (std::size_t i = 0; i < kFusedParts.size(); ++i) taken.insert(sibling(canonical, i));
        continue;
      }
    }
    tensors.push_back({.name = rename(canonical),
                       .shape = tensor.shape,
                       .storage = storage,
                       .sources = {tensor}});
  }
  const std::size_t count = tensors.size();
  for (std::size_t i = 0; i < count; ++i) {
    const std::string weight = tensors[i].name;
    if (tensors[i].storage.type == QuantType::Fp8E4M3) add_companions(tensors, weight);
  }
  return tensors;
}

}  // namespace zimage
