// Ranges, and what servers answer to them.
#include "download/fetch.h"

#include <charconv>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/quote.h"
#include "download/attempts.h"
#include "download/partial_file.h"

namespace zimage::download {
namespace {

constexpr int kRangeNotSatisfiable = 416;
constexpr int kPartialContent = 206;
// A server that gives what is not the file is asked once more, in case another one answers.
constexpr int kWrongAnswers = 2;

struct Range {
  std::uint64_t first = 0;
  std::optional<std::uint64_t> whole;  // absent for "*"
};

std::optional<std::uint64_t> number(std::string_view& text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc()) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return value;
}

bool skip(std::string_view& text, std::string_view word) {
  if (!text.starts_with(word)) return false;
  text.remove_prefix(word.size());
  return true;
}

// "bytes 5-9/10".
std::optional<Range> parse_range(std::string_view text) {
  if (!skip(text, "bytes ")) return std::nullopt;
  const auto first = number(text);
  if (!first || !skip(text, "-") || !number(text) || !skip(text, "/")) return std::nullopt;
  return Range{.first = *first, .whole = number(text)};
}

// Thrown through the transfer when the answer is not the file's; nobody above fetch() sees it.
class WrongAnswer : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

class Fetcher {
 public:
  Fetcher(const hub::ListedFile& file, const FilePlace& place, const FetchOptions& options)
      : file_(file),
        options_(options),
        partial_(place.partial, file, options.listener.verified, options.stop) {}

  PartialFile& partial() { return partial_; }
  std::string name() const { return printable(file_.path); }

  // One request for the rest.
  HttpResponse ask(HttpRequest& request, HttpClient& client) {
    request.first_byte = partial_.bytes();
    begun_ = false;
    const auto sink = [this, &request](const HttpResponse& head, std::string_view bytes) {
      if (!begun_) begin(head, request.first_byte);
      begun_ = true;
      if (bytes.size() > file_.bytes - partial_.bytes()) {
        throw WrongAnswer("more bytes came than the " + std::to_string(file_.bytes) +
                          " that the hub lists");
      }
      partial_.append(bytes);
      options_.listener.fetched(bytes.size());
    };
    return client.get(request, sink, options_.stop);
  }

  void restart() {
    partial_.restart();
    options_.listener.restarted();
  }

 private:
  // Holds an answer's head against what was asked for.
  void begin(const HttpResponse& head, std::uint64_t first_byte) {
    std::optional<std::uint64_t> whole = head.content_length;
    if (head.status == kPartialContent) {
      const std::optional<Range> range = parse_range(head.content_range);
      if (!range || range->first != first_byte) {
        throw WrongAnswer("the bytes from " + std::to_string(first_byte) +
                          " were asked for, and the answer is for " + quote(head.content_range));
      }
      whole = range->whole;
    } else if (first_byte > 0) {
      // The server does not know ranges, and sends it all.
      restart();
    }
    if (whole && *whole != file_.bytes) {
      throw WrongAnswer("the server has " + std::to_string(*whole) + " bytes, expected " +
                        std::to_string(file_.bytes));
    }
  }

  const hub::ListedFile& file_;
  const FetchOptions& options_;
  PartialFile partial_;
  bool begun_ = false;
};

// Until all bytes are there.
void fill(Fetcher& fetcher, HttpRequest& request, HttpClient& client, Attempts& attempts) {
  int wrong_answers = 0;
  while (!fetcher.partial().is_whole()) {
    const std::uint64_t before = fetcher.partial().bytes();
    HttpResponse response;
    try {
      response = fetcher.ask(request, client);
    } catch (const WrongAnswer& wrong) {
      fetcher.restart();
      if (++wrong_answers == kWrongAnswers) {
        fetcher.partial().discard();
        throw Error(ErrorCode::InvalidFile, fetcher.name() + ": " + wrong.what());
      }
      attempts.wait_after(wrong.what());
      continue;
    }
    if (fetcher.partial().is_whole()) return;
    if (fetcher.partial().bytes() > before) attempts.reset();
    if (response.status == kRangeNotSatisfiable && before > 0) {
      fetcher.restart();
      attempts.wait_after("the server has no bytes from " + std::to_string(before) + " on");
    } else if (response.status >= 400 || !response.failure.empty()) {
      attempts.wait_after(response);
    } else {
      attempts.wait_after("the answer ended at byte " + std::to_string(fetcher.partial().bytes()));
    }
  }
}

}  // namespace

void fetch(HttpRequest request, const hub::ListedFile& file, const FilePlace& place,
           HttpClient& client, const FetchOptions& options) {
  Fetcher fetcher(file, place, options);
  Attempts attempts(printable(file.path), options.retries, options.stop);
  for (bool is_again = false;; is_again = true) {
    const bool was_resumed = fetcher.partial().is_resumed();
    fill(fetcher, request, client, attempts);
    const std::string problem = fetcher.partial().problem();
    if (problem.empty()) break;
    fetcher.restart();
    // A wrong beginning says nothing of what the hub sends.
    if (is_again && !was_resumed) {
      fetcher.partial().discard();
      throw Error(ErrorCode::InvalidFile, printable(file.path) + ": " + problem +
                                              "; what the hub sends is not what it lists");
    }
    if (!was_resumed) attempts.wait_after(problem);
  }
  fetcher.partial().move_to(place.target);
}

}  // namespace zimage::download
