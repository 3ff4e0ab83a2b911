// Pictures that go wrong in a rounded precision and are drawn again in f32.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "damaged_model.h"
#include "error_of.h"
#include "pipeline/flat.h"
#include "pipeline/pipeline.h"

namespace zimage {
namespace {

using testing::HasSubstr;
using testing::Not;

const std::filesystem::path kModel = ZIMAGE_SOURCE_DIR "/models/zimage-tiny";

Request small() {
  return {.prompt = "a red apple", .width = 64, .height = 64, .steps = 2, .seed = 7};
}

// Weights that are right in f32 and overflow where products are rounded to integers, of 8 bits as
// of 12. Three inputs of a feed-forward layer's second matrix are made alike, greater than the
// others, and its first output is x - x/2 - x/2 of them, times 2^60: exactly 0 in f32, in any
// order. The greatest integer is odd, 127 or 2047, and its halves are both rounded to the even
// number above: -1 of it stays. That is the greatest output by far, the norm makes it 19.6, and its
// weight makes that infinity. The refiner of the caption has no gate, which could be too small for
// it.
class WeightsForF32 : public DamagedModel {
 public:
  WeightsForF32() : DamagedModel(kModel) {
    for (const char* name : {"feed_forward.w1.weight", "feed_forward.w3.weight"}) {
      edit(name, [](Numbers& numbers) {
        for (const std::ptrdiff_t row : {1, 2})
          std::copy_n(numbers.begin(), kDim, numbers.begin() + row * kDim);
      });
    }
    edit("feed_forward.w3.weight", [](Numbers& numbers) {
      constexpr std::uint16_t kTimesTwoTo10 = 10 << 7;
      for (std::size_t i = 0; i < std::size_t{3 * kDim}; ++i) numbers[i] += kTimesTwoTo10;
    });
    edit("feed_forward.w2.weight", [](Numbers& numbers) {
      std::fill_n(numbers.begin(), kInner, std::uint16_t{0});
      for (auto row = numbers.begin(); row != numbers.end(); row += kInner)
        std::fill_n(row, 3, std::uint16_t{0});
      constexpr std::uint16_t kTwoTo60 = 0x5d80;
      constexpr std::uint16_t kMinusTwoTo59 = 0xdd00;
      numbers[0] = kTwoTo60;
      numbers[1] = numbers[2] = kMinusTwoTo59;
    });
    constexpr std::uint16_t kGreatest = 0x7f7f;
    edit("ffn_norm2.weight", [](Numbers& numbers) { numbers[0] = kGreatest; });
  }

 private:
  using Numbers = std::vector<std::uint16_t>;
  static constexpr std::ptrdiff_t kDim = 384;
  static constexpr std::ptrdiff_t kInner = 1024;

  template <class Change>
  void edit(const std::string& name, const Change& change) {
    DamagedModel::edit("transformer", "diffusion_pytorch_model-00001-of-00003.safetensors",
                       "context_refiner.0." + name, change);
  }
};

double mean_difference(const Image& a, const Image& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.rgb.size(); ++i) sum += std::abs(a.rgb[i] - b.rgb[i]);
  return sum / static_cast<double>(a.rgb.size());
}

// On each of the CPU's kernels; skipped where the processor lacks what one needs.
class SaferPrecision : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    try {
      pipeline(kModel, "exact");
    } catch (const Error& error) {
      if (error.code() != ErrorCode::Unsupported) throw;
      GTEST_SKIP() << error.what();
    }
  }
  static Pipeline pipeline(const std::filesystem::path& model, const char* precision) {
    return Pipeline(
        {.model = model, .device = "cpu", .cpu_kernel = GetParam(), .precision = precision});
  }
};

TEST_P(SaferPrecision, GivesThePictureThatItGivesAlone) {
  const WeightsForF32 model;
  Pipeline fast = pipeline(model.path(), "fast");
  const Result result = fast.generate(small());
  EXPECT_EQ(result.repeated,
            "drawn again in precision exact: denoise: NaN or infinity in the velocity of step 1");
  EXPECT_EQ(result.precision, "exact");
  ASSERT_EQ(result.images.size(), 1U);
  const Image& image = result.images.front();
  EXPECT_FALSE(is_flat(image));

  const Result exact = pipeline(model.path(), "exact").generate(small());
  EXPECT_EQ(exact.repeated, "");
  EXPECT_EQ(image.rgb, exact.images.front().rgb);
  // Found: 0.10. The picture of another seed: 0.66.
  const Result intact = pipeline(kModel, "exact").generate(small());
  EXPECT_LT(mean_difference(image, intact.images.front()), 0.3);

  // The pipeline is as good as before.
  EXPECT_EQ(fast.generate(small()).images.front().rgb, image.rgb);
}

TEST_P(SaferPrecision, IsNotUsedForAPictureThatIsRight) {
  const Result result = pipeline(kModel, "fast").generate(small());
  EXPECT_EQ(result.repeated, "");
  EXPECT_EQ(result.precision, "fast");
}

// The same weights in f32 are no better, and both runs are told.
TEST_P(SaferPrecision, IsToldWhereItDoesNotHelp) {
  const DamagedModel model(kModel, "vae", "diffusion_pytorch_model.safetensors",
                           "decoder.conv_out.bias", 0x7fc0);
  Pipeline fast = pipeline(model.path(), "fast");
  std::int64_t begun = 0;
  const Error error = error_of([&] {
    fast.generate(small(), [&begun](const Progress& progress) {
      begun += progress.stage == Stage::Decode && progress.step == 0 ? 1 : 0;
    });
  });
  EXPECT_EQ(error.code(), ErrorCode::Numerics);
  EXPECT_EQ(begun, 2);
  EXPECT_THAT(error.what(), HasSubstr("(in precision exact; before that decode: NaN"));
  EXPECT_THAT(error.what(), Not(HasSubstr("before that decode: NaN or infinity in its pixels;")));
}

INSTANTIATE_TEST_SUITE_P(Kernels, SaferPrecision, testing::Values("avx512", "avx2", "portable"),
                         [](const auto& param) { return std::string(param.param); });

}  // namespace
}  // namespace zimage
