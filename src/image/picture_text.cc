// By the file's format.
#include "image/picture_text.h"

#include "base/error.h"
#include "base/mapped_file.h"
#include "image/decode.h"
#include "image/samples.h"

namespace zimage {
namespace {

constexpr std::size_t kMaxFileBytes = std::size_t{1} << 30;

ImageText text_in(const ExifBlock& exif, const std::string& name) {
  if (!exif) throw Error(ErrorCode::InvalidFile, name + ": damaged (it ends too early)");
  return texts_of_exif(*exif, name);
}

}  // namespace

ImageText read_picture_text(std::span<const std::uint8_t> bytes, const std::string& name) {
  switch (format_of_bytes(bytes, name)) {
    case PictureFormat::Png: return texts_of_png(bytes, name);
    case PictureFormat::Jpeg: return text_in(exif_in_jpeg(bytes), name);
    case PictureFormat::Webp: return text_in(exif_in_webp(bytes), name);
  }
  return {};
}

ImageText read_picture_text(const std::filesystem::path& file) {
  const std::string bytes = read_file(file, kMaxFileBytes);
  return read_picture_text({reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()},
                           file.string());
}

}  // namespace zimage
