// What a client of the CRI socket can send and leave undone below the level of calls.
#include <grp.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <deque>
#include <random>
#include <thread>

#include "absl/strings/str_cat.h"
#include "client/cri_client.h"
#include "test/fault/hostile/attack.h"
#include "test/fault/hostile/http2_client.h"

namespace crisp::hostile {
namespace {

constexpr char kService[] = "/runtime.v1.RuntimeService/";
constexpr size_t kPayload = 16 << 10;  // of one frame (RFC 9113, 4.2)

std::string Path(const std::string& method) { return kService + method; }

// A new connection gets an answer.
void Answers(Target& target, const std::string& when) {
  client::CriClient client(target.endpoint().socket());
  v1::VersionResponse version;
  const grpc::Status status = client::CriClient::Call(
      client.runtime(), &Runtime::Version, v1::VersionRequest(), &version, absl::Seconds(10));
  Demand(status.ok(), absl::StrCat("no answer to a new connection ", when, ": ", Words(status)));
}

// That this suite's own client is understood, so that the cases below attack what they mean to.
void Understood(Target& target) {
  Http2Client client(target.endpoint().socket());
  client.Write(http2::Call(1, Path("Version"), ""));
  Demand(
      client.Await(1, absl::Seconds(10)) == Http2Client::End::kStream && client.data(1).size() > 5,
      "the runtime does not understand this suite's HTTP/2");
}

Outcome AbortingHeaders(Target& target) {
  Understood(target);
  for (const auto& [name, value] :
       http2::Headers{{"te", "x"}, {":scheme", "x"}, {"grpclb_client_stats", "x"}}) {
    for (const int fields : {2, 10, 40}) {  // of 1 KiB; from 8 KiB on, the headers are too large
      Http2Client client(target.endpoint().socket());
      std::string block;
      for (const auto& [own, text] : http2::CallHeaders(Path("Version"))) {
        block += http2::Field(own, own == name ? value : text);
      }
      if (name == "grpclb_client_stats") block += http2::Field(name, value);
      for (int i = 0; i < fields; ++i) {
        block += http2::Field(absl::StrCat("x-", i), std::string(1024, 'x'));
      }
      std::string frames;
      for (size_t at = 0; at < block.size(); at += kPayload) {
        const bool last = at + kPayload >= block.size();
        frames += http2::Frame(at == 0 ? http2::kHeaders : http2::kContinuation,
                               last ? http2::kEndHeaders : 0, 1, block.substr(at, kPayload));
      }
      client.Write(frames + http2::Frame(http2::kData, http2::kEndStream, 1, http2::Message("")));
      client.Await(1, absl::Seconds(2));
      Answers(target, absl::StrCat("after ", name, ": ", value));
    }
  }
  return Harmless("nine requests");
}

// `first` begins a header block, `more` goes on with it, and it never ends.
Outcome EndlessBlock(Target& target, const std::string& first, const std::string& more) {
  constexpr size_t kBytes = 64 * kMebibyte;
  constexpr size_t kGrowth = 24 * kMebibyte;
  Understood(target);
  const size_t before = RuntimeUsage(target).resident;
  Http2Client client(target.endpoint().socket());
  bool taken = client.Write(http2::Frame(http2::kHeaders, 0, 1, first));
  const std::string frame = http2::Frame(http2::kContinuation, 0, 1, more);
  size_t sent = 0;
  for (; taken && sent < kBytes; sent += frame.size()) {
    taken = client.Write(frame);
    if (sent / frame.size() % 256 == 0) Answers(target, absl::StrCat("after ", sent, " bytes"));
  }
  const size_t after = RuntimeUsage(target).resident;
  Demand(after < before + kGrowth,
         absl::StrCat("a header block of ", sent / kMebibyte, " MiB cost ",
                      (after - before) / kMebibyte, " MiB"));
  client.Close();
  Answers(target, "afterwards");
  return Harmless(absl::StrCat(taken ? "took " : "was refused after ", sent / 1024, " KiB"));
}

Outcome PaddedInteger(Target& target) {
  return EndlessBlock(target, std::string(1, '\0') + '\x7f', std::string(kPayload, '\x80'));
}
Outcome HugeString(Target& target) {
  return EndlessBlock(
      target,
      std::string(1, '\0') + http2::Integer(0, 7, 1) + "a" + http2::Integer(0, 7, 0xffffffff),
      std::string(kPayload, 'x'));
}
Outcome EndlessFields(Target& target) {
  return EndlessBlock(target, http2::Block(http2::CallHeaders(Path("Version"))),
                      http2::Field("a", std::string(4000, 'x')));
}

Outcome RapidReset(Target& target) {
  constexpr uint32_t kStreams = 100'000;
  Understood(target);
  const Usage before = RuntimeUsage(target);
  Http2Client client(target.endpoint().socket());
  const std::string block = http2::Block(http2::CallHeaders(Path("ListContainers")));
  const std::string cancel = http2::Big32(8);
  uint32_t sent = 0;
  std::string frames;
  for (bool taken = true; taken && sent < kStreams; ++sent) {
    const uint32_t id = sent * 2 + 1;
    frames += http2::Frame(http2::kHeaders, http2::kEndHeaders, id, block) +
              http2::Frame(http2::kReset, 0, id, cancel);
    if (frames.size() < kPayload) continue;
    taken = client.Write(frames);
    frames.clear();
    if (sent % 5000 < 100) Answers(target, absl::StrCat("after ", sent, " resets"));
  }
  Answers(target, "after all resets");
  client.Close();
  Demand(Settles([&] { return RuntimeUsage(target).threads <= before.threads + 16; }),
         "the runtime keeps the threads of reset calls");
  const size_t after = RuntimeUsage(target).resident;
  Demand(after < before.resident + 64 * kMebibyte,
         absl::StrCat("resets cost ", (after - before.resident) / kMebibyte, " MiB"));
  return Harmless(absl::StrCat(sent, " calls begun and reset"));
}

Outcome LargeMessage(Target& target) {
  v1::ListContainersRequest request;
  (*request.mutable_filter()->mutable_label_selector())["a"] = std::string(16 * kMebibyte + 1, 'x');
  v1::ListContainersResponse response;
  test::Endpoint& endpoint = target.endpoint();
  return target.Refused(
      endpoint.Try(endpoint.runtime(), &Runtime::ListContainers, request, &response, 30),
      {grpc::StatusCode::RESOURCE_EXHAUSTED});
}

// The length says 4 GiB, and the client sends on as long as the server takes it. The limit of the
// runtime's memory, which the suite checks after each case (watch.h), is below what is sent.
Outcome EndlessMessage(Target& target) {
  constexpr size_t kBytes = 512 * kMebibyte;
  Understood(target);
  Http2Client client(target.endpoint().socket());
  client.Write(http2::Frame(http2::kHeaders, http2::kEndHeaders, 1,
                            http2::Block(http2::CallHeaders(Path("Version")))));
  const size_t sent =
      client.Pour(1, std::string(1, '\0') + "\xff\xff\xff\xff", kBytes, absl::Seconds(5));
  Answers(target, "afterwards");
  return Harmless(absl::StrCat(sent / kMebibyte, " MiB sent"));
}

Outcome BadMessages(Target& target) {
  Understood(target);
  // Protobuf wire format: a tag, then a length or a varint. Tag 0x0a: field 1, with a length.
  const auto field = [](char tag, const std::string& value) {
    return std::string(1, tag) + std::string(1, static_cast<char>(value.size())) + value;
  };
  std::string deep;
  for (int i = 0; i < 10'000; ++i) deep += '\x0b';  // the start of a group, in a group
  const std::pair<std::string, std::string> messages[] = {
      {"RunPodSandbox", field('\x0a', field('\x0a', field('\x0a', "\xff\xfe")))},
      {"ContainerStatus", field('\x0a', "\xc3\x28")},
      {"Version", std::string("\xf8\x7f\x01", 3)},  // an unknown field
      {"Version", "\x0a\xff\xff\xff\xff\x0f"},      // a length of 4 GiB
      {"Version", std::string(20, '\xff')},         // a tag that does not end
      {"ListContainers", deep},
      {"StopContainer", std::string("\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f", 11)}};
  for (const auto& [method, bytes] : messages) {
    Http2Client client(target.endpoint().socket());
    client.Write(http2::Call(1, Path(method), bytes));
    Demand(client.Await(1, absl::Seconds(10)) != Http2Client::End::kPatience,
           absl::StrCat("no answer to a bad ", method));
    Answers(target, absl::StrCat("after a bad ", method));
  }
  return Harmless(absl::StrCat(std::size(messages), " messages"));
}

Outcome RandomBytes(Target& target) {
  std::mt19937 random(20260915);  // the same bytes in every run
  const auto bytes = [&](size_t size) {
    std::string text(size, '\0');
    for (char& c : text) c = static_cast<char>(random());
    return text;
  };
  for (int round = 0; round < 300; ++round) {
    Http2Client client(target.endpoint().socket());
    if (round % 3 == 0) client.Write(bytes(4096));
    if (round % 3 == 1) {
      client.Write(http2::Frame(http2::kHeaders, http2::kEndHeaders, 1, bytes(512)));
    }
    for (int frame = 0; round % 3 == 2 && frame < 50; ++frame) {
      const auto stream = static_cast<uint32_t>(random() % 8);
      client.Write(http2::Frame(static_cast<uint8_t>(random() % 12), static_cast<uint8_t>(random()),
                                stream, bytes(random() % 64)));
    }
    if (round % 20 == 0) Answers(target, absl::StrCat("in round ", round));
  }
  const base::UniqueFd plain = Http2Client::Connect(target.endpoint().socket());
  const std::string text = "GET / HTTP/1.1\r\nHost: x\r\n\r\n" + bytes(4096);
  if (send(plain.get(), text.data(), text.size(), MSG_NOSIGNAL) < 0) {
    throw Skipped("nothing could be sent");
  }
  Answers(target, "afterwards");
  return Harmless("300 connections");
}

Outcome ManyCalls(Target& target) {
  Understood(target);
  const char* const methods[] = {"Version", "Status", "ListPodSandbox", "ListContainers",
                                 "ListContainerStats"};
  std::deque<Http2Client> clients;
  for (int i = 0; i < 10; ++i) {
    clients.emplace_back(target.endpoint().socket());
    std::string frames;
    for (uint32_t call = 0; call < 100; ++call) {
      frames += http2::Call(call * 2 + 1, Path(methods[call % std::size(methods)]), "");
    }
    Demand(clients.back().Write(frames), "the runtime does not take 100 calls");
  }
  for (Http2Client& client : clients) {
    for (uint32_t call = 0; call < 100; ++call) {
      Demand(client.Await(call * 2 + 1, absl::Seconds(30)) == Http2Client::End::kStream,
             "one of 1,000 calls got no answer");
    }
  }
  return Harmless("1,000 calls answered");
}

// The events that a subscriber gets until it has seen `wanted` containers made.
class Subscriber {
 public:
  explicit Subscriber(Target& target)
      : stub_(v1::RuntimeService::NewStub(target.endpoint().NewChannel())),
        reader_(stub_->GetContainerEvents(&context_, v1::GetEventsRequest())),
        thread_([this] {
          v1::ContainerEventResponse event;
          while (reader_->Read(&event)) {
            if (event.container_event_type() == v1::CONTAINER_CREATED_EVENT) ++created_;
          }
        }) {}
  ~Subscriber() {
    context_.TryCancel();
    thread_.join();
  }
  int created() const { return created_; }

 private:
  std::unique_ptr<v1::RuntimeService::Stub> stub_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReader<v1::ContainerEventResponse>> reader_;
  std::atomic<int> created_ = 0;
  std::thread thread_;
};

Outcome EventsUnread(Target& target) {
  constexpr int kContainers = 200;
  test::Pod& pod = target.ThePod();
  std::deque<Http2Client> silent;
  for (int i = 0; i < 16; ++i) {
    silent.emplace_back(target.endpoint().socket());
    silent.back().Write(http2::Call(1, Path("GetContainerEvents"), ""));
  }
  Subscriber reader(target);
  const size_t before = RuntimeUsage(target).resident;
  const v1::ContainerConfig config = Attack(target, {"id"});
  for (int i = 0; i < kContainers; ++i) {
    v1::ContainerConfig one = config;
    one.mutable_metadata()->set_name(absl::StrCat("unread-", i));
    pod.RemoveContainer(pod.Create(one));
  }
  Demand(Settles([&] { return reader.created() >= kContainers; }),
         absl::StrCat("a subscriber that reads got ", reader.created(), " of ", kContainers,
                      " events"));
  const size_t after = RuntimeUsage(target).resident;
  Demand(after < before + 48 * kMebibyte,
         absl::StrCat("unread events cost ", (after - before) / kMebibyte, " MiB"));
  return Harmless("16 subscribers that do not read");
}

Outcome ClientsVanish(Target& target) {
  test::Pod& pod = target.ThePod();
  const std::string container = StartAttack(target, pod, {"wait"});
  v1::ExecSyncRequest exec;
  exec.set_container_id(container);
  for (const char* word : {kAttacker, "wait"}) exec.add_cmd(word);
  exec.set_timeout(2);
  const std::string request = exec.SerializeAsString();
  Answers(target, "at the start");
  const Usage before = RuntimeUsage(target);
  for (int i = 0; i < 1000; ++i) {
    Http2Client client(target.endpoint().socket());
    const bool runs = i % 20 == 0;
    client.Write(runs ? http2::Call(1, Path("ExecSync"), request)
                      : http2::Call(1, Path("GetContainerEvents"), ""));
    if (i % 2 == 0) client.Await(1, absl::Milliseconds(2));  // some are in the middle of it
  }
  Usage after;
  Demand(
      Settles([&] {
        after = RuntimeUsage(target);
        return after.descriptors <= before.descriptors + 8 && after.threads <= before.threads + 16;
      }),
      absl::StrCat("clients that left cost ", after.descriptors, " descriptors, were ",
                   before.descriptors, ", and ", after.threads, " threads, were ", before.threads));
  EndAttack(pod, container);
  return Harmless("1,000 clients");
}

Outcome OtherUser(Target& target) {
  const std::string socket_path = target.endpoint().socket();
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  socket_path.copy(address.sun_path, sizeof(address.sun_path) - 1);
  const pid_t child = fork();
  if (child == 0) {
    constexpr id_t kNobody = 65534;
    if (setgroups(0, nullptr) != 0 || setgid(kNobody) != 0 || setuid(kNobody) != 0) _exit(2);
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const auto* generic = reinterpret_cast<const sockaddr*>(&address);
    _exit(connect(fd, generic, sizeof(address)) == 0 ? 1 : 0);
  }
  int status = 0;
  if (child < 0 || waitpid(child, &status, 0) != child) throw Skipped("no child");
  Demand(WIFEXITED(status) && WEXITSTATUS(status) == 0,
         "a user of the host can connect to the CRI socket");
  return {Outcome::kRefused, "connect is refused"};
}

// An attack on gRPC that Debian's version does not withstand.
Case OnGrpc(const std::string& name, std::function<Outcome(Target&)> run, bool slow = false) {
  return {.name = name,
          .allowed = Allowed::kHarmless,
          .run = std::move(run),
          .check = "gRPC",
          .slow = slow,
          .of_crisp = Allowed::kEither,
          .remains = "gRPC 1.51 does not bound what it keeps of a call; only root reaches it"};
}

}  // namespace

// Ends with the runtime unreachable if the runtime has the error, so it comes last of all cases.
Case DescriptorsUsedUp() {
  const auto run = [](Target& target) -> Outcome {
    constexpr rlim_t kLimit = 1024;
    const int pid = RuntimePid(target);
    rlimit before = {};
    rlimit own = {};
    if (prlimit(pid, RLIMIT_NOFILE, nullptr, &before) != 0 || getrlimit(RLIMIT_NOFILE, &own) != 0 ||
        own.rlim_cur < 2 * kLimit) {
      throw Skipped("the limit of open files cannot be changed");
    }
    const rlimit low = {.rlim_cur = kLimit, .rlim_max = before.rlim_max};
    if (prlimit(pid, RLIMIT_NOFILE, &low, nullptr) != 0) throw Skipped("prlimit");
    {
      std::vector<base::UniqueFd> idle;
      for (rlim_t i = 0; i < kLimit + 200; ++i) {
        try {
          idle.push_back(Http2Client::Connect(target.endpoint().socket()));
        } catch (const std::runtime_error&) {
          break;  // the queue of the socket is full, as nothing is accepted any more
        }
      }
      test::Endpoint& endpoint = target.endpoint();
      v1::VersionResponse version;
      const grpc::Status old =
          endpoint.Try(endpoint.runtime(), &Runtime::Version, v1::VersionRequest(), &version, 10);
      prlimit(pid, RLIMIT_NOFILE, &before, nullptr);
      Demand(old.ok(), absl::StrCat("no answer on a connection that was open: ", Words(old)));
    }
    Answers(target, "after idle connections took all descriptors");
    return Harmless("answers as soon as they close");
  };
  return {"grpc: connections that take all descriptors do not end the service (CVE-2023-4785)",
          Allowed::kHarmless, run, "gRPC"};
}

std::vector<Case> GrpcCases() {
  constexpr auto kHarmless = Allowed::kHarmless;
  return {
      {"grpc: headers that end a server (CVE-2023-1428)", kHarmless, AbortingHeaders, "gRPC"},
      OnGrpc("grpc: a length with endless padding (CVE-2023-33953)", PaddedInteger),
      OnGrpc("grpc: a header of 4 GiB (CVE-2023-33953)", HugeString),
      OnGrpc("grpc: headers without an end (CVE-2023-33953)", EndlessFields),
      OnGrpc("grpc: 100,000 calls that are reset (CVE-2023-44487)", RapidReset, true),
      {"grpc: a message over 16 MiB", Allowed::kRefused, LargeMessage,
       "src/rpc/grpc_service.cc kMaxMessage"},
      OnGrpc("grpc: a message of 4 GiB", EndlessMessage),
      {"grpc: messages that are not UTF-8, nested or cut off", kHarmless, BadMessages, "protobuf"},
      {"grpc: random bytes", kHarmless, RandomBytes, "gRPC"},
      {"grpc: 1,000 calls at once", kHarmless, ManyCalls, "src/rpc/call_budget.h"},
      {"grpc: subscribers that do not read their events", kHarmless, EventsUnread,
       "src/events/queue.h"},
      {"grpc: 1,000 clients that vanish", kHarmless, ClientsVanish, "src/rpc/call_watch.cc"},
      {"grpc: a user of the host who is not root", Allowed::kRefused, OtherUser,
       "src/rpc/grpc_service.cc Start"},
  };
}

}  // namespace crisp::hostile
