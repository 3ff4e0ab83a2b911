// What to fetch, from where and to where.
#include "cli/options/pull_options.h"

#include "base/error.h"
#include "base/quote.h"
#include "cli/options/model_options.h"
#include "cli/options/values.h"
#include "hub/model_name.h"

namespace zimage::cli {
namespace {

constexpr int kMaxRetries = 100;

constexpr const char* kPullFooter =
    "Examples:\n"
    "  zimage pull Tongyi-MAI/Z-Image-Turbo\n"
    "  zimage pull Tongyi-MAI/Z-Image-Turbo --from modelscope --to ~/models/Z-Image-Turbo\n"
    "\n"
    "Files go where the hub's own client would put them, and are found there by it and by -m "
    "NAME.\n"
    "What is there is verified and kept; what was cut short goes on where it ended. HF_ENDPOINT,\n"
    "HF_TOKEN, HF_HUB_OFFLINE, MODELSCOPE_ENDPOINT, MODELSCOPE_DOMAIN, MODELSCOPE_API_TOKEN, the\n"
    "caches' variables, the proxies' (https_proxy, no_proxy) and the certificates' "
    "(CURL_CA_BUNDLE,\n"
    "SSL_CERT_FILE) count.\n";

}  // namespace

void add_pull(CLI::App& app, PullOptions& options, PullText& text) {
  app.add_option("NAME", text.name, "OWNER/NAME or OWNER/NAME@REVISION")
      ->required()
      ->multi_option_policy(CLI::MultiOptionPolicy::Throw);
  add_value(
      app, "--from", "HUB",
      [&options](const std::string& value) {
        const bool is_hf = parse_choice("--from", value, {"hf", "modelscope"}) == "hf";
        options.hub = is_hf ? hub::HubKind::HuggingFace : hub::HubKind::ModelScope;
      },
      "hf (Hugging Face) or modelscope (default: hf)");
  add_text(app, "--revision", "REVISION", text.revision,
           "A branch, tag or commit (default: the hub's)");
  app.add_option(
         "--include", options.include,
         "Only paths that match, such as \"vae/*\" (* also for /); may be repeated (default:\n"
         "every path)")
      ->type_name("GLOB")
      ->allow_extra_args(false);
  add_text(app, "--to", "FOLDER", options.to,
           "A plain folder instead of the hub's cache (default: none)");
  add_text(app, "--cache-dir", "FOLDER", options.cache_dir,
           "The cache (default: where the hub's client keeps its own)");
  add_value(
      app, "--retries", "N",
      [&options](const std::string& value) {
        options.retries = parse_small_count("--retries", value, kMaxRetries);
      },
      "Attempts at a file that bring nothing, after the first (1 to " +
          std::to_string(kMaxRetries) + "; default: " + std::to_string(options.retries) + ")");
  app.add_flag_callback(
         "-v,--verbose", [&options] { options.verbosity = Verbosity::Verbose; },
         "Print each attempt that failed")
      ->group("Messages");
  app.add_flag_callback(
         "-q,--quiet", [&options] { options.verbosity = Verbosity::Quiet; },
         "Print the folder's path and errors only")
      ->group("Messages");
  app.add_flag("--json", options.json, "Print one line of JSON instead of the path")
      ->group("Messages");
  app.footer(kPullFooter);
}

PullOptions pull_options(PullOptions options, const PullText& text) {
  const auto name = hub::parse_model_name(text.name);
  if (!name) {
    throw Error(ErrorCode::InvalidArgument,
                "NAME: expected OWNER/NAME or OWNER/NAME@REVISION, found " + quote(text.name));
  }
  options.name = *name;
  if (!text.revision) return options;
  if (!hub::is_revision(*text.revision)) {
    throw Error(ErrorCode::InvalidArgument,
                "--revision: expected a branch, a tag or a commit, found " + quote(*text.revision));
  }
  if (name->revision && *name->revision != *text.revision) {
    throw Error(ErrorCode::InvalidArgument, "--revision and the name's @REVISION differ");
  }
  options.name.revision = text.revision;
  return options;
}

}  // namespace zimage::cli
