// How this room calls libpng. libpng reports errors by longjmp, which skips destructors: so every
// call happens inside run(), between the setjmp and code that owns nothing.
#pragma once

#include <png.h>

#include <array>
#include <csetjmp>
#include <string>

namespace zimage {

// What libpng said last, in memory that a longjmp cannot lose.
struct PngMessage {
  std::array<char, 256> text{};
};

// libpng's error callback; its error pointer is a PngMessage.
[[noreturn]] void keep_png_error(png_structp png, png_const_charp message);
// libpng's warning callback: damage that libpng repairs is not reported.
void ignore_png_warning(png_structp png, png_const_charp message);

// Calls `body`, which may call libpng. False when libpng gave up; its words are in the PngMessage.
// Precondition: `body` has no local of its own with a destructor, nor has anything it calls that
// calls libpng in turn.
template <typename Body>
bool run_png(png_structp png, const Body& body) {
  if (setjmp(png_jmpbuf(png)) != 0) return false;
  body();
  return true;
}

}  // namespace zimage
