// A model's files are held against what their hub says of them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <stop_token>
#include <string>
#include <vector>

#include "pipeline/locate_model.h"

namespace zimage {

struct VerifiedFile {
  std::string path;  // in the model's folder
  std::uint64_t bytes = 0;
  std::vector<std::string> checks;  // what it passed: "size", "header", "SHA-256 (the blob's name)"
  std::string problem;              // what is wrong with it; empty: nothing was found
};

struct Verification {
  std::filesystem::path folder;
  std::string name;      // OWNER/NAME; empty for a folder outside of the caches
  std::string revision;  // empty: not recorded
  std::vector<VerifiedFile> files;
  std::vector<std::string> defects;  // what else keeps the model from being whole

  bool is_good() const;
};

struct VerifySettings {
  bool deep = false;  // also compute the sums of every file that has a record
  int threads = 0;    // that read files at once; 0: one for each core this process may use
  std::function<void(std::uint64_t done, std::uint64_t total)> progress = {};  // in bytes
  std::stop_token stop = {};
};

// Checks the snapshot that `query` would draw with, or, when no cache holds the whole model, the
// first that is there; a folder; or a single file of weights. Sizes are compared with the hub's
// listing, safetensors headers with their files; with `deep` the sums too: against the listing, the
// names of blobs, a download's records and, where there is none of these, the sums published with
// the model. Throws what locate_model throws when there is nothing to check, and Cancelled.
Verification verify_model(const ModelQuery& query, const VerifySettings& settings);

}  // namespace zimage
