// Any bytes as a safetensors file: either one Error, or tensors that can be read in place.
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "checkpoint/safetensors.h"
#include "checks.h"

namespace {

using zimage::fuzz::answer;
using zimage::fuzz::require;

// What parse_safetensors promises.
void check(const std::vector<zimage::StoredTensor>& tensors, std::span<const std::byte> file) {
  std::uint64_t covered = tensors.empty() ? file.size() : tensors.front().begin;
  unsigned sum = 0;
  for (const zimage::StoredTensor& tensor : tensors) {
    require(tensor.begin == covered && tensor.begin <= tensor.end && tensor.end <= file.size());
    const auto elements = static_cast<std::uint64_t>(tensor.shape.elements());
    require(tensor.end - tensor.begin == elements * zimage::size_of(tensor.dtype));
    for (const std::byte byte : file.subspan(tensor.begin, tensor.end - tensor.begin)) {
      sum += std::to_integer<unsigned>(byte);
    }
    covered = tensor.end;
  }
  require(covered == file.size());
  static volatile unsigned sink;
  sink = sink + sum;
}

}  // namespace

// NOLINTNEXTLINE(readability-identifier-naming): the name that libFuzzer calls
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::span file(reinterpret_cast<const std::byte*>(data), size);
  answer([&] { check(zimage::parse_safetensors(file, "input").tensors, file); });
  return 0;
}
