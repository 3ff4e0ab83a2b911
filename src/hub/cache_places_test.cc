#include "hub/cache_places.h"

#include <gmock/gmock.h>

#include <map>

#include "temp_folder.h"

namespace zimage::hub {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

Variables variables(std::map<std::string, std::string> values) {
  return [values = std::move(values)](const std::string& name) -> std::optional<std::string> {
    const auto found = values.find(name);
    return found == values.end() ? std::nullopt : std::optional(found->second);
  };
}

std::vector<std::string> roots(const CachePlaces& places) {
  std::vector<std::string> result;
  for (const CachePlace& place : places.places) {
    result.push_back(std::string(place.hub == HubKind::ModelScope ? "ms " : "hf ") +
                     place.root.string());
  }
  return result;
}

TEST(CachePlaces, WithoutVariablesAreThoseBelowTheHomeFolder) {
  const CachePlaces places = cache_places(variables({{"HOME", "/nowhere/me"}}), std::nullopt);
  EXPECT_THAT(roots(places), ElementsAre("ms /nowhere/me/.cache/modelscope",
                                         "hf /nowhere/me/.cache/huggingface/hub"));
  EXPECT_THAT(places.warnings, IsEmpty());
  EXPECT_THAT(cache_places(variables({}), std::nullopt).places, IsEmpty());
}

TEST(CachePlaces, VariablesComeFirstInTheClientsOrder) {
  const TempFolder folder;
  const std::string home = folder.path().string();
  const CachePlaces places = cache_places(variables({{"HOME", home},
                                                     {"MODELSCOPE_CACHE", home + "/a/"},
                                                     {"MS_CACHE_HOME", home + "/b"},
                                                     {"HF_HUB_CACHE", home + "/c"},
                                                     {"HUGGINGFACE_HUB_CACHE", home + "/c/../d"},
                                                     {"HF_HOME", home + "/e"},
                                                     {"XDG_CACHE_HOME", home + "/.cache"}}),
                                          std::nullopt);
  EXPECT_THAT(roots(places), ElementsAre("ms " + home + "/a", "ms " + home + "/b",
                                         "ms " + home + "/.cache/modelscope", "hf " + home + "/c",
                                         "hf " + home + "/d", "hf " + home + "/e/hub",
                                         "hf " + home + "/.cache/huggingface/hub"));
  EXPECT_EQ(places.places[3].source, "HF_HUB_CACHE");
  EXPECT_EQ(places.places[6].source, "XDG_CACHE_HOME");
  EXPECT_THAT(places.warnings, IsEmpty());
}

TEST(CachePlaces, ExpandWhatTheClientsExpand) {
  const TempFolder folder;
  const std::string home = folder.path().string();
  const CachePlaces places = cache_places(variables({{"HOME", home},
                                                     {"DISK", home + "/disk"},
                                                     {"MODELSCOPE_CACHE", "~/ms"},
                                                     {"HF_HUB_CACHE", "$DISK/${DISK}x"},
                                                     {"HF_HOME", "~/$NOT_SET/$/${DISK"},
                                                     {"XDG_CACHE_HOME", ""}}),
                                          std::nullopt);
  EXPECT_THAT(roots(places), ElementsAre("ms " + home + "/ms", "ms " + home + "/.cache/modelscope",
                                         "hf " + home + "/disk" + home + "/diskx",
                                         "hf " + home + "/$NOT_SET/$/${DISK/hub",
                                         "hf " + home + "/.cache/huggingface/hub"));
}

TEST(CachePlaces, TheOptionIsTheOnlyPlaceAndEitherHubs) {
  const TempFolder folder;
  const std::string home = folder.path().string();
  const Variables all = variables({{"HOME", home}, {"HF_HOME", "/x"}});
  EXPECT_THAT(roots(cache_places(all, "~/c")),
              ElementsAre("ms " + home + "/c", "hf " + home + "/c"));
}

TEST(CachePlaces, WarnOfWhatWillSurprise) {
  const TempFolder folder;
  const fs::path file = folder.write("file", "x");
  const CachePlaces relative =
      cache_places(variables({{"HF_HOME", "cache"}, {"HOME", "/"}}), std::nullopt);
  ASSERT_EQ(relative.warnings.size(), 1U);
  EXPECT_THAT(relative.warnings[0],
              AllOf(HasSubstr("HF_HOME is a relative path, \"cache/hub\": it means"),
                    HasSubstr((fs::current_path() / "cache/hub").string()),
                    HasSubstr("another cache when zimage starts elsewhere")));
  const CachePlaces below_a_file = cache_places(variables({}), (file / "cache").string());
  ASSERT_EQ(below_a_file.warnings.size(), 1U);
  EXPECT_THAT(below_a_file.warnings[0],
              AllOf(HasSubstr("(--cache-dir) cannot be written"), HasSubstr("are used"),
                    HasSubstr("none can be fetched")));
}

}  // namespace
}  // namespace zimage::hub
