// Hugging Face's tree API and ModelScope's file API. Source: huggingface_hub hf_api.py
// list_repo_tree; modelscope_hub _legacy_api.py list_repo_files.
#include "download/remote_listing.h"

#include <algorithm>
#include <functional>
#include <iterator>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/error.h"
#include "base/json.h"
#include "base/quote.h"
#include "download/attempts.h"
#include "hub/digest.h"

namespace zimage::download {
namespace {

constexpr std::size_t kMaxAnswer = 32'000'000;
constexpr int kMaxPages = 1000;
// ModelScope answers with no more entries than these, and does not say so.
constexpr std::size_t kModelScopeCut = 3000;

std::string lower_hex(std::string text, std::size_t digits, const std::string& name) {
  std::ranges::transform(text, text.begin(),
                         [](char c) { return c >= 'A' && c <= 'F' ? char(c - 'A' + 'a') : c; });
  if (!hub::is_hex(text, digits)) {
    throw Error(ErrorCode::InvalidFile, name + ": expected a sum of " + std::to_string(digits) +
                                            " hexadecimal digits, found " + quote(text));
  }
  return text;
}

std::uint64_t size_of(const JsonObject& entry, const char* key) {
  const std::int64_t bytes = entry.integer(key);
  if (bytes < 0) {
    throw Error(ErrorCode::InvalidFile,
                entry.name() + ": expected a size, found " + std::to_string(bytes));
  }
  return static_cast<std::uint64_t>(bytes);
}

std::string checked_path(const std::string& path, const std::string& name) {
  if (!hub::is_inner_path(path)) {
    throw Error(ErrorCode::InvalidFile,
                name + ": expected paths that stay in the folder, found " + quote(path));
  }
  // Downloads in flight and the clients' own records have such names.
  if (path.ends_with(".incomplete") || path.starts_with(".cache/")) {
    throw Error(ErrorCode::InvalidFile, name + ": the path " + quote(path) + " is a reserved one");
  }
  return path;
}

RemoteFile parse_tree_entry(const JsonObject& entry, const std::string& name) {
  RemoteFile file;
  file.listed.path = checked_path(entry.string("path"), name);
  file.listed.bytes = size_of(entry, "size");
  file.blob_id = lower_hex(entry.string("oid"), 40, entry.name());
  const std::string xet = entry.string("xetHash", "");
  if (!xet.empty()) file.xet_hash = lower_hex(xet, 64, entry.name());
  if (entry.has("lfs")) {
    const JsonObject lfs = entry.object("lfs");
    file.listed.sha256 = lower_hex(lfs.string("oid"), 64, lfs.name());
    file.listed.bytes = size_of(lfs, "size");
  } else {
    file.listed.git_sha1 = file.blob_id;
  }
  return file;
}

std::string encoded(std::string_view text) {
  constexpr std::string_view kPlain =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  std::string result;
  for (const char c : text) {
    if (kPlain.find(c) != std::string_view::npos) {
      result += c;
    } else {
      const auto byte = static_cast<unsigned char>(c);
      result += {'%', kDigits[byte >> 4], kDigits[byte & 15]};
    }
  }
  return result;
}

std::string encoded_path(std::string_view path) {
  std::string result = encoded(path);
  for (std::size_t at = 0; (at = result.find("%2F", at)) != std::string::npos;) {
    result.replace(at, 3, "/");
  }
  return result;
}

HttpRequest request_of(const Endpoint& endpoint, const std::string& path) {
  HttpRequest request{.url = endpoint.url + path, .token = endpoint.token, .cookie = {}};
  if (endpoint.hub == hub::HubKind::ModelScope && !endpoint.token.empty()) {
    request.cookie = "m_session_id=" + endpoint.token;
  }
  return request;
}

struct Answer {
  std::string text;
  std::string link;
};

// The hub at the other end of one connection.
class Asker {
 public:
  Asker(int retries, const std::stop_token& stop) : retries_(retries), stop_(stop) {}

  Answer ask(const HttpRequest& request) {
    Attempts attempts(request.url, retries_, stop_);
    while (true) {
      Answer answer;
      const HttpResponse response = client_.get(
          request,
          [&answer, &request](const HttpResponse& /*head*/, std::string_view bytes) {
            if (answer.text.size() + bytes.size() > kMaxAnswer) {
              throw Error(ErrorCode::InvalidFile, request.url + ": the answer is longer than " +
                                                      std::to_string(kMaxAnswer) + " bytes");
            }
            answer.text += bytes;
          },
          stop_);
      if (response.status == 200 && response.failure.empty()) {
        answer.link = response.link;
        return answer;
      }
      attempts.wait_after(response);
    }
  }

 private:
  const int retries_;
  const std::stop_token& stop_;
  HttpClient client_;
};

RemoteModel list_hugging_face(const Endpoint& endpoint, const hub::ModelName& name, Asker& asker) {
  RemoteModel model{.revision = name.revision.value_or("main"), .commit = {}, .files = {}};
  const std::string base = "/api/models/" + name.id();
  if (hub::is_commit(model.revision)) {
    model.commit = model.revision;
  } else {
    const HttpRequest request = request_of(endpoint, base + "/revision/" + encoded(model.revision));
    model.commit = parse_commit(asker.ask(request).text, request.url);
  }
  HttpRequest request =
      request_of(endpoint, base + "/tree/" + model.commit + "?recursive=true&expand=false");
  const std::string first = request.url;
  for (int page = 0; page < kMaxPages; ++page) {
    const Answer answer = asker.ask(request);
    std::ranges::move(parse_tree_page(answer.text, request.url), std::back_inserter(model.files));
    const std::string next = next_page(answer.link);
    if (next.empty()) {
      check_paths(model.files, first);
      return model;
    }
    request.url = next.starts_with('/') ? endpoint.url + next : next;
    // A mirror may name its source here, which the token is not meant for.
    if (!request.url.starts_with(endpoint.url + "/")) request.token.clear();
  }
  throw Error(ErrorCode::InvalidFile,
              first + ": expected at most " + std::to_string(kMaxPages) + " pages");
}

RemoteModel list_model_scope(const Endpoint& endpoint, const hub::ModelName& name, Asker& asker) {
  RemoteModel model{.revision = name.revision.value_or("master"), .commit = {}, .files = {}};
  const HttpRequest request = request_of(
      endpoint, "/api/v1/models/" + name.id() + "/repo/files?Revision=" + encoded(model.revision) +
                    "&Recursive=True");
  model.files = parse_file_list(asker.ask(request).text, request.url);
  check_paths(model.files, request.url);
  return model;
}

}  // namespace

std::vector<RemoteFile> parse_tree_page(std::string_view text, const std::string& name) {
  const Json document = parse_json(text, name);
  if (!document.is_array()) throw Error(ErrorCode::InvalidFile, name + ": expected an array");
  std::vector<RemoteFile> files;
  for (const Json& element : document) {
    const JsonObject entry(element, name);
    if (entry.string("type") == "file") files.push_back(parse_tree_entry(entry, name));
  }
  return files;
}

std::vector<RemoteFile> parse_file_list(std::string_view text, const std::string& name) {
  const Json document = parse_json(text, name);
  const JsonObject data = JsonObject(document, name).object("Data");
  if (!data.has("Files")) return {};
  const Json& list = document["Data"]["Files"];
  if (!list.is_array()) throw Error(ErrorCode::InvalidFile, name + ": \"Files\" is no array");
  if (list.size() >= kModelScopeCut) {
    throw Error(ErrorCode::Unsupported, name + ": the hub cuts a list of " +
                                            std::to_string(list.size()) +
                                            " entries off; more than its limit are not fetched");
  }
  std::vector<RemoteFile> files;
  for (const Json& element : list) {
    const JsonObject entry(element, name);
    if (entry.string("Type", "blob") == "tree") continue;
    RemoteFile file;
    file.listed.path = checked_path(entry.string("Path"), name);
    file.listed.bytes = size_of(entry, "Size");
    const std::string sum = entry.string("Sha256", "");
    if (!sum.empty()) file.listed.sha256 = lower_hex(sum, 64, entry.name());
    files.push_back(std::move(file));
  }
  return files;
}

std::string parse_commit(std::string_view text, const std::string& name) {
  const Json document = parse_json(text, name);
  std::string commit = JsonObject(document, name).string("sha");
  if (!hub::is_commit(commit)) {
    throw Error(ErrorCode::InvalidFile,
                name + ": \"sha\" is " + quote(commit) + ", expected a commit id");
  }
  return commit;
}

std::string next_page(std::string_view link) {
  while (!link.empty()) {
    const std::size_t begin = link.find('<');
    const std::size_t end = link.find('>', begin);
    if (begin == std::string_view::npos || end == std::string_view::npos) return {};
    const std::size_t comma = std::min(link.find(',', end), link.size());
    if (link.substr(end, comma - end).find("rel=\"next\"") != std::string_view::npos) {
      return std::string(link.substr(begin + 1, end - begin - 1));
    }
    link = link.substr(comma);
  }
  return {};
}

void check_paths(std::vector<RemoteFile>& files, const std::string& name) {
  const auto path = [](const RemoteFile& file) -> const std::string& { return file.listed.path; };
  std::ranges::sort(files, {}, path);
  for (const RemoteFile& file : files) {
    const std::string& whole = file.listed.path;
    const auto count = std::ranges::upper_bound(files, whole, {}, path) -
                       std::ranges::lower_bound(files, whole, {}, path);
    bool is_folder = false;
    for (std::size_t slash = whole.find('/'); slash != std::string::npos;
         slash = whole.find('/', slash + 1)) {
      is_folder = is_folder || std::ranges::binary_search(files, whole.substr(0, slash), {}, path);
    }
    if (count != 1 || is_folder) {
      throw Error(ErrorCode::InvalidFile, name + ": the path " + quote(whole) +
                                              " is there twice, or a part of it is a file");
    }
  }
}

RemoteModel list_remote(const Endpoint& endpoint, const hub::ModelName& name, int retries,
                        const std::stop_token& stop) {
  Asker asker(retries, stop);
  return endpoint.hub == hub::HubKind::ModelScope ? list_model_scope(endpoint, name, asker)
                                                  : list_hugging_face(endpoint, name, asker);
}

HttpRequest file_request(const Endpoint& endpoint, const hub::ModelName& name,
                         const RemoteModel& model, const RemoteFile& file) {
  const std::string& path = file.listed.path;
  if (endpoint.hub == hub::HubKind::ModelScope) {
    return request_of(endpoint, "/api/v1/models/" + name.id() + "/repo?Revision=" +
                                    encoded(model.revision) + "&FilePath=" + encoded(path));
  }
  return request_of(endpoint,
                    "/" + name.id() + "/resolve/" + model.commit + "/" + encoded_path(path));
}

}  // namespace zimage::download
