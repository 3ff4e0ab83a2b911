// Sizes and headers first, then the sums, several files at a time.
#include "pipeline/verify_model.h"

#include <algorithm>
#include <atomic>
#include <iterator>
#include <mutex>
#include <optional>
#include <set>
#include <system_error>
#include <thread>
#include <utility>

#include "base/error.h"
#include "base/mapped_file.h"
#include "base/quote.h"
#include "checkpoint/weight_files.h"
#include "hub/folder.h"
#include "hub/inspect.h"
#include "hub/listing.h"
#include "hub/records.h"
#include "hub/resolve.h"
#include "pipeline/model_query.h"

namespace zimage {
namespace {

namespace fs = std::filesystem;

struct Subject {
  hub::CatalogEntry entry;
  std::string only;  // a single file in the folder; empty: the whole folder
};

Subject find_subject(const ModelQuery& query) {
  check_query(query);
  const fs::path path(query.text);
  std::error_code ignored;
  if (fs::is_regular_file(path, ignored)) {
    return {.entry = hub::identify(path.has_parent_path() ? path.parent_path() : fs::path(".")),
            .only = path.filename().string()};
  }
  if (fs::is_directory(path, ignored)) {
    if (!is_storage(path)) return {.entry = hub::identify(path), .only = {}};
    const hub::Lookup lookup = hub::look_into(path, query.revision);
    if (lookup.snapshots.empty()) {
      throw Error(ErrorCode::NotFound, query.source + ": " + lookup.refusals.at(0).path.string() +
                                           ": " + lookup.refusals.at(0).reason);
    }
    return {.entry = hub::identify(lookup.snapshots[0].folder), .only = {}};
  }
  const hub::ModelName name = parse_query(query);
  const hub::Snapshot snapshot = hub::find_snapshot(name, caches_of(query), check_model_folder);
  return {.entry = {.id = name.id(), .snapshot = snapshot, .references = {}, .source = {}},
          .only = {}};
}

// A file with what it is held against.
struct Job {
  VerifiedFile* file;
  std::vector<hub::SumRecord> records;
  std::vector<hub::PublishedFile> published;  // used when there are no records
  std::vector<std::string> sums;              // of the records, or else of the published sums
};

void check_size(VerifiedFile& file, const hub::Listing& listing) {
  const auto listed = std::ranges::find(listing, file.path, &hub::ListedFile::path);
  if (listed == listing.end()) return;
  if (listed->bytes == file.bytes) {
    file.checks.emplace_back("size");
  } else {
    file.problem = std::to_string(file.bytes) + " bytes, expected " + std::to_string(listed->bytes);
  }
}

void check_header(VerifiedFile& file, const fs::path& path) {
  if (!file.path.ends_with(".safetensors") && !file.path.ends_with(".gguf")) return;
  try {
    parse_weight_file(MappedFile(path).bytes(), file.path);
    file.checks.emplace_back("header");
  } catch (const Error& error) {
    // A dtype that this build cannot read is no damage.
    if (error.code() == ErrorCode::Unsupported) return;
    std::string reason = error.what();
    if (reason.starts_with(file.path + ": ")) reason.erase(0, file.path.size() + 2);
    if (file.problem.empty()) file.problem = std::move(reason);
  }
}

// True when `tail` is the last components of `path`, or all of them.
bool is_tail(std::string_view path, std::string_view tail) {
  return path.ends_with(tail) &&
         (path.size() == tail.size() || path[path.size() - tail.size() - 1] == '/');
}

// What the publisher's file of this name is, by the model's name or, elsewhere, by the path's end.
std::vector<hub::PublishedFile> published_as(const std::string& id, const std::string& path) {
  std::vector<hub::PublishedFile> result;
  for (const hub::PublishedFile& file : hub::published_files()) {
    const bool is_named =
        id.empty() ? is_tail(file.path, path) : file.id == id && file.path == path;
    if (is_named) result.push_back(file);
  }
  return result;
}

std::vector<hub::DigestKind> kinds_of(const Job& job) {
  std::vector<hub::DigestKind> kinds;
  if (job.records.empty()) {
    std::ranges::transform(job.published, std::back_inserter(kinds), &hub::PublishedFile::kind);
  } else {
    std::ranges::transform(job.records, std::back_inserter(kinds), &hub::SumRecord::kind);
  }
  return kinds;
}

// Computes the sums of all jobs, the largest files first.
void compute_sums(std::vector<Job>& jobs, const fs::path& folder, const VerifySettings& settings) {
  std::ranges::sort(jobs, std::ranges::greater{}, [](const Job& job) { return job.file->bytes; });
  std::uint64_t total = 0;
  for (const Job& job : jobs) total += job.file->bytes;
  std::atomic<std::size_t> next{0};
  std::mutex mutex;  // guards `done` and the calls of `progress`
  std::uint64_t done = 0;
  const auto tell = [&](std::size_t bytes) {
    const std::lock_guard lock(mutex);
    done += bytes;
    if (settings.progress) settings.progress(done, total);
  };
  const auto work = [&] {
    for (std::size_t i = next++; i < jobs.size(); i = next++) {
      Job& job = jobs[i];
      try {
        job.sums = hub::digest_file(folder / job.file->path, kinds_of(job), tell, settings.stop);
      } catch (const Error& error) {
        if (error.code() == ErrorCode::Cancelled) return;
        job.file->problem = error.what();
      }
    }
  };
  const std::size_t cores = std::max(1U, std::thread::hardware_concurrency());
  const std::size_t wanted =
      settings.threads > 0 ? static_cast<std::size_t>(settings.threads) : cores;
  {
    std::vector<std::jthread> threads;
    while (threads.size() + 1 < std::min(wanted, jobs.size())) threads.emplace_back(work);
    work();
  }
  if (settings.stop.stop_requested()) throw Error(ErrorCode::Cancelled, "interrupted");
}

void judge_records(Job& job) {
  for (std::size_t i = 0; i < job.sums.size(); ++i) {
    const hub::SumRecord& record = job.records[i];
    const std::string name = std::string(hub::name_of(record.kind)) + " (" + record.source + ")";
    if (job.sums[i] == record.sum) {
      job.file->checks.push_back(name);
    } else if (job.file->problem.empty()) {
      job.file->problem = name + " is " + job.sums[i] + ", expected " + record.sum;
    }
  }
}

// "transformer/" of "transformer/x.json".
std::string part_of(std::string_view path) {
  return std::string(path.substr(0, path.find('/') + 1));
}

// A sum that was published proves a file. One that differs proves damage only where the file claims
// to be the published one: weights of a model of that name, or beside the published index.
void judge_published(std::vector<Job>& jobs, const std::string& id) {
  std::set<std::string> published_parts;
  std::vector<Job*> others;
  for (Job& job : jobs) {
    if (!job.records.empty() || job.sums.empty()) continue;
    bool is_published = false;
    for (std::size_t i = 0; i < job.sums.size(); ++i) {
      if (job.sums[i] != job.published[i].sum) continue;
      is_published = true;
      job.file->checks.push_back(std::string(hub::name_of(job.published[i].kind)) +
                                 " (as published)");
    }
    if (!is_published) others.push_back(&job);
    if (is_published && job.file->path.ends_with(".index.json")) {
      published_parts.insert(part_of(job.file->path));
    }
  }
  for (Job* job : others) {
    const bool claims = !id.empty() || published_parts.contains(part_of(job->file->path));
    if (!claims || !job->file->path.ends_with(".safetensors") || !job->file->problem.empty())
      continue;
    job->file->problem = std::string(hub::name_of(job->published[0].kind)) + " is " + job->sums[0] +
                         ", expected " + std::string(job->published[0].sum) + " as published";
  }
}

// Adds what keeps the folder from being whole and is not said of a file already.
void add_defects(Verification& result, const hub::Snapshot& snapshot) {
  hub::SnapshotState state = hub::inspect(snapshot, check_model_folder);
  if (!state.tokenizer_defect.empty()) state.defects.push_back(state.tokenizer_defect);
  for (std::string& defect : state.defects) {
    const auto is_said = [&defect](const VerifiedFile& file) {
      return !file.problem.empty() && defect.starts_with(printable(file.path) + ":");
    };
    if (std::ranges::none_of(result.files, is_said)) result.defects.push_back(std::move(defect));
  }
}

}  // namespace

bool Verification::is_good() const {
  return defects.empty() &&
         std::ranges::all_of(files, [](const VerifiedFile& file) { return file.problem.empty(); });
}

Verification verify_model(const ModelQuery& query, const VerifySettings& settings) {
  const Subject subject = find_subject(query);
  const hub::Snapshot& snapshot = subject.entry.snapshot;
  Verification result{.folder = snapshot.folder,
                      .name = subject.entry.id,
                      .revision = snapshot.revision,
                      .files = {},
                      .defects = {}};
  for (hub::FolderFile& file : hub::files_below(snapshot.folder)) {
    if ((subject.only.empty() || subject.only == file.path) && file.bytes) {
      result.files.push_back(
          {.path = std::move(file.path), .bytes = *file.bytes, .checks = {}, .problem = {}});
    }
  }
  const std::optional<hub::Listing> listing =
      snapshot.tree_file.empty() ? std::nullopt : hub::read_tree_file(snapshot.tree_file);
  std::vector<Job> jobs;
  for (VerifiedFile& file : result.files) {
    if (listing) check_size(file, *listing);
    check_header(file, snapshot.folder / file.path);
    if (!settings.deep) continue;
    Job job{.file = &file,
            .records = hub::records_of(snapshot, file.path, listing ? &*listing : nullptr),
            .published = published_as(subject.entry.id, file.path),
            .sums = {}};
    if (!job.records.empty() || !job.published.empty()) jobs.push_back(std::move(job));
  }
  compute_sums(jobs, snapshot.folder, settings);
  for (Job& job : jobs) {
    if (!job.records.empty()) judge_records(job);
  }
  judge_published(jobs, subject.entry.id);
  if (subject.only.empty()) add_defects(result, snapshot);
  return result;
}

}  // namespace zimage
