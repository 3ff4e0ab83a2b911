// The callbacks that every use of libpng shares.
#include "image/png_session.h"

#include <algorithm>
#include <cstring>

namespace zimage {

void keep_png_error(png_structp png, png_const_charp message) {
  auto* kept = static_cast<PngMessage*>(png_get_error_ptr(png));
  const std::size_t length = std::min(std::strlen(message), kept->text.size() - 1);
  std::memcpy(kept->text.data(), message, length);
  kept->text[length] = '\0';
  png_longjmp(png, 1);
}

void ignore_png_warning(png_structp /*png*/, png_const_charp /*message*/) {}

}  // namespace zimage
