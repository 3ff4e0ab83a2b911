// What a device's measurements have chosen, in a small text file: the next start need not measure
// again, and computes the same bytes.
#pragma once

#include <filesystem>
#include <map>
#include <string>

namespace zimage {

// What was chosen from, and what was chosen; neither is empty or has white space.
using Choices = std::map<std::string, std::string>;

// $XDG_CACHE_HOME/zimage, else ~/.cache/zimage; empty where neither variable is an absolute path.
std::filesystem::path choices_folder();

// `text` as a part of a file's name: "-" for whatever is no letter and no digit of ASCII.
std::string file_name_part(std::string text);

// The choices of `file`, one a line. Empty for a file that is not there or cannot be read, and for
// no path. What comes out is nobody's promise: the caller checks it.
Choices read_choices(const std::filesystem::path& file);

// Replaces `file` at once, making its folder. False where that fails, as it does for no path: it
// costs a measurement at the next start, nothing else.
bool write_choices(const std::filesystem::path& file, const Choices& choices);

}  // namespace zimage
