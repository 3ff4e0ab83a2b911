// Whether resident_memory() tells what the engine itself occupies.
#pragma once

namespace zimage {

// Not under an address sanitizer: it keeps what is freed, and its own memory hides the rest. gcc
// tells by a macro, clang by a feature.
#if defined(__SANITIZE_ADDRESS__)
inline constexpr bool kOwnMemoryIsSeen = false;
#elif defined(__has_feature)
inline constexpr bool kOwnMemoryIsSeen = !__has_feature(address_sanitizer);
#else
inline constexpr bool kOwnMemoryIsSeen = true;
#endif

}  // namespace zimage
