// "Tongyi-MAI/Z-Image-Turbo@main" becomes an owner, a name and a revision.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace zimage::hub {

// A model as both hubs name it. Every field is fit to be part of a path: it neither leaves a folder
// nor hides in it.
struct ModelName {
  std::string owner;                    // "Tongyi-MAI"
  std::string name;                     // "Z-Image-Turbo"
  std::optional<std::string> revision;  // a branch, a tag or a commit; absent: the hub's default

  std::string id() const { return owner + "/" + name; }
  friend bool operator==(const ModelName&, const ModelName&) = default;
};

// OWNER/NAME or OWNER/NAME@REVISION; nothing when `text` is neither.
// Source: huggingface_hub utils/_validators.py validate_repo_id, for the characters.
std::optional<ModelName> parse_model_name(std::string_view text);

// True for what a branch, tag or commit may be called here: words of letters, digits and "._-+"
// between slashes, none of which begins with a dot or a dash, at most 200 characters.
bool is_revision(std::string_view text);

// True for a full commit id: 40 hexadecimal digits, in lower case.
bool is_commit(std::string_view text);

}  // namespace zimage::hub
