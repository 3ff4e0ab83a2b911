// Layer by layer: the format, the scales, and the check that they fit.
#include "checkpoint/scales.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "base/quote.h"
#include "quant/dequantize.h"

namespace zimage {
namespace {

constexpr std::string_view kWeight = ".weight";
constexpr std::string_view kMark = ".comfy_quant";
// What a layer has beside its weight and bias.
constexpr std::array<std::string_view, 6> kCompanions = {
    ".weight_scale", ".scale_weight", ".weight_scale_2", ".input_scale", ".scale_input", kMark};
// Of the whole file; sometimes after a prefix.
constexpr std::string_view kFileMark = "scaled_fp8";
// Source: int8_linear of Comfy-Org/comfy-kitchen.
constexpr std::int64_t kDefaultRotation = 256;

struct LayerFormat {
  QuantType type = QuantType::None;
  std::int64_t rotation = 0;
};

struct FormatName {
  std::string_view name;
  QuantType type;
};

constexpr std::array kFormats = {
    FormatName{"float8_e4m3fn", QuantType::Fp8E4M3}, FormatName{"float8_e5m2", QuantType::Fp8E5M2},
    FormatName{"nvfp4", QuantType::Nvfp4}, FormatName{"int8_tensorwise", QuantType::Int8}};

LayerFormat read_format(const Json& json, const std::string& place) {
  const JsonObject object(json, place);
  const std::string name = object.string("format");
  const auto* const found = std::ranges::find(kFormats, name, &FormatName::name);
  if (found == kFormats.end()) {
    throw Error(ErrorCode::Unsupported,
                place + ": format " + quote(name) +
                    ", expected float8_e4m3fn, float8_e5m2, nvfp4 or int8_tensorwise");
  }
  LayerFormat format{.type = found->type, .rotation = 0};
  if (object.boolean("convrot", false)) {
    format.rotation = object.integer("convrot_groupsize", kDefaultRotation);
  }
  return format;
}

// Finds and converts what lies beside the weight of one layer.
class Layer {
 public:
  Layer(const TensorMap& tensors, std::string name,
        const std::function<std::string(const std::string&)>& place_of)
      : tensors_(tensors), name_(std::move(name)), place_of_(place_of) {}

  std::string place() const { return place_of_(name_ + std::string(kWeight)); }

  const HostTensor* find(std::string_view suffix) const {
    const auto found = tensors_.find(name_ + std::string(suffix));
    return found == tensors_.end() ? nullptr : &found->second;
  }

  // In the file's list of layers, or in a mark of the layer's own.
  std::optional<LayerFormat> format(const Json& layers) const {
    if (const HostTensor* const mark = find(kMark)) {
      const std::string mark_place = place_of_(name_ + std::string(kMark));
      const std::string_view text(static_cast<const char*>(mark->stored.data),
                                  mark->stored.bytes());
      return read_format(parse_json(text, mark_place), mark_place);
    }
    const auto listed = layers.find(name_);
    if (listed == layers.end()) return std::nullopt;
    return read_format(*listed, place());
  }

  // Any float type as f32 in `copies`; aligned f32 as it is. Absent where there is none.
  Tensor scale(std::string_view suffix, TensorCopies& copies) const {
    const HostTensor* const found = find(suffix);
    if (found == nullptr) return {};
    if (found->is_quantized() || found->elements() == 0) {
      throw Error(ErrorCode::InvalidFile, place() + ": its scale is " +
                                              std::string(found->type_name()) + " " +
                                              to_string(found->shape) + ", expected f32");
    }
    const bool is_aligned =
        reinterpret_cast<std::uintptr_t>(found->stored.data) % alignof(float) == 0;
    if (found->stored.dtype == DType::F32 && is_aligned) {
      return {found->stored.data, DType::F32, {found->elements()}};
    }
    copies.push_back(std::make_unique_for_overwrite<std::byte[]>(
        static_cast<std::size_t>(found->elements()) * sizeof(float)));
    auto* const values = reinterpret_cast<float*>(copies.back().get());
    dequantize_rows(values, *found, 0, found->row_count());
    return {values, DType::F32, {found->elements()}};
  }

 private:
  const TensorMap& tensors_;
  std::string name_;
  const std::function<std::string(const std::string&)>& place_of_;
};

void expect_stored(const Layer& layer, const HostTensor& weight, std::string_view expected) {
  if (weight.type_name() == expected) return;
  throw Error(ErrorCode::InvalidFile, layer.place() + ": stored as " +
                                          std::string(weight.type_name()) + ", expected " +
                                          std::string(expected));
}

// U8 [rows, columns / 2] and the scales of its blocks.
HostTensor nvfp4_of(const Layer& layer, const HostTensor& weight, TensorCopies& copies) {
  expect_stored(layer, weight, name_of(DType::U8));
  const HostTensor* const blocks = layer.find(".weight_scale");
  std::int64_t columns = 0;
  if (blocks == nullptr || blocks->type != QuantType::Fp8E4M3 || weight.shape.rank() != 2 ||
      __builtin_mul_overflow(weight.shape[1], 2, &columns)) {
    throw Error(ErrorCode::InvalidFile,
                layer.place() + ": " + to_string(weight.shape) +
                    ", expected a matrix in nvfp4 with a weight_scale in fp8_e4m3");
  }
  return {.stored = {weight.stored.data, DType::U8, {weight.elements()}},
          .shape = {weight.shape[0], columns},
          .type = QuantType::Nvfp4,
          .scale = layer.scale(".weight_scale_2", copies),
          .block_scale = blocks->stored};
}

// The weight with its scales; unchanged where it has none.
HostTensor joined(const Layer& layer, const HostTensor& weight, const Json& layers,
                  TensorCopies& copies) {
  const std::optional<LayerFormat> format = layer.format(layers);
  if (format && format->type == QuantType::Nvfp4) return nvfp4_of(layer, weight, copies);
  if (format) expect_stored(layer, weight, name_of(format->type));
  if (!weight.is_quantized()) return weight;
  HostTensor result = weight;
  result.scale = layer.scale(".weight_scale", copies);
  if (result.scale.empty()) result.scale = layer.scale(".scale_weight", copies);
  if (format) result.rotation = format->rotation;
  if (result.type == QuantType::Int8 && result.scale.empty()) {
    throw Error(ErrorCode::InvalidFile, layer.place() + ": int8 without a weight_scale");
  }
  return result;
}

bool is_file_mark(std::string_view name) {
  return name == kFileMark || name.ends_with("." + std::string(kFileMark));
}

}  // namespace

Json quantized_layers(const Json& metadata, const std::string& name) {
  const auto text = metadata.find("_quantization_metadata");
  if (text == metadata.end() || !text->is_string()) return Json::object();
  const std::string place = name + ": _quantization_metadata";
  const Json document = parse_json(text->get_ref<const std::string&>(), place);
  static_cast<void>(JsonObject(document, place).object("layers"));
  return document["layers"];
}

void attach_scales(TensorMap& tensors, TensorCopies& copies, const Json& layers,
                   const std::function<std::string(const std::string&)>& place_of) {
  std::vector<std::string> read;
  for (auto& [name, tensor] : tensors) {
    if (is_file_mark(name)) read.push_back(name);
    if (!name.ends_with(kWeight)) continue;
    const std::string layer_name = name.substr(0, name.size() - kWeight.size());
    const Layer layer(tensors, layer_name, place_of);
    tensor = joined(layer, tensor, layers, copies);
    // Without a quantized weight they stay: nobody asks for them, and the load says so.
    if (!tensor.is_quantized()) continue;
    check_quantized(tensor, place_of(name));
    for (const std::string_view companion : kCompanions)
      read.push_back(layer_name + std::string(companion));
  }
  for (const std::string& name : read) tensors.erase(name);
}

}  // namespace zimage
