// Any bytes as each of the JSON files of a model folder: either one Error of bounded length, or
// values.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "base/json.h"
#include "checkpoint/model_index.h"
#include "checkpoint/weight_files.h"
#include "checks.h"

namespace {

using zimage::fuzz::answer;

using zimage::Json;
using zimage::JsonObject;

// Reads `key` as every type, the wrong ones too.
void read_key(const JsonObject& object, const char* key) {
  answer([&] { object.integer(key); });
  answer([&] { object.number(key); });
  answer([&] { object.boolean(key); });
  answer([&] { object.string(key); });
  answer([&] { object.integers(key); });
  answer([&] { object.strings(key); });
  answer([&] { object.integer(key, -1); });
  answer([&] { object.number(key, 0.5); });
  answer([&] { object.boolean(key, true); });
  answer([&] { object.string(key, "x"); });
}

void read_object(const JsonObject& object, int depth) {
  for (const char* key : {"dim", "axes_dims", "norm_eps", "_class_name", "qk_norm", "x"}) {
    read_key(object, key);
  }
  if (depth == 0) return;
  for (const char* key : {"rope_parameters", "weight_map", "x"}) {
    answer([&] { read_object(object.object(key), depth - 1); });
  }
}

// Objects of the document, their keys known only from the document: at most `budget` keys, since
// each wrong type costs an exception and a long input must not look like one that hangs.
void read_all(const Json& value, int& budget) {
  if (value.is_object()) {
    const JsonObject object(value, "input");
    for (const auto& [key, inner] : value.items()) {
      if (budget-- <= 0) return;
      read_key(object, key.c_str());
    }
  }
  // A scalar iterates over itself.
  for (const Json& inner : value) {
    if (inner.is_structured() && budget > 0) read_all(inner, budget);
  }
}

}  // namespace

// NOLINTNEXTLINE(readability-identifier-naming): the name that libFuzzer calls
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  answer([&] {
    const Json document = zimage::parse_json(text, "input");
    answer([&] { read_object(JsonObject(document, "input"), 2); });
    int budget = 100;
    if (document.is_structured()) read_all(document, budget);
  });
  answer([&] { zimage::parse_model_index(zimage::parse_json(text, "input"), "input"); });
  answer([&] {
    for (const auto& [tensor, file] : zimage::parse_weight_index(text, "input")) {
      // A file name that could leave the folder, or would hide in it.
      if (file.find('/') != std::string::npos || file.starts_with('.')) std::abort();
    }
  });
  return 0;
}
