// Opens the parts and counts.
#include "checkpoint/summary.h"

#include <system_error>

#include "base/error.h"
#include "checkpoint/model_index.h"

namespace zimage {
namespace {

namespace fs = std::filesystem;

FileSummary summarize_file(const fs::path& path) {
  std::error_code error;
  const std::uintmax_t bytes = fs::file_size(path, error);
  if (error) throw Error(ErrorCode::NotFound, path.string() + ": " + error.message());
  return {path.filename().string(), bytes};
}

void count_tensors(PartSummary& summary, const CheckpointPart& part) {
  for (const std::string& name : part.files()) {
    summary.files.push_back(summarize_file(part.folder() / name));
  }
  summary.tensors = static_cast<std::int64_t>(part.tensors().size());
  summary.parameters = part.parameters();
  summary.bytes = part.bytes();
  for (const auto& [name, tensor] : part.tensors()) {
    const std::string dtype(tensor.type_name());
    summary.parameters_of_dtype[dtype] += tensor.elements();
    if (tensor.is_quantized()) summary.quantized.insert(dtype);
  }
}

void add(PartSummary& total, const PartSummary& part) {
  total.tensors += part.tensors;
  total.parameters += part.parameters;
  total.bytes += part.bytes;
  for (const auto& [dtype, count] : part.parameters_of_dtype) {
    total.parameters_of_dtype[dtype] += count;
  }
  total.quantized.insert(part.quantized.begin(), part.quantized.end());
}

}  // namespace

CheckpointSummary summarize(const Checkpoint& checkpoint) {
  const ModelIndex index =
      checkpoint.folder().empty() ? published_model_index() : read_model_index(checkpoint.folder());
  CheckpointSummary summary;
  summary.folder = checkpoint.folder();
  summary.class_name = index.class_name;
  for (const std::string_view name : kModelParts) {
    PartSummary part;
    part.name = name;
    part.class_name = index.parts.find(name)->second;
    if (name == "tokenizer") {
      part.files.push_back(summarize_file(checkpoint.tokenizer_file()));
    } else if (name == "scheduler") {
      if (!checkpoint.scheduler_file().empty())
        part.files.push_back(summarize_file(checkpoint.scheduler_file()));
    } else {
      count_tensors(part, checkpoint.part(name));
    }
    add(summary.total, part);
    summary.parts.push_back(std::move(part));
  }
  return summary;
}

}  // namespace zimage
