// Blobs named by their sums, links to them, and the records beside.
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <system_error>
#include <utility>

#include "base/error.h"
#include "base/json.h"
#include "base/mapped_file.h"
#include "base/quote.h"
#include "download/file_check.h"
#include "download/store.h"
#include "hub/listing.h"

namespace zimage::download {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void fail(const fs::path& path, const std::string& reason) {
  throw Error(ErrorCode::Io, quote(path.string()) + " cannot be written: " + reason);
}

std::string etag_of(const RemoteFile& file) {
  return file.listed.sha256.empty() ? file.blob_id : file.listed.sha256;
}

// The text of trees/COMMIT.json. Source: huggingface_hub _tree_cache.py.
std::string tree_text(const RemoteModel& model) {
  Json files = Json::object();
  for (const RemoteFile& file : model.files) {
    Json entry = {{"size", file.listed.bytes}, {"blob_id", file.blob_id}};
    if (!file.listed.sha256.empty()) {
      entry["lfs_sha256"] = file.listed.sha256;
      entry["lfs_size"] = file.listed.bytes;
    }
    if (!file.xet_hash.empty()) entry["xet_hash"] = file.xet_hash;
    files[file.listed.path] = std::move(entry);
  }
  return Json{{"format_version", 1}, {"files", std::move(files)}}.dump(
      1, ' ', false, Json::error_handler_t::replace);
}

class Cache final : public Store {
 public:
  Cache(const fs::path& root, const hub::ModelName& name, const RemoteModel& model)
      : model_(model),
        storage_(root / ("models--" + name.owner + "--" + name.name)),
        locks_(root / ".locks" / storage_.filename()) {}

  fs::path folder() const override { return storage_ / "snapshots" / model_.commit; }

  FilePlace place_of(const RemoteFile& file) const override {
    const std::string etag = etag_of(file);
    const fs::path name = folder() / file.listed.path;
    // Where links are not to be had, the file itself lies in the snapshot.
    const bool is_plain = fs::symlink_status(name).type() == fs::file_type::regular;
    return {.lock = locks_ / (etag + ".lock"),
            .partial = storage_ / "blobs" / (etag + ".incomplete"),
            .target = is_plain ? name : storage_ / "blobs" / etag};
  }

  void begin() const override {
    write_whole(storage_ / "trees" / (model_.commit + ".json"), tree_text(model_));
  }

  void publish(const RemoteFile& file) const override {
    const fs::path blob = place_of(file).target;
    const fs::path name = folder() / file.listed.path;
    const fs::path target = blob.lexically_relative(name.parent_path());
    std::error_code error;
    if (blob == name || fs::read_symlink(name, error) == target) return;
    fs::create_directories(name.parent_path(), error);
    if (error) fail(name, error.message());
    const fs::path link = name.string() + "." + std::to_string(::getpid()) + ".incomplete";
    fs::remove(link, error);
    fs::create_symlink(target, link, error);
    if (!error) fs::rename(link, name, error);
    // As the client does on file systems without links.
    if (error) fs::rename(blob, name, error);
    if (error) fail(name, error.message());
  }

  void finish() const override {
    if (model_.revision == model_.commit) return;
    write_whole(storage_ / "refs" / model_.revision, model_.commit);
  }

 private:
  const RemoteModel& model_;
  const fs::path storage_;
  const fs::path locks_;
};

class Folder final : public Store {
 public:
  Folder(fs::path folder, const RemoteModel& model)
      : model_(model), folder_(std::move(folder)), records_(folder_ / ".cache/huggingface") {}

  fs::path folder() const override { return folder_; }

  FilePlace place_of(const RemoteFile& file) const override {
    const fs::path record = records_ / "download" / file.listed.path;
    return {.lock = record.string() + ".lock",
            .partial = record.string() + "." + etag_of(file) + ".incomplete",
            .target = folder_ / file.listed.path};
  }

  void begin() const override {
    write_whole(records_ / ".gitignore", "*");
    write_whole(records_ / "trees" / (model_.commit + ".json"), tree_text(model_));
  }

  void publish(const RemoteFile& file) const override {
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(now).count() + 1;
    write_whole(records_ / "download" / (file.listed.path + ".metadata"),
                model_.commit + "\n" + etag_of(file) + "\n" + std::to_string(seconds) + "\n");
  }

 private:
  const RemoteModel& model_;
  const fs::path folder_;
  const fs::path records_;
};

}  // namespace

void write_whole(const fs::path& path, std::string_view text) {
  std::error_code error;
  if (fs::file_size(path, error) == text.size() && read_file(path, text.size()) == text) return;
  fs::create_directories(path.parent_path(), error);
  if (error) fail(path, error.message());
  const fs::path partial = path.string() + "." + std::to_string(::getpid()) + ".tmp";
  std::ofstream stream(partial, std::ios::binary | std::ios::trunc);
  stream.write(text.data(), static_cast<std::streamsize>(text.size()));
  stream.close();
  const int reason = errno;
  if (stream) fs::rename(partial, path, error);
  if (stream && !error) return;
  std::error_code ignored;
  fs::remove(partial, ignored);
  fail(path, error ? error.message() : std::system_category().message(reason));
}

std::unique_ptr<Store> hugging_face_cache(const fs::path& root, const hub::ModelName& name,
                                          const RemoteModel& model) {
  return std::make_unique<Cache>(root, name, model);
}

std::unique_ptr<Store> hugging_face_folder(const fs::path& folder, const RemoteModel& model) {
  return std::make_unique<Folder>(folder, model);
}

}  // namespace zimage::download
