// The JSON that request_json() writes -> a request.
#include <optional>
#include <set>

#include "base/error.h"
#include "base/json.h"
#include "base/quote.h"
#include "metadata/read_metadata.h"

namespace zimage {
namespace {

// An object's keys; those that nobody asked for are told in the end.
class Fields {
 public:
  Fields(const Json& object, const std::string& name) : json_(object), object_(object, name) {}

  const std::string& name() const { return object_.name(); }
  bool has(const char* key) {
    asked_.insert(key);
    if (!object_.has(key)) return false;
    order_.push_back(key);
    return true;
  }
  // The numbers and words among what was asked for, in that order.
  OrderedJson in_order() const {
    OrderedJson fields = OrderedJson::object();
    for (const char* key : order_) {
      if (const Json& value = json_.at(key); !value.is_object()) fields[key] = value;
    }
    return fields;
  }
  void take(std::string& out, const char* key) {
    if (has(key)) out = object_.string(key);
  }
  void take(bool& out, const char* key) {
    if (has(key)) out = object_.boolean(key);
  }
  void take(double& out, const char* key) {
    if (has(key)) out = object_.number(key);
  }
  void take(std::int64_t& out, const char* key) {
    if (has(key)) out = object_.integer(key);
  }
  void take(std::optional<double>& out, const char* key) {
    if (has(key)) out = object_.number(key);
  }
  void take(std::optional<std::int64_t>& out, const char* key) {
    if (has(key)) out = object_.integer(key);
  }
  // 0 to 2^64 - 1.
  bool take(std::uint64_t& out, const char* key) {
    if (!has(key)) return false;
    const Json& value = json_.at(key);
    if (!value.is_number_unsigned()) refuse(key, "a whole number from 0 to 2^64 - 1");
    out = value.get<std::uint64_t>();
    return true;
  }
  void take(std::vector<double>& out, const char* key) {
    if (!has(key)) return;
    const Json& list = json_.at(key);
    if (!list.is_array()) refuse(key, "numbers");
    for (const Json& value : list) {
      if (!value.is_number()) refuse(key, "numbers");
      out.push_back(value.get<double>());
    }
  }
  void take(SourceFile& out, const char* key) {
    if (!has(key)) return;
    const JsonObject file = object_.object(key);
    out = {.name = file.string("file"), .sha256 = file.string("sha256")};
  }
  // A word that `find` knows.
  template <typename Value, typename Find>
  void take_word(Value& out, const char* key, const Find& find) {
    std::string word;
    take(word, key);
    if (word.empty()) return;
    const std::optional<Value> found = find(word);
    if (!found) {
      throw Error(ErrorCode::InvalidFile, name() + ": \"" + key + "\" is " + quote(word) +
                                              ", which this version does not know");
    }
    out = *found;
  }

  // Keys that nobody asked for, separated by commas.
  std::string others() const {
    std::string keys;
    for (const auto& [key, value] : json_.items()) {
      if (asked_.contains(key)) continue;
      if (!keys.empty()) keys += ", ";
      keys += key;
    }
    return keys;
  }

  [[noreturn]] void refuse(const char* key, const char* expected) const {
    const auto found = json_.find(key);
    const std::string value = found == json_.end() ? "not there" : printable(found->dump());
    throw Error(ErrorCode::InvalidFile,
                name() + ": \"" + key + "\" is " + value + ", expected " + expected);
  }

 private:
  const Json& json_;
  JsonObject object_;
  std::set<std::string, std::less<>> asked_;
  std::vector<const char*> order_;
};

void put(OrderedJson& fields, const char* key, const SourceFile& file) {
  if (!file.name.empty()) fields[key] = file_json(file);
}

void take_request(Request& request, Fields& fields) {
  fields.take(request.prompt, "prompt");
  fields.take(request.width, "width");
  fields.take(request.height, "height");
  fields.take(request.steps, "steps");
  fields.take_word(request.sampler, "sampler", find_sampler);
  fields.take(request.sigmas, "sigmas");
  fields.take(request.shift, "shift");
  fields.take(request.strength, "strength");
  fields.take(request.seed_variety, "seed_variety");
  fields.take(request.guidance, "guidance");
  fields.take(request.negative_prompt, "negative_prompt");
  fields.take(request.cfg_normalization, "cfg_normalization");
  fields.take(request.cfg_truncation, "cfg_truncation");
  fields.take(request.composite, "composite");
  fields.take_word(request.rng, "rng", [](const std::string& word) -> std::optional<RngKind> {
    for (const RngKind rng : {RngKind::Cpu, RngKind::Cuda}) {
      if (word == name_of(rng)) return rng;
    }
    return std::nullopt;
  });
  fields.take(request.count, "count");
}

}  // namespace

StoredMetadata parse_request_json(std::string_view json, const std::string& name) {
  const std::string what = name + ": metadata";
  const Json parsed = parse_json_unique(json, what);
  Fields fields(parsed, what);
  StoredMetadata stored;
  std::string program;
  fields.take(program, "program");
  if (program != "zimage") fields.refuse("program", "\"zimage\"");
  fields.take(stored.version, "version");
  Provenance& provenance = stored.provenance;
  take_request(provenance.request, fields);
  stored.has_seed = fields.take(provenance.request.seed, "seed");
  fields.take(provenance.index, "index");
  if (provenance.index < 0 || provenance.index >= provenance.request.count)
    fields.refuse("index", "less than \"count\"");
  fields.take(provenance.model, "model");
  fields.take(provenance.device, "device");
  fields.take(provenance.precision, "precision");
  fields.take(provenance.encoding, "encoding");
  fields.take(provenance.cpu_kernel, "cpu_kernel");
  fields.take(provenance.sources.init_image, "init_image");
  fields.take(provenance.sources.mask, "mask");
  stored.fields = fields.in_order();
  put(stored.fields, "init_image", provenance.sources.init_image);
  put(stored.fields, "mask", provenance.sources.mask);
  const std::string others = fields.others();
  if (!others.empty()) stored.notes.push_back("not known to this version: " + printable(others));
  return stored;
}

}  // namespace zimage
