// JSON for machines: one line, keys in the order in which they were added.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace zimage {

using OrderedJson = nlohmann::ordered_json;

// Without a newline. Bytes that are no UTF-8 (a file's name may hold any) are replaced, never an
// error.
inline std::string json_line(const OrderedJson& json) {
  return json.dump(-1, ' ', false, OrderedJson::error_handler_t::replace);
}

}  // namespace zimage
