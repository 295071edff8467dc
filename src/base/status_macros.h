// Early return for absl::Status and absl::StatusOr (Abseil 20220623 has no such macros).
// CRISP_RETURN_IF_ERROR(expr) and CRISP_ASSIGN_OR_RETURN(lhs, expr) return an error unchanged; a
// layer adds its own operation to the text once, with base::Prefix() (base/errno.h).
#pragma once

#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#define CRISP_CONCAT_INNER(a, b) a##b
#define CRISP_CONCAT(a, b) CRISP_CONCAT_INNER(a, b)

#define CRISP_RETURN_IF_ERROR(expr)                                                  \
  do {                                                                               \
    if (absl::Status crisp_status = (expr); !crisp_status.ok()) return crisp_status; \
  } while (false)

#define CRISP_ASSIGN_OR_RETURN_IMPL(tmp, lhs, expr) \
  auto tmp = (expr);                                \
  if (!tmp.ok()) return std::move(tmp).status();    \
  lhs = std::move(tmp).value()

#define CRISP_ASSIGN_OR_RETURN(lhs, expr) \
  CRISP_ASSIGN_OR_RETURN_IMPL(CRISP_CONCAT(crisp_status_or_, __LINE__), lhs, expr)
