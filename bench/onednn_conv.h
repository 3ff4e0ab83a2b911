// oneDNN's f32 3x3 convolutions, to compare with. What enters: a shape; what leaves: something to
// time and its result. Its tensors are in the layouts that oneDNN prefers, conversions left out of
// the time.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>

namespace zimage {

struct ConvShape {
  std::int64_t height, width;  // of the output
  std::int64_t in, out;
};

// x [height, width, in], kernel [out, in, 3, 3], bias [out].
struct ConvOperands {
  const float* x = nullptr;
  const float* kernel = nullptr;
  const float* bias = nullptr;
};

struct OnednnConv {
  std::string name;           // of its implementation: "jit_wino_4x3:avx512_core"
  std::function<void()> run;  // empty where oneDNN has none for this processor and shape
  std::function<void(std::span<float>)> result;  // [height, width, out] of the last run
};

// Of the whole process, before the first convolution is made.
void set_onednn_threads(int threads);

enum class OnednnAlgorithm { Direct, Winograd };

// Reads the operands at once. The result owns what it needs.
OnednnConv make_onednn_conv(OnednnAlgorithm algorithm, const ConvShape& shape,
                            const ConvOperands& operands);

}  // namespace zimage
