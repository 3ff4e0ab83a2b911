// A JSON header of offsets, padded to a multiple of eight.
#include "convert/plan_safetensors.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <tuple>

#include "base/json.h"
#include "checkpoint/safetensors.h"

namespace zimage {
namespace {

constexpr std::size_t kAlignment = 8;

const char* dtype_name(const Storage& storage) {
  if (storage.type == QuantType::Fp8E4M3) return "F8_E4M3";
  switch (storage.dtype) {
    case DType::F32: return "F32";
    case DType::F16: return "F16";
    case DType::BF16: return "BF16";
    case DType::I64: return "I64";
    case DType::I32: return "I32";
    case DType::U8: return "U8";
  }
  return "U8";
}

std::string as_text(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

// "x-00002-of-00003.safetensors"
std::string shard_name(const std::string& stem, std::size_t number, std::size_t count) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "-%05zu-of-%05zu", number, count);
  return stem + text.data() + ".safetensors";
}

}  // namespace

PlannedFile plan_safetensors(std::string path, std::vector<PlannedTensor> tensors,
                             const std::map<std::string, std::string>& metadata) {
  std::ranges::sort(tensors, {}, [](const PlannedTensor& tensor) {
    return std::tuple(-static_cast<int>(size_of(tensor.storage.dtype)),
                      std::string_view(tensor.name));
  });
  Json header = {{"__metadata__", metadata}};
  std::uint64_t end = 0;
  for (PlannedTensor& tensor : tensors) {
    Json shape = Json::array();
    for (int axis = 0; axis < tensor.shape.rank(); ++axis) shape.push_back(tensor.shape[axis]);
    tensor.offset = end;
    end += tensor.size();
    header[tensor.name] = {{"dtype", dtype_name(tensor.storage)},
                           {"shape", std::move(shape)},
                           {"data_offsets", {tensor.offset, end}}};
  }
  std::string text = as_text(header);
  text.resize((text.size() + kAlignment - 1) / kAlignment * kAlignment, ' ');
  PlannedFile file{.path = std::move(path),
                   .header = with_length(text),
                   .tensors = std::move(tensors),
                   .size = 0};
  for (PlannedTensor& tensor : file.tensors) tensor.offset += file.header.size();
  file.size = file.header.size() + end;
  return file;
}

PlannedShards plan_shards(const std::string& stem, std::vector<PlannedTensor> tensors,
                          std::uint64_t most) {
  std::vector<std::vector<PlannedTensor>> groups(1);
  std::uint64_t bytes = 0;
  std::uint64_t total = 0;
  for (PlannedTensor& tensor : tensors) {
    if (!groups.back().empty() && bytes + tensor.size() > most) {
      groups.emplace_back();
      bytes = 0;
    }
    bytes += tensor.size();
    total += tensor.size();
    groups.back().push_back(std::move(tensor));
  }
  PlannedShards shards;
  Json map = Json::object();
  for (std::size_t i = 0; i < groups.size(); ++i) {
    const std::string name =
        groups.size() == 1 ? stem + ".safetensors" : shard_name(stem, i + 1, groups.size());
    const std::string base = name.substr(name.rfind('/') + 1);
    for (const PlannedTensor& tensor : groups[i]) map[tensor.name] = base;
    shards.files.push_back(plan_safetensors(name, std::move(groups[i]), {{"format", "pt"}}));
  }
  if (groups.size() > 1) {
    const Json index = {{"metadata", {{"total_size", total}}}, {"weight_map", std::move(map)}};
    shards.index = index.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
  }
  return shards;
}

}  // namespace zimage
