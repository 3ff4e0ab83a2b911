// The checkpoint's summary in the terms of the library's interface.
#include "pipeline/model_info.h"

#include "checkpoint/summary.h"

namespace zimage {
namespace {

ModelPart to_part(const PartSummary& summary) {
  ModelPart part{.name = summary.name,
                 .class_name = summary.class_name,
                 .files = {},
                 .tensors = summary.tensors,
                 .parameters = summary.parameters,
                 .bytes = summary.bytes,
                 .dtypes = {},
                 .widened = {summary.quantized.begin(), summary.quantized.end()}};
  for (const FileSummary& file : summary.files) part.files.emplace_back(file.name, file.bytes);
  for (const auto& [dtype, count] : summary.parameters_of_dtype) {
    part.dtypes.emplace_back(dtype, count);
  }
  return part;
}

}  // namespace

ModelInfo read_model_info(const ModelLocation& location) {
  const CheckpointSummary summary =
      summarize(Checkpoint::open(location.folder, location.part_files()));
  ModelInfo info{.folder = location.origin(),
                 .class_name = summary.class_name,
                 .parts = {},
                 .total = to_part(summary.total)};
  for (const PartSummary& part : summary.parts) info.parts.push_back(to_part(part));
  return info;
}

}  // namespace zimage
