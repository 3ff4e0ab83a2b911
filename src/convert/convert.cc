// Plans, checks the room, writes, publishes.
#include "convert/convert.h"

#include <thread>
#include <utility>

#include "base/mapped_file.h"
#include "convert/conversion_plan.h"
#include "convert/pending_output.h"
#include "convert/tensor_writer.h"

namespace zimage {
namespace {

namespace fs = std::filesystem;

void write_small(const fs::path& path, std::span<const std::byte> bytes) {
  NewFile file(path);
  file.write(bytes, 0);
  file.finish(bytes.size());
}

void count(ConvertResult& result, const PlannedFile& file) {
  result.files.push_back({.path = file.path, .bytes = file.size});
  result.bytes += file.size;
  for (const PlannedTensor& tensor : file.tensors) {
    if (!tensor.sources.empty()) ++result.tensors[std::string(tensor.storage.name())];
  }
}

}  // namespace

std::string_view name_of(TargetEncoding encoding) {
  switch (encoding) {
    case TargetEncoding::Bf16: return "bf16";
    case TargetEncoding::Q80: return "q8_0";
    case TargetEncoding::Q6K: return "q6_k";
    case TargetEncoding::Q5K: return "q5_k";
    case TargetEncoding::Q4K: return "q4_k";
    case TargetEncoding::Fp8: return "fp8";
  }
  return "?";
}

std::string_view name_of(Container container) {
  return container == Container::Gguf ? "gguf" : "safetensors";
}

ConvertResult convert(const ConvertSettings& settings, const ConvertProgressFn& progress,
                      const std::stop_token& stop) {
  const ConversionPlan plan = plan_conversion(settings);
  PendingOutput output(settings.out,
                       plan.is_folder ? PendingOutput::Kind::Folder : PendingOutput::Kind::File,
                       settings.replace);
  ConvertProgress state{.part = {}, .bytes_done = 0, .bytes = plan.weight_bytes()};
  output.expect_room(state.bytes);
  const int threads = settings.threads > 0
                          ? settings.threads
                          : std::max(static_cast<int>(std::thread::hardware_concurrency()), 1);
  ConvertResult result;
  for (const PlannedPart& part : plan.parts) {
    state.part = part.name;
    TensorWriter writer(
        part.part, threads,
        [&](std::uint64_t bytes) {
          state.bytes_done += bytes;
          if (progress) progress(state);
        },
        stop);
    for (const PlannedFile& file : part.files) {
      NewFile out(output.place(file.path));
      writer.write(out, file);
      count(result, file);
    }
  }
  for (const auto& [below, text] : plan.texts)
    write_small(output.place(below), std::as_bytes(std::span(text)));
  for (const auto& [below, source] : plan.copies)
    write_small(output.place(below), MappedFile(source).bytes());
  output.publish();
  return result;
}

}  // namespace zimage
