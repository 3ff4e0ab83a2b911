// Scales that lie beside the numbers; ggml's blocks are in ggml_blocks.cc.
#include "quant/dequantize.h"

#include <array>
#include <cstddef>
#include <cstring>

#include "base/error.h"
#include "base/float16.h"
#include "base/float8.h"
#include "quant/ggml_blocks.h"

namespace zimage {
namespace {

constexpr std::int64_t kTileRows = 128;
constexpr std::int64_t kTileColumns = 4;
constexpr std::int64_t kNvfp4Block = block_of(QuantType::Nvfp4).elements;

std::int64_t round_up(std::int64_t value, std::int64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

bool is_power_of_four(std::int64_t value) {
  while (value > 1 && value % 4 == 0) value /= 4;
  return value == 1;
}

// All rows of the tensor that `tensor` is a part of have scales of this many.
std::int64_t stored_rows(const HostTensor& tensor) {
  const std::size_t row = tensor.row_bytes();
  return row == 0 ? 0 : static_cast<std::int64_t>(tensor.stored.bytes() / row);
}

[[noreturn]] void refuse(const std::string& name, const std::string& what) {
  throw Error(ErrorCode::InvalidFile, name + ": " + what);
}

void check_scales(const HostTensor& tensor, const std::string& name) {
  const std::int64_t rows = stored_rows(tensor);
  if (!tensor.scale.empty()) {
    const std::int64_t scales = tensor.scale.elements();
    const bool fits = scales == 1 || (scales == rows && tensor.type != QuantType::Nvfp4);
    if (!fits || tensor.scale.dtype != DType::F32) {
      refuse(name, std::to_string(scales) + " scales, expected 1" +
                       (tensor.type == QuantType::Nvfp4 ? "" : " or " + std::to_string(rows)));
    }
  }
  if (tensor.type == QuantType::Nvfp4) {
    const std::int64_t columns = tensor.row_elements() / kNvfp4Block;
    const std::int64_t expected = round_up(rows, kTileRows) * round_up(columns, kTileColumns);
    const std::int64_t found = tensor.block_scale.empty() ? 0 : tensor.block_scale.elements();
    if (found != expected || tensor.block_scale.dtype != DType::U8) {
      refuse(name,
             std::to_string(found) + " scales of blocks, expected " + std::to_string(expected));
    }
  }
  if (tensor.rotation != 0 && (tensor.rotation < 4 || !is_power_of_four(tensor.rotation) ||
                               tensor.row_elements() % tensor.rotation != 0)) {
    refuse(name, "rotated in groups of " + std::to_string(tensor.rotation) +
                     ", expected a power of 4 that divides its " +
                     std::to_string(tensor.row_elements()) + " columns");
  }
}

float row_scale(const HostTensor& tensor, std::int64_t row) {
  if (tensor.scale.empty()) return 1.0F;
  const float* const scales = tensor.scale.as<float>();
  return tensor.scale.elements() == 1 ? scales[0] : scales[tensor.first_row + row];
}

// The bytes of a row.
const std::uint8_t* row_at(const HostTensor& tensor, std::int64_t row) {
  return static_cast<const std::uint8_t*>(tensor.stored.data) +
         static_cast<std::size_t>(tensor.first_row + row) * tensor.row_bytes();
}

// The number that each byte, or half of one, stands for.
using ByteValues = std::array<float, 256>;
using NibbleValues = std::array<float, 16>;

template <typename Values, typename Widen>
constexpr Values values_of(Widen widen) {
  Values values{};
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = widen(static_cast<std::uint8_t>(i));
  return values;
}

constexpr NibbleValues kE2M1Values = values_of<NibbleValues>(fp4_e2m1_to_float);
constexpr ByteValues kE4M3Values = values_of<ByteValues>(fp8_e4m3_to_float);
constexpr ByteValues kE5M2Values = values_of<ByteValues>(fp8_e5m2_to_float);

void scale_bytes(float* out, const HostTensor& tensor, std::int64_t row, const ByteValues& values) {
  const std::uint8_t* const bytes = row_at(tensor, row);
  const float scale = row_scale(tensor, row);
  const std::int64_t columns = tensor.row_elements();
  for (std::int64_t i = 0; i < columns; ++i) out[i] = values[bytes[i]] * scale;
}

void dequantize_int8(float* out, const HostTensor& tensor, std::int64_t row) {
  const std::uint8_t* const bytes = row_at(tensor, row);
  const float scale = row_scale(tensor, row);
  const std::int64_t columns = tensor.row_elements();
  for (std::int64_t i = 0; i < columns; ++i)
    out[i] = static_cast<float>(static_cast<std::int8_t>(bytes[i])) * scale;
  if (tensor.rotation != 0) rotate_groups(out, columns, tensor.rotation);
}

void dequantize_nvfp4(float* out, const HostTensor& tensor, std::int64_t row) {
  const std::uint8_t* bytes = row_at(tensor, row);
  const auto* const scales = static_cast<const std::uint8_t*>(tensor.block_scale.data);
  const float tensor_scale = row_scale(tensor, 0);
  const std::int64_t blocks = tensor.row_elements() / kNvfp4Block;
  for (std::int64_t block = 0; block < blocks; ++block) {
    const std::size_t at = tiled_scale_offset(tensor.first_row + row, block, blocks);
    const float scale = tensor_scale * kE4M3Values[scales[at]];
    for (std::int64_t i = 0; i < kNvfp4Block; i += 2) {
      out[i] = kE2M1Values[*bytes >> 4] * scale;
      out[i + 1] = kE2M1Values[*bytes & 0xf] * scale;
      ++bytes;
    }
    out += kNvfp4Block;
  }
}

void dequantize_blocks(float* out, const HostTensor& tensor, std::int64_t row) {
  const QuantBlock block = block_of(tensor.type);
  const DecodeBlock decode = ggml_decoder(tensor.type);
  const std::uint8_t* bytes = row_at(tensor, row);
  for (std::int64_t i = 0; i < tensor.row_elements(); i += block.elements) {
    decode(out + i, bytes);
    bytes += block.bytes;
  }
}

// Numbers may lie at odd addresses: rows are read as bytes.
void widen_plain(float* out, const HostTensor& tensor, std::int64_t row) {
  const std::uint8_t* const bytes = row_at(tensor, row);
  const std::int64_t columns = tensor.row_elements();
  const auto half = [bytes](std::int64_t i) {
    return static_cast<std::uint16_t>(bytes[2 * i] | (bytes[2 * i + 1] << 8));
  };
  switch (tensor.stored.dtype) {
    case DType::F32: std::memcpy(out, bytes, tensor.row_bytes()); return;
    case DType::F16:
      for (std::int64_t i = 0; i < columns; ++i) out[i] = f16_to_float(half(i));
      return;
    case DType::BF16:
      for (std::int64_t i = 0; i < columns; ++i) out[i] = bf16_to_float(half(i));
      return;
    case DType::I64:
    case DType::I32:
    case DType::U8: break;
  }
  throw Error(ErrorCode::Unsupported,
              "a tensor is " + std::string(tensor.type_name()) + ", expected f32, f16 or bf16");
}

void dequantize_row(float* out, const HostTensor& tensor, std::int64_t row) {
  switch (tensor.type) {
    case QuantType::None: widen_plain(out, tensor, row); return;
    case QuantType::Fp8E4M3: scale_bytes(out, tensor, row, kE4M3Values); return;
    case QuantType::Fp8E5M2: scale_bytes(out, tensor, row, kE5M2Values); return;
    case QuantType::Int8: dequantize_int8(out, tensor, row); return;
    case QuantType::Nvfp4: dequantize_nvfp4(out, tensor, row); return;
    default: dequantize_blocks(out, tensor, row);
  }
}

}  // namespace

void check_quantized(const HostTensor& tensor, const std::string& name) {
  if (!tensor.is_quantized()) return;
  const QuantBlock block = block_of(tensor.type);
  if (tensor.row_elements() % block.elements != 0) {
    refuse(name, std::string(tensor.type_name()) + " " + to_string(tensor.shape) +
                     ", expected rows of a multiple of " + std::to_string(block.elements));
  }
  std::size_t bytes = 0;
  if (__builtin_mul_overflow(static_cast<std::size_t>(tensor.first_row + tensor.row_count()),
                             tensor.row_bytes(), &bytes) ||
      bytes > tensor.stored.bytes()) {
    refuse(name, std::to_string(tensor.stored.bytes()) + " bytes are too few for " +
                     std::string(tensor.type_name()) + " " + to_string(tensor.shape));
  }
  check_scales(tensor, name);
}

void dequantize_rows(float* out, const HostTensor& tensor, std::int64_t first, std::int64_t last) {
  for (std::int64_t row = first; row < last; ++row) {
    dequantize_row(out, tensor, row);
    out += tensor.row_elements();
  }
}

std::size_t tiled_scale_offset(std::int64_t row, std::int64_t column, std::int64_t columns) {
  const std::int64_t tiles = round_up(columns, kTileColumns) / kTileColumns;
  const std::int64_t tile = row / kTileRows * tiles + column / kTileColumns;
  const std::int64_t inside = row % 32 * 16 + row % kTileRows / 32 * kTileColumns;
  return static_cast<std::size_t>(tile * kTileRows * kTileColumns + inside + column % kTileColumns);
}

void rotate_groups(float* values, std::int64_t count, std::int64_t size) {
  for (std::int64_t stride = 1; stride < size; stride *= 4) {
    for (std::int64_t first = 0; first < count; first += 4 * stride) {
      for (float* x = values + first; x < values + first + stride; ++x) {
        const float a = x[0];
        const float b = x[stride];
        const float c = x[2 * stride];
        const float d = x[3 * stride];
        x[0] = 0.5F * (a + b + c - d);
        x[stride] = 0.5F * (a + b - c + d);
        x[2 * stride] = 0.5F * (a - b + c + d);
        x[3 * stride] = 0.5F * (-a + b + c + d);
      }
    }
  }
}

}  // namespace zimage
