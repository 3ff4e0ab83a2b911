// Rows are independent: each thread takes its share of them.
#include "nn/widen.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstdint>
#include <cstring>
#include <thread>

#include "base/float16.h"
#include "quant/dequantize.h"
#include "quant/row_threads.h"

namespace zimage {
namespace {

// Below this many numbers a thread costs more than it saves.
constexpr std::int64_t kNumbersPerThread = std::int64_t{1} << 18;

// Gives how many numbers of a plain tensor bf16 does not hold.
std::int64_t convert_rows(void* out, DType dtype, const HostTensor& tensor, std::int64_t first,
                          std::int64_t last) {
  const auto columns = static_cast<std::size_t>(tensor.row_elements());
  const std::size_t begin = static_cast<std::size_t>(first) * columns;
  if (dtype == DType::F32) {
    dequantize_rows(static_cast<float*>(out) + begin, tensor, first, last);
    return 0;
  }
  std::vector<float> row(columns);
  auto* rounded = static_cast<std::uint16_t*>(out) + begin;
  std::int64_t count = 0;
  for (std::int64_t i = first; i < last; ++i) {
    dequantize_rows(row.data(), tensor, i, i + 1);
    rounded = std::transform(row.begin(), row.end(), rounded, float_to_bf16);
    if (tensor.is_quantized()) continue;
    count += std::count_if(row.begin(), row.end(), [](float value) {
      return (std::bit_cast<std::uint32_t>(value) & 0xFFFFU) != 0;
    });
  }
  return count;
}

// What a backend is given of a tensor.
DType plain_dtype(const HostTensor& tensor, WideNumbers wide) {
  if (tensor.is_quantized()) return tensor.row_count() > 1 ? DType::BF16 : DType::F32;
  const bool narrows = wide == WideNumbers::ToBf16 && tensor.stored.dtype == DType::F32;
  return narrows ? DType::BF16 : tensor.stored.dtype;
}

// Files may hold numbers at any address; backends read them as numbers.
bool is_aligned(const Tensor& tensor) {
  return reinterpret_cast<std::uintptr_t>(tensor.data) % size_of(tensor.dtype) == 0;
}

}  // namespace

std::int64_t convert(void* out, DType dtype, const HostTensor& tensor) {
  std::atomic<std::int64_t> rounded = 0;
  for_row_ranges(tensor, std::thread::hardware_concurrency(), kNumbersPerThread,
                 [&](std::int64_t first, std::int64_t last) {
                   rounded += convert_rows(out, dtype, tensor, first, last);
                 });
  return rounded;
}

WidenedTensors::WidenedTensors(std::span<const HostTensor> parts, const Backend& backend,
                               const Arena& slab, WideNumbers wide) {
  for (const HostTensor& part : parts) {
    const DType dtype = plain_dtype(part, wide);
    const bool is_kept = !part.is_quantized() && dtype == part.stored.dtype;
    if (is_kept && is_aligned(part.stored)) {
      tensors_.push_back(part.stored);
      continue;
    }
    Tensor& plain = tensors_.emplace_back(Tensor{part.stored.data, dtype, part.shape});
    converted_bytes_ += plain.bytes();
    if (slab.measuring() || !backend.computes()) continue;
    plain.data = copies_.emplace_back(plain.bytes()).data();
    if (is_kept) {
      std::memcpy(plain.data, part.stored.data, plain.bytes());
    } else {
      rounded_ += convert(plain.data, dtype, part);
    }
  }
}

void WidenedTensors::wait_for(Backend& backend) const {
  if (!copies_.empty()) backend.synchronize();
}

}  // namespace zimage
