// Prints what it has inherited, for inherited_test.cc; see inherited.h. Static, and only libc.
//
//   inherited         and whether the key "of-init" is in its session keyring
//   inherited wait    adds that key first, and waits for SIGTERM at the end
#include "inherited.h"

#include <linux/keyctl.h>

#include <csignal>
#include <cstring>

namespace {

std::string Keyring() {
  char text[256] = {};  // "keyring;0;0;3f130000;_ses.<id>"
  if (syscall(SYS_keyctl, KEYCTL_DESCRIBE, KEY_SPEC_SESSION_KEYRING, text, sizeof(text) - 1) < 0)
    return "keyring none\n";
  const char* name = strrchr(text, ';');
  const long key =
      syscall(SYS_keyctl, KEYCTL_SEARCH, KEY_SPEC_SESSION_KEYRING, "user", "of-init", 0);
  return std::string("keyring ") + (name == nullptr ? text : name + 1) + "\nkey " +
         (key < 0 ? "no" : "yes") + "\n";
}

}  // namespace

int main(int argc, char** argv) {
  const std::string inherited = crisp::test::Inherited();
  const bool wait = argc == 2 && strcmp(argv[1], "wait") == 0;
  if (wait) syscall(SYS_add_key, "user", "of-init", "secret", 6, KEY_SPEC_SESSION_KEYRING);
  const std::string text = inherited + Keyring() + "end\n";
  if (write(1, text.data(), text.size()) != static_cast<ssize_t>(text.size())) return 1;
  signal(SIGTERM, [](int) { _exit(0); });
  while (wait) pause();
  return 0;
}
