// Operands of products as they lie in memory: sizes, alignment, and e4m3 matrices with their
// scales.
#pragma once

#include <cstddef>
#include <cstdint>

#include "backend/backend.h"
#include "backend/cuda/kernels/kernels.h"
#include "base/arena.h"
#include "base/tensor.h"

namespace zimage::cuda {

constexpr std::size_t kRounding = Arena::kAlignment;  // the most that round_up() adds

inline std::size_t round_up(std::size_t bytes) {
  return (bytes + Arena::kAlignment - 1) / Arena::kAlignment * Arena::kAlignment;
}

// Whether kernels may read it in pieces of 16 bytes.
inline bool aligned(const Tensor& tensor) {
  return reinterpret_cast<std::uintptr_t>(tensor.data) % 16 == 0;
}

// A weight [out, kernel, kernel, in] as a matrix of `out` rows.
inline Tensor matrix_of(const Weight& weight) {
  return {weight.data, weight.dtype, {weight.out, weight.kernel * weight.kernel * weight.in}};
}

// What x takes in another type; 0 in its own.
inline std::size_t operand_bytes(const Tensor& x, DType dtype) {
  return x.dtype == dtype ? 0 : round_up(static_cast<std::size_t>(x.elements()) * size_of(dtype));
}

// Whether it is stored as e4m3: set_encoding(Fp8).
inline bool is_fp8(const Weight& weight) {
  return weight.dtype == DType::U8;
}

// A matrix of e4m3 numbers: these, scales of its rows, lengths of its rows, each rounded up.
inline std::size_t fp8_bytes(std::int64_t rows, std::int64_t columns) {
  return round_up(static_cast<std::size_t>(rows * columns)) +
         2 * round_up(static_cast<std::size_t>(rows) * sizeof(float));
}
inline kernels::Fp8Matrix fp8_matrix_at(void* memory, std::int64_t rows, std::int64_t columns) {
  auto* numbers = static_cast<std::byte*>(memory);
  std::byte* scales = numbers + round_up(static_cast<std::size_t>(rows * columns));
  std::byte* lengths = scales + round_up(static_cast<std::size_t>(rows) * sizeof(float));
  return {.data = numbers,
          .scales = reinterpret_cast<float*>(scales),
          .rows = rows,
          .columns = columns,
          .lengths = reinterpret_cast<float*>(lengths)};
}

// A weight's matrix as do_load_matrix() lays it out: numbers, scales, the longest row.
inline kernels::Fp8Matrix fp8_matrix_of(const Weight& weight) {
  kernels::Fp8Matrix matrix = fp8_matrix_at(weight.data, weight.out, weight.in);
  matrix.longest = reinterpret_cast<unsigned*>(matrix.lengths);
  matrix.lengths = nullptr;
  return matrix;
}

}  // namespace zimage::cuda
