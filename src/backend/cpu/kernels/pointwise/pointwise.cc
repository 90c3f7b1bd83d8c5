#include "backend/cpu/kernels/pointwise/pointwise.h"

#include <algorithm>
#include <cstring>

#include "base/float_types.h"
#include "base/thread_team.h"

namespace planish::cpu {
namespace {

using ir::DataType;
using kernel::Expr;
using kernel::ExprNode;
using kernel::ScalarOp;

bool in_float_file(DataType t) {
  return t == DataType::kF32 || t == DataType::kF16 || t == DataType::kBF16 ||
         t == DataType::kBool;
}
bool in_int_file(DataType t) { return ir::is_integer(t) && ir::bits_of(t) >= 8; }

bool is_int_op(ScalarOp op) {
  switch (op) {
    case ScalarOp::kAdd: case ScalarOp::kSub: case ScalarOp::kMul: case ScalarOp::kMin:
    case ScalarOp::kMax: case ScalarOp::kDiv: case ScalarOp::kMod: case ScalarOp::kFmod:
    case ScalarOp::kBitAnd: case ScalarOp::kBitOr: case ScalarOp::kBitXor:
    case ScalarOp::kEqual: case ScalarOp::kLess: case ScalarOp::kLessEqual:
    case ScalarOp::kSelect: case ScalarOp::kCast: case ScalarOp::kArg: case ScalarOp::kImm:
      return true;
    default: return false;
  }
}

void load_block(DataType dtype, const void* data, int64_t at, int64_t n, float* f, int64_t* out) {
  switch (dtype) {
    case DataType::kF32: std::memcpy(f, static_cast<const float*>(data) + at, size_t(n) * 4); return;
    case DataType::kF16: {
      const auto* p = static_cast<const uint16_t*>(data) + at;
      for (int64_t i = 0; i < n; ++i) f[i] = half_to_float(p[i]);
      return;
    }
    case DataType::kBF16: {
      const auto* p = static_cast<const uint16_t*>(data) + at;
      for (int64_t i = 0; i < n; ++i) f[i] = bfloat16_to_float(p[i]);
      return;
    }
    case DataType::kBool: {
      const auto* p = static_cast<const uint8_t*>(data) + at;
      for (int64_t i = 0; i < n; ++i) f[i] = p[i] ? 1.f : 0.f;
      return;
    }
    default: break;
  }
  const auto widen = [&](const auto* p) {
    for (int64_t i = 0; i < n; ++i) out[i] = int64_t(p[at + i]);
  };
  switch (dtype) {
    case DataType::kI8: widen(static_cast<const int8_t*>(data)); return;
    case DataType::kU8: widen(static_cast<const uint8_t*>(data)); return;
    case DataType::kI16: widen(static_cast<const int16_t*>(data)); return;
    case DataType::kU16: widen(static_cast<const uint16_t*>(data)); return;
    case DataType::kI32: widen(static_cast<const int32_t*>(data)); return;
    case DataType::kU32: widen(static_cast<const uint32_t*>(data)); return;
    default: widen(static_cast<const int64_t*>(data)); return;
  }
}

void store_block(DataType dtype, const float* f, const int64_t* in, int64_t at, int64_t n,
                 void* data) {
  switch (dtype) {
    case DataType::kF32: std::memcpy(static_cast<float*>(data) + at, f, size_t(n) * 4); return;
    case DataType::kF16: {
      auto* p = static_cast<uint16_t*>(data) + at;
      for (int64_t i = 0; i < n; ++i) p[i] = float_to_half(f[i]);
      return;
    }
    case DataType::kBF16: {
      auto* p = static_cast<uint16_t*>(data) + at;
      for (int64_t i = 0; i < n; ++i) p[i] = float_to_bfloat16(f[i]);
      return;
    }
    case DataType::kBool: {
      auto* p = static_cast<uint8_t*>(data) + at;
      for (int64_t i = 0; i < n; ++i) p[i] = f[i] != 0;
      return;
    }
    default: break;
  }
  const auto narrow = [&](auto* p) {
    using T = std::remove_pointer_t<decltype(p)>;
    for (int64_t i = 0; i < n; ++i) p[at + i] = T(in[i]);
  };
  switch (dtype) {
    case DataType::kI8: narrow(static_cast<int8_t*>(data)); return;
    case DataType::kU8: narrow(static_cast<uint8_t*>(data)); return;
    case DataType::kI16: narrow(static_cast<int16_t*>(data)); return;
    case DataType::kU16: narrow(static_cast<uint16_t*>(data)); return;
    case DataType::kI32: narrow(static_cast<int32_t*>(data)); return;
    case DataType::kU32: narrow(static_cast<uint32_t*>(data)); return;
    default: narrow(static_cast<int64_t*>(data)); return;
  }
}

// Integer registers hold the value that the type can: wrap after arithmetic.
void wrap_block(DataType dtype, int64_t* v, int64_t n) {
  const auto wrap = [&](auto zero) {
    using T = decltype(zero);
    for (int64_t i = 0; i < n; ++i) v[i] = int64_t(T(v[i]));
  };
  switch (dtype) {
    case DataType::kI8: return wrap(int8_t(0));
    case DataType::kU8: return wrap(uint8_t(0));
    case DataType::kI16: return wrap(int16_t(0));
    case DataType::kU16: return wrap(uint16_t(0));
    case DataType::kI32: return wrap(int32_t(0));
    case DataType::kU32: return wrap(uint32_t(0));
    default: return;
  }
}

void round_block(DataType dtype, float* f, int64_t n) {
  if (dtype == DataType::kF16)
    for (int64_t i = 0; i < n; ++i) f[i] = half_to_float(float_to_half(f[i]));
  if (dtype == DataType::kBF16)
    for (int64_t i = 0; i < n; ++i) f[i] = bfloat16_to_float(float_to_bfloat16(f[i]));
}

int64_t truncated(float v) {
  if (v != v) return 0;
  if (v >= 9223372036854775808.0f) return INT64_MAX;
  if (v < -9223372036854775808.0f) return INT64_MIN;
  return int64_t(v);
}

// Registers of one thread, grown as needed.
struct Registers {
  std::vector<float> f;
  std::vector<int64_t> i;
  std::vector<const float*> value;  // by node, this block
  // By node: which run of its argument the register holds, and how many elements of it.
  struct Held {
    int64_t run, count;
  };
  std::vector<Held> held;
};
Registers& registers() {
  thread_local Registers r;
  return r;
}

constexpr int64_t padded(int64_t n) { return (n + 15) / 16 * 16; }

}  // namespace

const PointwiseKernels& pointwise_kernels(Isa isa) {
#if defined(__x86_64__)
  if (isa == Isa::kAvx512) return pointwise_kernels_avx512();
  if (isa == Isa::kAvx2) return pointwise_kernels_avx2();
#endif
  (void)isa;
  return pointwise_kernels_portable();
}

std::string_view pointwise_refusal(const Expr& expr, std::span<const DataType> args,
                                   std::span<const DataType> outputs) {
  for (std::span<const DataType> types : {args, outputs})
    for (DataType t : types)
      if (!in_float_file(t) && !in_int_file(t))
        return "takes f32, f16, bf16, bool and integers of 8 to 64 bits";
  for (const ExprNode& n : expr.nodes) {
    if (!in_float_file(n.dtype) && !in_int_file(n.dtype))
      return "a node computes in a type that has no register";
    const DataType operand = n.a >= 0 && n.op != ScalarOp::kArg
                                 ? expr.nodes[size_t(n.a)].dtype
                                 : n.dtype;
    if ((in_int_file(operand) || in_int_file(n.dtype)) && !is_int_op(n.op))
      return "an integer operation that has no block loop";
    const bool order = n.op == ScalarOp::kLess || n.op == ScalarOp::kLessEqual ||
                       n.op == ScalarOp::kMin || n.op == ScalarOp::kMax ||
                       n.op == ScalarOp::kDiv || n.op == ScalarOp::kMod || n.op == ScalarOp::kFmod;
    if (order && operand == DataType::kU64)
      return "64-bit unsigned order and quotients have no block loop";
    if (n.op == ScalarOp::kCast && (operand == DataType::kU64 || n.dtype == DataType::kU64) &&
        operand != n.dtype)
      return "64-bit unsigned casts have no block loop";
    if (n.op == ScalarOp::kBitNot || (n.op == ScalarOp::kFma && n.dtype != DataType::kF32))
      return "no block loop";
  }
  return {};
}

PointwiseShape merged_axes(const PointwiseShape& shape) {
  PointwiseShape out;
  out.arg_steps.resize(shape.arg_steps.size());
  for (size_t d = 0; d < shape.sizes.size(); ++d) {
    if (shape.sizes[d] == 1) continue;
    bool merge = !out.sizes.empty();
    for (size_t a = 0; merge && a < shape.arg_steps.size(); ++a)
      merge = out.arg_steps[a].back() == shape.arg_steps[a][d] * shape.sizes[d];
    if (merge) {
      out.sizes.back() *= shape.sizes[d];
      for (size_t a = 0; a < shape.arg_steps.size(); ++a)
        out.arg_steps[a].back() = shape.arg_steps[a][d];
    } else {
      out.sizes.push_back(shape.sizes[d]);
      for (size_t a = 0; a < shape.arg_steps.size(); ++a)
        out.arg_steps[a].push_back(shape.arg_steps[a][d]);
    }
  }
  if (out.sizes.empty()) {
    out.sizes.push_back(1);
    for (auto& steps : out.arg_steps) steps.push_back(0);
  }
  return out;
}

PointwiseProgram::PointwiseProgram(Expr expr, std::vector<DataType> args,
                                   std::vector<DataType> outputs, const PointwiseShape& shape,
                                   Isa isa)
    : expr_(contracted(expr)),
      arg_types_(std::move(args)),
      output_types_(std::move(outputs)),
      shape_(merged_axes(shape)),
      isa_(isa) {
  count_ = 1;
  for (int64_t s : shape.sizes) count_ *= s;
  for (size_t a = 0; a < shape_.arg_steps.size(); ++a) {
    const auto& steps = shape_.arg_steps[a];
    int64_t dense_step = 1;
    bool dense = true;
    for (size_t d = steps.size(); d-- > 0;) {
      dense &= steps[d] == dense_step;
      dense_step *= shape_.sizes[d];
    }
    loads_.push_back(dense ? Load::kDense : Load::kSpread);
    const Repeat& repeat = repeats_.emplace_back(repeat_of(shape_, int(a)));
    if (repeat.run >= kPointwiseBlock / 4 && repeat.run % 16 == 0 && repeat.run < shortest_run_)
      shortest_run_ = repeat.run;
  }
  const int last_node = int(expr_.nodes.size()) - 1;
  const ScalarOp last_op = expr_.nodes.back().op;
  if (last_op != ScalarOp::kArg && last_op != ScalarOp::kImm &&
      expr_.nodes.back().dtype == DataType::kF32)
    for (size_t o = 0; o < expr_.outputs.size(); ++o)
      if (expr_.outputs[o] == last_node && output_types_[o] == DataType::kF32)
        direct_output_ = int(o);
  // Registers whose content outlives a block: nothing else may use them.
  const auto stays = [&](const ExprNode& n) {
    return n.op == ScalarOp::kImm ||
           (n.op == ScalarOp::kArg && repeats_[size_t(n.a)].period > 0);
  };
  // Registers are reused when their last reader has run.
  std::vector<int> last(expr_.nodes.size(), -1);
  for (size_t i = 0; i < expr_.nodes.size(); ++i) {
    const ExprNode& n = expr_.nodes[i];
    if (n.op == ScalarOp::kArg) continue;
    for (int32_t operand : {n.a, n.b, n.c})
      if (operand >= 0) last[size_t(operand)] = int(i);
  }
  for (int32_t o : expr_.outputs) last[size_t(o)] = int(expr_.nodes.size());
  std::vector<int> free_floats, free_ints;
  slot_.resize(expr_.nodes.size());
  for (size_t i = 0; i < expr_.nodes.size(); ++i) {
    const bool is_float = in_float_file(expr_.nodes[i].dtype);
    auto& free_list = is_float ? free_floats : free_ints;
    if (free_list.empty() || stays(expr_.nodes[i])) {
      slot_[i] = is_float ? float_slots_++ : int_slots_++;
    } else {
      slot_[i] = free_list.back();
      free_list.pop_back();
    }
    const ExprNode& n = expr_.nodes[i];
    if (n.op == ScalarOp::kArg || n.op == ScalarOp::kImm) continue;
    int32_t seen[3] = {-1, -1, -1};
    int count = 0;
    for (int32_t operand : {n.a, n.b, n.c}) {
      if (operand < 0 || last[size_t(operand)] != int(i)) continue;
      if (stays(expr_.nodes[size_t(operand)])) continue;
      if (std::find(seen, seen + count, operand) != seen + count) continue;
      seen[count++] = operand;
      const DataType t = expr_.nodes[size_t(operand)].dtype;
      (in_float_file(t) ? free_floats : free_ints).push_back(slot_[size_t(operand)]);
    }
  }
}

Expr PointwiseProgram::contracted(const Expr& expr) {
  Expr out = expr;
  std::vector<int> uses(expr.nodes.size());
  for (const ExprNode& n : expr.nodes)
    if (n.op != ScalarOp::kArg)
      for (int32_t operand : {n.a, n.b, n.c})
        if (operand >= 0) ++uses[size_t(operand)];
  for (int32_t o : expr.outputs) ++uses[size_t(o)];
  for (ExprNode& n : out.nodes) {
    if (n.op != ScalarOp::kAdd || n.dtype != DataType::kF32) continue;
    for (const auto& [product, other] : {std::pair(n.a, n.b), std::pair(n.b, n.a)}) {
      const ExprNode& p = out.nodes[size_t(product)];
      if (p.op != ScalarOp::kMul || p.dtype != DataType::kF32 || uses[size_t(product)] != 1)
        continue;
      n.op = ScalarOp::kFma;
      n.c = other;
      n.a = p.a;
      n.b = p.b;
      break;
    }
  }
  return kernel::simplified(out);
}

bool PointwiseProgram::is_number(int32_t node) const {
  const ExprNode& n = expr_.nodes[size_t(node)];
  return n.op == ScalarOp::kImm && n.dtype == DataType::kF32 && n.imm == n.imm;
}

PointwiseProgram::Repeat PointwiseProgram::repeat_of(const PointwiseShape& shape, int arg) {
  const std::vector<int64_t>& steps = shape.arg_steps[size_t(arg)];
  const size_t inner = steps.size() - 1;
  Repeat repeat{1, 1};
  size_t axis = steps.size();
  if (steps[inner] == 1 && inner > 0 && steps[inner - 1] == 0 &&
      kPointwiseBlock % shape.sizes[inner] == 0) {
    repeat.period = repeat.run = shape.sizes[inner];
    axis = inner;
  } else if (steps[inner] != 0) {
    return {};
  }
  while (axis > 0 && steps[axis - 1] == 0) repeat.run *= shape.sizes[--axis];
  return repeat;
}

void PointwiseProgram::run(std::span<const void* const> args, std::span<void* const> outputs,
                           ThreadTeam& team) const {
  const int64_t blocks = (count_ + kPointwiseBlock - 1) / kPointwiseBlock;
  const int64_t work = count_ * int64_t(expr_.nodes.size());
  if (work < 8192 || team.size() == 1) {  // a loop over the team costs about a microsecond
    run_range(args, outputs, 0, count_);
    return;
  }
  team.parallel_for(blocks, [&](int64_t begin, int64_t end, int) {
    run_range(args, outputs, begin * kPointwiseBlock, std::min(end * kPointwiseBlock, count_));
  });
}

void PointwiseProgram::spread(int arg, const void* data, int64_t begin, int64_t n, float* f,
                              int64_t* out) const {
  const DataType dtype = arg_types_[size_t(arg)];
  const std::vector<int64_t>& steps = shape_.arg_steps[size_t(arg)];
  const size_t axes = shape_.sizes.size();
  int64_t index[64];
  int64_t at = 0, rest = begin;
  for (size_t d = axes; d-- > 0;) {
    index[d] = rest % shape_.sizes[d];
    rest /= shape_.sizes[d];
    at += index[d] * steps[d];
  }
  const size_t inner = axes - 1;
  // One of the two files is meant, the other is null.
  const auto load = [&](int64_t from, int64_t count, int64_t to) {
    load_block(dtype, data, from, count, f ? f + to : nullptr, out ? out + to : nullptr);
  };
  for (int64_t done = 0; done < n;) {
    const int64_t run = std::min(n - done, shape_.sizes[inner] - index[inner]);
    if (steps[inner] == 1) {
      load(at, run, done);
    } else if (steps[inner] == 0) {
      load(at, 1, done);
      if (in_float_file(dtype)) std::fill(f + done + 1, f + done + run, f[done]);
      else std::fill(out + done + 1, out + done + run, out[done]);
    } else {
      for (int64_t i = 0; i < run; ++i) load(at + i * steps[inner], 1, done + i);
    }
    done += run;
    index[inner] += run;
    at += run * steps[inner];
    for (size_t d = inner; index[d] == shape_.sizes[d] && d > 0; --d) {
      at += steps[d - 1] - index[d] * steps[d];
      index[d] = 0;
      ++index[d - 1];
    }
  }
}

const float* PointwiseProgram::load(const ExprNode& node, const void* data, int64_t at, int64_t n,
                                    float* f, int64_t* q, int64_t& held_run,
                                    int64_t& held_count) const {
  const int64_t m = padded(n);
  const DataType dtype = arg_types_[size_t(node.a)];
  if (loads_[size_t(node.a)] == Load::kDense) {
    if (dtype == DataType::kF32 && n == m) return static_cast<const float*>(data) + at;
    load_block(dtype, data, at, n, f, q);
    return f;
  }
  const Repeat& repeat = repeats_[size_t(node.a)];
  const int64_t run = repeat.period > 0 ? at / repeat.run : 0;
  if (repeat.period == 0 || at % repeat.period != 0 || (at + n - 1) / repeat.run != run) {
    held_run = -1;
    spread(node.a, data, at, n, f, q);
    return f;
  }
  if (held_run == run && held_count >= m) return f;
  held_run = run;
  held_count = m;
  const int64_t first = std::min(repeat.period, m);
  spread(node.a, data, at, std::min(first, n), f, q);
  // The rest of the block repeats what is there.
  for (int64_t have = first; have < m; have *= 2) {
    const int64_t more = std::min(have, m - have);
    if (f) std::copy_n(f, more, f + have);
    else std::copy_n(q, more, q + have);
  }
  return f;
}

void PointwiseProgram::run_range(std::span<const void* const> args,
                                 std::span<void* const> outputs, int64_t begin,
                                 int64_t end) const {
  const PointwiseKernels& k = pointwise_kernels(isa_);
  const size_t nodes = expr_.nodes.size();
  Registers& r = registers();
  const size_t floats = size_t(float_slots_ + 1) * kPointwiseBlock;
  const size_t ints = size_t(int_slots_ + 1) * kPointwiseBlock;
  if (r.f.size() < floats) r.f.resize(floats);
  if (r.i.size() < ints) r.i.resize(ints);
  if (r.value.size() < nodes) r.value.resize(nodes);
  r.held.assign(nodes, {-1, 0});
  const auto f_of = [&](size_t node) { return r.f.data() + slot_[node] * kPointwiseBlock; };
  const auto i_of = [&](size_t node) { return r.i.data() + slot_[node] * kPointwiseBlock; };
  // What does not change from block to block.
  const int64_t longest = padded(std::min<int64_t>(kPointwiseBlock, end - begin));
  for (size_t i = 0; i < nodes; ++i) {
    const ExprNode& n = expr_.nodes[i];
    if (n.op != ScalarOp::kImm) continue;
    if (n.dtype == DataType::kBool) std::fill_n(f_of(i), longest, n.imm_int ? 1.f : 0.f);
    else if (in_float_file(n.dtype)) std::fill_n(f_of(i), longest, float(n.imm));
    else std::fill_n(i_of(i), longest, n.imm_int);
    r.value[i] = in_float_file(n.dtype) ? f_of(i) : nullptr;
  }
  std::vector<const float*>& value = r.value;
  for (int64_t at = begin, n = 0; at < end; at += n) {
    // A block ends where a broadcast argument moves on.
    n = std::min({int64_t(kPointwiseBlock), end - at, shortest_run_ - at % shortest_run_});
    const int64_t m = padded(n);
    for (size_t i = 0; i < nodes; ++i) {
      const ExprNode& node = expr_.nodes[i];
      if (node.op == ScalarOp::kImm) continue;
      const bool is_float = in_float_file(node.dtype);
      float* f = is_float ? f_of(i) : nullptr;
      int64_t* q = is_float ? nullptr : i_of(i);
      if (i + 1 == nodes && direct_output_ >= 0 && n == m)
        f = static_cast<float*>(outputs[size_t(direct_output_)]) + at;
      value[i] = f;
      if (node.op == ScalarOp::kArg) {
        value[i] = load(node, args[size_t(node.a)], at, n, f, q, r.held[i].run, r.held[i].count);
        continue;
      }
      const bool extreme = node.op == ScalarOp::kMax || node.op == ScalarOp::kMin;
      const bool from_float = node.a >= 0 && in_float_file(expr_.nodes[size_t(node.a)].dtype);
      switch (node.op) {
        case ScalarOp::kCast: {
          const size_t a = size_t(node.a);
          if (is_float && from_float) {
            if (node.dtype == DataType::kBool)
              for (int64_t e = 0; e < m; ++e) f[e] = value[a][e] != 0 ? 1.f : 0.f;
            else std::memcpy(f, value[a], size_t(m) * 4);
          } else if (is_float) {
            const int64_t* s = i_of(a);
            if (node.dtype == DataType::kBool)
              for (int64_t e = 0; e < m; ++e) f[e] = s[e] != 0 ? 1.f : 0.f;
            else
              for (int64_t e = 0; e < m; ++e) f[e] = float(s[e]);
          } else if (from_float) {
            for (int64_t e = 0; e < n; ++e) q[e] = truncated(value[a][e]);
          } else {
            std::memcpy(q, i_of(a), size_t(m) * 8);
          }
          break;
        }
        case ScalarOp::kFma:
          k.fma(value[size_t(node.a)], value[size_t(node.b)], value[size_t(node.c)], f, m);
          continue;
        case ScalarOp::kSelect:
          if (is_float) k.select(value[size_t(node.a)], value[size_t(node.b)], value[size_t(node.c)], f, m);
          else k.select_int(value[size_t(node.a)], i_of(size_t(node.b)), i_of(size_t(node.c)), q, m);
          continue;
        default:
          if (kernel::info(node.op).arity == 1) {
            k.unary(node.op, value[size_t(node.a)], f, m);
          } else if (from_float && extreme && (is_number(node.a) || is_number(node.b))) {
            const bool first = is_number(node.a);
            (node.op == ScalarOp::kMax ? k.max_with : k.min_with)(
                value[size_t(first ? node.a : node.b)], value[size_t(first ? node.b : node.a)], f, m);
          } else if (from_float) {
            k.binary(node.op, value[size_t(node.a)], value[size_t(node.b)], f, m);
          } else if (is_float) {
            k.compare_int(node.op, i_of(size_t(node.a)), i_of(size_t(node.b)), f, m);
          } else {
            k.binary_int(node.op, i_of(size_t(node.a)), i_of(size_t(node.b)), q, m);
          }
      }
      if (is_float) round_block(node.dtype, f, n);
      else wrap_block(node.dtype, q, n);
    }
    for (size_t o = 0; o < expr_.outputs.size(); ++o) {
      if (int(o) == direct_output_ && n == m) continue;
      const size_t node = size_t(expr_.outputs[o]);
      const bool is_float = in_float_file(expr_.nodes[node].dtype);
      store_block(output_types_[o], value[node], is_float ? nullptr : i_of(node), at, n, outputs[o]);
    }
  }
}

}  // namespace planish::cpu
