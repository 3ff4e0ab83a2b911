// Making operands, running both sides, comparing.
#include "backend/op_case.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <utility>

#include "base/float16.h"

namespace zimage {
namespace {

constexpr std::size_t kGuardBytes = 512;
constexpr std::byte kGuard{0xA5};

// Rounds to nearest f16 among normal numbers, which is all the tests make.
std::uint16_t float_to_f16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t sign = (bits >> 16) & 0x8000U;
  const auto exponent = static_cast<std::int32_t>((bits >> 23) & 0xffU) - 112;
  if (exponent <= 0) return static_cast<std::uint16_t>(sign);
  const std::uint32_t rounded =
      (static_cast<std::uint32_t>(exponent) << 10 | ((bits >> 13) & 0x3ffU)) + ((bits >> 12) & 1U);
  return static_cast<std::uint16_t>(sign | rounded);
}

std::vector<std::byte> encode(DType dtype, const std::vector<float>& numbers) {
  std::vector<std::byte> bytes(numbers.size() * size_of(dtype));
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    if (dtype == DType::F32) {
      std::memcpy(bytes.data() + 4 * i, &numbers[i], 4);
    } else {
      const std::uint16_t half =
          dtype == DType::BF16 ? float_to_bf16(numbers[i]) : float_to_f16(numbers[i]);
      std::memcpy(bytes.data() + 2 * i, &half, 2);
    }
  }
  return bytes;
}

std::vector<float> decode(DType dtype, const std::vector<std::byte>& bytes) {
  std::vector<float> numbers(bytes.size() / size_of(dtype));
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    if (dtype == DType::F32) {
      std::memcpy(&numbers[i], bytes.data() + 4 * i, 4);
    } else {
      std::uint16_t half = 0;
      std::memcpy(&half, bytes.data() + 2 * i, 2);
      numbers[i] = dtype == DType::BF16 ? bf16_to_float(half) : f16_to_float(half);
    }
  }
  return numbers;
}

}  // namespace

std::vector<float> OpCase::normal(std::int64_t n, float mean, float deviation) {
  std::normal_distribution<float> distribution(mean, deviation);
  std::vector<float> numbers(static_cast<std::size_t>(n));
  for (float& number : numbers) number = distribution(engine_);
  return numbers;
}

OpCase::Pair OpCase::make(const Shape& shape, DType dtype, const std::vector<float>& numbers) {
  const std::vector<std::byte> bytes = encode(dtype, numbers);
  const std::vector<float> rounded = decode(dtype, bytes);
  Guarded& guarded =
      tested_.emplace_back(Guarded{backend_.allocate(bytes.size() + kGuardBytes), bytes.size()});
  const Tensor guard{static_cast<std::byte*>(guarded.buffer.data()) + bytes.size(),
                     DType::U8,
                     {std::int64_t{kGuardBytes}}};
  backend_.upload(guard, std::vector<std::byte>(kGuardBytes, kGuard).data());
  const Tensor tested{guarded.buffer.data(), dtype, shape};
  backend_.upload(tested, bytes.data());
  Buffer& buffer = reference_buffers_.emplace_back(
      reference_.allocate(std::max<std::size_t>(4 * rounded.size(), 1)));
  const Tensor reference{buffer.data(), DType::F32, shape};
  reference_.upload(reference, rounded.data());
  return {tested, reference};
}

OpCase::Pair OpCase::activations(const Shape& shape, float deviation) {
  return make(shape, backend_.activation_dtype(), normal(shape.elements(), 0.0F, deviation));
}

OpCase::Pair OpCase::vector(const Shape& shape, float mean, float deviation) {
  return make(shape, DType::F32, normal(shape.elements(), mean, deviation));
}

OpCase::Pair OpCase::values(const Shape& shape, const std::vector<float>& numbers) {
  return make(shape, DType::F32, numbers);
}

OpCase::Pair OpCase::angles(std::int64_t rows, std::int64_t pairs) {
  std::vector<float> numbers;
  for (std::int64_t i = 0; i < rows * pairs; ++i) {
    numbers.push_back(std::cos(static_cast<float>(i)));
    numbers.push_back(std::sin(static_cast<float>(i)));
  }
  return values({rows, pairs, 2}, numbers);
}

Tensor OpCase::host(const Shape& shape, DType dtype, const std::vector<float>& numbers) {
  std::vector<std::byte>& bytes = hosts_.emplace_back(encode(dtype, numbers));
  return {bytes.data(), dtype, shape};
}

template <typename Load>
auto OpCase::load_both(Load load) {
  const auto load_on = [&](Backend& backend) {
    Arena measure;
    load(backend, measure);
    Buffer buffer = backend.allocate(measure.used() + kGuardBytes);
    Arena slab(buffer.data(), measure.used());
    auto weight = load(backend, slab);
    return std::pair(std::move(buffer), weight);
  };
  auto [tested_buffer, tested] = load_on(backend_);
  const std::size_t bytes = tested_buffer.bytes() - kGuardBytes;
  const Tensor guard{static_cast<std::byte*>(tested_buffer.data()) + bytes,
                     DType::U8,
                     {std::int64_t{kGuardBytes}}};
  backend_.upload(guard, std::vector<std::byte>(kGuardBytes, kGuard).data());
  tested_.push_back({std::move(tested_buffer), bytes});
  auto [reference_buffer, reference] = load_on(reference_);
  reference_buffers_.push_back(std::move(reference_buffer));
  return WeightPair{tested, reference};
}

OpCase::WeightPair OpCase::matrix(const std::vector<Shape>& parts, DType dtype, MatrixRole role) {
  return matrix(parts, std::vector<DType>(parts.size(), dtype), role);
}

OpCase::WeightPair OpCase::matrix(const std::vector<Shape>& parts, const std::vector<DType>& dtypes,
                                  MatrixRole role) {
  std::vector<Tensor> hosts;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const float deviation = 1.0F / std::sqrt(static_cast<float>(parts[i][1]));
    hosts.push_back(host(parts[i], dtypes[i], normal(parts[i].elements(), 0.0F, deviation)));
  }
  return load_both(
      [&](Backend& backend, Arena& slab) { return backend.load_matrix(slab, hosts, role); });
}

OpCase::WeightPair OpCase::kernel(const Shape& shape, DType dtype) {
  const auto fan_in = static_cast<float>(shape[1] * shape[2] * shape[3]);
  const Tensor values =
      host(shape, dtype, normal(shape.elements(), 0.0F, 1.0F / std::sqrt(fan_in)));
  return load_both(
      [&](Backend& backend, Arena& slab) { return backend.load_kernel(slab, values); });
}

void OpCase::run(const std::function<void(const Side&)>& op) {
  op(Side(backend_, false));
  backend_.synchronize();
  op(Side(reference_, true));
}

std::vector<float> OpCase::download(const Tensor& tensor) {
  std::vector<std::byte> bytes(tensor.bytes());
  backend_.download(bytes.data(), tensor);
  return decode(tensor.dtype, bytes);
}

double OpCase::nmse(const Pair& pair) {
  const std::vector<float> tested = download(pair.tested);
  const float* reference = pair.reference.as<float>();
  double error = 0;
  double power = 0;
  for (std::size_t i = 0; i < tested.size(); ++i) {
    if (!std::isfinite(tested[i])) return std::numeric_limits<double>::infinity();
    error += std::pow(static_cast<double>(tested[i]) - static_cast<double>(reference[i]), 2);
    power += std::pow(static_cast<double>(reference[i]), 2);
  }
  if (power == 0) return error == 0 ? 0 : std::numeric_limits<double>::infinity();
  return error / power;
}

bool OpCase::guards_intact() {
  return std::all_of(tested_.begin(), tested_.end(), [&](const Guarded& guarded) {
    std::vector<std::byte> guard(kGuardBytes);
    const Tensor tensor{static_cast<std::byte*>(guarded.buffer.data()) + guarded.bytes,
                        DType::U8,
                        {std::int64_t{kGuardBytes}}};
    backend_.download(guard.data(), tensor);
    return std::all_of(guard.begin(), guard.end(), [](std::byte byte) { return byte == kGuard; });
  });
}

double OpCase::bound(double f32, double bf16) const {
  return backend_.activation_dtype() == DType::F32 ? f32 : bf16;
}

}  // namespace zimage
