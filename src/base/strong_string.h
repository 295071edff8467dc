// Strings that must not be mixed up: one type per kind of identifier, at the cost of a string.
//   using SandboxId = base::StrongString<struct SandboxIdTag>;
#pragma once

#include <compare>
#include <string>
#include <utility>

namespace crisp::base {

// Value type, as thread-safe as std::string. The text is not checked here.
template <typename Tag>
class StrongString {
 public:
  StrongString() = default;
  explicit StrongString(std::string text) : text_(std::move(text)) {}

  bool empty() const { return text_.empty(); }
  const std::string& str() const { return text_; }

  friend bool operator==(const StrongString&, const StrongString&) = default;
  friend auto operator<=>(const StrongString&, const StrongString&) = default;
  template <typename H>
  friend H AbslHashValue(H state, const StrongString& value) {
    return H::combine(std::move(state), value.text_);
  }

 private:
  std::string text_;
};

}  // namespace crisp::base
