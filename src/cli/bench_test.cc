#include "cli/bench.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace zimage::cli {
namespace {

using ::testing::HasSubstr;

BenchReport example() {
  BenchReport report;
  report.request.width = 256;
  report.request.height = 128;
  report.request.steps = 8;
  report.request.guidance = 0;
  report.request.count = 2;
  report.model = "zimage-tiny";
  report.device = "cpu: AVX2, 2 threads";
  report.repeat = 3;
  report.ceilings = {.flops = 200e9, .bandwidth = 10e9};
  report.stages = {{.name = "text encoder", .seconds = 0.001, .flops = 0.1e9},
                   {.name = "denoise",
                    .calls = 8,
                    .seconds = 0.4,
                    .flops = 54e9,
                    .planned = std::uint64_t{150} << 20,
                    .memory = std::uint64_t{149} << 20},
                   {.name = "decode", .seconds = 0.599, .flops = 77.9e9}};
  report.operations = {{.name = "linear", .calls = 179, .seconds = 0.25, .flops = 40e9},
                       {.name = "copy", .calls = 24, .seconds = 0.0001}};
  report.warm_seconds = 1.002;
  report.least_seconds = 0.99;
  report.choices = "every network stays loaded";
  report.first_seconds = 1.5;
  report.load_seconds = 0.1;
  report.peak_memory = std::uint64_t{200} << 20;
  return report;
}

TEST(BenchTable, ComparesEveryRowWithThePeak) {
  const std::string text = bench_table(example());
  EXPECT_THAT(text, HasSubstr("zimage-tiny, 256x128, 8 steps, 2 pictures\ncpu: AVX2, 2 threads\n"));
  EXPECT_THAT(text, HasSubstr("peak 200.0 GFLOP/s, memory 10.0 GB/s, measured in this run\n"
                              "every network stays loaded\n"));
  EXPECT_THAT(text, HasSubstr("denoise                      150.0 MiB       149.0 MiB\n"));
  EXPECT_THAT(text, HasSubstr("denoise                     8     400.00 ms      54.00      135.0   "
                              " 67.5 %        5.00\n"));
  EXPECT_THAT(text, HasSubstr("total                       1    1000.00 ms     132.00      132.0   "
                              " 66.0 %        2.00\n"));
  EXPECT_THAT(
      text,
      HasSubstr("linear                    179     250.00 ms      40.00      160.0    80.0 %\n"));
  EXPECT_THAT(
      text, HasSubstr("copy                       24       0.10 ms\n"));  // no arithmetic, no share
  EXPECT_THAT(text,
              HasSubstr("median of 3; warm it takes 1.002 s (least 0.990 s), 1.996 pictures a "
                        "second; the first time 1.500 s (0.100 s of it loading)"));
  EXPECT_THAT(text, HasSubstr("peak memory of the process 200.0 MiB\n"));
}

TEST(BenchJson, HoldsTheSameNumbers) {
  const nlohmann::json json = nlohmann::json::parse(bench_json(example()));
  EXPECT_EQ(json.at("peak_flops_per_second"), 200e9);
  EXPECT_DOUBLE_EQ(json.at("stages").at(1).at("share_of_peak"), 0.675);
  EXPECT_DOUBLE_EQ(json.at("total").at("flops_per_second"), 132e9);
  EXPECT_EQ(json.at("stages").at(1).at("memory_bytes"), 149 << 20);
  EXPECT_EQ(json.at("operations").at(1).at("name"), "copy");
  EXPECT_EQ(json.at("peak_memory_bytes"), 200 << 20);
  EXPECT_EQ(json.at("count"), 2);
  EXPECT_DOUBLE_EQ(json.at("pictures_per_second"), 2 / 1.002);
  EXPECT_DOUBLE_EQ(json.at("stages").at(1).at("pictures_per_second"), 5);
}

}  // namespace
}  // namespace zimage::cli
