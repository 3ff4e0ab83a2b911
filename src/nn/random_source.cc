// Normal numbers, made once for each width.
#include "nn/random_source.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <iterator>
#include <span>
#include <vector>

#include "base/float16.h"

namespace zimage {
namespace {

// Pages of a period: a prime, so that rows of usual widths repeat late.
constexpr std::size_t kPeriodPages = 251;
// Elements between the beginnings of tensors of one width, at most.
constexpr std::size_t kMaxOffset = 4096;

// A cheap generator of the sum of four uniforms, close enough to normal for timing.
class RoughNormal {
 public:
  float next() {
    float sum = 0;
    for (int i = 0; i < 4; ++i) {
      state_ = state_ * 6364136223846793005ULL + 1442695040888963407ULL;
      sum += static_cast<float>(state_ >> 40) * 0x1p-24F - 0.5F;
    }
    return sum * 1.7320508F;  // each uniform has variance 1/12
  }

 private:
  std::uint64_t state_ = 0x9e3779b97f4a7c15ULL;
};

RepeatedMemory make_numbers(std::int64_t columns, std::size_t elements) {
  const float deviation = columns > 0 ? 1.0F / std::sqrt(static_cast<float>(columns)) : 0.05F;
  const float mean = columns > 0 ? 0.0F : 1.0F;
  std::vector<std::uint16_t> period(kPeriodPages * RepeatedMemory::page_size() /
                                    sizeof(std::uint16_t));
  RoughNormal normal;
  for (std::uint16_t& value : period) value = float_to_bf16(mean + deviation * normal.next());
  return {std::as_bytes(std::span(period)), elements * sizeof(std::uint16_t)};
}

}  // namespace

HostTensor RandomSource::tensor(const std::string& name, const Shape& shape) {
  const std::int64_t columns =
      shape.rank() >= 2 ? shape.elements() / std::max<std::int64_t>(shape[0], 1) : 0;
  const std::size_t needed = static_cast<std::size_t>(shape.elements()) + kMaxOffset;
  auto pool = std::find_if(pools_.begin(), pools_.end(), [&](const Pool& candidate) {
    return candidate.columns == columns &&
           candidate.memory.bytes().size() >= needed * sizeof(std::uint16_t);
  });
  if (pool == pools_.end()) {
    pools_.push_back({columns, make_numbers(columns, needed)});
    pool = std::prev(pools_.end());
  }
  const std::size_t offset = std::hash<std::string>{}(name) % kMaxOffset * sizeof(std::uint16_t);
  // Tensor has no read-only kind; the memory is.
  return HostTensor::plain(
      {const_cast<std::byte*>(pool->memory.bytes().data() + offset), DType::BF16, shape});
}

void RandomSource::evict_all() {
  for (const Pool& pool : pools_) pool.memory.evict();
}

void RandomSource::evict(const Tensor& tensor) {
  const auto* data = static_cast<const std::byte*>(tensor.data);
  const std::less<> before;
  for (const Pool& pool : pools_) {
    const std::span<const std::byte> bytes = pool.memory.bytes();
    if (!before(data, bytes.data()) && before(data, bytes.data() + bytes.size()))
      pool.memory.evict();
  }
}

}  // namespace zimage
