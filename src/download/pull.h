// A model's name becomes its files on disk, fetched from a hub.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "hub/cache_places.h"
#include "hub/model_name.h"

namespace zimage::download {

struct PullRequest {
  hub::ModelName name;
  hub::HubKind hub = hub::HubKind::HuggingFace;
  std::vector<std::string>
      include;                    // patterns of paths, as in a shell, "*" also for "/"; empty: all
  std::optional<std::string> to;  // a plain folder instead of the cache
  std::optional<std::string> cache_dir;
  int retries = 7;  // attempts without any progress after the first
};

struct PullProgress {
  std::uint64_t files = 0;
  std::uint64_t files_done = 0;
  std::uint64_t bytes = 0;
  std::uint64_t bytes_done = 0;     // verified or fetched
  std::uint64_t bytes_fetched = 0;  // by this call
};

// What a caller hears while it waits, from any thread, one call at a time.
struct PullListener {
  std::function<void(const PullProgress&)> progress;
  std::function<void(const std::string& line)>
      note;  // a file is done, or waits for another process
};

struct PullResult {
  std::filesystem::path folder;
  std::string revision;
  std::string commit;  // empty: the hub does not say
  PullProgress totals;
};

// Fetches what is missing or wrong, several files at once, into the hub's own cache layout (the
// first of cache_places() of that hub) or a plain folder. What is there is verified and kept, what
// an earlier call left unfinished is continued; a file has its name only when its size and its sum
// are those of the hub's listing. Throws InvalidArgument (offline, a pattern that matches nothing),
// NotFound, Io, InvalidFile and Cancelled; what came until then is kept for the next call. Throws
// Unsupported in a build without libcurl.
PullResult pull(const PullRequest& request, const hub::Variables& variables,
                const PullListener& listener, const std::stop_token& stop);

}  // namespace zimage::download
