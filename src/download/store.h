// Where a model's files go, so that the hub's own client finds them.
#pragma once

#include <filesystem>
#include <memory>

#include "download/remote_listing.h"
#include "hub/cache_places.h"
#include "hub/model_name.h"

namespace zimage::download {

struct FilePlace {
  std::filesystem::path lock;     // held while the other two are written
  std::filesystem::path partial;  // on the target's file system
  std::filesystem::path target;   // never holds anything but the whole, right file
};

class Store {
 public:
  virtual ~Store() = default;
  // Where the model lies in the end.
  virtual std::filesystem::path folder() const = 0;
  virtual FilePlace place_of(const RemoteFile& file) const = 0;
  // Records what the model consists of, before the first file.
  virtual void begin() const {}
  // Gives the file at its target a name in folder(). Under the file's lock.
  virtual void publish(const RemoteFile& /*file*/) const {}
  // After the last file.
  virtual void finish() const {}
};

// Hugging Face's cache below `root`: blobs/, snapshots/ of links to them, trees/, refs/. The ref
// moves last, so that an older snapshot remains the default until this one is whole.
// Source: huggingface_hub file_download.py _hf_hub_download_to_cache_dir.
std::unique_ptr<Store> hugging_face_cache(const std::filesystem::path& root,
                                          const hub::ModelName& name, const RemoteModel& model);

// A plain folder with huggingface_hub's records in .cache/huggingface.
// Source: huggingface_hub _local_folder.py.
std::unique_ptr<Store> hugging_face_folder(const std::filesystem::path& folder,
                                           const RemoteModel& model);

// ModelScope's cache below `root`: models/OWNER--NAME/snapshots/REVISION, or the folder that an
// older client made there, as its client chooses.
// Source: modelscope_hub _download.py DownloadManager.
std::unique_ptr<Store> model_scope_cache(const std::filesystem::path& root,
                                         const hub::ModelName& name, const RemoteModel& model);

// A plain folder; the locks are those of the cache at `root`.
std::unique_ptr<Store> model_scope_folder(const std::filesystem::path& folder,
                                          const std::filesystem::path& root,
                                          const hub::ModelName& name);

// Replaces the file by `text` in one step, making its folders. Throws Io.
void write_whole(const std::filesystem::path& path, std::string_view text);

}  // namespace zimage::download
