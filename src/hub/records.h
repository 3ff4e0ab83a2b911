// What the hubs say about the content of a file, from what their clients left beside it.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "hub/catalog.h"
#include "hub/digest.h"
#include "hub/listing.h"

namespace zimage::hub {

// A sum that a file's content should have.
struct SumRecord {
  DigestKind kind = DigestKind::Sha256;
  std::string sum;     // lower-case hexadecimal digits
  std::string source;  // "the hub's listing", "the blob's name", "the download's record"
};

// The records of the file `path` of a snapshot, each sum once: the listing's, the name of the blob
// that it is a link to, and the ETag in .cache/huggingface/download/<path>.metadata, which a
// download into a folder of its own leaves. `listing` is the snapshot's, or null.
std::vector<SumRecord> records_of(const Snapshot& snapshot, const std::string& path,
                                  const Listing* listing);

// A file as its publisher published it.
struct PublishedFile {
  std::string_view id;  // OWNER/NAME
  std::string_view path;
  DigestKind kind;
  std::string_view sum;
};

// The files of Z-Image-Turbo and of ComfyUI's edition of it whose sums are known: those of
// src/config/manifests/z-image-turbo.txt in Tongyi-MAI/Z-Image, and of the hubs' pages.
std::span<const PublishedFile> published_files();

}  // namespace zimage::hub
