#include "embedflow/status.h"

#include "base/utf8.h"

namespace embedflow {

const char* CodeName(Code code) {
  switch (code) {
    case Code::kOk:
      return "ok";
    case Code::kInvalidArgument:
      return "invalid_argument";
    case Code::kNotFound:
      return "not_found";
    case Code::kUnsupported:
      return "unsupported";
    case Code::kBudget:
      return "budget";
    case Code::kRefused:
      return "refused";
    case Code::kInUse:
      return "in_use";
    case Code::kIo:
      return "io";
    case Code::kUnavailable:
      return "unavailable";
    case Code::kCorruption:
      return "damaged";
    case Code::kCancelled:
      return "cancelled";
    case Code::kInternal:
      return "internal";
  }
  return "internal";
}

namespace {
const std::string& Empty() {
  static const std::string empty;
  return empty;
}
}  // namespace

Status::Status(Code code, std::string message)
    : rep_(std::make_shared<const Rep>(Rep{code, {}, std::move(message), {}, {}})) {
  if (code == Code::kOk) std::abort();
}

const std::string& Status::message() const { return rep_ ? rep_->message : Empty(); }
std::string Status::word() const {
  return rep_ && !rep_->word.empty() ? rep_->word : CodeName(code());
}
const std::string& Status::kept() const { return rep_ ? rep_->kept : Empty(); }
const std::string& Status::next() const { return rep_ ? rep_->next : Empty(); }

template <typename F>
Status Status::With(F change) const {
  Status status;
  if (rep_) {
    auto rep = std::make_shared<Rep>(*rep_);
    change(rep.get());
    status.rep_ = std::move(rep);
  }
  return status;
}

Status Status::WithWord(std::string word) const {
  return With([&](Rep* rep) { rep->word = std::move(word); });
}
Status Status::WithKept(std::string kept) const {
  return With([&](Rep* rep) { rep->kept = std::move(kept); });
}
Status Status::WithNext(std::string next) const {
  return With([&](Rep* rep) { rep->next = std::move(next); });
}
Status Status::WithContext(std::string_view context) const {
  return With([&](Rep* rep) { rep->message = std::string(context) + ": " + rep->message; });
}

std::string Status::ToString() const {
  if (ok()) return "ok";
  std::string line = message();
  if (!kept().empty()) line += "; kept: " + kept();
  if (!next().empty()) line += "; next: " + next();
  return EscapeControl(line);
}

}  // namespace embedflow
