// One file of a hub becomes a file on disk, in as many requests as it takes.
#pragma once

#include <functional>
#include <stop_token>

#include "download/file_check.h"
#include "download/http.h"
#include "download/store.h"
#include "hub/listing.h"

namespace zimage::download {

struct FetchListener {
  BytesFn verified;                 // bytes that an earlier download left
  BytesFn fetched;                  // bytes that came
  std::function<void()> restarted;  // all bytes told of were wrong
};

struct FetchOptions {
  int retries = 0;  // attempts without progress after the first
  const FetchListener& listener;
  const std::stop_token& stop;
};

// Continues place.partial, and gives it the name place.target when its size and sum are as listed.
// A sum that is wrong costs the bytes; they are fetched once more from the beginning. Throws what
// Attempts and PartialFile throw.
void fetch(HttpRequest request, const hub::ListedFile& file, const FilePlace& place,
           HttpClient& client, const FetchOptions& options);

}  // namespace zimage::download
