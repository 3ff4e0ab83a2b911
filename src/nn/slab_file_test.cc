// Files of slabs: written, found again, refused, and modules bound to them.
#include "nn/slab_file.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include "backend/cpu/cpu_backend.h"
#include "base/error.h"
#include "error_of.h"
#include "nn/layer_store.h"
#include "temp_folder.h"

namespace zimage {
namespace {

namespace fs = std::filesystem;

const SlabFile::Origin kOrigin{.layout = "panels", .sources = "1234"};

std::vector<std::byte> bytes_of(std::string_view text) {
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

std::string text_of(const MappedSlab& slab) {
  return {reinterpret_cast<const char*>(slab.bytes().data()), slab.bytes().size()};
}

TEST(SlabFile, GivesBackWhatWasPut) {
  const TempFolder folder;
  const fs::path path = folder.path() / "new" / "a.slabs";
  {
    SlabFile file = SlabFile::create(path, kOrigin);
    EXPECT_TRUE(file.find("a", 5).empty());
    EXPECT_EQ(text_of(file.put("a", bytes_of("first"))), "first");
    EXPECT_EQ(text_of(file.put("b", bytes_of("second"))), "second");
    EXPECT_EQ(text_of(file.find("a", 5)), "first");
    EXPECT_FALSE(fs::exists(path));
    file.finish();
  }
  const SlabFile file = SlabFile::open(path, kOrigin);
  EXPECT_EQ(text_of(file.find("a", 5)), "first");
  EXPECT_EQ(text_of(file.find("b", 6)), "second");
  EXPECT_EQ(error_of([&] { file.find("c", 5); }).code(), ErrorCode::InvalidFile);
  EXPECT_EQ(error_of([&] { file.find("a", SlabFile::kPage + 1); }).code(), ErrorCode::InvalidFile);
}

TEST(SlabFile, LeavesNothingWhenItIsNotFinished) {
  const TempFolder folder;
  const fs::path path = folder.path() / "a.slabs";
  {
    SlabFile file = SlabFile::create(path, kOrigin);
    file.put("a", bytes_of("first"));
    // One writer at a time, and the other's file stays.
    EXPECT_EQ(error_of([&] { SlabFile::create(path, kOrigin); }).code(), ErrorCode::Io);
    EXPECT_TRUE(fs::exists(path.string() + ".tmp"));
  }
  EXPECT_TRUE(fs::is_empty(folder.path()));
  EXPECT_EQ(error_of([&] { SlabFile::open(path, kOrigin); }).code(), ErrorCode::NotFound);
}

TEST(SlabFile, RefusesWhatIsOfAnotherOrigin) {
  const TempFolder folder;
  const fs::path path = folder.path() / "a.slabs";
  {
    SlabFile file = SlabFile::create(path, kOrigin);
    file.put("a", bytes_of("first"));
    file.finish();
  }
  const auto refusal = [&](const SlabFile::Origin& origin) {
    const Error error = error_of([&] { SlabFile::open(path, origin); });
    EXPECT_EQ(error.code(), ErrorCode::InvalidFile);
    return std::string(error.what());
  };
  EXPECT_NE(refusal({.layout = "rows", .sources = "1234"}).find("another processor"),
            std::string::npos);
  EXPECT_NE(refusal({.layout = "panels", .sources = "5"}).find("other files"), std::string::npos);
  fs::resize_file(path, SlabFile::kPage);
  EXPECT_EQ(error_of([&] { SlabFile::open(path, kOrigin); }).code(), ErrorCode::InvalidFile);
}

// Numbers that count up from 1, and how often they were asked for.
class CountingSource final : public TensorSource {
 public:
  explicit CountingSource(SlabFile* slabs) : slabs_(slabs) {}

  HostTensor tensor(const std::string& name, const Shape& shape) override {
    std::vector<float>& values = *values_.emplace_back(std::make_unique<std::vector<float>>());
    for (std::int64_t i = 0; i < shape.elements(); ++i)
      values.push_back(numbers_are_there ? static_cast<float>(i + 1) + name[0] * 1000.0F : 0);
    return HostTensor::plain({values.data(), DType::F32, shape});
  }
  SlabFile* slabs() override { return slabs_; }
  bool preloads() const override { return true; }
  void read_ahead(std::span<const std::byte> memory) override {
    asks += std::ranges::count_if(values_, [memory](const auto& values) {
      return static_cast<const void*>(values->data()) == memory.data();
    });
  }

  bool numbers_are_there = true;
  std::ptrdiff_t asks = 0;  // to read numbers ahead

 private:
  SlabFile* slabs_;
  std::vector<std::unique_ptr<std::vector<float>>> values_;
};

struct Weights {
  Weight matrix;
  Tensor vector;
};

Weights load(const WeightScope& w, std::int64_t layer) {
  const WeightScope own = w[std::to_string(layer)];
  return {.matrix = own.matrix("m", 5, 7), .vector = own.vector("v", 9)};
}

// What a block computes from its weights.
std::vector<float> result_of(CpuBackend& backend, const Weights& weights) {
  std::vector<float> x(7, 1.0F);
  std::vector<float> out(5);
  backend.linear({out.data(), DType::F32, {1, 5}}, {x.data(), DType::F32, {1, 7}}, weights.matrix);
  out.insert(out.end(), weights.vector.as<float>(), weights.vector.as<float>() + 9);
  return out;
}

TEST(SlabFile, HoldsTheBlocksOfALayerStore) {
  const TempFolder folder;
  const fs::path path = folder.path() / "a.slabs";
  CpuBackend backend({.threads = 1});
  CountingSource plain(nullptr);
  const LayerStore<Weights> expected(plain, backend, 4, load);
  const auto expect_equal = [&](const LayerStore<Weights>& store) {
    for (const std::int64_t layer : {0, 1, 2, 3, 0, 3, 2, 2, 1}) {
      EXPECT_EQ(result_of(backend, store.use(layer)), result_of(backend, expected.use(layer)))
          << layer;
    }
    EXPECT_EQ(store.bytes(), expected.bytes());
  };
  {
    SlabFile file = SlabFile::create(path, kOrigin);
    CountingSource source(&file);
    const LayerStore<Weights> store(source, backend, 4, load,
                                    {.resident = 1});  // streamed ones are put as well
    file.finish();
    source.numbers_are_there = false;
    EXPECT_GT(source.asks, 0);
    expect_equal(store);
  }
  SlabFile file = SlabFile::open(path, kOrigin);
  CountingSource source(&file);
  source.numbers_are_there = false;
  for (const std::int64_t resident : {4, 1, 0})
    expect_equal(LayerStore<Weights>(source, backend, 4, load, {.resident = resident}));
  EXPECT_EQ(source.asks, 0);
}

}  // namespace
}  // namespace zimage
