#include "backend/cuda/emit/any_size_source.h"

#include <algorithm>
#include <map>
#include <set>

#include "backend/cuda/emit/prelude.h"
#include "base/text.h"

namespace planish::cuda {
namespace {

// Names that no family uses.
constexpr std::string_view kSizes = "Sizes", kSize = "rt_sizes";
std::string number_name(size_t parameter) { return cat("rt_", parameter); }

// One declarator of a constant: `int kBands = (kRowTiles + 1) / 2`.
struct Constant {
  size_t type_begin = 0, type_end = 0, name = 0, begin = 0, end = 0;
  bool is_array = false;
};
// A piece of the text at namespace level.
struct Item {
  enum class Kind { kOther, kConstant, kFunction, kKernel };
  Kind kind = Kind::kOther;
  size_t begin = 0, end = 0;
  size_t name = 0;  // token of a function's name
  std::vector<Constant> constants;
};

class Rewriter {
 public:
  Rewriter(const std::vector<Token>& text, const SizePattern& pattern) : text_(text) {
    for (const NumberSlot& slot : pattern.slots) slots_[slot.token] = slot.parameter;
    for (size_t i = 0; i + 1 < text_.size(); ++i)
      if (text_[i].is("template")) templates_.insert(name_behind(behind_bracket(text_, i + 1)));
    for (const std::string_view known : {"exchange", "team_reduce", "Pack", "Vector"})
      templates_.insert(std::string(known));
    split();
    for (Item& item : items_) classify(item);
  }

  std::vector<NumberSlot> fixed() {
    std::set<size_t> fixed;
    std::set<std::string> fixed_names;
    // Backwards: what a fixed constant is made of is fixed, too.
    for (size_t i = items_.size(); i-- > 0;) {
      const Item& item = items_[i];
      std::vector<bool> known(item.end - item.begin, item.kind == Item::Kind::kOther);
      if (item.kind == Item::Kind::kFunction || item.kind == Item::Kind::kKernel)
        find_fixed(item, known);
      for (size_t c = item.constants.size(); c-- > 0;) {
        const Constant& constant = item.constants[c];
        const bool is_fixed =
            constant.is_array || fixed_names.count(std::string(text_[constant.name].text));
        for (size_t t = constant.begin; t < constant.end && is_fixed; ++t) known[t - item.begin] = true;
        note_fixed(item, known, fixed, fixed_names);
      }
      note_fixed(item, known, fixed, fixed_names);
    }
    std::vector<NumberSlot> out;
    for (size_t t : fixed) out.push_back({uint32_t(t), slots_[t]});
    return out;
  }

  Result<std::string> rewrite(const std::vector<NumberType>& parameters) {
    std::string before, sizes, functions, kernel;
    for (size_t i = 0; i < parameters.size(); ++i)
      sizes += cat("  const ", c_type(parameters[i]), " ", number_name(i), ";\n");
    for (const Item& item : items_) {
      switch (item.kind) {
        case Item::Kind::kOther:
          if (depends(item.begin, item.end))
            return unsupported(cat("sizes in '", text_[item.begin].text, ' ',
                                   text_[std::min(item.begin + 1, item.end - 1)].text, "'"));
          before += print(item.begin, item.end, "") + "\n";
          break;
        case Item::Kind::kConstant:
          for (const Constant& constant : item.constants) {
            const std::string declared =
                cat(print(constant.type_begin, constant.type_end, ""), " ",
                    print(constant.name, constant.end, ""), ";\n");
            if (!depends(constant.begin, constant.end)) {
              before += cat("constexpr ", declared);
              continue;
            }
            if (constant.is_array) return unsupported("sizes in a table");
            sizes += cat("  const ", declared);
            names_.insert(std::string(text_[constant.name].text));
          }
          break;
        case Item::Kind::kFunction:
          if (depends(item.begin, item.end)) {
            functions_.insert(std::string(text_[item.name].text));
            functions += print(item.begin, item.end, cat(kSize, "."), item.name) + "\n";
          } else {
            before += print(item.begin, item.end, "") + "\n";
          }
          break;
        case Item::Kind::kKernel: kernel = print_kernel(item, parameters); break;
      }
    }
    if (kernel.empty()) return unsupported("a text without a kernel");
    return cat(kPrelude, before, "struct ", kSizes, " {\n", sizes, "};\n", functions, kernel);
  }

 private:
  std::string name_behind(size_t at) const {  // of a template: the last name in front of ( or {
    std::string name;
    for (; at < text_.size() && !text_[at].is("(") && !text_[at].is("{"); ++at)
      if (text_[at].kind == Token::Kind::kName && !text_[at].is("alignas")) name = text_[at].text;
      else if (text_[at].is("<")) break;
    return name;
  }

  void split() {
    for (size_t at = 0; at < text_.size();) {
      Item item;
      item.begin = at;
      if (text_[at].kind == Token::Kind::kDirective) {
        item.end = ++at;
        items_.push_back(item);
        continue;
      }
      const bool is_struct = text_[at].is("struct") || text_[at].is("template");
      bool body = false;
      for (; at < text_.size();) {
        if (text_[at].is("{")) {
          at = behind_bracket(text_, at);
          body = true;
          if (at < text_.size() && text_[at].is(";")) continue;
          if (!is_struct || !text_[item.begin].is("struct")) break;
        } else if (text_[at].is("(") || text_[at].is("[")) {
          at = behind_bracket(text_, at);
        } else if (text_[at++].is(";")) {
          body = false;
          break;
        }
      }
      item.end = at;
      if (body) item.kind = Item::Kind::kFunction;
      items_.push_back(item);
    }
  }

  void classify(Item& item) {
    const auto has = [&](std::string_view word) {
      for (size_t i = item.begin; i < item.end && !text_[i].is("{") && !text_[i].is("="); ++i)
        if (text_[i].is(word)) return true;
      return false;
    };
    if (item.kind == Item::Kind::kFunction) {
      if (has("__global__")) item.kind = Item::Kind::kKernel;
      for (size_t i = item.begin; i < item.end; ++i) {
        if (text_[i].is("__launch_bounds__") || text_[i].is("__align__")) {
          i = behind_bracket(text_, i + 1) - 1;
        } else if (text_[i].is("template")) {
          i = behind_bracket(text_, i + 1) - 1;
        } else if (text_[i].is("(")) {
          item.name = i - 1;
          break;
        }
      }
      return;
    }
    size_t at = item.begin;
    if (at < item.end && text_[at].is("static")) ++at;
    if (at >= item.end || !text_[at].is("constexpr")) return;
    // TYPE NAME = EXPR, NAME = EXPR;
    size_t equals = at;
    while (equals < item.end && !text_[equals].is("=")) ++equals;
    size_t name = equals - 1;
    if (equals >= item.end) return;
    const bool is_array = text_[name].is("]");
    while (text_[name].kind != Token::Kind::kName || (is_array && !text_[name + 1].is("["))) --name;
    const size_t type_begin = at + 1, type_end = name;
    for (size_t i = equals + 1, begin = name; i <= item.end; ++i) {
      const bool ends = i == item.end || text_[i].is(";");
      if (!ends && (text_[i].is("(") || text_[i].is("{") || text_[i].is("["))) {
        i = behind_bracket(text_, i) - 1;
      } else if (ends || text_[i].is(",")) {
        item.constants.push_back({type_begin, type_end, begin, begin, i, is_array});
        begin = i + 1;
        if (ends) break;
      }
    }
    item.kind = Item::Kind::kConstant;
  }

  bool depends(size_t begin, size_t end) const {
    for (size_t t = begin; t < end; ++t)
      if (slots_.count(t) || (text_[t].kind == Token::Kind::kName &&
                              (names_.count(text_[t].text) || functions_.count(text_[t].text))))
        return true;
    return false;
  }

  // Marks what stands where C++ wants a constant.
  void find_fixed(const Item& item, std::vector<bool>& known) const {
    const auto mark = [&](size_t from, size_t to) {
      for (size_t t = from; t < std::min(to, item.end); ++t) known[t - item.begin] = true;
    };
    for (size_t t = item.begin; t + 1 < item.end; ++t) {
      const Token& token = text_[t];
      const Token& next = text_[t + 1];
      if (token.kind == Token::Kind::kName) {
        if ((token.is("__launch_bounds__") || token.is("static_assert") || token.is("alignas") ||
             token.is("__align__")) && next.is("("))
          mark(t + 1, behind_bracket(text_, t + 1));
        if (token.is("if") && next.is("constexpr")) mark(t + 2, behind_bracket(text_, t + 2));
        if (token.is("template") && next.is("<")) mark(t + 1, behind_bracket(text_, t + 1));
        if (token.is("constexpr") && (t == item.begin || !text_[t - 1].is("if"))) {
          size_t end = t;
          while (end < item.end && !text_[end].is(";")) ++end;
          mark(t, end);
        }
        if (next.is("<") && templates_.count(std::string(token.text)))
          mark(t + 1, behind_bracket(text_, t + 1));
        if (token.is("case")) mark(t + 1, t + 2);
        // TYPE NAME[...]: a declaration; NAME[...] behind anything else reads an element.
        if (next.is("[") && t > item.begin && declares(t)) {
          size_t at = t + 1;
          while (at < item.end && text_[at].is("[")) {
            const size_t behind = behind_bracket(text_, at);
            mark(at, behind);
            at = behind;
          }
        }
      } else if (token.kind == Token::Kind::kString && token.is("\"n\"") && next.is("(")) {
        mark(t + 1, behind_bracket(text_, t + 1));
      } else if (token.is("&") && t + 2 < item.end && text_[t + 2].is(")") && next.kind == Token::Kind::kName) {
        // T (&name)[n]: a parameter
        for (size_t at = t + 3; at < item.end && text_[at].is("["); at = behind_bracket(text_, at))
          mark(at, behind_bracket(text_, at));
      }
    }
  }

  bool declares(size_t name) const {
    const Token& before = text_[name - 1];
    if (before.kind == Token::Kind::kName) return !before.is("return") && !before.is("else");
    return before.is(">");
  }

  void note_fixed(const Item& item, const std::vector<bool>& known, std::set<size_t>& fixed,
                  std::set<std::string>& fixed_names) const {
    for (size_t t = item.begin; t < item.end; ++t) {
      if (!known[t - item.begin]) continue;
      if (slots_.count(t)) fixed.insert(t);
      if (text_[t].kind == Token::Kind::kName) fixed_names.insert(std::string(text_[t].text));
    }
  }

  // Tokens as text; `prefix` stands in front of numbers and constants that are sizes ("" inside of the
  // struct). `definition`: the name of the function that is defined here.
  std::string print(size_t begin, size_t end, const std::string& prefix, size_t definition = 0) const {
    std::string out;
    for (size_t t = begin; t < end; ++t) {
      const Token& token = text_[t];
      if (token.kind == Token::Kind::kDirective) {
        out += cat("\n", token.text, "\n");
        continue;
      }
      const auto slot = slots_.find(t);
      if (slot != slots_.end()) {
        out += cat(prefix, number_name(slot->second));
      } else if (token.kind == Token::Kind::kName && names_.count(token.text) &&
                 !(t > 0 && text_[t - 1].is("."))) {
        out += cat(t == begin ? "" : prefix, token.text);
      } else {
        out += token.text;
      }
      if (token.kind == Token::Kind::kName && functions_.count(token.text)) {
        size_t open = t + 1;
        if (open < end && text_[open].is("<")) open = behind_bracket(text_, open);
        if (open < end && text_[open].is("(")) {
          for (size_t i = t + 1; i < open; ++i) out += text_[i].text;
          const std::string sizes =
              t == definition ? cat("const ", kSizes, "& ", kSize) : std::string(kSize);
          out += cat("(", sizes, text_[open + 1].is(")") ? "" : ", ");
          t = open;
          continue;
        }
      }
      if (t + 1 < end && parts(token, text_[t + 1])) out += ' ';
      if (token.is(";") || token.is("{") || token.is("}")) out += '\n';
    }
    return out;
  }

  // Whether a blank must stand between: words do not run together, nor do signs that were apart (those
  // of two characters are two tokens).
  static bool parts(const Token& a, const Token& b) {
    const bool sign_a = a.kind == Token::Kind::kSign, sign_b = b.kind == Token::Kind::kSign;
    if (sign_a && sign_b) return a.text.data() + a.text.size() != b.text.data();
    return !sign_b && (!sign_a || a.is(")"));
  }

  std::string print_kernel(const Item& item, const std::vector<NumberType>& parameters) const {
    const size_t open = item.name + 1, close = behind_bracket(text_, open) - 1;
    std::string out = print(item.begin, close, cat(kSize, "."));
    std::vector<std::string> declared, names;
    for (size_t i = 0; i < parameters.size(); ++i) {
      declared.push_back(cat(c_type(parameters[i]), " ", number_name(i)));
      names.push_back(number_name(i));
    }
    out += cat(close == open + 1 || declared.empty() ? "" : ", ", join(declared), ") {\nconst ", kSizes, " ",
               kSize, " = {", join(names), "};\n");
    size_t body = close + 1;
    while (!text_[body].is("{")) ++body;
    return out + print(body + 1, item.end, cat(kSize, ".")) + "\n";
  }

  const std::vector<Token>& text_;
  std::map<size_t, uint32_t> slots_;
  std::vector<Item> items_;
  std::set<std::string> templates_;
  std::set<std::string, std::less<>> names_, functions_;  // that depend on sizes
};

}  // namespace

std::vector<NumberSlot> fixed_numbers(const std::vector<Token>& text, const SizePattern& pattern) {
  return Rewriter(text, pattern).fixed();
}

Result<std::string> any_size_source(const std::vector<Token>& text, const SizePattern& pattern) {
  return Rewriter(text, pattern).rewrite(pattern.parameters);
}

}  // namespace planish::cuda
