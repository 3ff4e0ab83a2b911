// Prints what the caches hold.
#include "cli/models.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "base/bytes_text.h"
#include "base/json_line.h"
#include "base/quote.h"
#include "cli/terminal/console.h"
#include "cli/terminal/descriptors.h"

namespace zimage::cli {
namespace {

constexpr std::size_t kShortCommit = 12;
constexpr std::size_t kMaxDefects = 4;

// "main (0123456789ab)", "0123456789ab", "master", "-".
std::string revision_text(const ListedModel& model) {
  if (model.revision.empty()) return "-";
  std::string revision = printable(model.revision);
  if (revision.size() > 2 * kShortCommit) revision.resize(kShortCommit);
  if (model.references.empty()) return revision;
  return fmt::format("{} ({})", printable(fmt::format("{}", fmt::join(model.references, ", "))),
                     revision);
}

std::string dtypes_text(const ListedModel& model) {
  return model.dtypes.empty() ? "-" : fmt::format("{}", fmt::join(model.dtypes, ", "));
}

void add_row(std::string& text, const ListedModel& model, std::size_t width) {
  text += fmt::format("{:<{}}  {:<22}{:>12}  {:<12}  {}\n", printable(model.name), width,
                      revision_text(model), bytes_text(model.bytes), dtypes_text(model),
                      model.defects.empty() ? "complete" : "incomplete");
  text += fmt::format("  {} ({}, {})\n", printable(model.folder.string()), model.hub, model.source);
  for (std::size_t i = 0; i < model.defects.size(); ++i) {
    if (i == kMaxDefects) {
      text += fmt::format("  and {} more\n", model.defects.size() - i);
      break;
    }
    text += fmt::format("  lacks {}\n", model.defects[i]);
  }
}

}  // namespace

std::string models_table(const ModelList& list) {
  std::size_t width = 4;
  for (const ListedModel& model : list.models) {
    width = std::max(width, printable(model.name).size());
  }
  std::string text = fmt::format("{:<{}}  {:<22}{:>12}  {:<12}  {}\n", "name", width, "revision",
                                 "bytes", "dtypes", "state");
  for (const ListedModel& model : list.models) add_row(text, model, width);
  return text;
}

std::string models_json(const ModelList& list) {
  OrderedJson models = OrderedJson::array();
  for (const ListedModel& model : list.models) {
    models.push_back({{"name", model.name},
                      {"revision", model.revision},
                      {"references", model.references},
                      {"hub", model.hub},
                      {"source", model.source},
                      {"folder", model.folder.string()},
                      {"bytes", model.bytes},
                      {"dtypes", model.dtypes},
                      {"complete", model.defects.empty()},
                      {"defects", model.defects}});
  }
  OrderedJson places = OrderedJson::array();
  for (const auto& place : list.places) places.push_back(place.string());
  OrderedJson refusals = OrderedJson::array();
  for (const auto& [path, reason] : list.refusals) {
    refusals.push_back({{"path", path.string()}, {"reason", reason}});
  }
  return json_line({{"models", models}, {"places", places}, {"refusals", refusals}});
}

void models(const ModelsOptions& options) {
  Console console(Verbosity::Normal);
  const LogToConsole log(console);
  const ModelList list = list_models(options.cache_dir);
  if (options.json) {
    print_to_stdout(models_json(list) + "\n");
    return;
  }
  if (!list.models.empty()) print_to_stdout(models_table(list));
  if (list.models.empty()) console.note("no cache holds a model; looked at:");
  for (const auto& [path, reason] : list.refusals) {
    // An absent place is worth a line only when nothing was found.
    if (!list.models.empty() && reason == "absent") continue;
    console.note(fmt::format("  {}: {}", printable(path.string()), reason));
  }
  if (!list.models.empty()) return;
  for (const auto& place : list.places) {
    const auto is_place = [&place](const auto& refusal) { return refusal.first == place; };
    if (std::ranges::none_of(list.refusals, is_place)) {
      console.note(fmt::format("  {}: holds none", printable(place.string())));
    }
  }
}

}  // namespace zimage::cli
