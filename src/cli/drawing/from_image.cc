// Which side each field comes from.
#include "cli/drawing/from_image.h"

#include <fmt/format.h>

#include <array>
#include <filesystem>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "base/quote.h"
#include "hub/digest.h"
#include "metadata/read_metadata.h"

namespace zimage::cli {
namespace {

namespace fs = std::filesystem;

// A file that the picture began from: its name is the picture's word, its sum decides.
std::string find_source(const SourceFile& file, const fs::path& picture, const char* option) {
  const fs::path name = fs::path(file.name).filename();
  bool differs = false;
  for (const fs::path& folder : {picture.parent_path(), fs::path()}) {
    const fs::path place = folder / name;
    std::error_code ignored;
    if (!fs::is_regular_file(place, ignored)) continue;
    const hub::DigestKind kind = hub::DigestKind::Sha256;
    if (hub::digest_file(place, {&kind, 1}).front() == file.sha256) return place.string();
    differs = true;
  }
  throw Error(
      ErrorCode::NotFound,
      fmt::format("{}: began from {} with SHA-256 {}, which is neither beside it nor in the "
                  "current folder{}: name it with {}",
                  picture.string(), quote(file.name), printable(file.sha256),
                  differs ? " (a file of that name has another)" : "", option));
}

// "cpu", "cuda" or "reference", of "cpu: AVX2, 2 threads" or "cuda:1".
std::string_view kind_of(std::string_view device) {
  return device.substr(0, device.find_first_of(": "));
}

// The kind that a drawing with these options takes.
std::string_view kind_taken(const std::string& device) {
  if (device != "auto") return kind_of(device);
  return available_devices().size() > 1 ? "cuda" : "cpu";
}

class Merge {
 public:
  Merge(FromImage& result, const StoredMetadata& stored)
      : result_(result), options_(result.options), stored_(stored) {}

  void all() {
    const Request& request = stored_.provenance.request;
    if (!given("--prompt") && !given("--prompt-file")) {
      options_.prompt = request.prompt;
      options_.prompts = {request.prompt};
    }
    take(options_.draw.negative_prompt, request.negative_prompt, "--negative");
    schedule();
    size();
    take(options_.draw.sampler, request.sampler, "--sampler");
    take(options_.draw.guidance, request.guidance, "--guidance");
    take(options_.draw.cfg_normalization, request.cfg_normalization, "--cfg-normalization");
    take(options_.draw.cfg_truncation, request.cfg_truncation, "--cfg-truncation");
    if (!given("--seed") && !given("--seeds") && stored_.has_seed) options_.seed = request.seed;
    take(options_.rng, request.rng, "--rng");
    take(options_.draw.seed_variety, request.seed_variety, "--seed-variety");
    if (!given("--count")) {
      options_.draw.count = request.count;
      if (request.count > 1) options_.only = stored_.provenance.index;
    }
    pictures();
    arithmetic();
  }

 private:
  bool given(const char* option) const { return options_.given.contains(option); }

  template <typename Value>
  void take(Value& value, const Value& stored, const char* option) {
    if (!given(option)) value = stored;
  }

  void size() {
    if (given("--size")) return;
    take(options_.draw.width, stored_.provenance.request.width, "--width");
    take(options_.draw.height, stored_.provenance.request.height, "--height");
  }

  // Steps and noise levels exclude each other.
  void schedule() {
    const Request& request = stored_.provenance.request;
    take(options_.draw.shift, request.shift, "--shift");
    if (given("--steps") || given("--sigmas")) return;
    options_.draw.steps = request.steps;
    options_.draw.sigmas = request.sigmas;
  }

  void pictures() {
    const Request& request = stored_.provenance.request;
    const SourceFiles& sources = stored_.provenance.sources;
    PictureOptions& pictures = options_.draw.pictures;
    const fs::path file(*options_.from_image);
    if (!given("--init-image") && !sources.init_image.name.empty())
      pictures.init_image = find_source(sources.init_image, file, "--init-image");
    if (!pictures.init_image) {
      if (!given("--init-image") && request.strength && !pictures.strength)
        note(fmt::format("its denoising strength {} is of a picture that it does not name",
                         *request.strength));
      return;
    }
    if (!pictures.strength) pictures.strength = request.strength;
    if (!given("--mask") && !sources.mask.name.empty())
      pictures.mask = find_source(sources.mask, file, "--mask");
    if (!given("--no-composite")) pictures.no_composite = !request.composite;
  }

  // How it was computed, which means something on the same kind of device alone.
  void arithmetic() {
    const Provenance& provenance = stored_.provenance;
    const std::string_view drawn_on = kind_of(provenance.device);
    if (drawn_on.empty()) return;
    const bool same = drawn_on == kind_taken(options_.draw.device);
    for (const auto& [value, stored, option] :
         {std::tuple(&options_.draw.precision, &provenance.precision, "--precision"),
          std::tuple(&options_.draw.encoding, &provenance.encoding, "--encoding"),
          std::tuple(&options_.draw.cpu_kernel, &provenance.cpu_kernel, "--cpu-kernel")}) {
      if (given(option) || *value == *stored) continue;
      if (same) {
        *value = *stored;
      } else {
        note(fmt::format("its {} {} is of another device, {}", option + 2, quote(*stored),
                         quote(provenance.device)));
      }
    }
  }

  void note(const std::string& text) {
    result_.notes.push_back(fmt::format("{}: not taken: {}", *options_.from_image, text));
  }

  FromImage& result_;
  GenerateOptions& options_;
  const StoredMetadata& stored_;
};

}  // namespace

FromImage from_image(const GenerateOptions& options) {
  FromImage result{.options = options, .model = {}, .notes = {}};
  if (!options.from_image) return result;
  const StoredMetadata stored = read_metadata(*options.from_image);
  for (const std::string& note : stored.notes)
    result.notes.push_back(fmt::format("{}: {}", *options.from_image, note));
  result.model = stored.provenance.model;
  Merge(result, stored).all();
  return result;
}

std::vector<std::string> source_notes(const FromImage& from, const std::string& model) {
  std::vector<std::string> notes = from.notes;
  if (!from.model.empty() && from.model != model) {
    notes.push_back(fmt::format("{} was drawn by the model {}, this is {}: -m names another",
                                *from.options.from_image, quote(from.model), quote(model)));
  }
  return notes;
}

}  // namespace zimage::cli
