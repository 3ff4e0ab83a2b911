// Looks for the transformer first; the other parts have to fit it.
#include "pipeline/comfy_folder.h"

#include <algorithm>
#include <array>
#include <functional>
#include <string_view>
#include <system_error>
#include <vector>

#include "base/error.h"
#include "base/log.h"
#include "base/quote.h"
#include "hub/folder.h"
#include "pipeline/part_of_file.h"

namespace zimage {
namespace {

namespace fs = std::filesystem;

struct Kind {
  std::string_view label;
  std::string_view option;
  std::array<std::string_view, 3> folders;  // the older name behind; the last may be empty
  std::string_view published;               // the beginning of the file's name
};

// "checkpoints" holds files of all parts.
constexpr Kind kTransformer = {"Z-Image transformer",
                               "--transformer",
                               {"diffusion_models", "unet", "checkpoints"},
                               "z_image_turbo_bf16."};
constexpr Kind kTextEncoder = {
    "Qwen3 text encoder", "--text-encoder", {"text_encoders", "clip", ""}, "qwen_3_4b."};
constexpr Kind kVae = {"autoencoder", "--vae", {"vae", "", ""}, "ae."};

bool has_layout(const fs::path& folder) {
  return std::ranges::any_of(kTransformer.folders, [&folder](std::string_view name) {
    return hub::is_folder(folder / name);
  });
}

// Weights in the kind's folders, the paths below `folder`.
std::vector<std::string> candidates(const fs::path& folder, const Kind& kind) {
  std::vector<std::string> paths;
  for (const std::string_view name : kind.folders) {
    if (name.empty()) continue;
    for (const hub::FolderFile& file : hub::files_below(folder / name)) {
      if (!file.bytes) continue;
      if (file.path.ends_with(".safetensors") || file.path.ends_with(".gguf")) {
        paths.push_back(std::string(name) + "/" + file.path);
      }
    }
  }
  return paths;
}

std::string list(const std::vector<std::string>& paths) {
  std::string text;
  for (const std::string& path : paths) text += (text.empty() ? "" : ", ") + printable(path);
  return text;
}

class Search {
 public:
  Search(const fs::path& folder, const std::string& source)
      : folder_(folder), prefix_(source + ": " + printable(folder.string())) {}

  // The only file that `fits`, or the one of these under the published name.
  fs::path choose(const Kind& kind, const std::function<bool(const fs::path&)>& fits) const {
    const std::vector<std::string> all = candidates(folder_, kind);
    std::vector<std::string> fitting;
    for (const std::string& path : all) {
      if (fits(folder_ / path)) fitting.push_back(path);
    }
    if (fitting.empty()) refuse_none(kind, all);
    const auto is_published = [&kind](const std::string& path) {
      return fs::path(path).filename().string().starts_with(kind.published);
    };
    const std::ptrdiff_t published = std::ranges::count_if(fitting, is_published);
    if (fitting.size() > 1 && published != 1) {
      throw Error(ErrorCode::InvalidArgument, prefix_ + " has several files for the " +
                                                  std::string(kind.label) + ", name one with " +
                                                  std::string(kind.option) + ": " + list(fitting));
    }
    const std::string& chosen =
        fitting.size() == 1 ? fitting[0] : *std::ranges::find_if(fitting, is_published);
    log(LogLevel::Info, "the " + std::string(kind.label) + " is " + printable(chosen));
    return folder_ / chosen;
  }

 private:
  [[noreturn]] void refuse_none(const Kind& kind, const std::vector<std::string>& all) const {
    std::string folders;
    for (const std::string_view name : kind.folders) {
      if (!name.empty()) folders += (folders.empty() ? "" : ", ") + std::string(name) + "/";
    }
    throw Error(
        ErrorCode::NotFound,
        prefix_ + " has no " + std::string(kind.label) + " that fits in " + folders +
            (all.empty() ? " (no .safetensors or .gguf file)" : " (found " + list(all) + ")") +
            "; name its file with " + std::string(kind.option));
  }

  const fs::path& folder_;
  std::string prefix_;
};

}  // namespace

std::optional<fs::path> find_comfy_folder(const fs::path& folder) {
  for (const fs::path& place : {folder, folder / "models", folder / "split_files"}) {
    if (has_layout(place)) return place;
  }
  return std::nullopt;
}

ModelLocation locate_in_comfy_folder(const fs::path& folder, const ModelLocation& given,
                                     const std::string& source) {
  const Search search(folder, source);
  ModelLocation location = given;
  if (location.transformer.empty()) {
    location.transformer = search.choose(
        kTransformer, [](const fs::path& file) { return transformer_in(file).has_value(); });
  }
  const auto fit = transformer_in(location.transformer);
  const auto is_encoder = [&fit](const fs::path& file) {
    const auto features = text_encoder_in(file);
    return features && (!fit || *features == fit->caption_dim);
  };
  const auto is_vae = [&fit](const fs::path& file) {
    const auto channels = vae_in(file);
    return channels && (!fit || *channels == fit->latent_channels);
  };
  // A checkpoint of all parts is meant whole.
  if (location.text_encoder.empty() && is_encoder(location.transformer)) {
    location.text_encoder = location.transformer;
  }
  if (location.vae.empty() && is_vae(location.transformer)) location.vae = location.transformer;
  if (location.text_encoder.empty()) {
    location.text_encoder = search.choose(kTextEncoder, is_encoder);
  }
  if (location.vae.empty()) location.vae = search.choose(kVae, is_vae);
  return location;
}

}  // namespace zimage
