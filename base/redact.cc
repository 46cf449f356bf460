// What must not be read in any output: the keys that were registered, however a server wrote them
// back, and what looks like a key that was not.
#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/log.h"
#include "base/mutex.h"

namespace embedflow {
namespace {

constexpr std::string_view kMark = "[key]";
// A key echoed in part is a secret too, if the part is long enough to mean this key.
constexpr std::size_t kPrefixBytes = 8;
constexpr std::size_t kPrefixedBytesMin = 16;
// The encoded forms of a shorter one stand in texts by accident.
constexpr std::size_t kEncodedBytesMin = 8;
// What looks like a key has at least so many letters; a word that only follows "key=" has fewer.
constexpr std::size_t kLooksBytesMin = 8;
// So many bytes of a value tell whether it looks like one.
constexpr std::size_t kTellingBytes = 64;
// Of a secret inside a longer base64 text only the letters that are its alone can be known; fewer
// than these are found by accident.
constexpr std::size_t kBase64LettersMin = 8;
constexpr std::string_view kBase64Letters =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
// Deeper is not nesting but noise: a backslash before a backslash, and so on.
constexpr std::size_t kBackslashesMax = 8;

bool IsDigit(char c) { return c >= '0' && c <= '9'; }
char Lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }
bool IsWordByte(char c) {
  return IsDigit(c) || (Lower(c) >= 'a' && Lower(c) <= 'z') || c == '_' || c == '-';
}
bool EndsValue(char c) {
  return static_cast<unsigned char>(c) <= ' ' ||
         std::string_view("\"'&<>`,;)]}").find(c) != std::string_view::npos;
}

int HexValue(char c) {
  if (IsDigit(c)) return c - '0';
  const char lower = Lower(c);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

// The bytes that stand for `c` at the beginning of `text`, 0 if it is something else: `c` itself,
// after backslashes, or as %41, \u0041, &#65;, &#x41; or a named entity.
std::size_t WrittenAs(std::string_view text, char c) {
  if (text.empty()) return 0;
  const auto hex_is = [&](std::size_t at, std::size_t digits) {
    if (text.size() < at + digits) return false;
    int value = 0;
    for (std::size_t i = at; i < at + digits; ++i) {
      const int digit = HexValue(text[i]);
      if (digit < 0) return false;
      value = value * 16 + digit;
    }
    return value == static_cast<unsigned char>(c);
  };
  if (text[0] == '%' && hex_is(1, 2)) return 3;
  if (text[0] == '&') {
    const std::size_t end = text.substr(0, 8).find(';');
    if (end == std::string_view::npos) return text[0] == c ? 1 : 0;
    const std::string_view name = text.substr(1, end - 1);
    const std::string number = std::to_string(static_cast<unsigned char>(c));
    const bool is_hex =
        name.size() > 2 && name[0] == '#' && Lower(name[1]) == 'x' && hex_is(3, name.size() - 2);
    if (name == "#" + number || is_hex || (c == '&' && name == "amp") ||
        (c == '<' && name == "lt") || (c == '>' && name == "gt") || (c == '"' && name == "quot"))
      return end + 1;
  }
  std::size_t slashes = 0;
  while (slashes < std::min(text.size(), kBackslashesMax) && text[slashes] == '\\') ++slashes;
  if (slashes > 0 && slashes < text.size()) {
    if (text[slashes] == 'u' && hex_is(slashes + 1, 4)) return slashes + 5;
    if (text[slashes] == c) return slashes + 1;
  }
  return text[0] == c ? 1 : 0;
}

// One way to write a secret, and how much of its beginning is a secret too.
struct Form {
  std::string text;
  std::size_t bytes_min;
};

// The bytes at the beginning of `text` that are `form`, escaped in any way; 0 if it is not there.
std::size_t Match(std::string_view text, const Form& form) {
  std::size_t at = 0;
  for (std::size_t i = 0; i < form.text.size(); ++i) {
    const std::size_t bytes = WrittenAs(text.substr(at), form.text[i]);
    if (bytes == 0) return i < form.bytes_min ? 0 : at;
    at += bytes;
  }
  return at;
}

void ReplaceSecret(std::string* text, const Form& secret) {
  std::string out;
  std::size_t copied = 0;
  for (std::size_t at = 0; at < text->size();) {
    const std::size_t bytes = Match(std::string_view(*text).substr(at), secret);
    if (bytes == 0) {
      ++at;
      continue;
    }
    out.append(*text, copied, at - copied).append(kMark);
    at += bytes;
    copied = at;
  }
  if (copied == 0) return;
  out.append(*text, copied);
  *text = std::move(out);
}

// The letters of `secret` in the base64 of a text in which `before` bytes (modulo 3) come before
// it. Without `is_whole` only those that depend on nothing else.
std::string Base64(std::string_view secret, std::size_t before, bool is_whole) {
  const std::string bytes = std::string(before, '\0') + std::string(secret);
  std::string out;
  for (std::size_t bit = 0; bit < bytes.size() * 8; bit += 6) {
    unsigned value = 0;
    for (std::size_t i = bit; i < bit + 6; ++i) {
      const bool is_set =
          i < bytes.size() * 8 && (static_cast<unsigned char>(bytes[i / 8]) >> (7 - i % 8) & 1u);
      value = value * 2 + (is_set ? 1 : 0);
    }
    const bool is_own = bit >= before * 8 && bit + 6 <= bytes.size() * 8;
    if (is_whole || is_own) out += kBase64Letters[value];
  }
  while (is_whole && out.size() % 4 != 0) out += '=';
  return out;
}

std::string Hex(std::string_view secret, std::string_view digits) {
  std::string out;
  for (const char c : secret) {
    out += digits[static_cast<unsigned char>(c) >> 4];
    out += digits[static_cast<unsigned char>(c) & 15];
  }
  return out;
}

std::vector<Form> FormsOf(std::string_view secret) {
  const bool has_prefix = secret.size() >= kPrefixedBytesMin;
  std::vector<Form> forms;
  // Bits of a byte in one letter: 8, or 6 in base64 and 4 in hexadecimal.
  const auto add = [&](std::string text, std::size_t bits) {
    const std::size_t prefix = (kPrefixBytes * 8 + bits - 1) / bits;
    const std::size_t bytes_min = has_prefix ? std::min(prefix, text.size()) : text.size();
    forms.push_back({std::move(text), bytes_min});
  };
  add(std::string(secret), 8);
  if (secret.size() < kEncodedBytesMin) return forms;
  add(Hex(secret, "0123456789abcdef"), 4);
  add(Hex(secret, "0123456789ABCDEF"), 4);
  for (std::size_t before = 0; before < 4; ++before) {
    const bool is_whole = before == 3;
    std::string letters = Base64(secret, before % 3, is_whole);
    if (letters.size() < kBase64LettersMin) continue;
    add(letters, 6);
    // The alphabet for addresses.
    std::replace(letters.begin(), letters.end(), '+', '-');
    std::replace(letters.begin(), letters.end(), '/', '_');
    add(std::move(letters), 6);
  }
  return forms;
}

struct Secrets {
  Mutex mu;
  // Longest first, so that no part of one is left when a shorter one is found in it.
  std::vector<Form> forms EF_GUARDED_BY(mu);
};
Secrets& TheSecrets() {
  static Secrets secrets;
  return secrets;
}

std::size_t ValueEnd(std::string_view text, std::size_t at) {
  while (at < text.size() && !EndsValue(text[at])) ++at;
  return at;
}

// The end of the value behind a name like "api_key" that ends at `at`; `at` if there is none, or
// none that looks like a key.
std::size_t EndOfNamedValue(std::string_view text, std::size_t at, std::size_t* begin) {
  *begin = at;
  if (*begin < text.size() && (text[*begin] == '"' || text[*begin] == '\'')) ++*begin;
  if (*begin >= text.size() || (text[*begin] != '=' && text[*begin] != ':')) return at;
  const bool is_equal = text[(*begin)++] == '=';
  while (*begin < text.size() &&
         std::string_view(" \"'").find(text[*begin]) != std::string_view::npos)
    ++*begin;
  // Whether it looks like a key is told by its beginning, so that "key:key:key:..." costs no
  // square; "the key: unauthorized" names none.
  const std::string_view value = text.substr(*begin, kTellingBytes);
  const std::size_t bytes = ValueEnd(value, 0);
  if (bytes < kLooksBytesMin) return at;
  const bool has_digit =
      std::any_of(value.begin(), value.begin() + static_cast<std::ptrdiff_t>(bytes), IsDigit);
  return is_equal || has_digit ? ValueEnd(text, *begin) : at;
}

// What at `at` looks like a secret: [*begin, returned). Nothing: returns `at`.
std::size_t LooksLikeSecret(std::string_view text, std::size_t at, std::size_t* begin) {
  const auto is_here = [&](std::string_view word) {
    return text.size() - at >= word.size() &&
           std::equal(word.begin(), word.end(), text.begin() + static_cast<std::ptrdiff_t>(at),
                      [](char a, char b) { return Lower(a) == Lower(b); });
  };
  const bool is_word_start = at == 0 || !IsWordByte(text[at - 1]);
  *begin = at;
  for (const std::string_view scheme : {"Bearer ", "Basic "}) {
    if (!is_word_start || !is_here(scheme)) continue;
    *begin = at + scheme.size();
    std::size_t end = *begin;
    while (end < text.size() && text[end] > ' ' && text[end] != '"' && text[end] != '\'') ++end;
    if (scheme == "Bearer " || end - *begin >= kLooksBytesMin) return end;
  }
  for (const std::string_view prefix : {"sk-", "AIza", "pa-", "jina_"}) {
    if (!is_word_start || !text.substr(at).starts_with(prefix)) continue;
    std::size_t end = at;
    bool has_digit = false;
    while (end < text.size() && IsWordByte(text[end])) has_digit |= IsDigit(text[end++]);
    *begin = at;
    if (has_digit && end - at >= prefix.size() + kLooksBytesMin) return end;
  }
  for (const std::string_view name : {"key", "token", "secret", "password"}) {
    if (!is_here(name)) continue;
    const std::size_t end = EndOfNamedValue(text, at + name.size(), begin);
    if (end > at + name.size()) return end;
  }
  if (is_here("://")) {
    // "scheme://user:password@host".
    *begin = at + 3;
    std::size_t end = *begin;
    while (end < text.size() && !EndsValue(text[end]) && text[end] != '/' && text[end] != '@')
      ++end;
    if (end < text.size() && text[end] == '@' && end > *begin) return end;
  }
  return at;
}

std::string WithoutLooks(std::string_view text) {
  std::string out;
  std::size_t copied = 0;
  for (std::size_t at = 0; at < text.size();) {
    std::size_t begin = at;
    const std::size_t end = LooksLikeSecret(text, at, &begin);
    if (end <= at) {
      ++at;
      continue;
    }
    out.append(text, copied, begin - copied).append(kMark);
    at = copied = end;
  }
  return out.append(text, copied);
}

}  // namespace

void RegisterSecret(std::string_view secret) {
  if (secret.empty()) return;
  std::vector<Form> forms = FormsOf(secret);
  Secrets& secrets = TheSecrets();
  MutexLock lock(secrets.mu);
  for (Form& form : forms) {
    const auto is_same = [&](const Form& other) { return other.text == form.text; };
    if (std::none_of(secrets.forms.begin(), secrets.forms.end(), is_same))
      secrets.forms.push_back(std::move(form));
  }
  std::stable_sort(secrets.forms.begin(), secrets.forms.end(),
                   [](const Form& a, const Form& b) { return a.text.size() > b.text.size(); });
}

std::string Redact(std::string_view text) {
  std::string out(text);
  {
    Secrets& secrets = TheSecrets();
    MutexLock lock(secrets.mu);
    for (const Form& form : secrets.forms) ReplaceSecret(&out, form);
  }
  return WithoutLooks(out);
}

}  // namespace embedflow
