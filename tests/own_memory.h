// Whether resident_memory() tells what the engine itself occupies.
#pragma once

namespace zimage {

// Not under an address sanitizer: it keeps what is freed, and its own memory hides the rest.
#ifdef __SANITIZE_ADDRESS__
inline constexpr bool kOwnMemoryIsSeen = false;
#else
inline constexpr bool kOwnMemoryIsSeen = true;
#endif

}  // namespace zimage
