// Text of unknown origin made fit for a message: names from files, keys of JSON documents.
#pragma once

#include <string>
#include <string_view>

namespace zimage {

// Whether there is a control character of those that terminals obey: C0, delete and C1.
bool has_control_character(std::string_view text);
// Control characters and bytes that are not valid UTF-8 become \xNN, so that a name cannot steer a
// terminal; what exceeds 200 bytes is cut, and its length is told.
std::string printable(std::string_view text);
// The same in double quotes.
std::string quote(std::string_view text);

}  // namespace zimage
