// A folder that holds loaded weights from one start to the next: one file of slabs (nn/slab_file.h)
// for each part of each model, in the form that the backend computes with.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "checkpoint/checkpoint.h"
#include "nn/slab_file.h"

namespace zimage {

class WeightsCache {
 public:
  // `folder` empty: no cache. `layout` is Backend::weight_layout() and what else the weights'
  // form depends on.
  WeightsCache(std::filesystem::path folder, std::string layout)
      : folder_(std::move(folder)), layout_(std::move(layout)) {}

  bool is_used() const { return !folder_.empty(); }

  enum class Use : std::uint8_t {
    Any,  // the file that is there, if it is of use
    New,
  };

  // The file for a part, whole, or begun and to be filled while the part loads; null where there is
  // no cache. A file that is of no use is written anew, and where none can be written `bytes` of
  // weights (no room, no permission, another process writes it) the part is loaded without; both
  // are logged in one sentence.
  std::unique_ptr<SlabFile> open(std::string_view name, const CheckpointPart& part,
                                 std::size_t bytes, Use use) const;

 private:
  std::filesystem::path file_of(std::string_view name, const CheckpointPart& part) const;

  std::filesystem::path folder_;
  std::string layout_;
};

}  // namespace zimage
