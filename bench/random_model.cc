// Writes a model folder with random weights, as large as its configuration says, for measurements
// that need files: the tensors that the networks ask for, the numbers of RandomSource. Usage:
//   random_model CONFIGURATION TOKENIZER FOLDER bf16|f32
// CONFIGURATION is a folder with each part's configuration, TOKENIZER a tokenizer.json. With f32
// the transformer's numbers are the same ones, widened.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "backend/plan/plan_backend.h"
#include "base/float16.h"
#include "nn/random_source.h"
#include "pipeline/make_backend.h"
#include "pipeline/model.h"
#include "transformer/transformer.h"

namespace zimage {
namespace {

namespace fs = std::filesystem;

// Remembers what was asked for.
class RecordingSource final : public TensorSource {
 public:
  HostTensor tensor(const std::string& name, const Shape& shape) override {
    const HostTensor found = random_.tensor(name, shape);
    for (const auto& [other, unused] : tensors) {
      if (other == name) return found;
    }
    tensors.emplace_back(name, shape);
    return found;
  }
  HostTensor numbers(const std::string& name, const Shape& shape) {
    return random_.tensor(name, shape);
  }
  void evict_all() override { random_.evict_all(); }

  std::vector<std::pair<std::string, Shape>> tensors;

 private:
  RandomSource random_;
};

void write_part(const fs::path& folder, RecordingSource& source, DType dtype) {
  std::string header = "{";
  std::uint64_t end = 0;
  for (const auto& [name, shape] : source.tensors) {
    const std::uint64_t begin = end;
    end += static_cast<std::uint64_t>(shape.elements()) * size_of(dtype);
    header += header.size() > 1 ? ",\"" : "\"";
    header += name;
    header += dtype == DType::F32 ? "\":{\"dtype\":\"F32\"" : "\":{\"dtype\":\"BF16\"";
    header += ",\"shape\":";
    header += to_string(shape);
    header += ",\"data_offsets\":[";
    header += std::to_string(begin);
    header += ",";
    header += std::to_string(end);
    header += "]}";
  }
  header += "}";
  header.resize((header.size() + 63) / 64 * 64, ' ');
  std::ofstream file(folder / "model.safetensors", std::ios::binary);
  const std::uint64_t length = header.size();
  file.write(reinterpret_cast<const char*>(&length), sizeof(length));
  file << header;
  std::vector<float> wide;
  for (const auto& [name, shape] : source.tensors) {
    const Tensor numbers = source.numbers(name, shape).stored;
    const auto* values = numbers.as<std::uint16_t>();
    if (dtype == DType::F32) {
      wide.resize(static_cast<std::size_t>(shape.elements()));
      std::transform(values, values + wide.size(), wide.begin(), bf16_to_float);
      file.write(reinterpret_cast<const char*>(wide.data()),
                 static_cast<std::streamsize>(wide.size() * sizeof(float)));
    } else {
      file.write(reinterpret_cast<const char*>(values),
                 static_cast<std::streamsize>(numbers.bytes()));
    }
    source.evict_all();
  }
  if (!file.flush()) throw std::runtime_error(folder.string() + ": cannot be written");
}

void run(char** arguments) {
  const fs::path from = arguments[1];
  const fs::path to = arguments[3];
  const DType transformer = std::string_view(arguments[4]) == "f32" ? DType::F32 : DType::BF16;
  const Model model(PipelineOptions{.model = from, .random_weights = true});
  const std::unique_ptr<Backend> cpu = make_backend({.device = "cpu", .threads = 1});
  PlanBackend plan(*cpu);
  for (const char* part : {"text_encoder", "transformer", "vae", "scheduler", "tokenizer"})
    fs::create_directories(to / part);
  for (const char* part : {"text_encoder", "transformer", "vae"})
    fs::copy_file(from / part / "config.json", to / part / "config.json",
                  fs::copy_options::overwrite_existing);
  fs::copy_file(from / "scheduler" / "scheduler_config.json",
                to / "scheduler" / "scheduler_config.json", fs::copy_options::overwrite_existing);
  const fs::path tokenizer = arguments[2];
  fs::copy_file(tokenizer, to / "tokenizer" / "tokenizer.json",
                fs::copy_options::overwrite_existing);
  // Other programs ask for it.
  const char* const config = "tokenizer_config.json";
  if (fs::exists(tokenizer.parent_path() / config)) {
    fs::copy_file(tokenizer.parent_path() / config, to / "tokenizer" / config,
                  fs::copy_options::overwrite_existing);
  }
  std::ofstream(to / "model_index.json") << R"({"_class_name": "ZImagePipeline",
  "scheduler": ["diffusers", "FlowMatchEulerDiscreteScheduler"],
  "text_encoder": ["transformers", "Qwen3Model"],
  "tokenizer": ["transformers", "Qwen2Tokenizer"],
  "transformer": ["diffusers", "ZImageTransformer2DModel"],
  "vae": ["diffusers", "AutoencoderKL"]})"
                                            "\n";
  {
    RecordingSource source;
    const Qwen3Encoder network(source, model.text_encoder(), plan);
    write_part(to / "text_encoder", source, DType::BF16);
  }
  {
    RecordingSource source;
    const ZImageTransformer network(source, model.transformer(), plan);
    write_part(to / "transformer", source, transformer);
  }
  RecordingSource source;
  const VaeDecoder decoder(source, model.vae(), plan);
  const VaeEncoder encoder(source, model.vae(), plan);
  write_part(to / "vae", source, DType::BF16);
}

}  // namespace
}  // namespace zimage

int main(int argc, char** argv) {
  if (argc != 5) {
    std::fputs("usage: random_model CONFIGURATION TOKENIZER FOLDER bf16|f32\n", stderr);
    return 2;
  }
  try {
    zimage::run(argv);
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "random_model: %s\n", error.what());
    return 1;
  }
}
