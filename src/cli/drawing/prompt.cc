// Looks at bytes.
#include "cli/drawing/prompt.h"

#include <fmt/format.h>

#include <cstddef>

#include "base/error.h"
#include "base/utf8.h"

namespace zimage::cli {

void check_prompt(const std::string& source, const std::string& text) {
  if (const auto at = find_invalid_utf8(text)) {
    throw Error(ErrorCode::InvalidArgument,
                fmt::format("{}: expected UTF-8, found byte 0x{:02x} at offset {}", source,
                            static_cast<unsigned char>(text[*at]), *at));
  }
  if (const std::size_t at = text.find('\0'); at != std::string::npos) {
    throw Error(ErrorCode::InvalidArgument,
                fmt::format("{}: expected text, found a zero byte at offset {}", source, at));
  }
}

}  // namespace zimage::cli
