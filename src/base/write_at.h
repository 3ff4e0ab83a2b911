// Bytes to a place in an open file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace zimage {

// Writes all of `bytes` at `offset`, whatever interrupts it. False, with errno set, when the system
// refuses.
bool write_at(int file, std::span<const std::byte> bytes, std::uint64_t offset);

}  // namespace zimage
