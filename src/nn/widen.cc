// Rows are independent: each thread takes its share of them.
#include "nn/widen.h"

#include <algorithm>
#include <thread>

#include "base/float16.h"
#include "quant/dequantize.h"

namespace zimage {
namespace {

// Below this many numbers a thread costs more than it saves.
constexpr std::int64_t kNumbersPerThread = std::int64_t{1} << 18;

void widen_rows(void* out, const HostTensor& tensor, std::int64_t first, std::int64_t last) {
  const auto columns = static_cast<std::size_t>(tensor.row_elements());
  const std::size_t begin = static_cast<std::size_t>(first) * columns;
  if (widened_dtype(tensor) == DType::F32) {
    dequantize_rows(static_cast<float*>(out) + begin, tensor, first, last);
    return;
  }
  std::vector<float> row(columns);
  auto* rounded = static_cast<std::uint16_t*>(out) + begin;
  for (std::int64_t i = first; i < last; ++i) {
    dequantize_rows(row.data(), tensor, i, i + 1);
    rounded = std::transform(row.begin(), row.end(), rounded, float_to_bf16);
  }
}

}  // namespace

DType widened_dtype(const HostTensor& tensor) {
  if (!tensor.is_quantized()) return tensor.stored.dtype;
  return tensor.row_count() > 1 ? DType::BF16 : DType::F32;
}

void widen(void* out, const HostTensor& tensor) {
  const std::int64_t rows = tensor.row_count();
  const std::int64_t most = std::min<std::int64_t>(
      {rows, tensor.elements() / kNumbersPerThread, std::thread::hardware_concurrency()});
  const std::int64_t threads = std::max<std::int64_t>(most, 1);
  std::vector<std::jthread> others;
  for (std::int64_t i = 1; i < threads; ++i) {
    others.emplace_back(
        [=, &tensor] { widen_rows(out, tensor, rows * i / threads, rows * (i + 1) / threads); });
  }
  widen_rows(out, tensor, 0, rows / threads);
}

WidenedTensors::WidenedTensors(std::span<const HostTensor> parts, const Backend& backend,
                               const Arena& slab) {
  for (const HostTensor& part : parts) {
    if (!part.is_quantized()) {
      tensors_.push_back(part.stored);
      continue;
    }
    const DType dtype = widened_dtype(part);
    Tensor& plain = tensors_.emplace_back(Tensor{part.stored.data, dtype, part.shape});
    if (slab.measuring() || !backend.reads_weights()) continue;
    copies_.push_back(
        std::make_unique_for_overwrite<std::byte[]>(std::max<std::size_t>(plain.bytes(), 1)));
    plain.data = copies_.back().get();
    widen(plain.data, part);
  }
}

void WidenedTensors::wait_for(Backend& backend) const {
  if (!copies_.empty()) backend.synchronize();
}

}  // namespace zimage
