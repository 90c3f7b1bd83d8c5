#include "backend/cuda/families/element/element_emitter.h"

#include <algorithm>

#include "backend/cuda/emit/expr_text.h"
#include "backend/cuda/families/element/element_ops.h"
#include "base/text.h"

namespace planish::cuda {
namespace {

bool is_plain(const std::string& text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return c == '_' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
  });
}

bool is_large(const kernel::Problem& problem) {
  bool large = false;
  for (int v = 0; v < problem.value_count(); ++v) {
    if (v < int(problem.operands.size()) && !problem.operands[size_t(v)].present) continue;
    large |= ir::element_count(problem.type_of(v).shape).value() >= int64_t(1) << 31;
  }
  return large;
}

std::string key_of(int value, const Coords& coords) {
  std::string key = cat(value);
  for (const Coord& c : coords) key += cat(',', c.at, '+', c.lane_step);
  return key;
}

}  // namespace

ElementEmitter::ElementEmitter(const kernel::Problem& problem, int width)
    : problem_(problem), width_(width), index_type_(is_large(problem) ? "i64" : "int"), known_(1) {}

void ElementEmitter::fail(Status status) {
  if (status_.ok()) status_ = std::move(status);
}

void ElementEmitter::line(const std::string& text) {
  body_.append(size_t(depth_) * 2, ' ');
  body_ += text;
  body_ += '\n';
}

void ElementEmitter::open(const std::string& text) {
  line(text + " {");
  ++depth_;
  known_.emplace_back();
}

void ElementEmitter::close() {
  --depth_;
  known_.pop_back();
  line("}");
}

std::string ElementEmitter::bind(std::string_view type, const std::string& text) {
  if (is_plain(text) || is_number(text)) return text;
  std::string name = fresh("n");  // i8, i64 are types
  line(cat("const ", type, ' ', name, " = ", text, ';'));
  return name;
}

Coord ElementEmitter::bind_coord(Coord c) {
  c.at = bind_index(c.at);
  return c;
}

std::string ElementEmitter::variable(std::string_view type, const std::string& initial) {
  std::string name = fresh("v");
  line(cat(type, ' ', name, " = ", initial, ';'));
  return name;
}

std::string ElementEmitter::table(std::string_view type, const std::vector<std::string>& elements) {
  const std::string text = cat('[', elements.size(), "] = {", join(elements), "};\n");
  std::string name = fresh("table");
  tables_ += cat("static __device__ const ", type, ' ', name, text);
  return name;
}

Lanes ElementEmitter::per_lane(const Coords& coords, const OneElement& one) {
  if (!moves_by_lane(coords)) return {{one(coords)}};
  split_lanes_ = true;
  Lanes out;
  for (int lane = 0; lane < width_; ++lane) out.names.push_back(one(lane_of(coords, lane)));
  return out;
}

Lanes ElementEmitter::map_lanes(std::initializer_list<const Lanes*> args, const OneLane& one) {
  const bool shared =
      std::all_of(args.begin(), args.end(), [](const Lanes* l) { return l->shared(); });
  Lanes out;
  for (int lane = 0; lane < (shared ? 1 : width_); ++lane) out.names.push_back(one(lane));
  return out;
}

std::string ElementEmitter::load(int operand, const std::string& offset) {
  loaded_.insert(operand);
  const ir::DataType dtype = type(operand).dtype;
  return bind(register_type(dtype), load_text(dtype, cat('x', operand, '[', offset, ']')));
}

Lanes ElementEmitter::load_vector(int operand, const Coord& offset) {
  loaded_.insert(operand);
  const ir::DataType dtype = type(operand).dtype;
  const std::string pack = cat("Pack<", memory_type(dtype), ", ", width_, ">");
  const std::string name = fresh("p");
  line(
      cat("const ", pack, ' ', name, " = *(const ", pack, "*)(x", operand, " + ", offset.at, ");"));
  Lanes out;
  for (int lane = 0; lane < width_; ++lane)
    out.names.push_back(bind(register_type(dtype), load_text(dtype, cat(name, ".v[", lane, ']'))));
  return out;
}

Coord ElementEmitter::offset(int operand, const Coords& coords) const {
  if (auto steps = steps_.find(operand); steps != steps_.end())
    return offset_by(coords, steps->second);
  return offset_of(type(operand), coords);
}

Lanes ElementEmitter::load(int operand, const Coords& coords) {
  Coord offset = this->offset(operand, coords);
  if (offset.lane_step == 0) return {{load(operand, offset.at)}};
  if (offset.lane_step == 1 && offset.multiple % width_ == 0) return load_vector(operand, offset);
  offset = bind_coord(offset);
  Lanes out;
  for (int lane = 0; lane < width_; ++lane)
    out.names.push_back(load(operand, lane_of(offset, lane).at));
  return out;
}

void ElementEmitter::store(int result, const Coord& offset, const Lanes& values) {
  const ir::DataType dtype = problem_.result_type(result).dtype;
  const std::string to = cat('y', result);
  if (offset.lane_step == 1 && width_ > 1 && offset.multiple % width_ == 0) {
    const std::string pack = cat("Pack<", memory_type(dtype), ", ", width_, '>');
    const std::string name = fresh("p");
    line(cat(pack, ' ', name, ';'));
    for (int lane = 0; lane < width_; ++lane)
      line(cat(name, ".v[", lane, "] = ", store_text(dtype, values[lane]), ';'));
    line(cat("*(", pack, "*)(", to, " + ", offset.at, ") = ", name, ';'));
    return;
  }
  for (int lane = 0; lane < (offset.lane_step ? width_ : 1); ++lane)
    line(cat(to, '[', lane_of(offset, lane).at, "] = ", store_text(dtype, values[lane]), ';'));
}

// All outputs at once: they share what they are made of.
Lanes ElementEmitter::expression(int stage, const Coords& coords, int output) {
  const kernel::Stage& s = problem_.stages[size_t(stage)];
  std::vector<Lanes> args;
  size_t lanes = 1;
  for (int input : s.inputs) {
    args.push_back(value(input, coords));
    lanes = std::max(lanes, args.back().names.size());
  }
  std::vector<Lanes> outputs(s.outputs.size());
  for (size_t lane = 0; lane < lanes; ++lane) {
    std::vector<std::string> names;
    for (const Lanes& a : args) names.push_back(a[int(lane)]);
    Result<ExprText> text = print_expr(*s.expr, names, fresh("e") + "_");
    if (!text.ok()) {
      fail(text.status());
      return {{"0"}};
    }
    for (const std::string& l : split(text->body, '\n'))
      if (!l.empty()) line(l);
    for (size_t i = 0; i < outputs.size(); ++i) outputs[i].names.push_back(text->outputs[i]);
  }
  int number = int(problem_.operands.size());
  for (int i = 0; i < stage; ++i) number += int(problem_.stages[size_t(i)].outputs.size());
  for (size_t i = 0; i < outputs.size(); ++i)
    known_.back()[key_of(number + int(i), coords)] = outputs[i];
  return outputs[size_t(output)];
}

Lanes ElementEmitter::value(int value, const Coords& coords) {
  if (auto found = defined_.find(value); found != defined_.end()) return found->second;
  if (!merged_ && int(coords.size()) < type(value).rank()) {
    fail(internal_error(cat("value ", value, " is read at ", coords.size(), " coordinates")));
    return {{"0"}};
  }
  const Coords own = merged_ ? coords : broadcast_coords(type(value), coords);
  const std::string key = key_of(value, own);
  for (const auto& known : known_)
    if (auto found = known.find(key); found != known.end()) return found->second;
  Lanes out;
  if (value < int(problem_.operands.size())) {
    out = load(value, own);
  } else {
    const auto [stage, output] = problem_.stage_of(value);
    const kernel::Stage& s = problem_.stages[size_t(stage)];
    if (s.is_expr()) return expression(stage, own, output);
    const ElementOp* op = find_element_op(s.op);
    if (!op) {
      fail(unsupported(cat(s.op, " is no element operator")));
      return {{"0"}};
    }
    out = op->emit(*this, s, output, own);
  }
  known_.back()[key] = out;
  return out;
}

}  // namespace planish::cuda
