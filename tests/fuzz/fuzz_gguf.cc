// Any bytes as a GGUF file: either one Error, or tensors that can be read in place and, where their
// rows are whole blocks, widened.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/host_tensor.h"
#include "checkpoint/gguf.h"
#include "checks.h"
#include "quant/dequantize.h"

namespace {

using zimage::fuzz::answer;
using zimage::fuzz::require;

void widen_first_row(const zimage::StoredTensor& stored, std::span<const std::byte> file) {
  const zimage::HostTensor tensor = zimage::view_of(stored, file);
  try {
    zimage::check_quantized(tensor, "tensor");
  } catch (const zimage::Error&) {
    return;  // comfy.gguf.orig_shape may ask for rows that are no whole blocks
  }
  if (tensor.row_count() == 0) return;
  std::vector<float> row(static_cast<std::size_t>(tensor.row_elements()));
  zimage::dequantize_rows(row.data(), tensor, 0, 1);
}

// What parse_gguf promises.
void check(const zimage::StoredFile& found, std::span<const std::byte> file) {
  std::uint64_t covered = 0;
  for (const zimage::StoredTensor& tensor : found.tensors) {
    require(covered <= tensor.begin && tensor.begin <= tensor.end && tensor.end <= file.size());
    const auto elements = static_cast<std::uint64_t>(tensor.shape.elements());
    const zimage::QuantBlock block = tensor.type == zimage::QuantType::None
                                         ? zimage::QuantBlock{1, zimage::size_of(tensor.dtype)}
                                         : zimage::block_of(tensor.type);
    require(tensor.end - tensor.begin ==
            elements / static_cast<std::uint64_t>(block.elements) * block.bytes);
    if (tensor.type != zimage::QuantType::None) widen_first_row(tensor, file);
    covered = tensor.end;
  }
}

}  // namespace

// NOLINTNEXTLINE(readability-identifier-naming): the name that libFuzzer calls
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::span file(reinterpret_cast<const std::byte*>(data), size);
  answer([&] { check(zimage::parse_gguf(file, "input"), file); });
  return 0;
}
