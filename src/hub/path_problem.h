// What keeps a path from being used, in words.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

namespace zimage::hub {

// Why the folder cannot be read: "absent", "a link to X, which is absent", "no permission to read
// it", "a file, expected a folder". Empty when it can.
std::string folder_problem(const std::filesystem::path& folder);

// Why `path` is no regular file that can be read, of `bytes` bytes when they are known: "missing,
// expected 5 bytes", "a link to X, which is absent", "3 bytes, expected 5". Empty when it is one.
std::string file_problem(const std::filesystem::path& path, std::optional<std::uint64_t> bytes);

}  // namespace zimage::hub
