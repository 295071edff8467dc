#include <unistd.h>

#include <catch2/catch.hpp>
#include <functional>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/clean_path.h"
#include "base/errno.h"
#include "base/id.h"
#include "base/json.h"
#include "base/log.h"
#include "base/printable.h"

using namespace crisp;

TEST_CASE("Errno names operation, subject and errno and maps the code") {
  const absl::Status status = base::Errno("mount", "/proc", EPERM);
  CHECK(status.code() == absl::StatusCode::kPermissionDenied);
  CHECK(status.message() == "mount /proc: operation not permitted (EPERM)");
  CHECK(base::Prefix(status, "start container 4f").message() ==
        "start container 4f: mount /proc: operation not permitted (EPERM)");
  CHECK(base::Prefix(absl::OkStatus(), "x").ok());
}

TEST_CASE("ids are 64 hexadecimal characters and differ") {
  CHECK(base::IsId(base::NewId()));
  CHECK(base::NewId() != base::NewId());
  CHECK_FALSE(base::IsId("ABC"));
  CHECK_FALSE(base::IsId(std::string(64, 'G')));
}

TEST_CASE("a JSON integer is read if it is in range; values that are not read are kept unchanged") {
  const auto narrow = [](const base::Json& json) { return json.at("n").get<int8_t>(); };
  const auto list = [](const base::Json& json) {
    return json.at("n").get<std::vector<unsigned>>();
  };
  const auto says = [](const auto& result, absl::string_view words) {
    return absl::IsInvalidArgument(result.status()) &&
           absl::StrContains(result.status().message(), words);
  };
  CHECK(*base::DecodeJson("doc", R"({"n":-128})", narrow) == -128);
  CHECK(says(base::DecodeJson("doc", R"({"n":128})", narrow), "128 is out of range"));
  CHECK(says(base::DecodeJson("doc", R"({"n":-129})", narrow), "-129 is out of range"));
  CHECK(says(base::DecodeJson("doc", R"({"n":18446744073709551615})", narrow), "out of range"));
  CHECK(says(base::DecodeJson("doc", R"({"n":2.0})", narrow), "must be integer, but is 2.0"));
  CHECK(says(base::DecodeJson("doc", R"({"n":1e46})", narrow), "must be integer"));
  CHECK(says(base::DecodeJson("doc", R"({"n":true})", narrow), "but is boolean"));
  CHECK(*base::DecodeJson("doc", R"({"n":[0,4294967295]})", list) ==
        std::vector<unsigned>{0, 4294967295});
  CHECK(says(base::DecodeJson("doc", R"({"n":[4294967296]})", list), "4294967296 is out of range"));
  CHECK(says(base::DecodeJson("doc", R"({"n":[-1]})", list), "-1 is out of range"));
  const auto whole = [](const base::Json& json) { return base::DumpJson(json); };
  constexpr char kFractions[] = R"({"m":[1e+46,{"o":-0.5}]})";
  CHECK(*base::DecodeJson("doc", kFractions, whole) == kFractions);
}

TEST_CASE("DecodeJson turns every exception of the parser into InvalidArgument") {
  auto decode = [](const base::Json& json) { return json.at("n").get<int>(); };
  CHECK(*base::DecodeJson("doc", R"({"n":3})", decode) == 3);
  for (const char* bad : {"", "{", R"({"n":"x"})", "{}", "[1,2]", "\xff"}) {
    const auto result = base::DecodeJson("doc", bad, decode);
    CHECK(result.status().code() == absl::StatusCode::kInvalidArgument);
    CHECK(result.status().message().substr(0, 5) == "doc: ");
    CHECK(result.status().message().find("exception") == absl::string_view::npos);
  }
  const std::string deep = std::string(200, '[') + std::string(200, ']');
  CHECK(std::string(base::DecodeJson("doc", deep, decode).status().message()).find("nested") !=
        std::string::npos);
}

TEST_CASE("a path inside a root is cleaned as text, and .. stays at the root") {
  const std::pair<const char*, const char*> cases[] = {
      {"/", "/"},     {"/a//b/./c/", "/a/b/c"},  {"/app/../data", "/data"}, {"/../../x", "/x"},
      {"/a/..", "/"}, {"/a/b/../../../c", "/c"}, {"/..a/b..", "/..a/b.."}};
  for (const auto& [path, clean] : cases) CHECK(base::CleanRootedPath(path).value() == clean);
  CHECK_FALSE(base::CleanRootedPath(std::string("/a\0b", 4)).ok());
  CHECK_FALSE(base::CleanRootedPath("/" + std::string(4096, 'a')).ok());
}

TEST_CASE("text of others is printable on one line, and cut between characters") {
  const char kEuro[] = "\xe2\x82\xac";
  CHECK(base::Printable(std::string("a\nb\tc\0d\x1b\x7f", 9)) == "a\\nb\\tc\\x00d\\x1b\\x7f");
  CHECK(base::Printable(kEuro) == kEuro);
  CHECK(base::Printable("it's \"a\\b\"") == "it's \"a\\b\"");
  // NEL of C1, right-to-left override, line separator, a tag.
  CHECK(base::Printable("\xc2\x85|\xe2\x80\xae|\xe2\x80\xa8|\xf3\xa0\x80\x81") ==
        "\\u0085|\\u202e|\\u2028|\\ue0001");
  CHECK(base::Printable("\xff|\xe2\x82|\xed\xa0\x80") == "\\xff|\\xe2\\x82|\\xed\\xa0\\x80");
  const std::string once = base::Printable("\n\xff\\");
  CHECK(base::Printable(once) == once);
  CHECK(base::Printable(absl::StrCat("ab", kEuro), 5) == absl::StrCat("ab", kEuro));
  CHECK(base::Printable(absl::StrCat("ab", kEuro), 4) == "ab");
  CHECK(base::Printable("ab\xff", 5) == "ab");
  CHECK(base::Printable("ab", 0).empty());
}

namespace {

// What `write` writes to standard error, without the time in front.
std::string Logged(const std::function<void()>& write) {
  int ends[2];
  REQUIRE(pipe(ends) == 0);
  const int standard_error = dup(STDERR_FILENO);
  REQUIRE(dup2(ends[1], STDERR_FILENO) == STDERR_FILENO);
  write();
  dup2(standard_error, STDERR_FILENO);
  close(standard_error);
  close(ends[1]);
  char buffer[4096];
  const ssize_t size = read(ends[0], buffer, sizeof(buffer));
  close(ends[0]);
  REQUIRE(size > 0);
  const std::string line(buffer, static_cast<size_t>(size));
  return line.substr(line.find(' ') + 1);
}

}  // namespace

TEST_CASE("a log value escapes only quotes, backslashes and what cannot be seen") {
  const auto value = [](const std::string& text) {
    return Logged([&] { base::Log(base::LogLevel::kError, "m", {{"key", text}}); });
  };
  CHECK(value("plain=/a/b") == "error m key=plain=/a/b\n");
  CHECK(value("") == "error m key=\"\"\n");
  CHECK(value("two words") == "error m key=\"two words\"\n");
  CHECK(value("it's 'quoted'") == "error m key=\"it's 'quoted'\"\n");
  CHECK(value("a \"b\" c\\d") == "error m key=\"a \\\"b\\\" c\\\\d\"\n");
  CHECK(value("Größe-日本") == "error m key=Größe-日本\n");
  CHECK(value("à la carte") == "error m key=\"à la carte\"\n");
  // A line break of the value's own is not the same as a backslash and an n.
  CHECK(value("a\nb\r\t") == "error m key=\"a\\nb\\r\\t\"\n");
  CHECK(value("a\\nb") == "error m key=\"a\\\\nb\"\n");
  CHECK(value("\x1b[2J\xff\xe2\x80\xa8") == "error m key=\"\\x1b[2J\\xff\\u2028\"\n");
  CHECK(value(std::string("a\0b", 3)) == "error m key=\"a\\x00b\"\n");
}

TEST_CASE("a log message is one line, and its text stays readable") {
  const auto message = [](const std::string& text) {
    return Logged([&] { base::Log(base::LogLevel::kWarning, text); });
  };
  CHECK(message("the plugin's \"würfel\" is gone") == "warn the plugin's \"würfel\" is gone\n");
  CHECK(message("a\n2026-01-01T00:00:00Z error b") == "warn a\\n2026-01-01T00:00:00Z error b\n");
}

TEST_CASE("a sink takes entries instead of stderr, unless it says that it cannot") {
  static std::string seen;
  static bool takes = true;
  base::SetLogSink([](base::LogLevel level, const std::string& text,
                      std::initializer_list<base::LogField> fields) {
    seen = absl::StrCat(static_cast<int>(level), " ", text, " ", fields.size());
    return takes;
  });
  const auto log = [] { base::Log(base::LogLevel::kWarning, "m", {{"key", "a b"}}); };
  log();
  CHECK(seen == "2 m key=\"a b\" 1");
  takes = false;
  CHECK(Logged(log) == "warn m key=\"a b\"\n");
  base::SetLogSink(nullptr);
  seen.clear();
  CHECK(Logged(log) == "warn m key=\"a b\"\n");
  CHECK(seen.empty());
}

TEST_CASE("log levels are parsed by name, and other names are refused") {
  CHECK(base::ParseLogLevel("warn").value() == base::LogLevel::kWarning);
  CHECK_FALSE(base::ParseLogLevel("loud").ok());
}
