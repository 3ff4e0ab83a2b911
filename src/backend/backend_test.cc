// What every backend has from its base, on one that computes and on one that counts.
#include "backend/backend.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <initializer_list>
#include <vector>

#include "backend/plan/plan_backend.h"
#include "backend/reference/reference_backend.h"
#include "error_of.h"

namespace zimage {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// Wants scratch, which the plain loops do not.
class ScratchBackend final : public ReferenceBackend {
 public:
  std::size_t scratch_bytes(ScratchOp /*op*/, const Tensor& out, const Tensor& /*x*/,
                            const Weight& /*weight*/) const override {
    return static_cast<std::size_t>(out.elements()) * 16;
  }
};

bool operator==(const Cost& a, const Cost& b) {
  return a.operations == b.operations && a.matrix_flops == b.matrix_flops &&
         a.attention_flops == b.attention_flops && a.conv_flops == b.conv_flops &&
         a.scratch == b.scratch && a.source == b.source && a.loading == b.loading;
}

// Some of each figure of a cost, and a loop within.
void work_on(Backend& backend) {
  Arena arena;
  const Buffer slab = backend.allocate(4096);
  backend.count_source(1000);
  const Tensor rows = arena.make(DType::F32, {6, 8});
  const Tensor qkv = arena.make(DType::F32, {6, 24});
  const Tensor map = arena.make(DType::F32, {4, 4, 8});
  const Tensor matrix = arena.make(DType::F32, {24, 8});
  const Weight project = backend.load_matrix(arena, {&matrix, 1}, MatrixRole::Linear);
  const Weight kernel = backend.load_kernel(arena, arena.make(DType::F32, {8, 8, 3, 3}));
  backend.linear(qkv, rows, project);
  backend.repeat(2, [&](std::int64_t) {
    backend.attention(rows, qkv, {.heads = 1, .kv_heads = 1, .scale = 1});
  });
  backend.conv2d(arena.make(DType::F32, {4, 4, 8}), map, kernel);
  backend.silu(rows);
}

TEST(Backend, RepeatsWhereItComputes) {
  ReferenceBackend backend;
  std::vector<std::int64_t> calls;
  const auto note = [&](std::int64_t i) { calls.push_back(i); };
  backend.repeat(3, note);
  EXPECT_THAT(calls, ElementsAre(0, 1, 2));
  backend.repeat(0, note);
  EXPECT_EQ(calls.size(), 3U);
}

TEST(PlanBackend, CountsARepetitionAsItsRunsInOneCall) {
  ScratchBackend target;
  PlanBackend repeated(target);
  PlanBackend looped(target);
  for (PlanBackend* const plan : {&repeated, &looped}) work_on(*plan);  // what came before stays
  std::vector<std::int64_t> calls;
  repeated.repeat(5, [&](std::int64_t i) {
    calls.push_back(i);
    work_on(repeated);
  });
  for (int i = 0; i < 5; ++i) work_on(looped);
  EXPECT_THAT(calls, ElementsAre(0));
  EXPECT_TRUE(repeated.cost() == looped.cost());
  // Of 6 runs: one linear, two of attention, one conv2d, one silu.
  EXPECT_EQ(repeated.cost().operations, 30);
  EXPECT_EQ(repeated.cost().matrix_flops, 6 * 2.0 * 6 * 8 * 24);
  EXPECT_EQ(repeated.cost().attention_flops, 6 * 2 * 4.0 * 6 * 6 * 8);
  EXPECT_EQ(repeated.cost().conv_flops, 6 * 2.0 * 4 * 4 * 8 * 8 * 9);
  EXPECT_EQ(repeated.cost().scratch, std::size_t{6 * 24 * 16});
  EXPECT_EQ(repeated.cost().source, 1000U);
  EXPECT_EQ(repeated.cost().loading, 5096U);
  EXPECT_EQ(repeated.allocated(), 0U);
}

TEST(PlanBackend, DoesNotCallWhatIsRepeatedNever) {
  ReferenceBackend target;
  PlanBackend plan(target);
  for (const std::int64_t count : {0, -1})
    plan.repeat(count, [](std::int64_t) { FAIL() << "called"; });
  EXPECT_EQ(plan.cost().operations, 0);
}

TEST(Backend, CarriesNumbersWhereItComputes) {
  ReferenceBackend backend;
  const Buffer memory = backend.allocate(Arena::kAlignment);
  const Tensor x{memory.data(), DType::F32, {1, 3}};
  backend.upload(x, [] { return std::vector<float>{1, -2, 0.5F}; });
  EXPECT_THAT(backend.download(x), ElementsAre(1, -2, 0.5F));
}

// Memory for the numbers of a plan would be that of the whole picture.
TEST(PlanBackend, NeitherAsksForNumbersNorGivesAny) {
  ReferenceBackend target;
  PlanBackend plan(target);
  Arena nowhere;
  const Tensor x = nowhere.make(DType::F32, {std::int64_t{1} << 30, 1024});
  plan.upload(x, []() -> std::vector<float> {
    ADD_FAILURE() << "asked";
    return {};
  });
  EXPECT_THAT(plan.download(x), IsEmpty());
}

TEST(Backend, CarriesNumbersOfF32Alone) {
  ReferenceBackend target;
  PlanBackend plan(target);
  Arena nowhere;
  const Tensor x = nowhere.make(DType::BF16, {2, 2});
  for (Backend* const backend : std::initializer_list<Backend*>{&target, &plan}) {
    EXPECT_THAT(error_of([&] { backend->upload(x, [] { return std::vector<float>(4); }); }).what(),
                HasSubstr("upload: out is bf16, expected f32"));
    EXPECT_THAT(error_of([&] { static_cast<void>(backend->download(x)); }).what(),
                HasSubstr("download: x is bf16, expected f32"));
  }
}

}  // namespace
}  // namespace zimage
