// Prints what a model folder holds.
#include "cli/info.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstdint>

#include "base/bytes_text.h"
#include "base/json_line.h"
#include "base/quote.h"
#include "cli/options/default_model.h"
#include "cli/terminal/console.h"
#include "cli/terminal/descriptors.h"

namespace zimage::cli {
namespace {

// "6.15 G", "25.6 M", "912".
std::string count_text(std::int64_t count) {
  const auto value = static_cast<double>(count);
  if (count >= 1'000'000'000) return fmt::format("{:.2f} G", value / 1e9);
  if (count >= 1'000'000) return fmt::format("{:.2f} M", value / 1e6);
  if (count >= 1'000) return fmt::format("{:.2f} k", value / 1e3);
  return fmt::format("{}", count);
}

std::string dtypes_text(const ModelPart& part) {
  if (part.dtypes.size() == 1) return part.dtypes.front().first;
  std::string text;
  for (const auto& [name, count] : part.dtypes) {
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", name, count_text(count));
  }
  return text.empty() ? "-" : text;
}

std::string row(const std::string& name, const ModelPart& part) {
  return fmt::format("{:<14}{:>9}{:>12}{:>13}  {}\n", name, part.tensors,
                     count_text(part.parameters), bytes_text(part.bytes), dtypes_text(part));
}

OrderedJson part_json(const ModelPart& part) {
  OrderedJson dtypes = OrderedJson::object();
  for (const auto& [name, count] : part.dtypes) dtypes[name] = count;
  OrderedJson files = OrderedJson::array();
  for (const auto& [name, bytes] : part.files) files.push_back({{"name", name}, {"bytes", bytes}});
  return {{"name", part.name},       {"class", part.class_name},
          {"tensors", part.tensors}, {"parameters", part.parameters},
          {"bytes", part.bytes},     {"dtypes", dtypes},
          {"widened", part.widened}, {"files", files}};
}

}  // namespace

std::string info_table(const ModelInfo& model) {
  std::string text =
      fmt::format("{} ({})\n\n", printable(model.folder.string()), printable(model.class_name));
  text += fmt::format("{:<14}{:>9}{:>12}{:>13}  {}\n", "part", "tensors", "parameters", "bytes",
                      "dtypes");
  for (const ModelPart& part : model.parts) {
    if (part.tensors > 0) text += row(part.name, part);
  }
  text += row("total", model.total);
  if (!model.total.widened.empty()) {
    text +=
        fmt::format("\n{}: widened to bf16 when loaded\n", fmt::join(model.total.widened, ", "));
  }
  text += "\nfiles\n";
  for (const ModelPart& part : model.parts) {
    for (const auto& [name, bytes] : part.files) {
      text += fmt::format("  {:<70}{:>12}\n", printable(part.name + "/" + name), bytes_text(bytes));
    }
  }
  return text;
}

std::string info_json(const ModelInfo& model) {
  OrderedJson parts = OrderedJson::array();
  for (const ModelPart& part : model.parts) parts.push_back(part_json(part));
  return json_line({{"model", model_name(model.folder)},
                    {"folder", model.folder.string()},
                    {"class", model.class_name},
                    {"tensors", model.total.tensors},
                    {"parameters", model.total.parameters},
                    {"bytes", model.total.bytes},
                    {"parts", parts}});
}

void info(const InfoOptions& options) {
  Console console(Verbosity::Normal);
  const LogToConsole log(console);
  const ModelLocation place = find_model(options.model, ModelPlaces::of_this_process());
  const ModelInfo model = read_model_info(place);
  print_to_stdout(options.json ? info_json(model) + "\n" : info_table(model));
}

}  // namespace zimage::cli
