// Files of python's pickle format, which are never opened.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace zimage {

// True for the name of a file that torch.save or pickle writes: .bin, .ckpt, .pt, .pth, .pkl.
bool is_pickle_name(std::string_view name);

// Throws InvalidFile for a file that has such a name, or begins as what torch.save and pickle write
// under any name; says nothing of a file that cannot be read.
void refuse_pickle(const std::filesystem::path& file);

// Why such a file is refused and what to do; `file` is its name or path.
std::string pickle_refusal(const std::string& file);

}  // namespace zimage
