// nlohmann-json behind checked accessors.
#include "base/json.h"

#include <limits>
#include <nlohmann/json.hpp>
#include <unordered_set>
#include <utility>

#include "base/error.h"
#include "base/quote.h"

namespace zimage {
namespace {

// Far above any configuration file and far below what a recursion over a document could take.
constexpr std::size_t kMaxDepth = 64;

[[noreturn]] void throw_type(const std::string& name, const std::string& key, const char* expected,
                             const Json& found) {
  throw Error(ErrorCode::InvalidFile,
              name + ": \"" + key + "\" is " + found.type_name() + ", expected " + expected);
}

std::int64_t as_integer(const Json& value, const std::string& name, const std::string& key) {
  if (!value.is_number_integer()) throw_type(name, key, "an integer", value);
  if (value.is_number_unsigned() &&
      value.get<std::uint64_t>() > std::uint64_t{std::numeric_limits<std::int64_t>::max()}) {
    throw Error(ErrorCode::InvalidFile, name + ": \"" + key + "\" is too large");
  }
  return value.get<std::int64_t>();
}

enum class Keys : std::uint8_t { Any, Unique };

// Walks a text without building anything and refuses what parse_json must refuse. The parser's own
// callback could do the same, in time that grows with the square of an object's members.
class Checker final : public nlohmann::json_sax<Json> {
 public:
  Checker(const std::string& name, Keys keys) : name_(name), keys_(keys) {}

  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(std::int64_t) override { return true; }
  bool number_unsigned(std::uint64_t) override { return true; }
  bool number_float(double, const std::string&) override { return true; }
  bool string(std::string&) override { return true; }
  bool binary(Json::binary_t&) override { return true; }
  bool start_array(std::size_t) override { return enter(); }
  bool end_array() override { return leave(); }
  bool start_object(std::size_t) override { return enter(); }
  bool end_object() override { return leave(); }

  bool key(std::string& text) override {
    if (keys_ == Keys::Unique && !seen_.back().insert(text).second) {
      throw Error(ErrorCode::InvalidFile, name_ + ": " + quote(text) + " occurs twice");
    }
    return true;
  }

  bool parse_error(std::size_t, const std::string&, const Json::exception& error) override {
    throw Error(ErrorCode::InvalidFile,
                name_ + ": not valid JSON (" + printable(error.what()) + ")");
  }

 private:
  bool enter() {
    if (seen_.size() == kMaxDepth) {
      throw Error(ErrorCode::InvalidFile, name_ + ": nested too deeply");
    }
    seen_.emplace_back();
    return true;
  }
  bool leave() {
    seen_.pop_back();
    return true;
  }

  const std::string& name_;
  Keys keys_;
  std::vector<std::unordered_set<std::string>> seen_;  // the keys of everything that is open
};

Json parse(std::string_view text, const std::string& name, Keys keys) {
  // The parser takes a NUL for the end of the text and would not see what follows.
  if (text.find('\0') != std::string_view::npos) {
    throw Error(ErrorCode::InvalidFile, name + ": not valid JSON (it holds a NUL byte)");
  }
  Checker checker(name, keys);
  Json::sax_parse(text, &checker);
  return Json::parse(text);
}

}  // namespace

Json parse_json(std::string_view text, const std::string& name) {
  return parse(text, name, Keys::Any);
}

Json parse_json_unique(std::string_view text, const std::string& name) {
  return parse(text, name, Keys::Unique);
}

JsonObject::JsonObject(const Json& value, std::string name)
    : value_(&value), name_(std::move(name)) {
  if (!value.is_object()) {
    throw Error(ErrorCode::InvalidFile,
                name_ + ": expected a JSON object, found " + value.type_name());
  }
}

const Json& JsonObject::at(const char* key) const {
  const auto found = value_->find(key);
  if (found == value_->end() || found->is_null()) {
    throw Error(ErrorCode::InvalidFile, name_ + ": \"" + key + "\" is missing");
  }
  return *found;
}

bool JsonObject::has(const char* key) const {
  const auto found = value_->find(key);
  return found != value_->end() && !found->is_null();
}

std::int64_t JsonObject::integer(const char* key) const {
  return as_integer(at(key), name_, key);
}

double JsonObject::number(const char* key) const {
  const Json& value = at(key);
  if (!value.is_number()) throw_type(name_, key, "a number", value);
  return value.get<double>();
}

bool JsonObject::boolean(const char* key) const {
  const Json& value = at(key);
  if (!value.is_boolean()) throw_type(name_, key, "true or false", value);
  return value.get<bool>();
}

std::string JsonObject::string(const char* key) const {
  const Json& value = at(key);
  if (!value.is_string()) throw_type(name_, key, "a string", value);
  return value.get<std::string>();
}

std::vector<std::int64_t> JsonObject::integers(const char* key) const {
  const Json& value = at(key);
  if (!value.is_array()) throw_type(name_, key, "a list of integers", value);
  std::vector<std::int64_t> list;
  for (const Json& item : value) list.push_back(as_integer(item, name_, key));
  return list;
}

std::vector<std::string> JsonObject::strings(const char* key) const {
  const Json& value = at(key);
  if (!value.is_array()) throw_type(name_, key, "a list of strings", value);
  std::vector<std::string> list;
  for (const Json& item : value) {
    if (!item.is_string()) throw_type(name_, key, "a list of strings", item);
    list.push_back(item.get<std::string>());
  }
  return list;
}

JsonObject JsonObject::object(const char* key) const {
  return {at(key), name_ + ": \"" + key + "\""};
}

std::int64_t JsonObject::integer(const char* key, std::int64_t fallback) const {
  return has(key) ? integer(key) : fallback;
}
double JsonObject::number(const char* key, double fallback) const {
  return has(key) ? number(key) : fallback;
}
bool JsonObject::boolean(const char* key, bool fallback) const {
  return has(key) ? boolean(key) : fallback;
}
std::string JsonObject::string(const char* key, const std::string& fallback) const {
  return has(key) ? string(key) : fallback;
}

}  // namespace zimage
