// Pieces of rows: decoded, encoded, written, and their pages given back.
#include "convert/tensor_writer.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/quote.h"
#include "quant/dequantize.h"
#include "quant/quantize.h"
#include "quant/row_threads.h"

namespace zimage {
namespace {

// Numbers of one piece: 8 MB as f32.
constexpr std::int64_t kPieceNumbers = std::int64_t{1} << 21;
// Below this many numbers a thread costs more than it saves.
constexpr std::int64_t kNumbersPerThread = std::int64_t{1} << 16;

std::span<const std::byte> bytes_of(const Tensor& tensor) {
  return {static_cast<const std::byte*>(tensor.data), tensor.bytes()};
}

// Whether the bytes of the source are those of the file: then they are not touched.
bool is_same(const HostTensor& source, const Storage& storage) {
  if (source.is_quantized() || storage.is_quantized()) {
    // The scales of fp8 lie outside and are chosen anew.
    return source.type == storage.type && can_quantize(source.type);
  }
  return source.stored.dtype == storage.dtype;
}

void encode_row(std::byte* out, std::span<const float> row, const Storage& storage, float scale) {
  auto* const bytes = reinterpret_cast<std::uint8_t*>(out);
  if (storage.type == QuantType::Fp8E4M3) {
    quantize_fp8_e4m3(bytes, row, scale);
  } else if (storage.is_quantized()) {
    quantize_blocks(bytes, row, storage.type);
  } else {
    narrow(bytes, row, storage.dtype);
  }
}

bool is_finite(std::span<const float> row) {
  return std::ranges::all_of(row, [](float value) { return std::isfinite(value); });
}

// False when the numbers cannot be encoded.
bool encode(std::byte* out, const HostTensor& piece, const Storage& storage, float scale,
            int threads) {
  const auto columns = static_cast<std::size_t>(piece.row_elements());
  const std::uint64_t row_bytes = storage.bytes_of(piece.row_elements());
  std::atomic<bool> fits{true};
  for_row_ranges(piece, threads, kNumbersPerThread, [&](std::int64_t first, std::int64_t last) {
    std::vector<float> row(columns);
    for (std::int64_t i = first; i < last; ++i) {
      dequantize_rows(row.data(), piece, i, i + 1);
      if (storage.is_quantized() && !is_finite(row)) fits = false;
      encode_row(out + static_cast<std::uint64_t>(i) * row_bytes, row, storage, scale);
    }
  });
  return fits;
}

// Infinity when there is a NaN.
float largest_magnitude(const HostTensor& piece, int threads) {
  const auto columns = static_cast<std::size_t>(piece.row_elements());
  std::vector<float> of_rows(static_cast<std::size_t>(piece.row_count()));
  for_row_ranges(piece, threads, kNumbersPerThread, [&](std::int64_t first, std::int64_t last) {
    std::vector<float> row(columns);
    for (std::int64_t i = first; i < last; ++i) {
      dequantize_rows(row.data(), piece, i, i + 1);
      float largest = is_finite(row) ? 0.0F : HUGE_VALF;
      for (const float value : row) largest = std::max(largest, std::abs(value));
      of_rows[static_cast<std::size_t>(i)] = largest;
    }
  });
  return of_rows.empty() ? 0.0F : std::ranges::max(of_rows);
}

}  // namespace

TensorWriter::TensorWriter(const CheckpointPart& part, int threads,
                           std::function<void(std::uint64_t bytes)> advance, std::stop_token stop)
    : part_(part), threads_(threads), advance_(std::move(advance)), stop_(std::move(stop)) {}

void TensorWriter::refuse_numbers(const PlannedTensor& tensor) const {
  throw Error(ErrorCode::Numerics, part_.folder().string() + ": tensor " + quote(tensor.name) +
                                       " holds NaN or infinity, which " +
                                       std::string(tensor.storage.name()) + " cannot hold");
}

void TensorWriter::for_pieces(const PlannedTensor& tensor,
                              const std::function<void(const HostTensor& piece)>& take) {
  for (const HostTensor& source : tensor.sources) {
    if (source.elements() == 0) continue;
    const std::int64_t rows = source.row_count();
    const std::int64_t columns = std::max<std::int64_t>(source.row_elements(), 1);
    const std::int64_t step = std::max<std::int64_t>(kPieceNumbers / columns, 1);
    for (std::int64_t row = 0; row < rows; row += step) {
      if (stop_.stop_requested()) throw Error(ErrorCode::Cancelled, "interrupted");
      const HostTensor piece = rows == 1 ? source : source.rows(row, std::min(row + step, rows));
      take(piece);
      part_.evict(piece.numbers());
    }
  }
}

float TensorWriter::fp8_scale_of(const PlannedTensor& tensor) {
  float largest = 0;
  for_pieces(tensor, [&](const HostTensor& piece) {
    largest = std::max(largest, largest_magnitude(piece, threads_));
  });
  if (!std::isfinite(largest)) refuse_numbers(tensor);
  return fp8_e4m3_scale(largest);
}

void TensorWriter::write_tensor(NewFile& out, const PlannedTensor& tensor, float scale) {
  std::uint64_t offset = tensor.offset;
  std::vector<std::byte> encoded;
  for_pieces(tensor, [&](const HostTensor& piece) {
    std::span<const std::byte> bytes = bytes_of(piece.numbers());
    if (!is_same(piece, tensor.storage)) {
      encoded.resize(tensor.storage.bytes_of(piece.elements()));
      if (!encode(encoded.data(), piece, tensor.storage, scale, threads_)) refuse_numbers(tensor);
      bytes = encoded;
    }
    out.write(bytes, offset);
    offset += bytes.size();
    advance_(bytes.size());
  });
}

void TensorWriter::write(NewFile& out, const PlannedFile& file) {
  const auto write_text = [&out](const std::string& text, std::uint64_t offset) {
    out.write(std::as_bytes(std::span(text)), offset);
  };
  write_text(file.header, 0);
  std::map<std::string, float> scales;
  for (const PlannedTensor& tensor : file.tensors) {
    float scale = 1;
    if (tensor.storage.type == QuantType::Fp8E4M3) {
      scale = fp8_scale_of(tensor);
      scales[tensor.name] = scale;
    }
    write_tensor(out, tensor, scale);
    if (!tensor.bytes.empty()) write_text(tensor.bytes, tensor.offset);
  }
  // Those of f32 stand before the weights that they belong to.
  for (const PlannedTensor& tensor : file.tensors) {
    if (tensor.scale_of.empty()) continue;
    const float scale = scales.at(tensor.scale_of);
    out.write(std::as_bytes(std::span(&scale, 1)), tensor.offset);
  }
  out.finish(file.size);
}

}  // namespace zimage
