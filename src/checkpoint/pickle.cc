// Knows pickles by their names and their first bytes.
#include "checkpoint/pickle.h"

#include <algorithm>
#include <array>
#include <fstream>

#include "base/error.h"

namespace zimage {

bool is_pickle_name(std::string_view name) {
  constexpr std::array<std::string_view, 5> kEndings = {".bin", ".ckpt", ".pt", ".pth", ".pkl"};
  return std::ranges::any_of(kEndings,
                             [name](std::string_view ending) { return name.ends_with(ending); });
}

void refuse_pickle(const std::filesystem::path& file) {
  std::array<char, 9> head{};
  std::ifstream(file, std::ios::binary).read(head.data(), head.size());
  const std::string_view begin(head.data(), head.size());
  // torch.save writes a zip archive of pickles; a bare pickle of protocol 2 to 5 says so first, as
  // may the length before the header of a safetensors file.
  const bool is_archive = begin.starts_with("PK\x03\x04");
  const bool is_bare = begin[0] == '\x80' && begin[1] >= 2 && begin[1] <= 5 && begin[8] != '{';
  if (is_archive || is_bare || is_pickle_name(file.filename().string())) {
    throw Error(ErrorCode::InvalidFile, pickle_refusal(file.string()));
  }
}

std::string pickle_refusal(const std::string& file) {
  return file +
         " is a pickle, which runs whatever its author put into it when it is opened; it is never "
         "opened here. Expected a .safetensors file: fetch the model's safetensors edition, or "
         "convert the file where that can do no harm";
}

}  // namespace zimage
