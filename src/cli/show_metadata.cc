// Prints a picture's metadata.
#include "cli/show_metadata.h"

#include <fmt/format.h>

#include <algorithm>

#include "cli/terminal/console.h"
#include "cli/terminal/descriptors.h"

namespace zimage::cli {
namespace {

std::string text_of(const OrderedJson& value) {
  return value.is_string() ? value.get<std::string>() : json_line(value);
}

// A text of several lines goes on below itself.
std::string indented(const std::string& text, std::size_t width) {
  std::string result;
  for (const char c : text) {
    result += c;
    if (c == '\n') result.append(width, ' ');
  }
  return result;
}

template <typename Value>
void put(OrderedJson& json, const char* key, const std::optional<Value>& value) {
  if (value) json[key] = *value;
}

void put(OrderedJson& json, const char* key, const std::string& value) {
  if (!value.empty()) json[key] = value;
}

// What the file holds of a request, named as in request_json().
OrderedJson request_of(const StoredMetadata& stored) {
  const Request& request = stored.provenance.request;
  OrderedJson json{{"prompt", request.prompt}};
  put(json, "negative_prompt", request.negative_prompt);
  put(json, "width", request.width);
  put(json, "height", request.height);
  put(json, "steps", request.steps);
  json["sampler"] = zimage::name_of(request.sampler);
  if (!request.sigmas.empty()) json["sigmas"] = request.sigmas;
  put(json, "shift", request.shift);
  put(json, "strength", request.strength);
  put(json, "guidance", request.guidance);
  if (stored.has_seed) json["seed"] = request.seed;
  json.update(OrderedJson{{"rng", zimage::name_of(request.rng)},
                          {"count", request.count},
                          {"index", stored.provenance.index}});
  put(json, "model", stored.provenance.model);
  return json;
}

}  // namespace

std::string metadata_table(const StoredMetadata& stored, const std::string& file) {
  const char* form = stored.form == MetadataForm::Zimage ? "zimage's" : "A1111's";
  std::string text = fmt::format("{}: {} metadata\n\n", without_controls(file), form);
  std::size_t width = 0;
  for (const auto& [key, value] : stored.fields.items())
    width = std::max(width, without_controls(key).size() + 2);
  width = std::min<std::size_t>(width, 30);
  for (const auto& [key, value] : stored.fields.items()) {
    text += fmt::format("{:<{}}{}\n", without_controls(key), width,
                        without_controls(indented(text_of(value), width)));
  }
  for (const std::string& note : stored.notes)
    text += fmt::format("\n{}\n", without_controls(note));
  return text;
}

std::string metadata_json(const StoredMetadata& stored, const std::string& file) {
  OrderedJson json{{"file", file}, {"form", zimage::name_of(stored.form)}};
  put(json, "version", stored.version);
  json.update(OrderedJson{
      {"request", request_of(stored)}, {"fields", stored.fields}, {"notes", stored.notes}});
  return json_line(json);
}

void show_metadata(const ShowMetadataOptions& options) {
  const StoredMetadata stored = read_metadata(options.file);
  print_to_stdout(options.json ? metadata_json(stored, options.file) + "\n"
                               : metadata_table(stored, options.file));
}

}  // namespace zimage::cli
