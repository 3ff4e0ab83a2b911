// Arguments -> what to do. Everything that can be refused without opening a file is refused here.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "cli/options/values.h"
#include "cli/terminal/verbosity.h"
#include "convert/convert.h"
#include "hub/cache_places.h"
#include "hub/model_name.h"
#include "image/encode.h"
#include "pipeline/pipeline.h"

namespace zimage::cli {

// Which model, and where it is looked for.
struct ModelOptions {
  // A folder, or OWNER/NAME[@REVISION]; absent: the default.
  std::optional<std::string> name = {};
  std::optional<std::string> revision = {};  // of a hub
  std::optional<std::string> cache_dir = {};
  // Files in place of the model's parts.
  std::optional<std::string> transformer = {};
  std::optional<std::string> text_encoder = {};
  std::optional<std::string> vae = {};
  std::optional<std::string> tokenizer = {};  // or a folder that holds tokenizer.json
};

// A picture to begin from.
struct PictureOptions {
  std::optional<std::string> init_image = {};  // a file
  std::optional<double> strength = {};
  std::optional<std::string> mask = {};  // a file
  bool no_composite = false;
};

// What `generate`, `plan` and `bench` share: which pictures, and where they are computed.
struct DrawOptions {
  ModelOptions model;
  std::optional<std::int64_t> width;
  std::optional<std::int64_t> height;
  std::optional<std::int64_t> steps;
  Sampler sampler = Sampler::Euler;
  std::vector<double> sigmas;  // empty: by the number of steps
  std::optional<double> shift;
  std::optional<double> guidance;
  std::string negative_prompt;
  double cfg_normalization = 0;
  double cfg_truncation = 1;
  double seed_variety = 0;
  PictureOptions pictures;
  std::int64_t count = 1;  // pictures
  std::string device = "auto";
  std::string precision = "auto";
  std::string encoding = "auto";
  Keep keep = Keep::None;  // what is drawn once has no use for a network whose stage has ended
  std::size_t memory_limit = 0;  // bytes; 0: what is free
  LoadMode load = LoadMode::Map;
  WeightType weights = WeightType::Stored;
  std::optional<std::string> weights_cache = {};  // a folder
  int threads = 0;                                // 0: one for each core this process may use
  std::string cpu_kernel = "best";
  bool allow_flat = false;
  bool json = false;
};

// What a person sees of pictures.
struct ShowOptions {
  std::int64_t every = 0;         // evaluations between previews; 0: none
  bool picture = false;           // in the terminal, when it is done
  std::string graphics = "auto";  // or kitty, iterm2, sixel, none
};

struct GenerateOptions {
  DrawOptions draw;
  ShowOptions show;
  std::optional<PictureFormat> format = {};  // absent: by the output's name, else PNG
  int quality = 90;
  std::optional<std::string> from_image = {};  // a picture whose request fills in what is not given
  std::optional<std::int64_t> only = {};       // of the pictures that are drawn, the one to write
  std::set<std::string> given = {};  // the options on the command line, by their long names
  // Without from_image exactly one of the two is present.
  std::optional<std::string> prompt;       // the last one
  std::vector<std::string> prompts = {};   // every one that was given
  std::optional<std::string> prompt_file;  // "-" is standard input
  std::optional<std::string> output;       // "-" is standard output
  // At most one of the two; neither: a random one.
  std::optional<std::uint64_t> seed;
  std::vector<std::uint64_t> seeds = {};
  RngKind rng = RngKind::Cpu;
  Verbosity verbosity = Verbosity::Normal;
  bool force = false;

  // Whether it asks for several requests: of several prompts or seeds, or as many as a file says.
  bool is_job() const { return prompt_file || prompts.size() > 1 || !seeds.empty(); }
};

// Options of `generate` that were given: their long names without dashes, and the text of their
// values, absent for those that take none.
using Settings = std::map<std::string, std::optional<std::string>>;

struct ReplOptions {
  Settings settings;        // to begin with
  GenerateOptions drawing;  // what they mean
};

struct InfoOptions {
  ModelOptions model;
  bool json = false;
};

struct ShowMetadataOptions {
  std::string file;
  bool json = false;
};

struct ModelsOptions {
  std::optional<std::string> cache_dir;
  bool json = false;
};

struct VerifyOptions {
  ModelOptions model;
  int threads = 0;  // 0: one for each core this process may use
  Verbosity verbosity = Verbosity::Normal;
  bool deep = false;
  bool json = false;
};

struct BenchOptions {
  DrawOptions draw;
  std::string prompt = "a red apple on a wooden table";
  int repeat = 3;
  std::optional<std::string> config =
      {};                       // in place of a model: its configuration, by name or folder
  bool random_weights = false;  // only the model's configuration is read
};

struct PlanOptions {
  DrawOptions draw;  // of the device "auto": every device that there is
  std::string prompt = "a red apple on a wooden table";
  std::vector<Size> sizes;  // empty: draw's, or the model's
  std::optional<std::string> config =
      {};                       // in place of a model: its configuration, by name or folder
  bool random_weights = false;  // only the model's configuration is read
};

struct PullOptions {
  hub::ModelName name;
  hub::HubKind hub = hub::HubKind::HuggingFace;
  std::vector<std::string> include;
  std::optional<std::string> to;
  std::optional<std::string> cache_dir;
  int retries = 7;
  Verbosity verbosity = Verbosity::Normal;
  bool json = false;
};

struct ConvertOptions {
  std::string in;   // a file of weights, or a model as ModelOptions::name
  std::string out;  // a file or a folder
  TargetEncoding encoding = TargetEncoding::Bf16;
  std::optional<Container> container = {};
  std::optional<std::string> part = {};
  std::optional<std::string> tokenizer = {};
  std::optional<std::string> revision = {};
  std::optional<std::string> cache_dir = {};
  std::uint64_t max_shard_bytes = kMaxShardBytes;
  int threads = 0;  // 0: one for each core this process may use
  Verbosity verbosity = Verbosity::Normal;
  bool force = false;
  bool json = false;
};

// Help or version: to be printed to standard output.
struct ShowText {
  std::string text;
};

using Command =
    std::variant<ShowText, GenerateOptions, ReplOptions, InfoOptions, BenchOptions, PlanOptions,
                 ModelsOptions, VerifyOptions, PullOptions, ConvertOptions, ShowMetadataOptions>;

// `arguments` are those after the program's name. Throws InvalidArgument: an unknown command or
// option (with the one that was probably meant), a value that has no meaning, options that exclude
// each other.
Command parse_arguments(const std::vector<std::string>& arguments);

// What `settings` mean, by the rules of the command line: of a drawing without its prompt. Throws
// as parse_arguments() does.
GenerateOptions drawing_options(const Settings& settings);

// An option of those settings, as help tells it.
struct OptionText {
  std::string name;                   // long, without dashes
  std::string names;                  // "-s,--steps"
  std::string value;                  // what stands for its value; empty for one that takes none
  std::string help;                   // ends with its range and its default
  std::string group;                  // "Machine"
  std::vector<std::string> excludes;  // names of those that cannot be given beside it
};
std::vector<OptionText> drawing_option_texts();

// The options of one prompt of many, in place of those that `options` has: everything that says
// what is drawn, and --output; `arguments` are "--name=value" or "--flag", and name the prompt.
// Throws as parse_arguments() does.
void parse_line_arguments(GenerateOptions& options, const std::vector<std::string>& arguments);

}  // namespace zimage::cli
