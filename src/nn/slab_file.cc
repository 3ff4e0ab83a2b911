// A safetensors header of one page, then slabs, each filled up to whole pages.
#include "nn/slab_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cassert>
#include <cerrno>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <system_error>
#include <utility>

#include "base/error.h"
#include "base/quote.h"
#include "base/write_at.h"
#include "checkpoint/safetensors.h"

namespace zimage {
namespace {

namespace fs = std::filesystem;

constexpr mode_t kMode = 0666;  // less the process's umask
constexpr const char* kFormat = "zimage slabs 1";
// Bytes of a safetensors file before its header.
constexpr std::size_t kLength = 8;

[[noreturn]] void throw_system(const fs::path& path, const char* what) {
  throw Error(ErrorCode::Io, quote(path.string()) + " cannot be " + what + ": " +
                                 std::system_category().message(errno));
}

std::size_t round_up(std::size_t bytes) {
  return (bytes + SlabFile::kPage - 1) / SlabFile::kPage * SlabFile::kPage;
}

std::size_t size_of_file(int file, const fs::path& path) {
  struct stat status{};
  if (::fstat(file, &status) != 0) throw_system(path, "read");
  if (!S_ISREG(status.st_mode))
    throw Error(ErrorCode::Io, quote(path.string()) + " is no regular file");
  return static_cast<std::size_t>(status.st_size);
}

// False when the path was given to another file since it was opened.
bool is_still(const fs::path& path, int file) {
  struct stat opened{};
  struct stat named{};
  return ::fstat(file, &opened) == 0 && ::stat(path.c_str(), &named) == 0 &&
         opened.st_ino == named.st_ino && opened.st_dev == named.st_dev;
}

void write(int file, const fs::path& path, std::span<const std::byte> bytes, std::size_t at) {
  if (!write_at(file, bytes, at)) throw_system(path, "written");
}

std::string text_of(const Json& metadata, const char* key) {
  const auto found = metadata.find(key);
  return found != metadata.end() && found->is_string() ? found->get<std::string>() : "";
}

}  // namespace

MappedSlab::MappedSlab(int file, std::size_t begin, std::size_t bytes) {
  if (bytes == 0) return;
  void* data = ::mmap(nullptr, bytes, PROT_READ, MAP_SHARED, file, static_cast<::off_t>(begin));
  if (data == MAP_FAILED) {
    throw Error(ErrorCode::OutOfMemory,
                "cannot map weights: " + std::system_category().message(errno));
  }
  data_ = static_cast<const std::byte*>(data);
  size_ = bytes;
}

MappedSlab::~MappedSlab() {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
}

MappedSlab::MappedSlab(MappedSlab&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

MappedSlab& MappedSlab::operator=(MappedSlab&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

SlabFile::SlabFile(fs::path path, const Origin& origin, int file)
    : path_(std::move(path)), origin_(origin), file_(file) {}

SlabFile::SlabFile(SlabFile&& other) noexcept
    : path_(std::move(other.path_)),
      temporary_(std::exchange(other.temporary_, {})),
      origin_(std::move(other.origin_)),
      file_(std::exchange(other.file_, -1)),
      end_(other.end_),
      slabs_(std::move(other.slabs_)) {}

SlabFile::~SlabFile() {
  if (file_ < 0) return;
  // The lock goes with the descriptor: the name must be gone before it.
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
  ::close(file_);
}

SlabFile SlabFile::open(const fs::path& path, const Origin& origin) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0 && errno == ENOENT)
    throw Error(ErrorCode::NotFound, quote(path.string()) + " does not exist");
  if (descriptor < 0) throw_system(path, "read");
  SlabFile file(path, origin, descriptor);
  const std::string name = quote(path.string());
  const std::size_t size = size_of_file(descriptor, path);
  const MappedSlab whole(descriptor, 0, size);
  const StoredFile stored = parse_safetensors(whole.bytes(), name);
  const auto expect = [&](const char* key, const std::string& expected, const char* otherwise) {
    if (text_of(stored.metadata, key) != expected)
      throw Error(ErrorCode::InvalidFile, name + " was written " + otherwise);
  };
  expect("format", kFormat, "by another version");
  expect("layout", origin.layout, "for another processor or with other options");
  expect("sources", origin.sources, "from other files, or they have changed");
  for (const StoredTensor& tensor : stored.tensors) {
    if (tensor.dtype != DType::U8 || tensor.begin % kPage != 0)
      throw Error(ErrorCode::InvalidFile, name + ": " + quote(tensor.name) + " is no slab");
    file.slabs_[tensor.name] = {tensor.begin, tensor.end - tensor.begin};
  }
  return file;
}

SlabFile SlabFile::create(const fs::path& path, const Origin& origin) {
  std::error_code error;
  if (!path.parent_path().empty()) fs::create_directories(path.parent_path(), error);
  if (error) {
    throw Error(ErrorCode::Io,
                quote(path.parent_path().string()) + " cannot be made: " + error.message());
  }
  fs::path temporary = path;
  temporary += ".tmp";
  const int descriptor =
      ::open(temporary.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, kMode);
  if (descriptor < 0) throw_system(temporary, "made");
  SlabFile file(path, origin, descriptor);  // without a temporary name: somebody else's stays
  size_of_file(descriptor, temporary);
  // Who renamed the file while this waited for it has written it.
  if (::flock(descriptor, LOCK_EX | LOCK_NB) != 0 || !is_still(temporary, descriptor))
    throw Error(ErrorCode::Io, quote(path.string()) + " is being written by another process");
  file.temporary_ = std::move(temporary);
  if (::ftruncate(descriptor, 0) != 0) throw_system(file.temporary_, "written");
  return file;
}

MappedSlab SlabFile::find(const std::string& name, std::size_t bytes) const {
  const auto found = slabs_.find(name);
  if (found == slabs_.end() && !is_written()) return {};
  if (found == slabs_.end() || found->second.bytes != round_up(bytes)) {
    throw Error(ErrorCode::InvalidFile, quote(path_.string()) + " holds no slab " + quote(name) +
                                            " of " + std::to_string(bytes) + " bytes");
  }
  return {file_, found->second.begin, bytes};
}

MappedSlab SlabFile::put(const std::string& name, std::span<const std::byte> slab) {
  assert(!is_written());
  const Place place{.begin = end_, .bytes = round_up(slab.size())};
  write(file_, temporary_, slab, place.begin);
  end_ += place.bytes;
  if (::ftruncate(file_, static_cast<::off_t>(end_)) != 0) throw_system(temporary_, "written");
  slabs_[name] = place;
  return {file_, place.begin, slab.size()};
}

void SlabFile::finish() {
  assert(!is_written());
  Json header{{"__metadata__",
               {{"format", kFormat}, {"layout", origin_.layout}, {"sources", origin_.sources}}}};
  for (const auto& [name, place] : slabs_) {
    header[name] = {{"dtype", "U8"},
                    {"shape", {place.bytes}},
                    {"data_offsets", {place.begin - kPage, place.begin - kPage + place.bytes}}};
  }
  std::string text = header.dump();
  if (text.size() > kPage - kLength)
    throw Error(ErrorCode::Io, quote(path_.string()) + ": too many slabs for one header");
  text.resize(kPage - kLength, ' ');
  const std::string first_page = with_length(text);
  write(file_, temporary_, std::as_bytes(std::span(first_page)), 0);
  // A name must never stand for numbers that the disk has not got.
  if (::fsync(file_) != 0) throw_system(temporary_, "written");
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) throw_system(path_, "made");
  temporary_.clear();
}

}  // namespace zimage
