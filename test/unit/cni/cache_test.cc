#include "cni/cache.h"

#include <catch2/catch.hpp>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "cni_fixture.h"
#include "test/unit/cni/no_descriptors.h"

using namespace crisp;
using namespace crisp::cni;

namespace {

CacheEntry SomeEntry() {
  CacheEntry entry;
  entry.network = "net-a";
  entry.container_id = "c1";
  entry.netns = "/run/netns/cni-1";
  entry.config = R"({"name":"net-a"})";
  entry.args = {{"IgnoreUnknown", "1"}, {"K8S_POD_NAME", "web"}};
  entry.capability_args = R"({"portMappings":[]})";
  entry.result = R"({"ips":[]})";
  return entry;
}

}  // namespace

TEST_CASE("a cache entry has the format of libcni") {
  TempDir dir;
  const Cache cache(dir.path);
  REQUIRE(cache.Write(SomeEntry()).ok());
  const auto text = base::ReadFile(base::JoinPath(dir.path, "results/net-a-c1-eth0"));
  REQUIRE(text.ok());
  const base::Json file = base::Json::parse(*text);
  CHECK(file["kind"] == "cniCacheV1");
  CHECK(file["containerId"] == "c1");
  CHECK(file["networkName"] == "net-a");
  CHECK(file["ifName"] == "eth0");
  CHECK(file["netns"] == "/run/netns/cni-1");
  CHECK(file["config"] == absl::Base64Escape(R"({"name":"net-a"})"));
  CHECK(file["cniArgs"] == base::Json::parse(R"([["IgnoreUnknown","1"],["K8S_POD_NAME","web"]])"));
  CHECK(file["capabilityArgs"] == base::Json::parse(R"({"portMappings":[]})"));
  CHECK(file["result"] == base::Json::parse(R"({"ips":[]})"));
}

TEST_CASE("an entry is read as it was written, with and without a result") {
  TempDir dir;
  const Cache cache(dir.path);
  CHECK(cache.Find("c1")->empty());
  CacheEntry entry = SomeEntry();
  entry.result = "";
  REQUIRE(cache.Write(entry).ok());
  CHECK(cache.Find("c1")->at(0).entry->result.empty());
  REQUIRE(cache.Write(SomeEntry()).ok());
  const auto found = cache.Find("c1");
  REQUIRE(found->size() == 1);
  const CacheEntry& read = *found->at(0).entry;
  CHECK(read.config == SomeEntry().config);
  CHECK(read.args == SomeEntry().args);
  CHECK(read.capability_args == SomeEntry().capability_args);
  CHECK(read.result == SomeEntry().result);
  CHECK(cache.Find("1")->empty());
  CHECK(cache.Remove(found->at(0).path).ok());
  CHECK(cache.Remove(found->at(0).path).ok());
  CHECK(cache.Find("c1")->empty());
}

TEST_CASE("temporary files of a killed writer are removed with the container's entry") {
  TempDir dir;
  const Cache cache(dir.path);
  REQUIRE(base::MakeDirs(base::JoinPath(dir.path, "results"), 0700).ok());
  (void)dir.Write("results/net-c1-eth0.tmp-5706858df6a947c0", "{");
  (void)dir.Write("results/net-c2-eth0.tmp-5706858df6a947c0", "{");
  CHECK(cache.Find("c1")->empty());
  CHECK(*base::ListDir(base::JoinPath(dir.path, "results")) ==
        std::vector<std::string>{"net-c2-eth0.tmp-5706858df6a947c0"});
}

TEST_CASE("entries of other runtimes are ignored, damaged ones are reported") {
  TempDir dir;
  const Cache cache(dir.path);
  REQUIRE(base::MakeDirs(base::JoinPath(dir.path, "results"), 0700).ok());
  base::Json other = base::Json::parse(EncodeCacheEntry(SomeEntry()));
  other.erase("runtime");
  (void)dir.Write("results/delegate-c1-eth0", other.dump());
  CHECK(cache.Find("c1")->empty());
  for (const char* text : {"", "{", "[]", R"({"kind":"x"})",
                           R"({"kind":"cniCacheV1","runtime":"crisp","containerId":"c1",
                               "networkName":"n","config":"%%%"})"}) {
    CAPTURE(text);
    (void)dir.Write("results/net-c1-eth0", text);
    const auto found = cache.Find("c1");
    REQUIRE(found->size() == 1);
    CHECK_FALSE(found->at(0).entry.ok());
  }
}

TEST_CASE("an entry that no descriptor is left for is not taken for a damaged one") {
  TempDir dir;
  const Cache cache(dir.path);
  REQUIRE(cache.Write(SomeEntry()).ok());
  CHECK(HoldsWhenOthersTakeDescriptors(
      [&] { return absl::IsResourceExhausted(cache.Find("c1").status()); }));
}
