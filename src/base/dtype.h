// Element types of tensors in memory and in files.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace zimage {

enum class DType : std::uint8_t { F32, F16, BF16, I64, I32, U8 };

// Bytes of one element.
constexpr std::size_t size_of(DType dtype) {
  switch (dtype) {
    case DType::F32:
    case DType::I32: return 4;
    case DType::F16:
    case DType::BF16: return 2;
    case DType::I64: return 8;
    case DType::U8: return 1;
  }
  return 0;
}

// "f32", "bf16", ...: the spelling of `zimage info` and of messages.
constexpr std::string_view name_of(DType dtype) {
  switch (dtype) {
    case DType::F32: return "f32";
    case DType::F16: return "f16";
    case DType::BF16: return "bf16";
    case DType::I64: return "i64";
    case DType::I32: return "i32";
    case DType::U8: return "u8";
  }
  return "?";
}

}  // namespace zimage
