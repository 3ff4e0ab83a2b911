// A name without its folder, and a digest.
#include "cli/drawing/source_files.h"

#include <filesystem>
#include <optional>
#include <string>

#include "hub/digest.h"

namespace zimage::cli {
namespace {

SourceFile source_file(const std::optional<std::string>& path) {
  if (!path) return {};
  const hub::DigestKind kind = hub::DigestKind::Sha256;
  return {.name = std::filesystem::path(*path).filename().string(),
          .sha256 = hub::digest_file(*path, {&kind, 1}).front()};
}

}  // namespace

SourceFiles source_files(const PictureOptions& options) {
  return {.init_image = source_file(options.init_image), .mask = source_file(options.mask)};
}

}  // namespace zimage::cli
