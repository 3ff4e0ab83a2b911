// Prompt to token ids: byte-level BPE as tokenizer.json defines it (Qwen2/Qwen3 family).
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace zimage {

// Immutable after construction; safe to use from several threads.
class Tokenizer {
 public:
  // Reads a tokenizer.json: NFC normaliser, Split + ByteLevel pre-tokeniser, BPE merges, added
  // tokens. Throws NotFound, InvalidFile, or Unsupported for a component that is none of these.
  static Tokenizer open(const std::filesystem::path& file);
  // The same from the file's text; `name` stands for it in messages.
  static Tokenizer parse(std::string_view json, const std::string& name);

  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;
  ~Tokenizer();

  // Added tokens in the text become their ids; no template. Throws InvalidArgument when the text is
  // not UTF-8, naming the byte's offset.
  std::vector<std::int32_t> encode(std::string_view text) const;
  // Ids of all tokens: 0 to size() - 1.
  std::int32_t size() const;

 private:
  struct Model;
  explicit Tokenizer(std::unique_ptr<const Model> model);
  std::unique_ptr<const Model> model_;
};

// The Qwen3 chat template for one user message with a generation prompt, thinking enabled:
// "<|im_start|>user\n" + prompt + "<|im_end|>\n<|im_start|>assistant\n".
// Source: diffusers ZImagePipeline._encode_prompt.
std::string apply_chat_template(std::string_view prompt);

}  // namespace zimage
