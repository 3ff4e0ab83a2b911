#include "cli/options/options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"

namespace zimage::cli {
namespace {

using ::testing::HasSubstr;

GenerateOptions generate_options(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), "generate");
  return std::get<GenerateOptions>(parse_arguments(arguments));
}

std::string error_of(const std::vector<std::string>& arguments) {
  try {
    parse_arguments(arguments);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::InvalidArgument);
    return error.what();
  }
  return "";
}

TEST(Generate, LeavesDefaultsToTheModel) {
  const GenerateOptions options = generate_options({"-p", "a cat"});
  EXPECT_THAT(options.prompts, testing::ElementsAre("a cat"));
  EXPECT_FALSE(options.prompt_file || options.output || options.force || options.is_job());
  EXPECT_FALSE(options.draw.model.name || options.draw.width || options.draw.height ||
               options.draw.steps);
  EXPECT_EQ(options.draw.count, 1);
  EXPECT_EQ(options.draw.keep, Keep::None);
  EXPECT_EQ(options.draw.device, "auto");
  EXPECT_EQ(options.draw.threads, 0);
  EXPECT_EQ(options.draw.cpu_kernel, "best");
  EXPECT_EQ(options.rng, RngKind::Cpu);
  EXPECT_EQ(options.verbosity, Verbosity::Normal);
  EXPECT_FALSE(options.draw.json);
}

TEST(Generate, TakesSeveralPromptsAndSeeds) {
  const GenerateOptions options =
      generate_options({"-p", "[a, b]", "--prompt=", "-p", "c", "--seeds", "1,5-6"});
  EXPECT_THAT(options.prompts, testing::ElementsAre("[a, b]", "", "c"));
  EXPECT_THAT(options.seeds, testing::ElementsAre(1U, 5U, 6U));
  EXPECT_TRUE(options.is_job());
  EXPECT_EQ(options.draw.keep, Keep::Auto);
  EXPECT_EQ(generate_options({"--prompt-file", "f", "--keep", "none"}).draw.keep, Keep::None);
  EXPECT_THAT(error_of({"generate", "-p", "a", "--seeds", "3-1"}),
              HasSubstr("--seeds: expected up to 10000 different seeds such as 1,2,5-9"));
}

TEST(ParseLineArguments, TakesThePlaceOfTheCommands) {
  GenerateOptions options = generate_options({"--prompt-file", "f", "--steps", "4", "--seeds",
                                              "1-3", "--size", "64x32", "--quality", "7"});
  parse_line_arguments(options, {"--prompt=a = b", "--seed=9", "--sigmas=1,0.5", "--width=48"});
  EXPECT_EQ(options.prompt, "a = b");
  EXPECT_EQ(options.seed, 9U);
  EXPECT_TRUE(options.seeds.empty());
  EXPECT_FALSE(options.draw.steps);
  EXPECT_THAT(options.draw.sigmas, testing::ElementsAre(1, 0.5));
  EXPECT_EQ(options.draw.width, 48);
  EXPECT_EQ(options.draw.height, 32);
  EXPECT_EQ(options.quality, 7);
}

TEST(ParseLineArguments, TakesTheCommandsPicturesAway) {
  const GenerateOptions command =
      generate_options({"--prompt-file", "f", "--init-image", "i", "--mask", "m", "--strength",
                        "0.5", "--no-composite"});
  GenerateOptions line = command;
  parse_line_arguments(line, {"--prompt=a", "--mask="});
  EXPECT_EQ(line.draw.pictures.init_image, "i");
  EXPECT_EQ(line.draw.pictures.mask, std::nullopt);
  EXPECT_EQ(line.draw.pictures.strength, 0.5);
  // What has no meaning without it goes with it.
  line = command;
  parse_line_arguments(line, {"--prompt=a", "--init-image="});
  EXPECT_EQ(line.draw.pictures.init_image, std::nullopt);
  EXPECT_EQ(line.draw.pictures.mask, std::nullopt);
  EXPECT_EQ(line.draw.pictures.strength, std::nullopt);
  EXPECT_FALSE(line.draw.pictures.no_composite);
}

TEST(ParseLineArguments, RefusesWhatIsNotOfOnePrompt) {
  const auto refused = [](const std::vector<std::string>& arguments) -> std::string {
    GenerateOptions options;
    try {
      parse_line_arguments(options, arguments);
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_THAT(refused({"--prompt=a", "--stpes=3"}), HasSubstr("did you mean --steps?"));
  for (const char* other : {"--model=m", "--force", "--prompt-file=f", "--json", "--help"})
    EXPECT_THAT(refused({"--prompt=a", other}), HasSubstr("unknown option")) << other;
  EXPECT_THAT(refused({"--seed=1"}), HasSubstr("prompt: expected one, found none"));
  EXPECT_THAT(refused({"--prompt=a", "--seed=1", "--seeds=2"}), HasSubstr("exclude each other"));
  EXPECT_THAT(refused({"--prompt=a", "--mask=m"}), HasSubstr("no meaning without --init-image"));
  EXPECT_EQ(refused({"--prompt=a", "--allow-flat=yes"}),
            "--allow-flat: expected true or false, found \"yes\"");
}

TEST(Generate, TakesEveryLongOption) {
  const GenerateOptions options =
      generate_options({"--model",      "m",      "--prompt-file", "f",
                        "--output",     "o",      "--width",       "320",
                        "--height",     "240",    "--steps",       "4",
                        "--count",      "64",     "--seed",        "18446744073709551615",
                        "--rng",        "cuda",   "--threads",     "3",
                        "--device",     "cuda:1", "--precision",   "exact",
                        "--cpu-kernel", "avx2",   "--sampler",     "heun",
                        "--verbose",    "--json", "--force"});
  EXPECT_EQ(options.draw.model.name, "m");
  EXPECT_EQ(options.prompt_file, "f");
  EXPECT_EQ(options.output, "o");
  EXPECT_EQ(options.draw.width, 320);
  EXPECT_EQ(options.draw.height, 240);
  EXPECT_EQ(options.draw.steps, 4);
  EXPECT_EQ(options.draw.sampler, Sampler::Heun);
  EXPECT_EQ(options.draw.count, 64);
  EXPECT_EQ(options.seed, 18446744073709551615U);
  EXPECT_EQ(options.rng, RngKind::Cuda);
  EXPECT_EQ(options.draw.threads, 3);
  EXPECT_EQ(options.draw.device, "cuda:1");
  EXPECT_EQ(options.draw.precision, "exact");
  EXPECT_EQ(options.draw.cpu_kernel, "avx2");
  EXPECT_EQ(options.verbosity, Verbosity::Verbose);
  EXPECT_TRUE(options.draw.json && options.force);
}

TEST(Generate, TakesEveryShortOptionAndSpelling) {
  const GenerateOptions options = generate_options({"-m", "m", "-pa cat", "-o", "-", "-W64", "-H",
                                                    "32", "-s", "1", "-t", "2", "-q", "--seed=5"});
  EXPECT_EQ(options.draw.model.name, "m");
  EXPECT_THAT(options.prompts, testing::ElementsAre("a cat"));
  EXPECT_EQ(options.output, "-");
  EXPECT_EQ(options.draw.width, 64);
  EXPECT_EQ(options.draw.height, 32);
  EXPECT_EQ(options.draw.steps, 1);
  EXPECT_EQ(options.draw.threads, 2);
  EXPECT_EQ(options.verbosity, Verbosity::Quiet);
  EXPECT_EQ(options.seed, 5U);
}

TEST(Generate, TakesSamplersByEveryName) {
  const auto sampler = [](const char* name) {
    return generate_options({"-p", "a", "--sampler", name}).draw.sampler;
  };
  EXPECT_EQ(generate_options({"-p", "a"}).draw.sampler, Sampler::Euler);
  EXPECT_EQ(sampler("dpmpp-2m"), Sampler::Dpmpp2M);
  EXPECT_EQ(sampler("sde-dpmsolver++"), Sampler::Dpmpp2MSde);
  EXPECT_THAT(error_of({"generate", "-p", "a", "--sampler", "ddim"}),
              HasSubstr("--sampler: expected euler, heun, dpmpp-1, dpmpp-2m, dpmpp-3m or "
                        "dpmpp-2m-sde, found \"ddim\""));
}

TEST(Generate, TakesPicturesInAndOut) {
  const GenerateOptions options =
      generate_options({"-p", "a", "--init-image", "i.jpg", "--strength", "0.25", "--mask", "m.png",
                        "--no-composite", "--format", "webp", "--quality", "100"});
  EXPECT_EQ(options.draw.pictures.init_image, "i.jpg");
  EXPECT_EQ(options.draw.pictures.strength, 0.25);
  EXPECT_EQ(options.draw.pictures.mask, "m.png");
  EXPECT_TRUE(options.draw.pictures.no_composite);
  EXPECT_EQ(options.format, PictureFormat::Webp);
  EXPECT_EQ(options.quality, 100);
  const GenerateOptions plain = generate_options({"-p", "a"});
  EXPECT_EQ(plain.draw.pictures.init_image, std::nullopt);
  EXPECT_FALSE(plain.draw.pictures.no_composite);
  EXPECT_EQ(plain.format, std::nullopt);
  EXPECT_THAT(error_of({"generate", "-p", "a", "--mask", "m.png"}),
              HasSubstr("--mask has no meaning without --init-image"));
  EXPECT_THAT(error_of({"plan", "--strength", "0.5"}),
              HasSubstr("--strength has no meaning without --init-image"));
  EXPECT_THAT(error_of({"generate", "-p", "a", "--quality", "101"}), HasSubstr("--quality"));
}

TEST(Generate, TakesAnEmptyNameForNoPicture) {
  const PictureOptions pictures =
      generate_options({"-p", "a", "--init-image", "", "--mask="}).draw.pictures;
  EXPECT_EQ(pictures.init_image, std::nullopt);
  EXPECT_EQ(pictures.mask, std::nullopt);
  EXPECT_EQ(generate_options({"-p", "a", "--mask", "m", "--mask="}).draw.pictures.mask,
            std::nullopt);
  EXPECT_THAT(error_of({"generate", "-p", "a", "--init-image=", "--mask", "m"}),
              HasSubstr("--mask has no meaning without --init-image"));
}

TEST(Generate, TakesTrueAndFalseForFlags) {
  EXPECT_TRUE(generate_options({"-p", "a", "--allow-flat"}).draw.allow_flat);
  EXPECT_TRUE(generate_options({"-p", "a", "--allow-flat=true"}).draw.allow_flat);
  EXPECT_TRUE(generate_options({"-p", "a", "--force", "--force"}).force);
  EXPECT_FALSE(generate_options({"-p", "a", "--allow-flat=false"}).draw.allow_flat);
  for (const std::string value : {"banana", "yes", "1", "TRUE"}) {
    EXPECT_EQ(error_of({"generate", "-p", "a", "--allow-flat=" + value}),
              "--allow-flat: expected true or false, found \"" + value + "\"");
  }
  EXPECT_EQ(error_of({"bench", "--json=banana"}),
            "--json: expected true or false, found \"banana\"");
}

TEST(Generate, TakesNoiseLevelsAndAShift) {
  const DrawOptions draw =
      generate_options({"-p", "a", "--sigmas", "1,0.75,.5,1e-2", "--shift", "2.5"}).draw;
  EXPECT_THAT(draw.sigmas, testing::ElementsAre(1, 0.75, 0.5, 0.01));
  EXPECT_EQ(draw.shift, 2.5);
  for (const char* list : {"", "1,", ",1", "1,,0.5", "1;0.5", "1, 0.5", "a", "nan", "inf"})
    EXPECT_THAT(error_of({"generate", "-p", "a", "--sigmas", list}),
                HasSubstr("--sigmas: expected"));
  EXPECT_THAT(error_of({"generate", "-p", "a", "--shift", "3x"}),
              HasSubstr("--shift: expected a number such as 0.5, found \"3x\""));
  EXPECT_THAT(error_of({"generate", "-p", "a", "--sigmas", "1", "-s", "1"}),
              HasSubstr("--steps and --sigmas exclude each other"));
}

TEST(Generate, TakesGuidance) {
  const DrawOptions none = generate_options({"-p", "a"}).draw;
  EXPECT_EQ(none.guidance, std::nullopt);
  EXPECT_EQ(none.cfg_normalization, 0);
  EXPECT_EQ(none.cfg_truncation, 1);
  const DrawOptions draw = generate_options({"-p", "a", "-g", "3.5", "--negative", "red, blue",
                                             "--cfg-normalization", "1", "--cfg-truncation", "0.5"})
                               .draw;
  EXPECT_EQ(draw.guidance, 3.5);
  EXPECT_EQ(draw.negative_prompt, "red, blue");
  EXPECT_EQ(draw.cfg_normalization, 1);
  EXPECT_EQ(draw.cfg_truncation, 0.5);
  EXPECT_EQ(generate_options({"-p", "a", "--negative-prompt", "red"}).draw.negative_prompt, "red");
  EXPECT_THAT(error_of({"generate", "-p", "a", "--guidance", "much"}),
              HasSubstr("--guidance: expected a number"));
}

TEST(Generate, SizeSetsBothSides) {
  const GenerateOptions options = generate_options({"-p", "a", "--size", "320x240"});
  EXPECT_EQ(options.draw.width, 320);
  EXPECT_EQ(options.draw.height, 240);
}

TEST(Generate, TheLastOfSeveralValuesCounts) {
  EXPECT_EQ(generate_options({"-p", "a", "-s", "4", "--steps", "6"}).draw.steps, 6);
}

TEST(Generate, PromptsAreTakenAsTheyAre) {
  for (const char* prompt : {"", "--seed", "-W", "{}", "[a, b]", "%%", "\"quoted\"", "a=b", "--",
                             "(a:1.2) \\ $HOME", "\xe7\x8c\xab"}) {
    EXPECT_THAT(generate_options({"-p", prompt, "--seed", "1"}).prompts,
                testing::ElementsAre(prompt));
    EXPECT_THAT(generate_options({std::string("--prompt=") + prompt, "--seed", "1"}).prompts,
                testing::ElementsAre(prompt));
  }
}

TEST(Generate, RefusesWhatExcludesEachOther) {
  EXPECT_THAT(error_of({"generate"}), HasSubstr("a prompt is needed"));
  EXPECT_THAT(error_of({"generate", "-p", "a", "--seed", "1", "--seeds", "2"}),
              HasSubstr("exclude each other"));
  EXPECT_THAT(error_of({"generate", "-p", "a", "--prompt-file", "f"}),
              HasSubstr("exclude each other"));
  EXPECT_THAT(error_of({"generate", "-p", "a", "--size", "1x1", "-H", "1"}),
              HasSubstr("--size and --height"));
  EXPECT_THAT(error_of({"generate", "-p", "a", "-v", "-q"}), HasSubstr("--quiet and --verbose"));
}

TEST(Info, TakesAModelByPlaceOrName) {
  EXPECT_EQ(std::get<InfoOptions>(parse_arguments({"info"})).model.name, std::nullopt);
  EXPECT_EQ(std::get<InfoOptions>(parse_arguments({"info", "m"})).model.name, "m");
  const ModelOptions model = std::get<InfoOptions>(parse_arguments({"info", "o/n", "--revision",
                                                                    "v1", "--cache-dir", "/c"}))
                                 .model;
  EXPECT_EQ(model.name, "o/n");
  EXPECT_EQ(model.revision, "v1");
  EXPECT_EQ(model.cache_dir, "/c");
  EXPECT_EQ(std::get<InfoOptions>(parse_arguments({"info", "-m", "m"})).model.name, "m");
  EXPECT_TRUE(std::get<InfoOptions>(parse_arguments({"info", "--json"})).json);
}

TEST(Models, TakesACache) {
  const auto options =
      std::get<ModelsOptions>(parse_arguments({"models", "--cache-dir", "/c", "--json"}));
  EXPECT_EQ(options.cache_dir, "/c");
  EXPECT_TRUE(options.json);
  EXPECT_THAT(error_of({"models", "x"}), HasSubstr("unknown argument"));
}

TEST(Verify, TakesItsOptions) {
  const auto options = std::get<VerifyOptions>(
      parse_arguments({"verify", "o/n@v1", "--deep", "-t", "3", "-q", "--cache-dir", "/c"}));
  EXPECT_EQ(options.model.name, "o/n@v1");
  EXPECT_EQ(options.model.cache_dir, "/c");
  EXPECT_EQ(options.threads, 3);
  EXPECT_EQ(options.verbosity, Verbosity::Quiet);
  EXPECT_TRUE(options.deep);
  EXPECT_FALSE(options.json);
}

TEST(Bench, TakesItsOptions) {
  const auto options =
      std::get<BenchOptions>(parse_arguments({"bench", "--repeat", "5", "--size", "64x32", "-s",
                                              "2", "-t", "1", "--random-weights", "--json"}));
  EXPECT_EQ(options.repeat, 5);
  EXPECT_EQ(options.draw.width, 64);
  EXPECT_EQ(options.draw.height, 32);
  EXPECT_EQ(options.draw.steps, 2);
  EXPECT_EQ(options.draw.threads, 1);
  EXPECT_TRUE(options.random_weights && options.draw.json);
  EXPECT_FALSE(options.prompt.empty());
}

TEST(Bench, TakesAConfigurationInPlaceOfAModel) {
  const auto options =
      std::get<BenchOptions>(parse_arguments({"bench", "--config", "z-image-turbo"}));
  EXPECT_EQ(options.config, "z-image-turbo");
  EXPECT_EQ(options.draw.keep, Keep::Auto);
  EXPECT_EQ(std::get<PlanOptions>(parse_arguments({"plan", "--config", "c"})).config, "c");
  EXPECT_THAT(error_of({"bench", "--config", "c", "-m", "m"}), HasSubstr("--config and --model"));
  EXPECT_THAT(error_of({"bench", "--precision", "half"}),
              HasSubstr("auto or exact or bf16 or fast"));
  EXPECT_EQ(std::get<BenchOptions>(parse_arguments({"bench", "--encoding", "bf16"})).draw.encoding,
            "bf16");
  EXPECT_THAT(error_of({"bench", "--encoding", "q8_0"}), HasSubstr("auto or bf16 or fp8"));
}

TEST(Commands, UnknownOnesAreNamedWithTheLikelyOne) {
  EXPECT_THAT(error_of({}), HasSubstr("a command is needed"));
  EXPECT_THAT(error_of({"gen"}), HasSubstr("unknown command \"gen\""));
  EXPECT_THAT(error_of({"genrate"}), HasSubstr("did you mean generate?"));
  EXPECT_THAT(error_of({"generate", "--promt", "a"}), HasSubstr("did you mean --prompt?"));
  EXPECT_THAT(error_of({"generate", "--widht=4"}),
              HasSubstr("unknown option \"--widht\"; did you mean --width?"));
  EXPECT_THAT(error_of({"bench", "--rpeeat", "4"}), HasSubstr("(see zimage bench --help)"));
  EXPECT_THAT(error_of({"generate", "-p", "a", "-s"}), HasSubstr("-s: a value is needed"));
}

TEST(Help, IsTextAtEveryLevel) {
  for (const std::vector<std::string>& arguments : {std::vector<std::string>{"--help"},
                                                    {"generate", "-h"},
                                                    {"info", "--help"},
                                                    {"bench", "--help"}}) {
    EXPECT_THAT(std::get<ShowText>(parse_arguments(arguments)).text, HasSubstr("Examples:"));
  }
  EXPECT_EQ(std::get<ShowText>(parse_arguments({"--version"})).text,
            "zimage " + std::string(version()) + "\n");
}

}  // namespace
}  // namespace zimage::cli
