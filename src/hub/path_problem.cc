// Asks the system, and tells a dangling link from nothing.
#include "hub/path_problem.h"

#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "base/quote.h"

namespace zimage::hub {
namespace {

namespace fs = std::filesystem;

std::string reason(const std::error_code& error) {
  return error == std::errc::permission_denied ? "no permission to read it" : error.message();
}

// `absent` is what to say of a path at which nothing lies.
std::string why_absent(const fs::path& path, const std::string& absent) {
  std::error_code error;
  const fs::file_status link = fs::symlink_status(path, error);
  if (link.type() == fs::file_type::none) return reason(error);
  if (link.type() != fs::file_type::symlink) return absent;
  const fs::path target = fs::read_symlink(path, error);
  return "a link to " + quote(target.string()) + ", which is absent";
}

std::string exact_bytes(std::uintmax_t bytes) {
  return std::to_string(bytes) + " bytes";
}

}  // namespace

std::string folder_problem(const fs::path& folder) {
  std::error_code error;
  const fs::file_status status = fs::status(folder, error);
  if (status.type() == fs::file_type::not_found) return why_absent(folder, "absent");
  if (status.type() == fs::file_type::none) return reason(error);
  if (!fs::is_directory(status)) return "a file, expected a folder";
  const fs::directory_iterator first(folder, error);
  return error ? reason(error) : "";
}

std::string file_problem(const fs::path& path, std::optional<std::uint64_t> bytes) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (status.type() == fs::file_type::not_found) {
    return why_absent(path, bytes ? "missing, expected " + exact_bytes(*bytes) : "missing");
  }
  if (status.type() == fs::file_type::none) return reason(error);
  if (!fs::is_regular_file(status)) return "no regular file";
  if (::access(path.c_str(), R_OK) != 0) return reason({errno, std::system_category()});
  const std::uintmax_t found = fs::file_size(path, error);
  if (error) return reason(error);
  if (bytes && found != *bytes) return exact_bytes(found) + ", expected " + exact_bytes(*bytes);
  return {};
}

}  // namespace zimage::hub
