#include "opdef/refusals.h"

#include "base/text.h"
#include "base/quote.h"

namespace planish::opdef {
namespace {
constexpr size_t kNamesShown = 5;
constexpr size_t kKindsShown = 100;
}  // namespace

void Refusals::add(const std::string& what, const std::string& reason, const std::string& where) {
  const std::string text = cat(what, ": ", reason);
  const auto [at, fresh] = index_.emplace(text, order_.size());
  if (fresh) order_.push_back({{what, reason, {}}, {}});
  Kind& kind = order_[at->second];
  if (!kind.where.insert(where).second) return;
  ++count_;
  if (kind.first.size() < kNamesShown) kind.first.push_back(where);
}

std::vector<Refusals::Entry> Refusals::entries() const {
  return std::vector<Entry>(order_.begin(), order_.end());
}

Status Refusals::to_status() const {
  if (empty()) return ok_status();
  std::string text =
      cat(count_, count_ == 1 ? " part" : " parts", " of the model cannot be imported");
  for (size_t i = 0; i < order_.size() && i < kKindsShown; ++i) {
    const Kind& kind = order_[i];
    text += cat("\n  ", kind.what, ": ", kind.reason, " [", kind.where.size(), "x: ");
    for (size_t k = 0; k < kind.first.size(); ++k) text += cat(k ? ", " : "", quoted(kind.first[k]));
    text += kind.where.size() > kind.first.size() ? ", ...]" : "]";
  }
  if (order_.size() > kKindsShown)
    text += cat("\n  and ", order_.size() - kKindsShown, " more kinds");
  return unsupported(text);
}

}  // namespace planish::opdef
