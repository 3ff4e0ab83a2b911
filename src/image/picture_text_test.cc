// Texts of files that this program writes, that others write, and of damaged ones.
#include "image/picture_text.h"

#include <gmock/gmock.h>
#include <zlib.h>

#include "base/error.h"
#include "error_of.h"
#include "image/encode.h"

namespace zimage {
namespace {

using ::testing::HasSubstr;
using Bytes = std::vector<std::uint8_t>;

template <typename Function>
std::string message_of(const Function& function) {
  return error_of(function).what();
}

Image picture() {
  return {.width = 2, .height = 1, .rgb = {1, 2, 3, 4, 5, 6}};
}

void put(Bytes& bytes, std::string_view text) {
  for (const char letter : text) bytes.push_back(static_cast<std::uint8_t>(letter));
}

void put_number(Bytes& bytes, std::size_t value) {
  for (int shift = 24; shift >= 0; shift -= 8)
    bytes.push_back(static_cast<std::uint8_t>(value >> shift & 0xff));
}

Bytes chunk(std::string_view type, std::string_view data) {
  Bytes bytes;
  put_number(bytes, data.size());
  put(bytes, type);
  put(bytes, data);
  put_number(bytes, crc32(0, bytes.data() + 4, static_cast<uInt>(bytes.size() - 4)));
  return bytes;
}

std::string packed(std::string_view text) {
  std::string bytes(compressBound(text.size()), '\0');
  uLongf size = bytes.size();
  compress(reinterpret_cast<Bytef*>(bytes.data()), &size,
           reinterpret_cast<const Bytef*>(text.data()), text.size());
  bytes.resize(size);
  return bytes;
}

// A PNG with `added` before its end.
Bytes png_with(const Bytes& added) {
  Bytes bytes = encode_png(picture(), {});
  bytes.insert(bytes.end() - 12, added.begin(), added.end());
  return bytes;
}

ImageText texts_of(const Bytes& bytes) {
  return read_picture_text(bytes, "x");
}

TEST(PictureText, GivesBackWhatEachFormatWrites) {
  const ImageText text = {{"parameters", "caf\xc3\xa9 \xe7\x8c\xab \xf0\x9f\x90\x88\nSteps: 1"},
                          {"zimage", R"({"prompt":"caf\u00e9"})"}};
  EXPECT_EQ(texts_of(encode_picture(picture(), text, {})), text);
  for (const PictureFormat format : {PictureFormat::Jpeg, PictureFormat::Webp}) {
    const ImageText read = texts_of(encode_picture(picture(), text, {.format = format}));
    EXPECT_EQ(read, (ImageText{text[0], {"ImageDescription", text[1].second}}));
  }
}

// Latin-1 that happens to be UTF-8 is written as what cannot be taken for something else.
TEST(PictureText, KeepsTextThatCouldBeReadTwoWays) {
  const ImageText text = {{"parameters", "\xc3\x83\xc2\xa9"}};
  EXPECT_EQ(texts_of(encode_png(picture(), text)), text);
}

TEST(PictureText, ReadsEveryKindOfChunk) {
  EXPECT_EQ(texts_of(png_with(chunk("tEXt", std::string_view("k\0caf\xe9", 6)))),
            (ImageText{{"k", "caf\xc3\xa9"}}));
  EXPECT_EQ(texts_of(png_with(chunk("tEXt", std::string_view("k\0caf\xc3\xa9", 7)))),
            (ImageText{{"k", "caf\xc3\xa9"}}));
  EXPECT_EQ(texts_of(png_with(chunk("zTXt", std::string("k\0\0", 3) + packed("a text")))),
            (ImageText{{"k", "a text"}}));
  EXPECT_EQ(texts_of(png_with(chunk("iTXt", std::string_view("k\0\0\0de\0K\0caf\xc3\xa9", 14)))),
            (ImageText{{"k", "caf\xc3\xa9"}}));
  EXPECT_EQ(
      texts_of(png_with(chunk("iTXt", std::string("k\0\1\0\0\0", 6) + packed("caf\xc3\xa9")))),
      (ImageText{{"k", "caf\xc3\xa9"}}));
}

TEST(PictureText, RefusesDamageInOneSentence) {
  const Bytes whole = encode_png(picture(), {{"parameters", "a long text of somebody's"}});
  for (std::ptrdiff_t size = 8; size < std::ssize(whole); size += 5) {
    EXPECT_THAT(message_of([&] { texts_of(Bytes(whole.begin(), whole.begin() + size)); }),
                HasSubstr("damaged PNG (it ends inside a chunk)"));
  }
  Bytes changed = whole;
  changed[60] ^= 1;
  EXPECT_THAT(message_of([&] { texts_of(changed); }), HasSubstr("the sum of a text is wrong"));
  EXPECT_THAT(message_of([&] { texts_of(png_with(chunk("tEXt", "no end"))); }),
              HasSubstr("a text without a keyword"));
  std::string cut = std::string("k\0\0", 3) + packed("a text");
  cut.resize(cut.size() - 6);
  EXPECT_THAT(message_of([&] { texts_of(png_with(chunk("zTXt", cut))); }),
              HasSubstr("text \"k\" cannot be unpacked"));
  EXPECT_THAT(message_of([] { read_picture_text(Bytes{'G', 'I', 'F', '8'}, "x"); }),
              HasSubstr("a GIF picture, expected PNG, JPEG or WebP"));
}

TEST(PictureText, UnpacksNoMoreThanTheLimit) {
  const std::string large(kMaxTextBytes + 1, 'a');
  EXPECT_THAT(message_of([&] {
                texts_of(png_with(chunk("zTXt", std::string("k\0\0", 3) + packed(large))));
              }),
              HasSubstr("too long"));
}

TEST(PictureText, RefusesALossyFileThatEndsTooEarly) {
  const ImageText text = {{"parameters", "a long text of somebody's"}};
  const Bytes jpeg = encode_picture(picture(), text, {.format = PictureFormat::Jpeg});
  EXPECT_THAT(message_of([&] { texts_of(Bytes(jpeg.begin(), jpeg.begin() + 60)); }),
              HasSubstr("it ends too early"));
  const Bytes webp = encode_picture(picture(), text, {.format = PictureFormat::Webp});
  EXPECT_THAT(message_of([&] { texts_of(Bytes(webp.begin(), webp.end() - 4)); }),
              HasSubstr("it ends too early"));
}

// An EXIF block as other programs write it: either byte order, in the file and in the text.
TEST(PictureText, ReadsCommentsOfEitherByteOrder) {
  for (const bool little : {false, true}) {
    const auto number = [little](std::uint32_t value, int size) {
      std::string text;
      for (int i = 0; i < size; ++i)
        text += static_cast<char>(value >> 8 * (little ? i : size - 1 - i));
      return text;
    };
    for (const std::string& comment :
         {std::string("UNICODE\0\0a\0b", 12), std::string("UNICODE\0a\0b\0", 12),
          std::string("UNICODE\0\xff\xfe\x61\0b\0", 14), std::string("ASCII\0\0\0ab", 10),
          std::string("\0\0\0\0\0\0\0\0ab\0\0", 12)}) {
      const std::string exif =
          (little ? "II" : "MM") + number(42, 2) + number(8, 4) + number(1, 2) + number(0x8769, 2) +
          number(4, 2) + number(1, 4) + number(26, 4) + number(0, 4) + number(1, 2) +
          number(0x9286, 2) + number(7, 2) + number(static_cast<std::uint32_t>(comment.size()), 4) +
          number(44, 4) + number(0, 4) + comment;
      EXPECT_EQ(texts_of(png_with(chunk("eXIf", exif))), (ImageText{{"parameters", "ab"}}));
      std::string cut = exif;
      cut.resize(cut.size() - 1);
      EXPECT_THAT(message_of([&] { texts_of(png_with(chunk("eXIf", cut))); }),
                  HasSubstr("damaged EXIF"));
    }
  }
}

}  // namespace
}  // namespace zimage
