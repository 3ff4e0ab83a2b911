// Spellings of tensor names.
#include "checkpoint/names.h"

#include <gtest/gtest.h>

namespace zimage {
namespace {

TEST(CanonicalName, RemovesTheWrappersPrefix) {
  EXPECT_EQ(canonical_name("model.layers.0.mlp.up_proj.weight"), "layers.0.mlp.up_proj.weight");
  EXPECT_EQ(canonical_name("layers.0.mlp.up_proj.weight"), "layers.0.mlp.up_proj.weight");
  EXPECT_EQ(canonical_name("lm_head.weight"), "lm_head.weight");
  EXPECT_EQ(canonical_name("models.x"), "models.x");
}

}  // namespace
}  // namespace zimage
