// Which of a picture's texts counts.
#include "metadata/read_metadata.h"

#include <algorithm>
#include <array>
#include <optional>

#include "base/error.h"
#include "base/quote.h"
#include "image/picture_text.h"

namespace zimage {
namespace {

// For people: programs whose texts are likely to be met, and that are not read.
struct OtherProgram {
  std::string_view keyword;
  std::string_view beginning;  // of its text
  std::string_view name;
};
constexpr std::array kOthers = {OtherProgram{"prompt", "{", "a graph of ComfyUI"},
                                OtherProgram{"workflow", "{", "a graph of ComfyUI"},
                                OtherProgram{"Make", "workflow:", "a graph of ComfyUI"},
                                OtherProgram{"Model", "prompt:", "a graph of ComfyUI"},
                                OtherProgram{"invokeai_metadata", "{", "InvokeAI's"},
                                OtherProgram{"Comment", "{", "NovelAI's"},
                                OtherProgram{"parameters", "{", "JSON of another program"}};

// In a PNG under "zimage", in EXIF as the description.
bool is_ours(std::string_view keyword, std::string_view text) {
  if (keyword == "zimage") return true;
  return keyword == "ImageDescription" && text.starts_with("{\"program\":\"zimage\"");
}

std::string keywords_of(const ImageText& texts) {
  std::string list;
  for (const auto& [keyword, text] : texts) {
    if (!list.empty()) list += ", ";
    list += quote(keyword);
  }
  return list;
}

}  // namespace

std::string_view name_of(MetadataForm form) {
  return form == MetadataForm::Zimage ? "zimage" : "a1111";
}

StoredMetadata parse_metadata(const ImageText& texts, const std::string& name) {
  for (const auto& [keyword, text] : texts) {
    if (is_ours(keyword, text)) return parse_request_json(text, name);
  }
  for (const auto& [keyword, text] : texts) {
    if (keyword == "parameters" && is_a1111(text)) return parse_a1111_parameters(text, name);
  }
  for (const auto& [keyword, text] : texts) {
    for (const OtherProgram& other : kOthers) {
      if (keyword != other.keyword || !text.starts_with(other.beginning)) continue;
      throw Error(ErrorCode::Unsupported, name + ": its text " + quote(keyword) + " is " +
                                              std::string(other.name) +
                                              ", expected zimage's or A1111's");
    }
  }
  std::string found;
  if (!texts.empty()) found.append(", found ").append(printable(keywords_of(texts)));
  throw Error(ErrorCode::NotFound,
              name +
                  ": says nothing about how it was drawn, expected a text of zimage's or A1111's" +
                  found);
}

StoredMetadata read_metadata(const std::filesystem::path& file) {
  return parse_metadata(read_picture_text(file), file.string());
}

}  // namespace zimage
