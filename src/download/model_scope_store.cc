// Plain files below a revision's name.
#include <algorithm>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "download/store.h"
#include "hub/digest.h"

namespace zimage::download {
namespace {

namespace fs = std::filesystem;

bool holds_anything(const fs::path& folder) {
  std::error_code error;
  const fs::directory_iterator entry(folder, error);
  return !error && entry != fs::directory_iterator();
}

std::string sha256_of(std::string_view text) {
  hub::Digest digest(hub::DigestKind::Sha256, text.size());
  digest.add(std::as_bytes(std::span(text)));
  return digest.finish();
}

class PlainFiles final : public Store {
 public:
  PlainFiles(fs::path folder, fs::path root, std::string id)
      : folder_(std::move(folder)), root_(std::move(root)), id_(std::move(id)) {}

  fs::path folder() const override { return folder_; }

  FilePlace place_of(const RemoteFile& file) const override {
    const fs::path target = folder_ / file.listed.path;
    std::string key = "modelscope-hub-download-lock-v2|file|model|" + id_ + "|" + file.listed.path;
    std::ranges::replace(key, '|', '\0');
    return {.lock = root_ / ".lock" / ("file_" + sha256_of(key) + ".lock"),
            .partial = target.string() + ".incomplete",
            .target = target};
  }

 private:
  const fs::path folder_;
  const fs::path root_;
  const std::string id_;
};

}  // namespace

std::unique_ptr<Store> model_scope_cache(const fs::path& root, const hub::ModelName& name,
                                         const RemoteModel& model) {
  std::string safe = name.name;
  for (std::size_t at = 0; (at = safe.find('.', at)) != std::string::npos; at += 3) {
    safe.replace(at, 1, "___");
  }
  for (const char* models : {"models", "hub/models"}) {
    const fs::path old = root / models / name.owner / safe;
    if (holds_anything(old)) return model_scope_folder(old, root, name);
  }
  return model_scope_folder(
      root / "models" / (name.owner + "--" + name.name) / "snapshots" / model.revision, root, name);
}

std::unique_ptr<Store> model_scope_folder(const fs::path& folder, const fs::path& root,
                                          const hub::ModelName& name) {
  return std::make_unique<PlainFiles>(folder, root, name.id());
}

}  // namespace zimage::download
