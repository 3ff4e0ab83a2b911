// Tensors by name from files, and the numbers of models that have no file.
#include "nn/tensor_source.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <iterator>

#include "base/error.h"
#include "base/float16.h"
#include "base/quote.h"

namespace zimage {
namespace {

// How many unused tensors a message names.
constexpr std::size_t kNamedTensors = 5;

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

}  // namespace

Tensor CheckpointSource::tensor(const std::string& name, const Shape& shape) {
  const Tensor& found = part_.tensor(name);
  used_.insert(name);
  if (found.shape != shape) {
    throw Error(ErrorCode::InvalidFile, part_.file_of(name) + ": tensor " + quote(name) + " is " +
                                            to_string(found.shape) + ", expected " +
                                            to_string(shape));
  }
  return found;
}

void CheckpointSource::throw_if_unused() const {
  std::vector<std::string> unused;
  for (const auto& [name, tensor] : part_.tensors()) {
    const bool ignored =
        std::any_of(ignored_.begin(), ignored_.end(),
                    [&name = name](const std::string& prefix) { return name.starts_with(prefix); });
    if (!ignored && !used_.contains(name)) unused.push_back(name);
  }
  if (unused.empty()) return;
  std::string names;
  for (std::size_t i = 0; i < std::min(unused.size(), kNamedTensors); ++i)
    names += (i > 0 ? ", " : "") + quote(unused[i]);
  if (unused.size() > kNamedTensors) names += ", ...";
  throw Error(ErrorCode::InvalidFile,
              part_.folder().string() + ": " + std::to_string(unused.size()) +
                  " tensors do not belong to the model that config.json describes: " + names);
}

Tensor RandomSource::tensor(const std::string& name, const Shape& shape) {
  // Tensors of one width share a pool, each from an offset of its own. A pool never grows, since
  // views point into it: what does not fit gets another.
  constexpr std::size_t kMaxOffset = 4096;
  const std::int64_t columns =
      shape.rank() >= 2 ? shape.elements() / std::max<std::int64_t>(shape[0], 1) : 0;
  const std::size_t needed = static_cast<std::size_t>(shape.elements()) + kMaxOffset;
  auto pool = std::find_if(pools_.begin(), pools_.end(), [&](const Pool& candidate) {
    return candidate.columns == columns && candidate.values.size() >= needed;
  });
  if (pool == pools_.end()) {
    pools_.push_back({columns, std::vector<std::uint16_t>(needed)});
    pool = std::prev(pools_.end());
    const float deviation = columns > 0 ? 1.0F / std::sqrt(static_cast<float>(columns)) : 0.05F;
    const float mean = columns > 0 ? 0.0F : 1.0F;
    RoughNormal normal;
    for (std::uint16_t& value : pool->values)
      value = float_to_bf16(mean + deviation * normal.next());
  }
  return {pool->values.data() + std::hash<std::string>{}(name) % kMaxOffset, DType::BF16, shape};
}

}  // namespace zimage
