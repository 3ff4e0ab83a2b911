// Lists, chooses, and lets several threads fetch one file after the other.
#include "download/pull.h"

#include <fnmatch.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <exception>
#include <memory>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>

#include "base/error.h"
#include "base/quote.h"
#include "download/attempts.h"
#include "download/endpoint.h"
#include "download/fetch.h"
#include "download/file_lock.h"
#include "download/remote_listing.h"
#include "download/store.h"

namespace zimage::download {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kThreads = 8;

// Sums up what the threads do.
class Meter {
 public:
  Meter(const PullListener& listener, const std::vector<RemoteFile>& files) : listener_(listener) {
    totals_.files = files.size();
    for (const RemoteFile& file : files) totals_.bytes += file.listed.bytes;
  }

  // Bytes may be taken back, when they turn out to be wrong.
  void add(std::int64_t done, std::uint64_t fetched) {
    const std::lock_guard lock(mutex_);
    totals_.bytes_done += static_cast<std::uint64_t>(done);
    totals_.bytes_fetched += fetched;
    listener_.progress(totals_);
  }
  void finish_file(const std::string& line) {
    const std::lock_guard lock(mutex_);
    ++totals_.files_done;
    listener_.note(line);
    listener_.progress(totals_);
  }
  void note(const std::string& line) {
    const std::lock_guard lock(mutex_);
    listener_.note(line);
  }
  PullProgress totals() const {
    const std::lock_guard lock(mutex_);
    return totals_;
  }

 private:
  const PullListener& listener_;
  mutable std::mutex mutex_;  // guards totals_ and the listener
  PullProgress totals_;
};

struct Job {
  const PullRequest& request;
  const Endpoint& endpoint;
  const RemoteModel& model;
  const Store& store;
  Meter& meter;
};

void pull_file(const Job& job, const RemoteFile& file, HttpClient& client,
               const std::stop_token& stop) {
  const FilePlace place = job.store.place_of(file);
  const std::string path = printable(file.listed.path);
  const FileLock lock(
      place.lock, [&] { job.meter.note(path + ": waiting for another process that fetches it"); },
      stop);
  std::uint64_t counted = 0;
  const BytesFn verified = [&](std::uint64_t bytes) {
    counted += bytes;
    job.meter.add(static_cast<std::int64_t>(bytes), 0);
  };
  const auto take_back = [&] {
    job.meter.add(-static_cast<std::int64_t>(counted), 0);
    counted = 0;
  };
  if (problem_of(place.target, file.listed, verified, stop).empty()) {
    job.store.publish(file);
    return job.meter.finish_file(path + ": is there");
  }
  take_back();
  const FetchListener listener{.verified = verified,
                               .fetched =
                                   [&](std::uint64_t bytes) {
                                     counted += bytes;
                                     job.meter.add(static_cast<std::int64_t>(bytes), bytes);
                                   },
                               .restarted = take_back};
  fetch(file_request(job.endpoint, job.request.name, job.model, file), file.listed, place, client,
        {.retries = job.request.retries, .listener = listener, .stop = stop});
  job.store.publish(file);
  job.meter.finish_file(path + ": fetched");
}

// Runs pull_file for every file, the largest first. Throws what the first failure was; the other
// threads stop then.
void pull_files(const Job& job, const std::stop_token& stop) {
  std::vector<const RemoteFile*> order;
  order.reserve(job.model.files.size());
  for (const RemoteFile& file : job.model.files) order.push_back(&file);
  std::ranges::stable_sort(order, std::ranges::greater(),
                           [](const RemoteFile* file) { return file->listed.bytes; });
  std::atomic<std::size_t> next{0};
  std::stop_source failed;
  const std::stop_callback forward(stop, [&failed] { failed.request_stop(); });
  std::mutex mutex;
  std::exception_ptr first;
  const auto work = [&] {
    try {
      HttpClient client;
      for (std::size_t i = next++; i < order.size(); i = next++) {
        if (failed.stop_requested()) throw Error(ErrorCode::Cancelled, "interrupted");
        pull_file(job, *order[i], client, failed.get_token());
      }
    } catch (...) {
      const std::lock_guard lock(mutex);
      if (!first) first = std::current_exception();
      failed.request_stop();
    }
  };
  {
    std::vector<std::jthread> threads;
    for (std::size_t i = 0; i < std::min(kThreads, order.size()); ++i) threads.emplace_back(work);
  }
  if (first) std::rethrow_exception(first);
}

bool is_chosen(const std::vector<std::string>& patterns, const std::string& path) {
  if (patterns.empty()) return true;
  return std::ranges::any_of(patterns, [&path](std::string pattern) {
    if (pattern.ends_with('/')) pattern += '*';
    return ::fnmatch(pattern.c_str(), path.c_str(), FNM_NOESCAPE) == 0;
  });
}

// The cache that the hub's client would write to.
fs::path cache_root(const PullRequest& request, const hub::Variables& variables) {
  const hub::CachePlaces places = hub::cache_places(variables, request.cache_dir);
  const auto place = std::ranges::find(places.places, request.hub, &hub::CachePlace::hub);
  if (place == places.places.end()) {
    throw Error(ErrorCode::InvalidArgument,
                "there is no place for a cache: HOME is not set; choose one with --cache-dir");
  }
  return place->root;
}

std::unique_ptr<Store> make_store(const PullRequest& request, const RemoteModel& model,
                                  const hub::Variables& variables) {
  const bool is_model_scope = request.hub == hub::HubKind::ModelScope;
  if (request.to && !is_model_scope) return hugging_face_folder(fs::absolute(*request.to), model);
  const fs::path root = cache_root(request, variables);
  if (request.to) return model_scope_folder(fs::absolute(*request.to), root, request.name);
  return is_model_scope ? model_scope_cache(root, request.name, model)
                        : hugging_face_cache(root, request.name, model);
}

// Refuses before anything is fetched when the disk is too small for what is missing.
void check_space(const Store& store, const std::vector<RemoteFile>& files) {
  std::error_code error;
  std::uint64_t missing = 0;
  for (const RemoteFile& file : files) {
    const FilePlace place = store.place_of(file);
    if (fs::exists(place.target, error)) continue;
    const std::uintmax_t begun = fs::file_size(place.partial, error);
    missing += file.listed.bytes - std::min<std::uint64_t>(file.listed.bytes, error ? 0 : begun);
  }
  fs::path existing = store.folder();
  while (!fs::exists(existing, error) && existing.has_relative_path()) {
    existing = existing.parent_path();
  }
  const fs::space_info space = fs::space(existing, error);
  if (!error && space.available < missing) {
    throw Error(ErrorCode::Io, quote(existing.string()) + ": " + std::to_string(missing) +
                                   " bytes are to be fetched, and " +
                                   std::to_string(space.available) + " are free there");
  }
}

// The hub's answer to who may not or does not know what there is.
[[noreturn]] void explain(const HttpError& error, const PullRequest& request,
                          const Endpoint& endpoint) {
  std::string text =
      quote(request.name.id()) +
      (request.name.revision ? " at revision " + quote(*request.name.revision) : "") +
      " cannot be listed; " + error.what();
  const bool is_refused = error.status() == 401 || error.status() == 403;
  const bool is_model_scope = request.hub == hub::HubKind::ModelScope;
  if (is_refused && endpoint.token.empty()) {
    text += std::string("\nis the name right? a private or gated model needs a token, ") +
            (is_model_scope ? "MODELSCOPE_API_TOKEN" : "HF_TOKEN");
  } else if (is_refused) {
    text += "\nis the name right, and may the token of " + printable(endpoint.token_source) +
            " read it?";
  } else if (error.code() == ErrorCode::NotFound) {
    text += std::string("\nis the name right? the other hub is --from ") +
            (is_model_scope ? "hf" : "modelscope");
  }
  throw Error(error.code(), text);
}

RemoteModel list_model(const PullRequest& request, const Endpoint& endpoint,
                       const std::stop_token& stop) {
  try {
    return list_remote(endpoint, request.name, request.retries, stop);
  } catch (const HttpError& error) {
    explain(error, request, endpoint);
  }
}

}  // namespace

PullResult pull(const PullRequest& request, const hub::Variables& variables,
                const PullListener& listener, const std::stop_token& stop) {
  const Endpoint endpoint = endpoint_of(request.hub, variables);
  const RemoteModel whole = list_model(request, endpoint, stop);
  RemoteModel model = whole;
  std::erase_if(model.files, [&request](const RemoteFile& file) {
    return !is_chosen(request.include, file.listed.path);
  });
  if (model.files.empty()) {
    throw Error(ErrorCode::InvalidArgument,
                request.include.empty()
                    ? quote(request.name.id()) + " holds no files"
                    : "--include: no path of " + quote(request.name.id()) + " matches");
  }
  const std::unique_ptr<Store> store = make_store(request, whole, variables);
  check_space(*store, model.files);
  store->begin();
  Meter meter(listener, model.files);
  pull_files(
      {.request = request, .endpoint = endpoint, .model = model, .store = *store, .meter = meter},
      stop);
  store->finish();
  return {.folder = store->folder(),
          .revision = model.revision,
          .commit = model.commit,
          .totals = meter.totals()};
}

}  // namespace zimage::download
