#include "cgroup/device_program.h"

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>

#include "absl/strings/str_cat.h"
#include "base/errno.h"
#include "base/file.h"
#include "base/status_macros.h"

namespace crisp::cgroup {
namespace {

// Registers of the program. The kernel passes the context in r1 and takes the verdict from r0.
constexpr uint8_t kVerdict = BPF_REG_0;
constexpr uint8_t kContext = BPF_REG_1;
constexpr uint8_t kType = BPF_REG_2;
constexpr uint8_t kAsked = BPF_REG_3;  // requested accesses that are not allowed yet
constexpr uint8_t kMajor = BPF_REG_4;
constexpr uint8_t kMinor = BPF_REG_5;

bpf_insn Instruction(int code, uint8_t to, uint8_t from, int16_t offset, uint32_t value) {
  bpf_insn instruction = {};
  instruction.code = static_cast<uint8_t>(code);
  instruction.dst_reg = to & 0xf;
  instruction.src_reg = from & 0xf;
  instruction.off = offset;
  instruction.imm = static_cast<int32_t>(value);
  return instruction;
}
bpf_insn Load(uint8_t to, size_t offset) {
  return Instruction(BPF_LDX | BPF_W | BPF_MEM, to, kContext, static_cast<int16_t>(offset), 0);
}
bpf_insn Copy(uint8_t to, uint8_t from) {
  return Instruction(BPF_ALU | BPF_MOV | BPF_X, to, from, 0, 0);
}
bpf_insn Calculate(int operation, uint8_t to, uint32_t value) {
  return Instruction(BPF_ALU | operation | BPF_K, to, 0, 0, value);
}
// Skips the next `count` instructions if the comparison of `from` with `value` holds.
bpf_insn SkipIf(int comparison, uint8_t from, uint32_t value, size_t count) {
  return Instruction(BPF_JMP32 | comparison | BPF_K, from, 0, static_cast<int16_t>(count), value);
}
bpf_insn Exit() { return Instruction(BPF_JMP | BPF_EXIT, 0, 0, 0, 0); }

uint32_t AccessBits(const std::string& access) {
  uint32_t bits = 0;
  for (const char letter : access) {
    if (letter == 'm') bits |= BPF_DEVCG_ACC_MKNOD;
    if (letter == 'r') bits |= BPF_DEVCG_ACC_READ;
    if (letter == 'w') bits |= BPF_DEVCG_ACC_WRITE;
  }
  return bits;
}

void AppendRule(const DeviceRule& rule, std::vector<bpf_insn>& program) {
  std::vector<bpf_insn> verdict;
  const uint32_t bits = AccessBits(rule.access);
  if (rule.allow) {
    verdict = {Calculate(BPF_AND, kAsked, ~bits), SkipIf(BPF_JNE, kAsked, 0, 2),
               Calculate(BPF_MOV, kVerdict, 1), Exit()};
  } else {
    verdict = {Copy(kVerdict, kAsked), Calculate(BPF_AND, kVerdict, bits),
               SkipIf(BPF_JEQ, kVerdict, 0, 2), Calculate(BPF_MOV, kVerdict, 0), Exit()};
  }
  struct Condition {
    uint8_t of;
    uint32_t value;
  };
  std::vector<Condition> conditions;
  if (rule.type != 'a') {
    const uint32_t type = rule.type == 'b' ? BPF_DEVCG_DEV_BLOCK : BPF_DEVCG_DEV_CHAR;
    conditions.push_back({kType, type});
  }
  if (rule.major) conditions.push_back({kMajor, *rule.major});
  if (rule.minor) conditions.push_back({kMinor, *rule.minor});
  size_t rest = conditions.size() + verdict.size();
  for (const Condition& condition : conditions) {
    program.push_back(SkipIf(BPF_JNE, condition.of, condition.value, --rest));
  }
  program.insert(program.end(), verdict.begin(), verdict.end());
}

long Bpf(int command, bpf_attr& attributes) {
  return syscall(SYS_bpf, command, &attributes, sizeof(attributes));
}

}  // namespace

std::vector<bpf_insn> CompileDeviceProgram(const std::vector<DeviceRule>& rules) {
  std::vector<bpf_insn> program = {Load(kType, offsetof(bpf_cgroup_dev_ctx, access_type)),
                                   Copy(kAsked, kType),
                                   Calculate(BPF_AND, kType, 0xffff),
                                   Calculate(BPF_RSH, kAsked, 16),
                                   Load(kMajor, offsetof(bpf_cgroup_dev_ctx, major)),
                                   Load(kMinor, offsetof(bpf_cgroup_dev_ctx, minor))};
  for (auto rule = rules.rbegin(); rule != rules.rend(); ++rule) AppendRule(*rule, program);
  program.push_back(Calculate(BPF_MOV, kVerdict, 1));
  program.push_back(Exit());
  return program;
}

absl::Status AttachDeviceProgram(const std::string& v2_directory,
                                 const std::vector<bpf_insn>& program) {
  CRISP_ASSIGN_OR_RETURN(const base::UniqueFd group,
                         base::Open(v2_directory, O_RDONLY | O_DIRECTORY));
  static constexpr char kLicense[] = "Apache-2.0";
  bpf_attr load = {};
  load.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
  load.insns = reinterpret_cast<uint64_t>(program.data());
  load.insn_cnt = static_cast<uint32_t>(program.size());
  load.license = reinterpret_cast<uint64_t>(kLicense);
  const base::UniqueFd loaded(static_cast<int>(Bpf(BPF_PROG_LOAD, load)));
  if (!loaded.valid()) return base::Errno("load device program", absl::StrCat(program.size()));
  bpf_attr attach = {};
  attach.target_fd = static_cast<uint32_t>(group.get());
  attach.attach_bpf_fd = static_cast<uint32_t>(loaded.get());
  attach.attach_type = BPF_CGROUP_DEVICE;
  attach.attach_flags = BPF_F_ALLOW_MULTI;
  if (Bpf(BPF_PROG_ATTACH, attach) != 0) return base::Errno("attach device program", v2_directory);
  return absl::OkStatus();
}

}  // namespace crisp::cgroup
