// The highest values that a request may have, for its check and for those who tell them to people.
#pragma once

#include <cstdint>

namespace zimage {

// Width and height: beyond any model's positions; keeps arithmetic on sizes far from overflow.
inline constexpr std::int64_t kMaxPixels = std::int64_t{1} << 20;
inline constexpr std::int64_t kMaxSteps = 1000;
inline constexpr std::int64_t kMaxShift = 1000;
// Of guidance and cfg_normalization.
inline constexpr std::int64_t kMaxGuidance = 100;

}  // namespace zimage
