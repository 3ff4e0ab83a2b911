// What every prompt is held to, wherever it comes from.
#pragma once

#include <string>

namespace zimage::cli {

// Throws InvalidArgument for text that is not UTF-8, naming the byte, or holds a zero byte.
// `source` stands for it in messages.
void check_prompt(const std::string& source, const std::string& text);

}  // namespace zimage::cli
