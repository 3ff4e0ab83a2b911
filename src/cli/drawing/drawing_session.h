// An open model that draws one request after the other. What enters: options and a prompt; what
// leaves: picture files, their paths on standard output, and messages on a console.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "cli/drawing/output_file.h"
#include "cli/options/options.h"
#include "cli/terminal/console.h"
#include "image/encode.h"
#include "metadata/metadata.h"
#include "pipeline/locate_model.h"
#include "pipeline/pipeline.h"

namespace zimage::cli {

// What is to be drawn and where it goes: all that can be refused without a model.
struct Order {
  std::chrono::steady_clock::time_point start;  // of its making, from which its time is counted
  Request request;
  GenerateOptions options;  // of the files and of what is told
  SourceFiles sources;
  EncodeOptions encoding;
  std::vector<OutputFile> outputs;  // one for each picture; each was tried
  // Those that are not to be written: they are there, under these names.
  std::map<std::size_t, std::filesystem::path> done = {};
};

// Reads the pictures to begin from, chooses a seed where the options have none, and tries the
// places of the output. Throws what those throw; InvalidArgument for a prompt that is no UTF-8.
Order make_order(const GenerateOptions& options, std::string prompt);
// The same of an order that goes nowhere: it has no outputs.
Order make_order_without_place(const GenerateOptions& options, std::string prompt);

std::uint64_t random_seed();

class DrawingSession {
 public:
  // Finds and opens the model of the options, and tells which it is. Throws what find_model() and
  // Pipeline() throw. `console` must outlive this.
  DrawingSession(const DrawOptions& options, Console& console);

  // The request with the model's defaults. Throws InvalidArgument.
  Request complete(const Request& request) const { return pipeline_.complete(request); }
  // What the first of an order's pictures will say. Throws InvalidArgument for a request, or for
  // what its format cannot hold.
  Provenance provenance(const Order& order) const;
  // As Pipeline::encode(), with its progress on the console.
  std::size_t encode(std::span<const std::string> prompts, const std::stop_token& stop);
  const std::string& model() const { return model_; }
  const std::string& device() const { return device_; }

  // Draws and writes the order's pictures, and prints the path of each (or its JSON line) to
  // standard output as soon as it is there. Machine and model of its options are not looked at.
  // Returns the seconds since the order was made. Throws what Pipeline::generate() and
  // OutputFile::write() throw; Cancelled after `stop`.
  double draw(const Order& order, const std::stop_token& stop);
  // With --json, prints a line for each of the order's pictures that are there, without what is
  // known of those alone that were drawn now: tokens, device, times, memory and version.
  void print_done(const Order& order) const;

 private:
  DrawingSession(const DrawOptions& options, const ModelLocation& place, Console& console);
  void tell_notes(const Request& request);

  Console& console_;
  std::string model_;  // its name
  Pipeline pipeline_;
  std::string device_;
  std::vector<std::string> told_;  // notes, each of which is told once
};

}  // namespace zimage::cli
