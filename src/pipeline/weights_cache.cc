// Names of cache files, and what says that one is still true.
#include "pipeline/weights_cache.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <optional>
#include <system_error>

#include "base/bytes_text.h"
#include "base/error.h"
#include "base/fnv1a.h"
#include "base/log.h"
#include "base/mapped_file.h"
#include "base/quote.h"

namespace zimage {
namespace {

namespace fs = std::filesystem;

// More than the header of any safetensors file of the model.
constexpr std::size_t kHeaderBytes = std::size_t{1} << 20;
// Left free on the disk, for headers and for others.
constexpr std::size_t kSpareBytes = std::size_t{16} << 20;

// 16 hexadecimal digits.
std::string text_of(const Fnv1a& sum) {
  std::string digits;
  for (int shift = 60; shift >= 0; shift -= 4)
    digits += "0123456789abcdef"[sum.value() >> shift & 15];
  return digits;
}

// Size, time of change, inode and header of every file.
std::string sources_of(const CheckpointPart& part) {
  Fnv1a sum;
  for (const std::string& name : part.files()) {
    const fs::path path = part.folder() / name;
    struct stat status{};
    if (::stat(path.c_str(), &status) != 0) {
      throw Error(ErrorCode::Io, quote(path.string()) +
                                     " cannot be read: " + std::system_category().message(errno));
    }
    sum.add(name);
    for (const auto number : {static_cast<std::int64_t>(status.st_size),
                              static_cast<std::int64_t>(status.st_mtim.tv_sec),
                              static_cast<std::int64_t>(status.st_mtim.tv_nsec),
                              static_cast<std::int64_t>(status.st_ino)}) {
      sum.add(" ");
      sum.add(std::to_string(number));
    }
    const MappedFile file(path);
    sum.add(file.bytes().first(std::min(kHeaderBytes, file.bytes().size())));
  }
  return text_of(sum);
}

void throw_without_room(const fs::path& folder, std::size_t bytes) {
  std::error_code error;
  const fs::space_info space = fs::space(folder, error);
  if (error || space.available >= bytes + kSpareBytes) return;
  throw Error(ErrorCode::Io, quote(folder.string()) + " has room for " +
                                 bytes_text(space.available) + ", " + bytes_text(bytes) +
                                 " are needed");
}

// Nothing, with a sentence in the log where there is a file, when it is of no use.
std::optional<SlabFile> open_written(const fs::path& path, const SlabFile::Origin& origin) {
  try {
    return SlabFile::open(path, origin);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::NotFound)
      log(LogLevel::Warning,
          std::string("weights cache: ") + error.what() + "; it is written anew");
  }
  return std::nullopt;
}

}  // namespace

fs::path WeightsCache::file_of(std::string_view name, const CheckpointPart& part) const {
  std::error_code ignored;
  Fnv1a sum;
  for (const std::string& file : part.files())
    sum.add(fs::weakly_canonical(part.folder() / file, ignored).string() + "\n");
  return folder_ / (std::string(name) + "-" + text_of(sum) + ".slabs");
}

std::unique_ptr<SlabFile> WeightsCache::open(std::string_view name, const CheckpointPart& part,
                                             std::size_t bytes, Use use) const {
  if (!is_used()) return nullptr;
  try {
    const fs::path path = file_of(name, part);
    const SlabFile::Origin origin{.layout = layout_, .sources = sources_of(part)};
    std::optional<SlabFile> file = use == Use::Any ? open_written(path, origin) : std::nullopt;
    const bool is_written = file.has_value();
    if (!is_written) {
      file.emplace(SlabFile::create(path, origin));
      throw_without_room(folder_, bytes);
    }
    log(LogLevel::Info, "weights cache: the " + std::string(name) +
                            (is_written ? " is mapped from " : " is written to ") +
                            quote(path.string()));
    return std::make_unique<SlabFile>(std::move(*file));
  } catch (const Error& error) {
    log(LogLevel::Warning, std::string("weights cache: ") + error.what() + "; loading without it");
  }
  return nullptr;
}

}  // namespace zimage
