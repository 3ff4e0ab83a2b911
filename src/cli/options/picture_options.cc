// Names and help.
#include "cli/options/picture_options.h"

#include "cli/options/model_options.h"
#include "cli/options/values.h"
#include "pipeline/request_limits.h"

namespace zimage::cli {
namespace {

constexpr const char* kShowMetadataFooter =
    "Examples:\n"
    "  zimage show-metadata leaf.png\n"
    "  zimage show-metadata leaf.webp --json | jq .request.seed\n";

// An empty name takes away the file that would be taken otherwise.
auto take_file(std::optional<std::string>& target) {
  return [&target](const std::string& text) {
    target = text.empty() ? std::nullopt : std::optional(text);
  };
}

}  // namespace

void add_pictures(CLI::App& app, PictureOptions& options) {
  add_value(
      app, "--init-image", "FILE", take_file(options.init_image),
      "A PNG, JPEG or WebP picture to begin from. Of another size than is drawn, its middle "
      "part\n"
      "of those proportions is scaled; without --size or one side of it, its own size is drawn;\n"
      "an empty name is none, such as in place of --from-image's (default: none)")
      ->group("Picture to begin from");
  add_value(
      app, "--strength", "SHARE",
      [&options](const std::string& text) { options.strength = parse_number("--strength", text); },
      "Which share of the steps is drawn: more changes the picture more (above 0 up to 1; "
      "default:\n"
      "0.6, with --mask 1)")
      ->group("Picture to begin from");
  add_value(
      app, "--mask", "FILE", take_file(options.mask),
      "A picture laid over --init-image: white is drawn anew, black and transparent is kept;\n"
      "an empty name is none (default: none, everything is drawn anew)")
      ->group("Picture to begin from");
  app.add_flag(
         "--no-composite", options.no_composite,
         "With --mask: leave what is kept as the autoencoder gives it back, as the reference\n"
         "does, in place of the init image's own pixels; =false takes that of --from-image back")
      ->group("Picture to begin from");
}

void add_allow_flat(CLI::App& app, DrawOptions& options) {
  app.add_flag("--allow-flat", options.allow_flat,
               "Write a picture of one colour too, which is refused as a failure otherwise")
      ->group("Picture");
}

void add_from_image(CLI::App& app, GenerateOptions& options) {
  add_text(app, "--from-image", "FILE", options.from_image,
           "Draw a picture again as its metadata says, zimage's or A1111's; every other option\n"
           "overrides what the file holds, and the model is that of -m (default: none)")
      ->group("Picture");
}

void add_show(CLI::App& app, ShowOptions& options) {
  add_value(
      app, "--preview", "N",
      [&options](const std::string& text) {
        options.every = parse_small_count("--preview", text, static_cast<int>(kMaxSteps));
      },
      "After every N steps show in the terminal what the picture will be, an eighth of its size;\n"
      "where the terminal shows no pictures, in a file NAME-preview.png beside the picture, which\n"
      "each preview replaces; those that would take over a hundredth of the time are left out, "
      "but\n"
      "never the last (1 to " +
          std::to_string(kMaxSteps) + "; default: none)")
      ->group("While drawing");
  app.add_flag("--show", options.picture, "Show the picture in the terminal when it is done")
      ->group("While drawing");
  add_value(
      app, "--terminal-graphics", "KIND",
      [&options](const std::string& text) {
        options.graphics =
            parse_choice("--terminal-graphics", text, {"auto", "kitty", "iterm2", "sixel", "none"});
      },
      "How the terminal shows pictures: kitty, iterm2, sixel, none, or auto, by its environment\n"
      "variables, and where they do not say by asking it; nothing is sent to what is no terminal\n"
      "(default: auto)")
      ->group("While drawing");
}

void add_format(CLI::App& app, GenerateOptions& options) {
  add_value(
      app, "--format", "FORMAT",
      [&options](const std::string& text) {
        options.format =
            format_of_extension(parse_choice("--format", text, {"png", "jpeg", "webp"}));
      },
      "What is written: png, jpeg or webp (default: as the name of --output ends, else png)")
      ->group("Picture file");
  add_value(
      app, "--quality", "N",
      [&options](const std::string& text) {
        options.quality = parse_small_count("--quality", text, kMaxQuality);
      },
      "Of jpeg and webp: more is larger and nearer to what was drawn; from 90 on, jpeg keeps the\n"
      "colour of every pixel (1 to " +
          std::to_string(kMaxQuality) + "; default: " + std::to_string(options.quality) + ")")
      ->group("Picture file");
}

void add_show_metadata(CLI::App& app, ShowMetadataOptions& options) {
  app.add_option("FILE", options.file,
                 "A PNG, JPEG or WebP picture, drawn by zimage, A1111's web UI or a program that\n"
                 "writes as that does")
      ->required();
  app.add_flag("--json", options.json,
               "Print one line of JSON: the request as this program reads it, and the file's own "
               "fields");
  app.footer(kShowMetadataFooter);
}

}  // namespace zimage::cli
