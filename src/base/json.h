// JSON values with errors that name the file, the key, what was expected and what was found.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace zimage {

using Json = nlohmann::json;

// Parses `text`; `name` stands for it in messages. Nesting is bounded, so no input exhausts the
// stack. Throws InvalidFile.
Json parse_json(std::string_view text, const std::string& name);
// The same, and an object that names a key twice is refused: readers disagree on which one counts.
Json parse_json_unique(std::string_view text, const std::string& name);

// One object of a parsed document, read key by key.
class JsonObject {
 public:
  // `name` is the file (and path inside it) for messages. Throws InvalidFile unless `value` is an
  // object. Keeps a reference to `value`.
  JsonObject(const Json& value, std::string name);

  const std::string& name() const { return name_; }
  bool has(const char* key) const;  // present and not null

  // A required key. Throws InvalidFile when it is absent, of another type, or out of the type's
  // range.
  std::int64_t integer(const char* key) const;
  double number(const char* key) const;
  bool boolean(const char* key) const;
  std::string string(const char* key) const;
  std::vector<std::int64_t> integers(const char* key) const;
  std::vector<std::string> strings(const char* key) const;
  JsonObject object(const char* key) const;

  // An optional key: absent or null gives `fallback`; a wrong type still throws.
  std::int64_t integer(const char* key, std::int64_t fallback) const;
  double number(const char* key, double fallback) const;
  bool boolean(const char* key, bool fallback) const;
  std::string string(const char* key, const std::string& fallback) const;

 private:
  const Json& at(const char* key) const;
  const Json* value_;
  std::string name_;
};

}  // namespace zimage
