// Any bytes as a picture, as the text of another program and as our JSON: either one Error, or a
// request that, where it is written again, is read again as itself.
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "checks.h"
#include "image/picture_text.h"
#include "metadata/read_metadata.h"

namespace {

using zimage::fuzz::answer;
using zimage::fuzz::require;

void check(const zimage::StoredMetadata& stored) {
  const zimage::Provenance& provenance = stored.provenance;
  require(provenance.index >= 0 && provenance.index < provenance.request.count);
  const std::string json = zimage::request_json(provenance);
  const zimage::StoredMetadata again = zimage::parse_request_json(json, "input");
  require(zimage::request_json(again.provenance) == json);
  require(again.notes.empty());
}

}  // namespace

// NOLINTNEXTLINE(readability-identifier-naming): the name that libFuzzer calls
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  answer([&] {
    check(zimage::parse_metadata(zimage::read_picture_text({data, size}, "input"), "input"));
  });
  answer([&] { check(zimage::parse_request_json(text, "input")); });
  answer([&] { check(zimage::parse_a1111_parameters(text, "input")); });
  static_cast<void>(zimage::is_a1111(text));
  return 0;
}
