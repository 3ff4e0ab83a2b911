// Names, shapes and slabs of a network's weights, on tensors made by hand.
#include "nn/weight_scope.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <span>
#include <vector>

#include "backend/plan/plan_backend.h"
#include "backend/reference/reference_backend.h"
#include "base/error.h"
#include "base/float16.h"
#include "base/float8.h"
#include "error_of.h"
#include "late_device.h"
#include "nn/layer_store.h"
#include "nn/random_source.h"
#include "nn/widen.h"

namespace zimage {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::Not;

// Tensors of f32 numbers that count up from the given one.
class CountingSource final : public TensorSource {
 public:
  void add(const std::string& name, const Shape& shape, float first) {
    std::vector<float>& values = values_[name];
    for (std::int64_t i = 0; i < shape.elements(); ++i)
      values.push_back(first + static_cast<float>(i));
    shapes_[name] = shape;
  }

  HostTensor tensor(const std::string& name, const Shape& shape) override {
    asked.push_back(name);
    if (!shapes_.contains(name)) throw Error(ErrorCode::NotFound, name);
    EXPECT_EQ(shapes_[name], shape) << name;
    return HostTensor::plain({values_[name].data(), DType::F32, shape});
  }

  std::vector<std::string> asked;

 private:
  std::map<std::string, std::vector<float>> values_;
  std::map<std::string, Shape> shapes_;
};

// Remembers what each matrix was to be used for.
class RoleBackend final : public ReferenceBackend {
 public:
  std::vector<MatrixRole> roles;

 protected:
  Weight do_load_matrix(Arena& slab, std::span<const Tensor> parts, MatrixRole role) override {
    roles.push_back(role);
    return ReferenceBackend::do_load_matrix(slab, parts, role);
  }
};

std::vector<float> values_of(const Tensor& tensor) {
  return {tensor.as<float>(), tensor.as<float>() + tensor.elements()};
}

// Streamed blocks hold the same numbers as resident ones, wherever a loop begins.
TEST(LayerStore, StreamsTheBlocksBehindTheResidentOnes) {
  CountingSource source;
  for (const char* name : {"0.a", "1.a", "2.a", "3.a"}) source.add(name, {2}, name[0] * 10.0F);
  ReferenceBackend backend;
  const auto load = [](const WeightScope& w, std::int64_t layer) {
    return w[std::to_string(layer)].vector("a", 2);
  };
  const LayerStore<Tensor> all(source, backend, 4, load);
  const LayerStore<Tensor> one(source, backend, 4, load, {.resident = 1});
  EXPECT_FALSE(all.streams());
  EXPECT_TRUE(one.streams());
  EXPECT_EQ(one.size(), 4);
  EXPECT_EQ(one.bytes(), all.bytes());
  for (const std::int64_t layer : {0, 1, 2, 3, 0, 1, 2, 3, 2, 2, 1})
    EXPECT_EQ(values_of(one.use(layer)), values_of(all.use(layer))) << layer;
  // The slot keeps what it holds, and its successor is looked at ahead.
  source.asked.clear();
  one.use(1);
  EXPECT_THAT(source.asked, testing::IsEmpty());
  one.use(2);
  EXPECT_THAT(source.asked, ElementsAre("2.a", "3.a"));
  one.use(3);
  EXPECT_THAT(source.asked, ElementsAre("2.a", "3.a", "3.a", "1.a"));
}

// Five blocks, two of them resident: 1, 3 and 4 are streamed. Everything is read once, and copied
// ahead: beside a resident block into both slots, beside a streamed one into the other.
TEST(LayerStore, CopiesStreamedBlocksAheadOfTheirUse) {
  CountingSource source;
  for (const char* name : {"0.a", "1.a", "2.a", "3.a", "4.a"})
    source.add(name, {2}, name[0] * 10.0F);
  LateDevice backend;
  const auto load = [](const WeightScope& w, std::int64_t layer) {
    return w[std::to_string(layer)].vector("a", 2);
  };
  const LayerStore<Tensor> all(source, backend, 5, load);
  LateSlabs copies(5);
  const LayerStore<Tensor> store(source, backend, 5, load, {.resident = 2, .copies = &copies});
  const auto use = [&](std::int64_t layer) {
    copies.fetched.clear();
    EXPECT_EQ(values_of(store.use(layer)), values_of(all.use(layer))) << layer;
    return copies.fetched;
  };
  store.use(4);  // left in the first slot by the copying
  EXPECT_THAT(use(0), ElementsAre(3));
  EXPECT_THAT(use(1), ElementsAre());
  EXPECT_THAT(use(2), ElementsAre(4));
  EXPECT_THAT(use(3), ElementsAre());
  EXPECT_THAT(use(4), ElementsAre(1));
  EXPECT_THAT(use(0), ElementsAre(3));
  use(1);
  EXPECT_EQ(copies.pending(), 1U);  // the third goes on beside the computing
  for (const std::int64_t layer : {2, 3, 4, 0, 1, 2, 3, 4, 2, 2, 1, 4, 0, 3}) use(layer);
}

// A network that is loaded again finds the copies; where host memory ends, the source is read.
TEST(LayerStore, ReadsWhatHasNoCopy) {
  CountingSource source;
  for (const char* name : {"0.a", "1.a", "2.a"}) source.add(name, {2}, name[0] * 10.0F);
  LateDevice backend;
  const auto load = [](const WeightScope& w, std::int64_t layer) {
    return w[std::to_string(layer)].vector("a", 2);
  };
  const LayerStore<Tensor> all(source, backend, 3, load);
  LateSlabs copies(2);
  for (int loads = 0; loads < 2; ++loads) {
    const LayerStore<Tensor> store(source, backend, 3, load, {.resident = 0, .copies = &copies});
    EXPECT_TRUE(copies.has(0) && copies.has(1) && !copies.has(2));
    for (const std::int64_t layer : {0, 1, 2, 0, 1, 2, 2, 1, 0})
      EXPECT_EQ(values_of(store.use(layer)), values_of(all.use(layer))) << layer;
  }
}

// Loading gigabytes takes seconds, in which somebody may change his mind.
TEST(LayerStore, StopsBetweenBlocks) {
  CountingSource source;
  for (const char* name : {"0.a", "1.a", "2.a"}) source.add(name, {2}, 0);
  LateDevice backend;
  std::stop_source stop;
  const auto load = [&](const WeightScope& w, std::int64_t layer) {
    const Tensor block = w[std::to_string(layer)].vector("a", 2);
    if (layer == 1) stop.request_stop();
    return block;
  };
  using Store = LayerStore<Tensor>;
  EXPECT_EQ(error_of([&] { Store(source, backend, 3, load, {.stop = stop.get_token()}); }).code(),
            ErrorCode::Cancelled);
  EXPECT_THAT(source.asked, Not(Contains("2.a")));
  // Copies in host memory that were made are kept.
  stop = std::stop_source();
  LateSlabs copies(3);
  const LayerPlacement streamed{.resident = 0, .copies = &copies, .stop = stop.get_token()};
  const auto load_slowly = [&](const WeightScope& w, std::int64_t layer) {
    if (copies.has(0)) stop.request_stop();
    return w[std::to_string(layer)].vector("a", 2);
  };
  EXPECT_EQ(error_of([&] { Store(source, backend, 3, load_slowly, streamed); }).code(),
            ErrorCode::Cancelled);
  EXPECT_TRUE(copies.has(0) && copies.has(1) && !copies.has(2));
}

TEST(LayerStore, StreamsAtEqualDistances) {
  const auto streamed = [](std::int64_t layers, std::int64_t resident) {
    std::vector<std::int64_t> found;
    for (std::int64_t layer = 0; layer < layers; ++layer) {
      if (is_streamed(layer, layers, resident)) found.push_back(layer);
    }
    return found;
  };
  EXPECT_THAT(streamed(6, 3), ElementsAre(1, 3, 5));
  EXPECT_THAT(streamed(7, 5), ElementsAre(3, 6));
  EXPECT_THAT(streamed(3, 0), ElementsAre(0, 1, 2));
  EXPECT_THAT(streamed(3, 3), ElementsAre());
  EXPECT_THAT(streamed(3, kAllLayers), ElementsAre());
}

TEST(WeightScope, LeavesPlainMatricesOutOfTheEncoding) {
  CountingSource source;
  for (const char* name : {"block.m", "edge.m", "edge.g", "edge.u"}) source.add(name, {2, 2}, 0);
  RoleBackend backend;
  std::vector<std::byte> memory(4096);
  Arena slab(memory.data(), memory.size());
  const WeightScope w(source, backend, slab);
  w["block"].matrix("m", 2, 2);
  const WeightScope plain = w.plain();
  plain["edge"].matrix("m", 2, 2);
  plain["edge"].gate_up("g", "u", 2, 2);
  EXPECT_THAT(backend.roles,
              ElementsAre(MatrixRole::Linear, MatrixRole::Plain, MatrixRole::GateUp));
}

TEST(WeightScope, StacksPartsAndPrefixesNames) {
  CountingSource source;
  source.add("block.a.weight", {1, 2}, 1);
  source.add("block.b.weight", {2, 2}, 10);
  source.add("block.norm", {3}, 5);
  source.add("block.pad", {1, 2}, 7);
  ReferenceBackend backend;
  struct Weights {
    Weight matrix;
    Tensor norm;
    Tensor pad;
  };
  const auto module = load_module(source, backend, [](const WeightScope& root) {
    const WeightScope w = root["block"];
    return Weights{w.matrix({{"a.weight", 1}, {"b.weight", 2}}, 2), w.vector("norm", 3),
                   w.row("pad", 2)};
  });
  EXPECT_EQ(module.weights.matrix.out, 3);
  EXPECT_EQ(module.weights.matrix.in, 2);
  EXPECT_THAT(values_of({module.weights.matrix.data, DType::F32, {3, 2}}),
              ElementsAre(1, 2, 10, 11, 12, 13));
  EXPECT_THAT(values_of(module.weights.norm), ElementsAre(5, 6, 7));
  EXPECT_THAT(values_of(module.weights.pad), ElementsAre(7, 8));
  // Everything lies in the one slab, which is exactly as large as was measured.
  EXPECT_EQ(module.slab.bytes(), 3 * Arena::kAlignment);
}

// One matrix and one vector in fp8, with a scale whose products bf16 rounds.
class Fp8Source final : public TensorSource {
 public:
  HostTensor tensor(const std::string& /*name*/, const Shape& shape) override {
    return {.stored = {bytes_.data(), DType::U8, {4}},
            .shape = shape,
            .type = QuantType::Fp8E4M3,
            .scale = {&scale_, DType::F32, {1}}};
  }

 private:
  std::vector<std::uint8_t> bytes_ = {0x38, 0xb8, 0x40, 0x01};  // 1, -1, 2, 2^-9
  float scale_ = 1.003F;
};

TEST(WeightScope, WidensQuantizedMatricesToBf16AndVectorsToF32) {
  Fp8Source source;
  ReferenceBackend backend;
  struct Weights {
    Weight matrix;
    Tensor vector;
  };
  const auto bind = [](const WeightScope& w) {
    return Weights{.matrix = w.matrix("m", 2, 2), .vector = w.vector("v", 4)};
  };
  const auto module = load_module(source, backend, bind);
  // Half a unit of bf16's eight bits is 2^-8: 1.003 rounds to 1.
  EXPECT_THAT(values_of({module.weights.matrix.data, DType::F32, {4}}),
              ElementsAre(1.0F, -1.0F, 2.0F, 0x1p-9F));
  EXPECT_THAT(values_of(module.weights.vector),
              ElementsAre(1.003F, -1.003F, 2.006F, 0x1p-9F * 1.003F));
}

// A plan counts what a load reads of the file, and the numbers that are widened for it.
TEST(WeightScope, TellsAPlanWhatLoadsRead) {
  Fp8Source source;
  ReferenceBackend backend;
  PlanBackend plan(backend);
  const auto module =
      load_module(source, plan, [](const WeightScope& w) { return w.matrix("m", 2, 2); });
  // Four bytes, a scale, and four numbers of bf16.
  EXPECT_EQ(plan.cost().source, 4U + 4U + 8U);
  EXPECT_EQ(plan.cost().loading, Arena::kAlignment + 16U);
}

TEST(Widen, GivesOneResultOnAnyNumberOfThreads) {
  // 1024 rows of 1024 numbers: enough for several threads.
  std::vector<std::uint8_t> bytes(std::size_t{1} << 20);
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::uint8_t>(i * 7 % 120);
  const HostTensor tensor{.stored = {bytes.data(), DType::U8, {1 << 20}},
                          .shape = {1024, 1024},
                          .type = QuantType::Fp8E4M3};
  std::vector<std::uint16_t> found(bytes.size());
  EXPECT_EQ(convert(found.data(), DType::BF16, tensor), 0);
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    ASSERT_EQ(bf16_to_float(found[i]), fp8_e4m3_to_float(bytes[i])) << i;
  }
}

TEST(Widen, NarrowsF32WhenAskedToAndCountsWhatItRounds) {
  std::vector<float> values(std::size_t{1} << 20, 1.5F);
  values[3] = 1.0F + 0x1p-8F;       // halfway: to even
  values[700000] = 1.0F + 0x1p-7F;  // bf16's own
  values[900000] = -1.003F;
  const HostTensor tensor = HostTensor::plain({values.data(), DType::F32, {1024, 1024}});
  ReferenceBackend backend;
  std::vector<std::byte> memory(std::size_t{1});
  const Arena slab(memory.data(), memory.size());
  const WidenedTensors kept({&tensor, 1}, backend, slab);
  EXPECT_EQ(kept.tensors()[0].data, values.data());
  const WidenedTensors narrow({&tensor, 1}, backend, slab, WideNumbers::ToBf16);
  EXPECT_EQ(narrow.rounded(), 2);
  const Tensor& found = narrow.tensors()[0];
  ASSERT_EQ(found.dtype, DType::BF16);
  EXPECT_EQ(bf16_to_float(found.as<std::uint16_t>()[3]), 1.0F);
  EXPECT_EQ(bf16_to_float(found.as<std::uint16_t>()[700000]), values[700000]);
  EXPECT_EQ(bf16_to_float(found.as<std::uint16_t>()[900000]), -1.0F);
  EXPECT_EQ(bf16_to_float(found.as<std::uint16_t>()[1048575]), 1.5F);
}

TEST(Widen, CopiesNumbersAtOddAddresses) {
  std::vector<std::byte> bytes(13);
  const float values[] = {1.5F, -2.25F, 3.0F};
  std::memcpy(bytes.data() + 1, values, sizeof values);
  const HostTensor tensor = HostTensor::plain({bytes.data() + 1, DType::F32, {1, 3}});
  ReferenceBackend backend;
  std::vector<std::byte> memory(std::size_t{1});
  const WidenedTensors plain({&tensor, 1}, backend, Arena(memory.data(), memory.size()));
  const Tensor& found = plain.tensors()[0];
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(found.data) % alignof(float), 0U);
  EXPECT_THAT(std::span(found.as<float>(), 3), ElementsAre(1.5F, -2.25F, 3.0F));
  EXPECT_EQ(plain.converted_bytes(), sizeof values);
}

TEST(LayerStore, GivesEachBlockItsOwnWeights) {
  CountingSource source;
  source.add("0.norm", {2}, 1);
  source.add("1.norm", {2}, 3);
  ReferenceBackend backend;
  const LayerStore<Tensor> store(source, backend, 2, [](const WeightScope& w, std::int64_t layer) {
    return w[std::to_string(layer)].vector("norm", 2);
  });
  EXPECT_EQ(store.size(), 2);
  EXPECT_THAT(values_of(store.use(0)), ElementsAre(1, 2));
  EXPECT_THAT(values_of(store.use(1)), ElementsAre(3, 4));
}

TEST(RandomSource, GivesEqualNumbersForEqualNamesAndKeepsViewsValid) {
  RandomSource source;
  const Tensor small = source.tensor("a", {4, 64}).stored;
  const std::uint16_t first = small.as<std::uint16_t>()[0];
  const Tensor large = source.tensor("b", {512, 64}).stored;  // more than the first pool holds
  EXPECT_EQ(small.as<std::uint16_t>()[0], first);
  EXPECT_NE(small.data, large.data);
  EXPECT_EQ(source.tensor("a", {4, 64}).stored.data, small.data);
}

}  // namespace
}  // namespace zimage
