// Checks all, encodes some prompts ahead, draws one after the other.
#include "cli/drawing/job.h"

#include <fmt/format.h>

#include <algorithm>
#include <iostream>
#include <utility>

#include "base/error.h"
#include "cli/drawing/drawn_before.h"

namespace zimage::cli {
namespace {

constexpr int kSomeRefused = 4;

// All else ends every request: a device, a disk, a signal.
bool is_of_one_request(const Error& error) {
  return error.code() == ErrorCode::InvalidArgument || error.code() == ErrorCode::OutOfMemory ||
         error.code() == ErrorCode::Numerics;
}

// Calls `function`, whose errors are of what one request alone asks for.
template <typename Function>
auto as_own_mistake(const Function& function) {
  try {
    return function();
  } catch (const Error& error) {
    throw Error(ErrorCode::InvalidArgument, error.what());
  }
}

Order order_of(const Task& task) {
  if (task.confined_to) {  // also when it is drawn: a link may have come since
    const std::filesystem::path output(*task.options.output);
    confined(*task.confined_to, output.lexically_relative(*task.confined_to).string());
  }
  return make_order(task.options, *task.options.prompt);
}

// The order of a task while pictures are drawn, when a place that many tasks share may have been
// lost or filled up: that ends them all.
Order order_to_draw(const Task& task) {
  try {
    return order_of(task);
  } catch (const Error& error) {
    if (error.code() == ErrorCode::Io && !task.confined_to) throw;
    throw Error(ErrorCode::InvalidArgument, error.what());
  }
}

// Finds the pictures of an order that are there.
void find_done(Order& order, Provenance provenance) {
  for (std::size_t i = 0; i < order.outputs.size(); ++i) {
    provenance.index = order.options.only.value_or(static_cast<std::int64_t>(i));
    if (auto file = drawn_before(order.outputs[i], provenance))
      order.done.emplace(i, std::move(*file));
  }
}

}  // namespace

Job::Job(const FromImage& from, Console& console, Interrupt& interrupt)
    : from_(from),
      options_(from.options),
      console_(console),
      interrupt_(interrupt),
      lines_(read_prompts(options_, std::cin)),
      random_(random_seed()) {}

void Job::report(const std::string& source, const std::string& error) {
  console_.clear();
  console_.always("zimage: " + source + ": " + error);
  ++refused_;
}

template <typename Function>
bool Job::reports(const std::string& source, const Function& function) {
  try {
    function();
    return true;
  } catch (const Error& error) {
    if (!is_of_one_request(error)) throw;
    report(source, error.what());
    return false;
  }
}

std::string Job::how_to_go_on() const {
  return fmt::format("{} of {} pictures are there, and the same command {}goes on from there",
                     done_, pictures_, uses_random_ ? fmt::format("with --seed {} ", random_) : "");
}

void Job::make_tasks() {
  TaskNames names(options_);
  for (const PromptLine& line : lines_) {
    if (line.error) {
      report(line.source, *line.error);
      continue;
    }
    std::vector<std::uint64_t> seeds = line.options.seeds;
    if (seeds.empty()) {
      uses_random_ = uses_random_ || !line.options.seed;
      seeds.push_back(line.options.seed.value_or(random_));
    }
    for (const std::uint64_t seed : seeds) {
      Task task{
          .source = seeds.size() > 1 ? fmt::format("{}, seed {}", line.source, seed) : line.source,
          .options = line.options};
      task.options.seed = seed;
      const bool is_named =
          reports(task.source, [&] { as_own_mistake([&] { names.name(task, line); }); });
      if (!is_named) break;  // it would be said again of the other seeds
      tasks_.push_back(std::move(task));
    }
  }
}

void Job::check_tasks(DrawingSession& session) {
  std::vector<Task> due;
  for (Task& task : tasks_) {
    interrupt_.throw_if_stopped();
    std::size_t count = 0;
    std::size_t there = 0;
    const bool is_good = reports(task.source, [&] {
      Order order = as_own_mistake([&] { return order_of(task); });
      count = order.outputs.size();
      Provenance provenance = session.provenance(order);
      if (!options_.force) find_done(order, std::move(provenance));
      there = order.done.size();
      if (there == count) session.print_done(order);
    });
    if (!is_good) continue;
    pictures_ += count;
    done_ += there;
    if (there < count) due.push_back(std::move(task));
  }
  tasks_ = std::move(due);
}

std::size_t Job::encode_ahead(DrawingSession& session, std::size_t first) {
  // So many that loading the encoder for them counts little, and so few that the first picture does
  // not wait for long.
  constexpr std::size_t kTasks = 32;
  std::vector<std::string> prompts;
  std::vector<std::size_t> ends;  // of each task
  for (std::size_t i = first; i < std::min(first + kTasks, tasks_.size()); ++i) {
    const GenerateOptions& options = tasks_[i].options;
    prompts.push_back(*options.prompt);
    if (*session.complete({.prompt = "", .guidance = options.draw.guidance}).guidance > 0)
      prompts.push_back(options.draw.negative_prompt);
    ends.push_back(prompts.size());
  }
  const std::size_t encoded = session.encode(prompts, interrupt_.token());
  const auto end = std::upper_bound(ends.begin(), ends.end(), encoded);
  return first + std::max<std::size_t>(static_cast<std::size_t>(end - ends.begin()), 1);
}

void Job::draw_tasks(DrawingSession& session) {
  std::size_t encoded = 0;
  for (std::size_t i = 0; i < tasks_.size(); ++i) {
    interrupt_.throw_if_stopped();
    if (i >= encoded) {
      console_.set_prefix("");
      encoded = encode_ahead(session, i);
    }
    console_.set_prefix(fmt::format("picture {} of {}: ", done_ + 1, pictures_));
    reports(tasks_[i].source, [&] {
      Order order = order_to_draw(tasks_[i]);
      if (!options_.force) find_done(order, session.provenance(order));
      const std::size_t missing = order.outputs.size() - order.done.size();
      session.print_done(order);
      session.draw(order, interrupt_.token());
      done_ += missing;
    });
  }
  console_.set_prefix("");
}

Order Job::command_order() const {
  const bool shares_place = std::any_of(lines_.begin(), lines_.end(), [](const PromptLine& line) {
    return !line.error && !line.has_own_output;
  });
  check_shared_place(options_, shares_place);
  return make_order_without_place(options_, "");
}

int Job::run() {
  const Order shared = command_order();
  make_tasks();
  if (tasks_.empty()) return kSomeRefused;
  if (uses_random_) console_.note(fmt::format("seed {}", random_));
  DrawingSession session(options_.draw, console_);
  for (const std::string& note : source_notes(from_, session.model())) console_.note(note);
  session.provenance(shared);
  check_tasks(session);
  try {
    if (done_ > 0)
      console_.note(fmt::format("{} of {} pictures are there already", done_, pictures_));
    draw_tasks(session);
  } catch (const Error& error) {
    console_.clear();
    const bool stopped = error.code() == ErrorCode::Cancelled;
    throw Error(error.code(),
                (stopped ? "interrupted" : std::string(error.what())) + "; " + how_to_go_on());
  }
  console_.clear();
  return refused_ > 0 ? kSomeRefused : 0;
}

}  // namespace zimage::cli
