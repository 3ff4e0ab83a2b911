// Draws one picture with the library. Usage: zimage_example MODEL_FOLDER PROMPT OUTPUT.png
#include <cstdint>
#include <fstream>
#include <iostream>
#include <vector>

#include "base/error.h"
#include "image/image.h"
#include "pipeline/pipeline.h"

int main(int argc, char** argv) {
  if (argc != 4) {
    std::cerr << "usage: zimage_example MODEL_FOLDER PROMPT OUTPUT.png\n";
    return 2;
  }
  try {
    zimage::Pipeline pipeline({.model = argv[1]});
    const auto show = [](const zimage::Progress& progress) {
      std::cerr << name_of(progress.stage) << ' ' << progress.step << '/' << progress.steps << '\n';
    };
    const zimage::Result result = pipeline.generate({.prompt = argv[2], .seed = 42}, show);
    const std::vector<std::uint8_t> png = encode_png(result.images.front(), {{"prompt", argv[2]}});
    std::ofstream file(argv[3], std::ios::binary);
    file.write(reinterpret_cast<const char*>(png.data()), static_cast<std::streamsize>(png.size()));
    return file.flush() ? 0 : 1;
  } catch (const zimage::Error& error) {
    std::cerr << "zimage_example: " << error.what() << '\n';
    return 1;
  }
}
