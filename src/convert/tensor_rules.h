// Which tensors of a part are quantized, and which stay in a higher precision. docs/checkpoints.md
// has the table.
#pragma once

#include <string_view>

#include "convert/convert.h"
#include "convert/planned_file.h"

namespace zimage {

struct FileFormat {
  TargetEncoding encoding;
  Container container;
};

// How the tensor of this canonical name is stored in a file of that format.
Storage storage_of(std::string_view part, std::string_view name, const HostTensor& tensor,
                   const FileFormat& format);

}  // namespace zimage
