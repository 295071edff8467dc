// Hostile connections: redirects, stalls, resets, wrong lengths and ranges.
#include <catch2/catch.hpp>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "base/clock.h"
#include "image/backoff.h"
#include "image_fixture.h"

using namespace crisp;
using namespace crisp::image;

namespace {

std::string Big() {
  std::string text;
  for (int i = 0; text.size() < (3 << 20); ++i) absl::StrAppend(&text, i, ",");
  return text;
}

size_t RangeBegin(const EvilRequest& request) {
  const auto range = request.headers.find("range");
  return range == request.headers.end() ? 0 : std::stoul(range->second.substr(6));
}

// A blob whose first `broken` answers misbehave like `bad`.
EvilRegistry::Handler Breaking(EvilReply good, EvilReply bad, int broken) {
  return [good, bad, left = std::make_shared<int>(broken)](const EvilRequest&) {
    return (*left)-- > 0 ? bad : good;
  };
}

}  // namespace

TEST_CASE("a redirect loop ends") {
  PullFixture f;
  EvilReply loop;
  loop.status = 307;
  loop.headers = {"Location: /v2/repo/manifests/v1"};
  f.registry.Serve("/v2/repo/manifests/v1", loop);
  const absl::Status status = f.Refused();
  CHECK(status.code() == absl::StatusCode::kFailedPrecondition);
  CHECK(Holds(status, "more than 10 redirects"));
  CHECK(f.registry.requests().size() == 11);
}

TEST_CASE("redirects to other schemes, link-local addresses or with user info are refused") {
  for (const char* location :
       {"file:///etc/passwd", "ftp://127.0.0.1/x", "http://169.254.169.254/latest/meta-data",
        "http://[fe80::1]/x", "http://[::ffff:169.254.169.254]/x", "http://0xA9FEA9FE/",
        "http://user:pw@127.0.0.1/", "gopher://x", ""}) {
    CAPTURE(location);
    PullFixture f;
    EvilReply reply;
    reply.status = 302;
    reply.headers = {absl::StrCat("Location: ", location)};
    f.registry.Serve("/v2/repo/manifests/v1", reply);
    CHECK(f.Refused().code() == absl::StatusCode::kInvalidArgument);
  }
}

TEST_CASE("what hosts.toml allows a host is not allowed where it redirects to") {
  PullFixture f;
  f.WriteHostsToml(absl::StrCat("server = \"http://", f.registry.host(), "\"\n"));
  EvilReply reply;
  reply.status = 302;
  reply.headers = {"Location: http://169.254.169.254/latest/meta-data"};
  f.registry.Serve("/v2/repo/manifests/v1", reply);
  CHECK(Holds(f.Refused(), "link-local"));
}

TEST_CASE("layers may come from another host by redirect") {
  PullFixture f;
  EvilRegistry storage;
  const TestImage image = MakeImage({"a"});
  Serve(f.registry, image);
  storage.Serve("/bucket/a", EvilReply{.body = "a"});
  EvilReply redirect;
  redirect.status = 307;
  redirect.headers = {
      absl::StrCat("Location: http://", storage.host(), "/bucket/a?signature=hunter2")};
  f.registry.Serve(BlobPath("a"), redirect);
  REQUIRE(f.Pull().ok());
  CHECK(storage.requests().at(0).target == "/bucket/a?signature=hunter2");

  SECTION("and their query is not shown in an error") {
    storage.Serve("/bucket/b", EvilReply{.body = "zz"});
    Serve(f.registry, MakeImage({"b"}), "v2");
    redirect.headers = {
        absl::StrCat("Location: http://", storage.host(), "/bucket/b?signature=hunter2")};
    f.registry.Serve(BlobPath("b"), redirect);
    const absl::Status status = f.Pull("repo:v2").status();
    CHECK(status.code() == absl::StatusCode::kDataLoss);
    CHECK_FALSE(absl::StrContains(status.message(), "hunter2"));
  }
}

TEST_CASE("a transfer below the minimum speed is ended") {
  PullFixture f;
  f.options.progress_timeout = absl::Milliseconds(200);
  f.options.min_progress_bytes = 16384;
  const std::string layer(100 << 10, 'x');
  Serve(f.registry, MakeImage({layer}));
  EvilReply drip;
  drip.body = layer;
  drip.drip = true;
  f.registry.Serve(BlobPath(layer), drip);
  const absl::Status status = f.Refused();
  CHECK(status.code() == absl::StatusCode::kUnavailable);
  CHECK(Holds(status, "RegistryUnavailable: "));
  CHECK(Holds(status, "less than 16384 bytes in 200ms"));
}

TEST_CASE("a stalled transfer is ended and resumed") {
  PullFixture f;
  f.options.progress_timeout = absl::Milliseconds(200);
  const std::string layer = Big();
  Serve(f.registry, MakeImage({layer}));
  f.registry.Serve(BlobPath(layer), Breaking(EvilReply{.body = layer},
                                             EvilReply{.body = layer, .stall_after = 2 << 20}, 1));
  const int64_t begin = base::MonotonicNanos();
  REQUIRE(f.Pull().ok());
  CHECK(base::MonotonicNanos() - begin > 150'000'000);
  CHECK(RangeBegin(f.registry.requests().back()) == 2 << 20);
}

TEST_CASE("a registry that never answers is unavailable") {
  PullFixture f;
  f.options.progress_timeout = absl::Milliseconds(200);
  f.registry.Serve("/v2/repo/manifests/v1", EvilReply{.body = "x", .stall_after = 0});
  f.options.attempts = 2;
  const absl::Status status = f.Refused();
  CHECK(status.code() == absl::StatusCode::kUnavailable);
  CHECK(f.registry.requests().size() == 2);
}

TEST_CASE("a registry that stays silent is given up in time, whatever attempts are left") {
  absl::Notification given_up;
  PullFixture f;
  f.options.progress_timeout = absl::Milliseconds(500);
  f.options.silence_timeout = absl::Milliseconds(1500);
  f.options.attempts = 5;
  EvilReply silence;
  silence.before_reply = [&] { given_up.WaitForNotificationWithTimeout(absl::Seconds(30)); };
  f.registry.Serve("/v2/repo/manifests/v1", silence);
  const absl::Status status = f.Refused();
  given_up.Notify();
  CHECK(status.code() == absl::StatusCode::kUnavailable);
  CHECK(f.registry.requests().size() == 2);
}

TEST_CASE("a registry that is slow at each of many redirects is given up in time") {
  PullFixture f;
  f.options.progress_timeout = absl::Milliseconds(500);
  f.options.silence_timeout = absl::Milliseconds(2000);
  EvilReply loop;
  loop.status = 307;
  loop.headers = {"Location: /v2/repo/manifests/v1"};
  loop.before_reply = [] { absl::SleepFor(absl::Milliseconds(700)); };
  f.registry.Serve("/v2/repo/manifests/v1", loop);
  CHECK(f.Refused().code() == absl::StatusCode::kUnavailable);
  // The first attempt's, and those that begin before 2 s have passed.
  CHECK(f.registry.requests().size() <= 4);
}

TEST_CASE("a registry that has to fetch an image first gets more time at the second attempt") {
  PullFixture f;
  f.options.progress_timeout = absl::Milliseconds(200);
  const TestImage image = MakeImage({"a"});
  Serve(f.registry, image);
  for (const auto& [path, body] : {std::pair<std::string, std::string>(BlobPath("a"), "a"),
                                   {"/v2/repo/manifests/v1", image.manifest}}) {
    f.registry.Serve(path, EvilReply{.body = body, .before_reply = [] {
                                       absl::SleepFor(absl::Milliseconds(300));
                                     }});
  }
  const auto pulled = f.Pull();
  INFO(pulled.status());
  CHECK(pulled.ok());
  CHECK(f.registry.Count("GET", BlobPath("a")) == 2);
}

TEST_CASE("slow unpacking is not a stall of the registry") {
  PullFixture f;
  f.options.progress_timeout = absl::Milliseconds(500);
  const std::string layer(64 << 10, 'x');
  Serve(f.registry, MakeImage({layer}));
  absl::Notification unpacked;
  EvilReply reply;
  reply.body = layer;
  reply.halfway = [&] {
    unpacked.WaitForNotification();
    // The registry waits too, so that the client checks the time before more bytes arrive.
    absl::SleepFor(absl::Milliseconds(50));
  };
  f.registry.Serve(BlobPath(layer), reply);
  f.target.before_write = [&](const LayerInfo&) {
    if (unpacked.HasBeenNotified()) return;
    const int64_t end = base::MonotonicNanos() + 600'000'000;
    while (base::MonotonicNanos() < end) {
    }
    unpacked.Notify();
  };
  CHECK(f.Pull().ok());
  CHECK(f.registry.Count("GET", BlobPath(layer)) == 1);
}

TEST_CASE("a reset in the middle of a layer is resumed by Range") {
  PullFixture f;
  const std::string layer = Big();
  Serve(f.registry, MakeImage({layer}));
  f.registry.Serve(BlobPath(layer), Breaking(EvilReply{.body = layer},
                                             EvilReply{.body = layer, .reset_after = 1 << 20}, 1));
  REQUIRE(f.Pull().ok());
  CHECK(f.target.begun() == 1);  // the same sink continued
  const EvilRequest last = f.registry.requests().back();
  // Bytes that the kernel dropped because of the reset are requested again.
  CHECK(RangeBegin(last) <= 1 << 20);
  CHECK(f.target.layers().begin()->second == layer);
}

TEST_CASE("a blob arrives although the connection breaks after every mebibyte") {
  PullFixture f;
  const std::string layer = Big();
  Serve(f.registry, MakeImage({layer}));
  f.options.attempts = 2;
  f.options.progress_timeout = absl::Milliseconds(100);
  f.registry.Serve(BlobPath(layer), EvilReply{.body = layer, .stall_after = 1 << 20});
  REQUIRE(f.Pull().ok());
  CHECK(f.registry.Count("GET", BlobPath(layer)) == 4);
}

TEST_CASE("a transfer without progress fails") {
  PullFixture f;
  Serve(f.registry, MakeImage({"abcdef"}));
  f.registry.Serve(BlobPath("abcdef"), EvilReply{.body = "abcdef", .reset_after = 0});
  CHECK(f.Refused().code() == absl::StatusCode::kUnavailable);
  CHECK(f.registry.Count("GET", BlobPath("abcdef")) == 3);
}

TEST_CASE("wrong lengths and endless bodies are refused") {
  SECTION("an endless layer stops at the descriptor's size") {
    PullFixture f;
    Serve(f.registry, MakeImage({"abc"}));
    f.registry.Serve(BlobPath("abc"), EvilReply{.body = "abc", .chunked = true, .endless = true});
    const absl::Status status = f.Refused();
    CHECK(status.code() == absl::StatusCode::kDataLoss);
    CHECK(Holds(status, "size is more than 3"));
  }
  SECTION("a length that is not the descriptor's") {
    PullFixture f;
    Serve(f.registry, MakeImage({"abc"}));
    f.registry.Serve(BlobPath("abc"), EvilReply{.body = "abc", .content_length = 1'000'000'000});
    CHECK(f.Refused().code() == absl::StatusCode::kDataLoss);
  }
  SECTION("less than announced is asked for again, then given up") {
    PullFixture f;
    Serve(f.registry, MakeImage({"abc"}));
    f.registry.Serve(BlobPath("abc"),
                     EvilReply{.body = "ab", .content_length = 3, .ignore_range = true});
    CHECK(f.Refused().code() == absl::StatusCode::kUnavailable);
  }
}

TEST_CASE("bytes that a server without Range sends again do not reach the sink") {
  PullFixture f;
  f.options.progress_timeout = absl::Milliseconds(200);
  const std::string layer = Big();
  Serve(f.registry, MakeImage({layer}));
  f.registry.Serve(BlobPath(layer),
                   Breaking(EvilReply{.body = layer, .ignore_range = true},
                            EvilReply{.body = layer, .stall_after = 1'500'000}, 1));
  REQUIRE(f.Pull().ok());
  CHECK(RangeBegin(f.registry.requests().back()) == 1'500'000);
  CHECK(f.target.layers().begin()->second == layer);
  CHECK(f.target.begun() == 1);
}

TEST_CASE("where a server does not send the rest of a blob, all of it is asked for") {
  const std::string layer = Big();
  EvilReply other{.status = 206, .body = layer.substr(5)};
  other.headers = {absl::StrCat("Content-Range: bytes 5-", layer.size() - 1, "/", layer.size())};
  for (const EvilReply& to_range :
       {other, EvilReply{.status = 206, .body = layer.substr(1'500'000)}, EvilReply{.status = 400},
        EvilReply{.status = 403}, EvilReply{.status = 416}, EvilReply{.body = "<html>"}}) {
    CAPTURE(to_range.status);
    PullFixture f;
    f.options.progress_timeout = absl::Milliseconds(200);
    Serve(f.registry, MakeImage({layer}));
    f.registry.Serve(BlobPath(layer),
                     [&, first = std::make_shared<bool>(true)](const EvilRequest& request) {
                       EvilReply reply{.body = layer, .ignore_range = true};
                       if (request.headers.contains("range")) reply = to_range;
                       reply.ignore_range = true;
                       if (std::exchange(*first, false)) reply.stall_after = 1'500'000;
                       return reply;
                     });
    const auto pulled = f.Pull();
    INFO(pulled.status());
    CHECK(pulled.ok());
    CHECK(f.registry.Count("GET", BlobPath(layer)) == 3);
    CHECK(f.target.begun() == 1);
  }
}

TEST_CASE("a server that answers with another range than the whole is refused") {
  PullFixture f;
  Serve(f.registry, MakeImage({"abcdef"}));
  EvilReply other{.status = 206, .body = "bcdef"};
  other.headers = {"Content-Range: bytes 1-5/6"};
  f.registry.Serve(BlobPath("abcdef"), other);
  const absl::Status status = f.Refused();
  CHECK(status.code() == absl::StatusCode::kDataLoss);
  CHECK(Holds(status, "asked for bytes from 0"));
}

TEST_CASE("a page in place of a manifest or a layer is named in the error") {
  PullFixture f;
  EvilReply page{.body = "<html><body>Please log in</body></html>"};
  page.headers = {"Content-Type: text/html; charset=utf-8"};
  const std::string words = "(the answer is a page, text/html)";
  f.registry.Serve("/v2/repo/manifests/v1", page);
  CHECK(Holds(f.Refused(), absl::StrCat("http://", f.registry.host(), ": image manifest: ")));
  CHECK(Holds(f.Refused(), words));
  Serve(f.registry, MakeImage({"abc"}));
  f.registry.Serve(BlobPath("abc"), page);
  CHECK(Holds(f.Refused(), words));
  page.chunked = true;
  f.registry.Serve(BlobPath("abc"), page);
  CHECK(Holds(f.Refused(), words));
  page = EvilReply{.body = "abd", .chunked = true};
  f.registry.Serve(BlobPath("abc"), page);
  CHECK_FALSE(absl::StrContains(f.Refused().message(), "page"));
}

TEST_CASE("Retry-After is seconds or a date, and anything else is none") {
  const auto asked = [](const std::string& value) {
    HttpResponse response;
    response.headers["retry-after"] = value;
    return RetryAfter(response);
  };
  CHECK(asked("120") == absl::Seconds(120));
  CHECK(asked("-5") == absl::ZeroDuration());
  for (const char* other : {"", "soon", "1.5", "99999999999999999999", "Tomorrow, 07 Nov"})
    CHECK(asked(other) == absl::ZeroDuration());
  const absl::Time then = absl::Now() + absl::Hours(1);
  const std::string date = absl::FormatTime("%a, %d %b %Y %H:%M:%S GMT", then, absl::UTCTimeZone());
  CHECK(asked(date) > absl::Minutes(59));
  CHECK(asked("Sun, 06 Nov 1994 08:49:37 GMT") < absl::ZeroDuration());
}

TEST_CASE("429 and 503 are retried, Retry-After is honoured and bounded") {
  for (const int code : {429, 500, 502, 503, 504}) {
    CAPTURE(code);
    PullFixture f;
    const TestImage image = MakeImage({"a"});
    Serve(f.registry, image);
    EvilReply busy;
    busy.status = code;
    busy.headers = {"Retry-After: 3600"};
    EvilReply good;
    good.body = image.manifest;
    good.headers = {"Content-Type: " + image.manifest_type};
    f.registry.Serve("/v2/repo/manifests/v1", Breaking(good, busy, 2));
    f.registry.Serve(BlobPath("a"), Breaking(EvilReply{.body = "a"}, busy, 2));
    CHECK(f.Pull().ok());
  }
}

TEST_CASE("Retry-After is waited for") {
  PullFixture f;
  const TestImage image = MakeImage({"a"});
  Serve(f.registry, image);
  f.options.max_retry_after = absl::Milliseconds(200);
  EvilReply busy;
  busy.status = 503;
  busy.headers = {"Retry-After: 1"};
  f.registry.Serve(BlobPath("a"), Breaking(EvilReply{.body = "a"}, busy, 1));
  const int64_t begin = base::MonotonicNanos();
  CHECK(f.Pull().ok());
  CHECK(base::MonotonicNanos() - begin >= 200'000'000);
}

TEST_CASE("a registry that stays busy fails the pull with its error") {
  PullFixture f;
  EvilReply busy;
  busy.status = 429;
  busy.body = R"({"errors":[{"code":"TOOMANYREQUESTS","message":"pull rate limit"}]})";
  f.registry.Serve("/v2/repo/manifests/v1", busy);
  absl::Status status = f.Refused();
  CHECK(status.code() == absl::StatusCode::kResourceExhausted);
  CHECK(Holds(status, "TOOMANYREQUESTS: pull rate limit"));
  CHECK(f.registry.requests().size() == 3);
  busy.status = 503;
  f.registry.Serve("/v2/repo/manifests/v1", busy);
  status = f.Refused();
  CHECK(status.code() == absl::StatusCode::kUnavailable);
  CHECK(absl::StartsWith(status.message(), "RegistryUnavailable: "));
}

TEST_CASE("a header bomb is refused") {
  PullFixture f;
  EvilReply bomb;
  bomb.body = "x";
  for (int i = 0; i < 5000; ++i)
    bomb.headers.push_back(absl::StrCat("X-", i, ": ", std::string(90, 'x')));
  f.registry.Serve("/v2/repo/manifests/v1", bomb);
  const absl::Status status = f.Refused();
  CHECK(status.code() == absl::StatusCode::kInvalidArgument);
  CHECK(Holds(status, "headers longer than"));
}

TEST_CASE("only the beginning of a large error page is read") {
  PullFixture f;
  EvilReply page;
  page.status = 403;
  page.body = std::string(1 << 20, '<');
  page.endless = page.chunked = true;
  f.registry.Serve("/v2/repo/manifests/v1", page);
  CHECK(f.Refused().code() == absl::StatusCode::kPermissionDenied);
}
