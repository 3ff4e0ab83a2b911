// Pictures in a terminal: an image in, the bytes that show it out, by one of three protocols.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "image/image.h"

namespace zimage::cli {

enum class TerminalGraphics : std::uint8_t { None, Kitty, ITerm2, Sixel };

// By what the environment says of the terminal; `variable` gives a variable's value, or null. None
// inside tmux and screen, which keep such bytes from the terminal, and for terminals known to show
// no pictures; nothing where the environment does not say.
std::optional<TerminalGraphics> detect_graphics(
    const std::function<const char*(const char*)>& variable);

// The image, `columns` characters wide in the terminal, with a line end behind it. Empty for None.
//   Kitty   PNG in base64, in escape sequences of up to 4096 characters of it
//   ITerm2  the same in one sequence
//   Sixel   216 colours, scaled by whole numbers to about `columns` of 8 pixels
// Sources: kitty's graphics protocol; iTerm2's inline images; DEC STD 070, sixel.
std::string terminal_picture(const Image& image, TerminalGraphics graphics, int columns);

std::string base64(std::span<const std::uint8_t> bytes);

}  // namespace zimage::cli
