#include "stages/chunker_sentence.h"

#include <string.h>
#include <unicode/ubrk.h>
#include <unicode/utext.h>
#include <unicode/uversion.h>

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/mutex.h"
#include "base/utf8.h"
#include "stages/model_tokens.h"

namespace embedflow {
namespace {

// What ICU is given at once. Its positions are 32 bits wide.
constexpr std::size_t kWindowBytes = 64 << 10;

struct CloseIterator {
  void operator()(UBreakIterator* iterator) const { ubrk_close(iterator); }
};
using SentenceIterator = std::unique_ptr<UBreakIterator, CloseIterator>;

// Null and a failure in *status if ICU's data has no sentence rules.
SentenceIterator OpenSentenceIterator(UErrorCode* status) {
  return SentenceIterator(ubrk_open(UBRK_SENTENCE, "", nullptr, 0, status));
}

}  // namespace

// Iterators are dear to open (rules are loaded) and not thread-safe: each call borrows one.
// Threads: any.
class SentenceIteratorPool {
 public:
  SentenceIteratorPool() {
    UErrorCode status = U_ZERO_ERROR;
    prototype_ = OpenSentenceIterator(&status);
    EF_CHECK(U_SUCCESS(status));
  }

  SentenceIterator Take() {
    MutexLock lock(mu_);
    if (free_.empty()) {
      UErrorCode status = U_ZERO_ERROR;
      SentenceIterator clone(ubrk_clone(prototype_.get(), &status));
      EF_CHECK(U_SUCCESS(status));
      return clone;
    }
    SentenceIterator iterator = std::move(free_.back());
    free_.pop_back();
    return iterator;
  }

  void Give(SentenceIterator iterator) {
    MutexLock lock(mu_);
    free_.push_back(std::move(iterator));
  }

 private:
  Mutex mu_;
  SentenceIterator prototype_ EF_GUARDED_BY(mu_);
  // As many as there were calls at once.
  std::vector<SentenceIterator> free_ EF_GUARDED_BY(mu_);
};

namespace {

struct Sentence {
  std::size_t begin = 0;
  std::size_t end = 0;  // Without the white space that follows.
};

// Reads the sentences of a text in order, a window at a time. A window ends behind a line end,
// which ends a sentence by the rules, or else at the begin of its last sentence: only a sentence
// longer than a window is seen in parts.
class SentenceReader {
 public:
  SentenceReader(std::string_view text, UBreakIterator* iterator)
      : text_(text), iterator_(iterator) {}
  ~SentenceReader() { utext_close(&window_text_); }
  SentenceReader(const SentenceReader&) = delete;
  SentenceReader& operator=(const SentenceReader&) = delete;

  // False at the end. Sentences of white space are left out.
  bool Next(Sentence* sentence) {
    while (at_ < text_.size()) {
      if (at_ == window_end_) OpenWindow();
      const std::size_t begin = at_;
      const std::int32_t bound = ubrk_next(iterator_);
      at_ = bound == UBRK_DONE ? window_end_ : window_begin_ + static_cast<std::size_t>(bound);
      if (at_ == window_end_ && window_is_torn_ && begin != window_begin_) {
        at_ = begin;
        OpenWindow();
        continue;
      }
      sentence->begin = SkipWhiteSpace(text_.substr(0, at_), begin);
      if (sentence->begin == at_) continue;
      sentence->end = TrimWhiteSpace(text_, at_);
      return true;
    }
    return false;
  }

 private:
  void OpenWindow() {
    window_begin_ = at_;
    window_end_ = std::min(text_.size(), at_ + kWindowBytes);
    window_is_torn_ = false;
    if (window_end_ < text_.size()) {
      const void* newline = memrchr(text_.data() + at_, '\n', window_end_ - at_);
      window_is_torn_ = newline == nullptr;
      if (newline != nullptr) {
        window_end_ =
            static_cast<std::size_t>(static_cast<const char*>(newline) - text_.data()) + 1;
      } else {
        while (IsContinuation(text_[window_end_])) --window_end_;
      }
    }
    UErrorCode status = U_ZERO_ERROR;
    utext_openUTF8(&window_text_, text_.data() + window_begin_,
                   static_cast<std::int64_t>(window_end_ - window_begin_), &status);
    ubrk_setUText(iterator_, &window_text_, &status);
    EF_CHECK(U_SUCCESS(status));
  }

  const std::string_view text_;
  UBreakIterator* const iterator_;
  UText window_text_ = UTEXT_INITIALIZER;
  std::size_t at_ = 0;
  std::size_t window_begin_ = 0;
  std::size_t window_end_ = 0;
  bool window_is_torn_ = false;  // The window ends inside a sentence.
};

// Joins sentences to chunks.
class SentencePacker {
 public:
  SentencePacker(std::string_view text, const CutLimits& limits, std::vector<ChunkSpan>* spans)
      : text_(text), limits_(limits), first_(spans->size()), spans_(*spans) {}

  void Add(const Sentence& sentence) {
    if (is_open_ && Extend(sentence)) return;
    Finish();
    Start(sentence);
  }

  void Finish() {
    if (is_open_) spans_.push_back({begin_, end_, {}});
    is_open_ = false;
  }

 private:
  bool Extend(const Sentence& sentence) {
    std::uint64_t units = units_;
    if (AdvanceByUnits(text_.substr(0, sentence.end), end_, limits_.size_units, &units) !=
        sentence.end) {
      return false;
    }
    units_ = units;
    end_ = sentence.end;
    begins_.push_back(sentence.begin);
    return true;
  }

  // Opens a chunk with `sentence`, and with the overlap before it if both fit.
  void Start(const Sentence& sentence) {
    for (const std::size_t begin : {WithOverlap(sentence.begin), sentence.begin}) {
      begin_ = end_ = begin;
      units_ = 0;
      is_open_ = Extend(sentence);
      if (is_open_) break;
    }
    if (!is_open_) {
      begins_.clear();
      CutRecursively(text_.substr(sentence.begin, sentence.end - sentence.begin), sentence.begin,
                     limits_, &spans_);
      return;
    }
    begins_.erase(begins_.begin(), std::lower_bound(begins_.begin(), begins_.end(), begin_));
  }

  std::size_t WithOverlap(std::size_t fresh) const {
    if (limits_.overlap_units == 0 || spans_.size() == first_) return fresh;
    const std::size_t previous_begin = spans_.back().begin;
    std::size_t best = fresh;
    std::uint64_t units = 0;
    for (auto begin = begins_.rbegin(); begin != begins_.rend() && *begin > previous_begin;
         ++begin) {
      if (AdvanceByUnits(text_.substr(0, best), *begin, limits_.overlap_units, &units) != best) {
        break;
      }
      best = *begin;
    }
    if (best != fresh) return best;
    return OverlapBegin(text_, previous_begin, spans_.back().end, fresh, limits_);
  }

  const std::string_view text_;
  const CutLimits limits_;
  const std::size_t first_;  // Spans from here on are of this text.
  std::vector<ChunkSpan>& spans_;
  bool is_open_ = false;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  std::uint64_t units_ = 0;
  // Begins of the sentences in the open or last chunk.
  std::vector<std::size_t> begins_;
};

}  // namespace

SentenceChunker::SentenceChunker(const CutLimits& limits)
    : limits_(limits), iterators_(std::make_unique<SentenceIteratorPool>()) {}

SentenceChunker::~SentenceChunker() = default;

void SentenceChunker::Chunk(std::string_view text, std::vector<ChunkSpan>* spans) const {
  SentenceIterator iterator = iterators_->Take();
  {
    SentenceReader reader(text, iterator.get());
    SentencePacker packer(text, limits_, spans);
    Sentence sentence;
    while (reader.Next(&sentence)) packer.Add(sentence);
    packer.Finish();
  }
  iterators_->Give(std::move(iterator));
}

Status SentenceChunker::CheckAvailable() {
  UErrorCode status = U_ZERO_ERROR;
  const SentenceIterator iterator = OpenSentenceIterator(&status);
  if (U_SUCCESS(status)) return {};
  return Status(Code::kUnsupported,
                std::string("the sentence chunker needs ICU's break rules: ") + u_errorName(status))
      .WithNext("install ICU's data or take another chunker");
}

std::string SentenceChunker::RulesVersion() {
  UVersionInfo version;
  u_getVersion(version);
  char text[U_MAX_VERSION_STRING_LENGTH];
  u_versionToString(version, text);
  return std::string("icu ") + text;
}

}  // namespace embedflow
