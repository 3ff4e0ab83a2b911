// Knows pickles by their names alone.
#include "checkpoint/pickle.h"

#include <algorithm>
#include <array>

namespace zimage {

bool is_pickle_name(std::string_view name) {
  constexpr std::array<std::string_view, 5> kEndings = {".bin", ".ckpt", ".pt", ".pth", ".pkl"};
  return std::ranges::any_of(kEndings,
                             [name](std::string_view ending) { return name.ends_with(ending); });
}

std::string pickle_refusal(const std::string& file) {
  return file +
         " is a pickle, which runs whatever its author put into it when it is opened; it is never "
         "opened here. Expected a .safetensors file: fetch the model's safetensors edition, or "
         "convert the file where that can do no harm";
}

}  // namespace zimage
