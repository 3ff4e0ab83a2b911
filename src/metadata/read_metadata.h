// What a picture says about how it was drawn, read: a file's texts in, a request out.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/json_line.h"
#include "image/image.h"
#include "metadata/metadata.h"

namespace zimage {

// Who wrote it: this program, or a program that writes as AUTOMATIC1111's web UI does.
enum class MetadataForm : std::uint8_t { Zimage, A1111 };
std::string_view name_of(MetadataForm form);  // "zimage", "a1111"

struct StoredMetadata {
  MetadataForm form = MetadataForm::Zimage;
  // What the file holds; what it does not is absent or the default. The request is without its
  // pictures, and not checked: Pipeline::complete() does that.
  Provenance provenance = {};
  bool has_seed = false;
  std::string version = {};  // of the program, as that calls itself; empty: unknown
  // As the file names and spells it, in its order; of A1111's with "Prompt" and "Negative prompt".
  OrderedJson fields = OrderedJson::object();
  // One sentence, for people, on what the file holds and provenance lacks.
  std::vector<std::string> notes = {};
};

// Of the texts of a picture (read_picture_text()), this program's own if it is among them. `name`
// stands for the file in messages. Throws InvalidFile for texts that are damaged, Unsupported for
// those of programs that are known and not read, NotFound where there are none.
StoredMetadata parse_metadata(const ImageText& texts, const std::string& name);
// The same of a PNG, JPEG or WebP file.
StoredMetadata read_metadata(const std::filesystem::path& file);

// The two forms apart. Throw InvalidFile.
StoredMetadata parse_request_json(std::string_view json, const std::string& name);
StoredMetadata parse_a1111_parameters(std::string_view text, const std::string& name);

// Whether a text is such as A1111 writes: it ends with a line of settings, or has a negative
// prompt.
bool is_a1111(std::string_view text);

}  // namespace zimage
