// TfIdfVectorizer over integer tokens: how often each n-gram of a pool occurs in a row, optionally
// weighted. An n-gram may skip tokens: its elements stand s + 1 apart, s up to max_skip_count.
// Pools of strings are refused, as all strings are.
#include <algorithm>
#include <map>

#include "base/text.h"
#include "ops/dims.h"
#include "opdef/import.h"

namespace planish::ops {
namespace {

using Gram = std::vector<int64_t>;

// The pool cut into n-grams: pool order numbers them, ngram_indexes and weights go by that number.
Result<std::map<Gram, size_t>> read_pool(const ir::Attributes& attrs) {
  const auto& pool = std::get<std::vector<int64_t>>(attrs.find("pool_int64s")->second);
  const auto& starts = std::get<std::vector<int64_t>>(attrs.find("ngram_counts")->second);
  std::map<Gram, size_t> grams;
  size_t number = 0;
  for (size_t n = 1; n <= starts.size(); ++n) {
    const int64_t begin = starts[n - 1];
    const int64_t end = n < starts.size() ? starts[n] : int64_t(pool.size());
    if (begin < 0 || end < begin || end > int64_t(pool.size()) || (end - begin) % int64_t(n) != 0) {
      return bad_attr("ngram_counts", bracketed(starts),
                      cat("ascending starts in a pool of ", pool.size(), ", whole ", n, "-grams"));
    }
    for (int64_t i = begin; i < end; i += int64_t(n)) {
      grams.emplace(Gram(pool.begin() + i, pool.begin() + i + int64_t(n)), number++);
    }
  }
  return grams;
}

Status infer(InferContext& ctx) {
  const std::string& mode = ctx.attr_string("mode");
  if (mode != "TF" && mode != "IDF" && mode != "TFIDF") {
    return bad_attr("mode", mode, "TF, IDF or TFIDF");
  }
  PLANISH_RETURN_IF_ERROR(check_rank(ctx, 0, 1, 2));
  const int64_t shortest = ctx.attr_int("min_gram_length"), longest = ctx.attr_int("max_gram_length");
  if (shortest < 1 || longest < shortest) {
    return bad_attr("max_gram_length", cat(longest), cat("at least ", std::max<int64_t>(1, shortest)));
  }
  if (ctx.attr_int("max_skip_count") < 0) {
    return bad_attr("max_skip_count", cat(ctx.attr_int("max_skip_count")), "0 or more");
  }
  PLANISH_ASSIGN_OR_RETURN(const auto grams, read_pool(ctx.attrs()));
  const std::vector<int64_t>& indexes = ctx.attr_ints("ngram_indexes");
  size_t count = 0;
  for (const auto& [gram, number] : grams) count = std::max(count, number + 1);
  if (indexes.empty() || indexes.size() < count) {
    return bad_attr("ngram_indexes", cat(indexes.size(), " elements"), cat("at least ", count));
  }
  const int64_t low = *std::min_element(indexes.begin(), indexes.end());
  const int64_t high = *std::max_element(indexes.begin(), indexes.end());
  if (low < 0 || high == INT64_MAX) return bad_attr("ngram_indexes", bracketed(indexes), "0 or more");
  if (ctx.has_attr("weights") &&
      std::get<std::vector<double>>(ctx.attrs().find("weights")->second).size() < indexes.size()) {
    return bad_attr("weights", "too few elements", cat(indexes.size()));
  }
  Shape shape = ctx.shape(0);
  shape.back() = high + 1;
  return set_sized_output(ctx, 0, DataType::kF32, std::move(shape));
}

// Visits every gram of n tokens whose elements stand `distance` apart.
template <class Visit>
void for_each_gram(std::span<const int64_t> row, int64_t n, int64_t distance, Visit visit) {
  if (n > 1 && distance > int64_t(row.size()) / (n - 1)) return;  // reaches past the row
  const int64_t reach = (n - 1) * distance;
  for (int64_t first = 0; first + reach < int64_t(row.size()); ++first) {
    Gram gram;
    for (int64_t k = 0; k < n; ++k) gram.push_back(row[size_t(first + k * distance)]);
    visit(gram);
  }
}

Status evaluate(EvalContext& ctx) {
  PLANISH_ASSIGN_OR_RETURN(const auto grams, read_pool(ctx.attrs()));
  const Tensor& in = ctx.input(0);
  Tensor& out = ctx.output(0);
  const std::vector<int64_t>& indexes = ctx.attr_ints("ngram_indexes");
  const std::string& mode = ctx.attr_string("mode");
  const int64_t length = in.dim(in.rank() - 1), width = out.dim(out.rank() - 1);
  const int64_t longest = std::min(ctx.attr_int("max_gram_length"), length);
  const std::vector<int64_t> tokens = in.i64_values();
  const int64_t rows = in.rank() == 2 ? in.dim(0) : 1;
  for (int64_t r = 0; r < rows; ++r) {
    const std::span<const int64_t> row(tokens.data() + r * length, size_t(length));
    auto found = [&](const Gram& gram) {
      const auto at = grams.find(gram);
      if (at == grams.end()) return;
      const int64_t to = r * width + indexes[at->second];
      double weight = 1;
      if (mode != "TF" && ctx.has_attr("weights")) {
        weight = std::get<std::vector<double>>(ctx.attrs().find("weights")->second)[at->second];
      }
      out.set_f64(to, mode == "IDF" ? weight : out.f64(to) + weight);
    };
    for (int64_t n = ctx.attr_int("min_gram_length"); n <= longest; ++n) {
      // A single token skips nothing; further skips than the row has room for give nothing.
      const int64_t skips = n == 1 ? 0 : std::min(ctx.attr_int("max_skip_count"), length);
      for (int64_t skip = 0; skip <= skips; ++skip) for_each_gram(row, n, skip + 1, found);
    }
  }
  return ok_status();
}

Status import_vectorizer(const opdef::NodeView& node, opdef::ImportContext& context) {
  if (!node.has_attr("pool_int64s")) {
    return unsupported("tensors of strings are not supported (attribute 'pool_strings')");
  }
  if (!node.has_input(0)) return invalid_argument("input 0 (X) is missing");
  ir::Attributes attrs;
  for (const std::string& key : node.attr_names()) attrs[key] = *node.attr(key);
  PLANISH_ASSIGN_OR_RETURN(ir::Value* out,
                           context.add1("TfIdfVectorizer", {node.input(0)}, std::move(attrs)));
  context.set_output(0, out);
  return ok_status();
}

}  // namespace

void register_tfidf_vectorizer(opdef::OpRegistry& registry) {
  using opdef::AttrKind;
  opdef::OpDef def;
  def.name = "TfIdfVectorizer";
  def.doc =
      "Per row of integer tokens: the count of every n-gram of the pool (TF), its weight where it "
      "occurs (IDF), or count times weight (TFIDF).";
  def.inputs = {operand("X", opdef::kIndices, "[tokens] or [rows, tokens]", "")};
  def.outputs = {operand("Y", opdef::TypeSet{DataType::kF32},
                         "[max(ngram_indexes) + 1], rows in front", "")};
  def.attrs = {
      opdef::required_attr("mode", AttrKind::kString, "TF, IDF or TFIDF"),
      opdef::required_attr("min_gram_length", AttrKind::kInt, "shortest n-gram looked for"),
      opdef::required_attr("max_gram_length", AttrKind::kInt, "longest n-gram looked for"),
      opdef::required_attr("max_skip_count", AttrKind::kInt, "most tokens between two elements"),
      opdef::required_attr("ngram_counts", AttrKind::kInts, "start of 1-grams, 2-grams... in pool"),
      opdef::required_attr("ngram_indexes", AttrKind::kInts, "output position per n-gram"),
      opdef::required_attr("pool_int64s", AttrKind::kInts, "the n-grams, shortest first"),
      opdef::optional_attr("weights", AttrKind::kFloats, "weight per n-gram")};
  def.infer = infer;
  def.evaluate = evaluate;
  def.onnx = {{"TfIdfVectorizer", "", 9, 1 << 30, import_vectorizer}};
  registry.add(std::move(def));
}

}  // namespace planish::ops
