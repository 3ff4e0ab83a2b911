// Tensors by name from files.
#include "nn/tensor_source.h"

#include <algorithm>

#include "base/error.h"
#include "base/quote.h"

namespace zimage {
namespace {

// How many unused tensors a message names.
constexpr std::size_t kNamedTensors = 5;

}  // namespace

HostTensor CheckpointSource::tensor(const std::string& name, const Shape& shape) {
  const HostTensor& found = part_.tensor(name);
  used_.insert(name);
  if (found.shape != shape) {
    throw Error(ErrorCode::InvalidFile, part_.file_of(name) + ": tensor " + quote(name) + " is " +
                                            to_string(found.shape) + ", expected " +
                                            to_string(shape));
  }
  return found;
}

void CheckpointSource::read_ahead(std::span<const std::byte> memory) {
  ahead_ ? ahead_->request(memory) : read_pages(memory);
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

}  // namespace zimage
