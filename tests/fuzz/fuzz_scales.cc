// Any bytes as a safetensors file of quantized layers: either one Error, or weights whose scales
// fit them, so that their rows can be widened.
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/host_tensor.h"
#include "base/quote.h"
#include "checkpoint/safetensors.h"
#include "checkpoint/scales.h"
#include "checks.h"
#include "quant/dequantize.h"

namespace {

using zimage::fuzz::answer;
using zimage::fuzz::require;

// Rows of more numbers than this are not widened: an empty one may be as long as it likes.
constexpr std::int64_t kMostNumbers = std::int64_t{1} << 20;

void widen_ends(const zimage::HostTensor& tensor) {
  const std::int64_t rows = tensor.row_count();
  if (rows == 0 || tensor.row_elements() > kMostNumbers) return;
  std::vector<float> row(static_cast<std::size_t>(tensor.row_elements()));
  zimage::dequantize_rows(row.data(), tensor, 0, 1);
  zimage::dequantize_rows(row.data(), tensor, rows - 1, rows);
}

void read(std::span<const std::byte> file) {
  const zimage::StoredFile stored = zimage::parse_safetensors(file, "input");
  zimage::TensorMap tensors;
  for (const zimage::StoredTensor& tensor : stored.tensors)
    tensors.emplace(tensor.name, zimage::view_of(tensor, file));
  zimage::TensorCopies copies;
  zimage::attach_scales(tensors, copies, zimage::quantized_layers(stored.metadata, "input"),
                        [](const std::string& name) { return "input: " + zimage::quote(name); });
  for (const auto& [name, tensor] : tensors) {
    constexpr std::string_view kWeight = ".weight";
    if (!name.ends_with(kWeight) || !tensor.is_quantized()) continue;
    // What said how a weight is stored was taken with it.
    require(!tensors.contains(name.substr(0, name.size() - kWeight.size()) + ".comfy_quant"));
    widen_ends(tensor);
  }
}

}  // namespace

// NOLINTNEXTLINE(readability-identifier-naming): the name that libFuzzer calls
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  answer([&] { read({reinterpret_cast<const std::byte*>(data), size}); });
  return 0;
}
