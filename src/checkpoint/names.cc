// Prefixes.
#include "checkpoint/names.h"

namespace zimage {

std::string canonical_name(std::string_view stored) {
  constexpr std::string_view kWrapper = "model.";
  if (stored.starts_with(kWrapper)) stored.remove_prefix(kWrapper.size());
  return std::string(stored);
}

}  // namespace zimage
