// A hub's answers become the list of files to fetch.
#pragma once

#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "download/endpoint.h"
#include "download/http.h"
#include "hub/listing.h"
#include "hub/model_name.h"

namespace zimage::download {

struct RemoteFile {
  hub::ListedFile listed;
  // Hugging Face alone; listed.git_sha1 is absent when listed.sha256 is known.
  std::string blob_id;   // git's SHA-1 of the file, or of the pointer that stands for it
  std::string xet_hash;  // empty: not stored so
};

struct RemoteModel {
  std::string revision;           // what was asked for, or the hub's default
  std::string commit;             // Hugging Face: what it stands for; ModelScope: empty
  std::vector<RemoteFile> files;  // sorted by path
};

// One page of /api/models/OWNER/NAME/tree/COMMIT. `name` stands for the answer in messages. Throws
// InvalidFile for what is no listing, and for a path that leaves the folder or that is the name of
// an unfinished download.
std::vector<RemoteFile> parse_tree_page(std::string_view text, const std::string& name);

// The answer of /api/v1/models/OWNER/NAME/repo/files. Throws as parse_tree_page does, and
// Unsupported for a list of so many entries that the hub cuts it off.
std::vector<RemoteFile> parse_file_list(std::string_view text, const std::string& name);

// The commit in the answer of /api/models/OWNER/NAME/revision/REVISION. Throws InvalidFile.
std::string parse_commit(std::string_view text, const std::string& name);

// The address of the page after this one in a Link header; empty when there is none.
std::string next_page(std::string_view link);

// Sorts, and throws InvalidFile when a path is there twice, or a folder's path is a file's too.
void check_paths(std::vector<RemoteFile>& files, const std::string& name);

// Asks the hub. Throws NotFound when there is no such model or revision, and what Attempts throws.
RemoteModel list_remote(const Endpoint& endpoint, const hub::ModelName& name, int retries,
                        const std::stop_token& stop);

// A request for one of the files, from its beginning.
HttpRequest file_request(const Endpoint& endpoint, const hub::ModelName& name,
                         const RemoteModel& model, const RemoteFile& file);

}  // namespace zimage::download
