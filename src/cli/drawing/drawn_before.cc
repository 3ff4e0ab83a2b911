// Compares what a file says with what would be written.
#include "cli/drawing/drawn_before.h"

#include "base/error.h"
#include "metadata/read_metadata.h"

namespace zimage::cli {
namespace {

// Without what drew it.
OrderedJson request_alone(OrderedJson fields) {
  for (const char* key : {"version", "device", "cpu_kernel"}) fields.erase(key);
  return fields;
}

bool has_request(const std::filesystem::path& file, const OrderedJson& request) {
  try {
    const StoredMetadata stored = read_metadata(file);
    // A note tells of a field that another version wrote.
    return stored.form == MetadataForm::Zimage && stored.notes.empty() &&
           request_alone(stored.fields) == request;
  } catch (const Error&) {
    return false;  // a file of somebody else
  }
}

}  // namespace

std::optional<std::filesystem::path> drawn_before(const OutputFile& output,
                                                  const Provenance& provenance) {
  const OrderedJson request =
      request_alone(parse_request_json(request_json(provenance), "request").fields);
  std::filesystem::path name = output.path();
  std::error_code ignored;  // of a name that cannot be: there is no file of it
  for (int number = 1;
       std::filesystem::is_regular_file(std::filesystem::symlink_status(name, ignored)); ++number) {
    if (has_request(name, request)) return name;
    name = numbered(output.path(), number);
  }
  return std::nullopt;
}

}  // namespace zimage::cli
