// Geometry of views. A value is n slices (kernel/strided.h), each `slice` elements, `stride` apart;
// a dense value has stride == slice. A view is inside its parent when its last element is;
// both count in elements of one width.
#include "plan/views.h"

#include "base/text.h"
#include "kernel/strided.h"
#include "plan/verify_types.h"

namespace planish::plan {
namespace {

using kernel::pixels_lie_apart;
using Wide = __int128;

struct Geometry {
  bool known = false;  // all dims, and those of the parents that matter
  int64_t slices = 1;
  Wide slice = 0, stride = 0, extent = 0;
};

std::string label(const Program& p, size_t i) {
  return cat("value ", i, " '", p.values[i].name.substr(0, 80), "'");
}

// Parents in range, of one width and space, chains short and without cycles.
Status check_chains(const Program& p) {
  for (size_t i = 0; i < p.values.size(); ++i) {
    const ProgramValue& v = p.values[i];
    if (v.parent == -1) {
      if (v.strided || !(v.offset == ir::Dim(0)))
        return data_loss(cat(label(p, i), " has an offset or stride, but no parent"));
      continue;
    }
    int depth = 0;
    for (int at = int(i); at != -1; at = p.values[size_t(at)].parent) {
      if (at < 0 || size_t(at) >= p.values.size())
        return data_loss(cat(label(p, i), " lies in value ", at, ", there are ", p.values.size()));
      if (++depth > kMaxViewDepth)
        return data_loss(
            cat(label(p, i), " lies in itself, or views nest deeper than ", kMaxViewDepth));
    }
    const ProgramValue& parent = p.values[size_t(v.parent)];
    if (bits_of(v.type.dtype) != bits_of(parent.type.dtype))
      return data_loss(cat(label(p, i), " is ", name_of(v.type.dtype), " inside of ",
                           name_of(parent.type.dtype)));
    if (v.type.space != parent.type.space)
      return data_loss(cat(label(p, i), " lies in another memory space than its parent"));
    const auto outermost_first = [](const ir::TensorType& t) {
      return t.rank() > 0 && (t.layout.perm.empty() || t.layout.perm[0] == 0) &&
             t.layout.block_dim != 0;
    };
    if (v.strided && !(outermost_first(v.type) && outermost_first(parent.type)))
      return data_loss(cat(label(p, i),
                           " is strided, which needs its and its parent's first dim "
                           "outermost"));
    if (v.strided && pixels_lie_apart(v.type) != pixels_lie_apart(parent.type))
      return data_loss(cat(label(p, i), " is strided, laid out ", ir::to_string(v.type.layout),
                           " inside of ", ir::to_string(parent.type.layout)));
  }
  return ok_status();
}

// Value of a dim, nullopt when a symbol is not bound; `wrong` when it leaves 64 bits.
std::optional<int64_t> number(const ir::Dim& dim, const ir::Dim::Lookup& binding, bool& wrong) {
  if (dim.is_constant()) return dim.value();
  const auto value = dim.evaluate(binding);
  if (value) return value;
  for (const std::string& name : dim.symbols())
    if (!binding(name)) return std::nullopt;
  wrong = true;
  return std::nullopt;
}

class Views {
 public:
  Views(const Program& p, const ir::Dim::Lookup& binding) : p_(p), binding_(binding) {}

  Status run() {
    start();
    for (size_t i = 0; i < p_.values.size(); ++i) PLANISH_RETURN_IF_ERROR(visit(i));
    return ok_status();
  }
  Status run(std::span<const int> values) {
    start();
    for (const int value : values) PLANISH_RETURN_IF_ERROR(visit(size_t(value)));
    return ok_status();
  }

 private:
  void start() {
    geometry_.resize(p_.values.size());
    done_.assign(p_.values.size(), false);
  }
  // Parents first; chains are at most kMaxViewDepth long.
  Status visit(size_t i) {
    if (done_[i]) return ok_status();
    done_[i] = true;
    const ProgramValue& v = p_.values[i];
    if (v.parent != -1) PLANISH_RETURN_IF_ERROR(visit(size_t(v.parent)));
    const auto fault = [&](std::string_view what) {
      return data_loss(cat(label(p_, i), " ", what));
    };

    bool wrong = false, known = true;
    std::vector<int64_t> dims;
    for (const ir::Dim& d : v.type.shape) {
      const auto n = number(d, binding_, wrong);
      known = known && n.has_value();
      dims.push_back(n.value_or(0));
    }
    const auto offset = number(v.offset, binding_, wrong);
    if (wrong) return fault("has a dim or offset that leaves 64 bits");
    if (offset && *offset < 0) return fault(cat("begins at element ", *offset, " of its parent"));
    if (!known) return ok_status();
    const auto count = checked_physical_count(v.type.dtype, dims, v.type.layout);
    if (!count) return fault(cat("has the dims ", bracketed(dims)));

    Geometry& g = geometry_[i];
    g.known = true;
    g.slices = *count > 0 ? kernel::slice_count(v.type, dims) : 0;
    g.slice = g.slices > 0 && (v.type.layout.block_dim != 0) ? *count / g.slices : *count;
    g.stride = g.slice;
    g.extent = *count;
    if (v.parent == -1) return ok_status();
    const Geometry& parent = geometry_[size_t(v.parent)];
    if (!parent.known || !offset) {
      g.known = false;
      return ok_status();
    }
    if (v.strided) {
      g.stride = parent.stride;
      if (*count > 0 && g.slices > 1 && g.slice > g.stride)
        return fault("has slices larger than its parent's");
      g.extent = *count > 0 ? (g.slices - 1) * g.stride + g.slice : 0;
    }
    if (*offset + g.extent > parent.extent)
      return fault(cat("of ", int64_t(g.extent), " elements at ", *offset,
                       " is not inside its parent of ", int64_t(parent.extent)));
    const int bits = bits_of(v.type.dtype);
    if (Wide(*offset) * bits % 8 != 0 || (g.slices > 1 && v.strided && g.stride * bits % 8 != 0))
      return fault("does not begin at a whole byte");
    return ok_status();
  }

  const Program& p_;
  const ir::Dim::Lookup& binding_;
  std::vector<Geometry> geometry_;
  std::vector<bool> done_;
};

}  // namespace

Status verify_views(const Program& program) {
  PLANISH_RETURN_IF_ERROR(check_chains(program));
  const ir::Dim::Lookup nothing = [](std::string_view) { return std::nullopt; };
  return Views(program, nothing).run();
}

Status verify_bound(const Program& program, const ir::Dim::Lookup& binding) {
  return Views(program, binding).run();
}

Status verify_bound(const Program& program, const ir::Dim::Lookup& binding,
                    std::span<const int> values) {
  return Views(program, binding).run(values);
}

}  // namespace planish::plan
