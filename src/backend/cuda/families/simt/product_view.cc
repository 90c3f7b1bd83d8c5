#include "backend/cuda/families/simt/product_view.h"

#include <algorithm>
#include <numeric>

#include "backend/cuda/emit/emitted_kernel_def.h"
#include "backend/cuda/emit/expr_text.h"
#include "backend/cuda/families/element/element_ops.h"
#include "base/text.h"

namespace planish::cuda {
namespace {

using kernel::Problem;
using kernel::Stage;

Result<ProductKind> kind_of(std::string_view op) {
  if (op == "Conv") return ProductKind::kConv;
  if (op == "ConvTranspose") return ProductKind::kConvTranspose;
  if (op == "MatMul") return ProductKind::kMatMul;
  if (op == "Gemm") return ProductKind::kGemm;
  return other_family();
}

Status check_type(const ir::TensorType& type) {
  if (!is_loadable(type.dtype)) return unsupported(cat("elements of ", ir::name_of(type.dtype)));
  return type.layout.block_dim >= 0 ? unsupported("a blocked layout") : ok_status();
}

Status find_root(const Problem& problem, int& root) {
  root = -1;
  for (size_t i = 0; i < problem.stages.size(); ++i) {
    const Stage& stage = problem.stages[i];
    for (const ir::TensorType& type : stage.outputs) PLANISH_RETURN_IF_ERROR(check_type(type));
    if (stage.is_expr()) {
      PLANISH_RETURN_IF_ERROR(can_print(*stage.expr));
    } else if (kind_of(stage.op).ok()) {
      if (root >= 0) return unsupported("more than one product");
      root = int(i);
    } else {
      const ElementOp* op = find_element_op(stage.op);
      if (!op || op->reads_many) return other_family();
      PLANISH_RETURN_IF_ERROR(op->supports(problem, stage));
    }
  }
  return root < 0 ? other_family() : ok_status();
}

Status read_convolution(const Problem& problem, const Stage& stage, ProductView& view) {
  const ir::TensorType& x = problem.type_of(stage.inputs[0]);
  const std::vector<int64_t> in = dims_of(x), w = dims_of(problem.type_of(stage.inputs[1]));
  const std::vector<int64_t> out = dims_of(stage.outputs[0]);
  PLANISH_ASSIGN_OR_RETURN(view.window,
                           kernel::window_of(stage.attrs, x.rank() - 2, std::span(w).subspan(2)));
  const bool transposed = view.kind == ProductKind::kConvTranspose;
  if (transposed && (view.window.is_same() || stage.attrs.count("output_shape")))
    return unsupported("pads that follow from the output's shape");
  view.in.assign(in.begin() + 2, in.end());
  if (!transposed) kernel::resolve_pads(view.window, view.in);
  const int64_t groups = int_attr(stage, "group", 1);
  view.batch = {groups};
  view.in_channels = in[1] / groups;
  view.out_channels = out[1] / groups;
  const std::vector<int> order = memory_order(stage.outputs[0]);
  view.columns_inner = order.back() == 1;
  view.channels_last = memory_order(x).back() == 1;
  view.disjoint = transposed && view.window.strides == view.window.kernel;
  for (size_t d = 0; d < view.in.size(); ++d)
    view.disjoint &=
        view.window.dilations[d] == 1 && out[d + 2] == view.in[d] * view.window.kernel[d];
  view.rows = {in[0]};
  const std::vector<int64_t> spatial(out.begin() + 2, out.end());
  const std::vector<int64_t>& places = view.disjoint ? view.in : spatial;
  view.rows.insert(view.rows.end(), places.begin(), places.end());
  view.columns = {view.out_channels};
  const std::vector<int64_t>& taps = view.window.kernel;
  view.depth = {view.in_channels};
  if (view.disjoint)
    view.columns.insert(view.columns.end(), taps.begin(), taps.end());
  else
    view.depth.insert(view.channels_last ? view.depth.begin() : view.depth.end(), taps.begin(),
                      taps.end());
  view.depth_inner_a = view.channels_last;
  // Weights [out, in, taps]; transposed ones [in, out, taps].
  view.depth_inner_b = !transposed;
  return ok_status();
}

void read_matmul(const Problem& problem, const Stage& stage, ProductView& view) {
  const std::vector<int64_t> a = dims_of(problem.type_of(stage.inputs[0]));
  const std::vector<int64_t> b = dims_of(problem.type_of(stage.inputs[1]));
  const std::vector<int64_t> out = dims_of(stage.outputs[0]);
  const size_t lost = size_t(a.size() == 1) + size_t(b.size() == 1);
  const size_t batch = out.size() + lost - 2;
  view.batch.assign(out.begin(), out.begin() + long(batch));
  view.rows = {a.size() == 1 ? 1 : a[a.size() - 2]};
  view.columns = {b.size() == 1 ? 1 : b.back()};
  view.depth = {a.back()};
  // One matrix B for all: the batch is rows.
  const bool one_b =
      std::all_of(b.begin(), b.begin() + long(b.size() - std::min<size_t>(b.size(), 2)),
                  [](int64_t d) { return d == 1; });
  if (!one_b) return;
  view.rows.insert(view.rows.begin(), view.batch.begin(), view.batch.end());
  view.batch.clear();
}

// Parts of the flat list that `row` is after a batch went into it.
struct MatmulParts {
  Coords batch;
  Coord row;
};
MatmulParts parts_of(const Coords& batch, const Coords& row) {
  MatmulParts parts;
  parts.batch = batch;
  parts.batch.insert(parts.batch.end(), row.begin(), row.end() - 1);
  parts.row = row.back();
  return parts;
}

// The last `rank - 2` batch coordinates, then two of the matrix.
Coords matrix_coords(const Coords& batch, int rank, const Coord& first, const Coord& second) {
  Coords out;
  for (int i = 0; i < rank - 2; ++i) out.push_back(batch[batch.size() - size_t(rank - 2 - i)]);
  out.push_back(first);
  out.push_back(second);
  return out;
}

const Stage& root_of(ElementEmitter& e, const ProductView& view) {
  return e.problem().stages[size_t(view.root)];
}

Coord sum_coord(const Coord& a, const Coord& b) {
  return {sum_text(a.at, b.at), a.lane_step + b.lane_step, std::gcd(a.multiple, b.multiple)};
}

bool is_convolution(const ProductView& view) {
  return view.kind == ProductKind::kConv || view.kind == ProductKind::kConvTranspose;
}

struct Depth {
  Coord channel;
  Coords taps;
};
Depth depth_of(const ProductView& view, const Coords& depth) {
  if (view.disjoint) return {depth[0], {}};
  if (view.channels_last) return {depth.back(), Coords(depth.begin(), depth.end() - 1)};
  return {depth[0], Coords(depth.begin() + 1, depth.end())};
}

}  // namespace

int64_t ProductView::count(const std::vector<int64_t>& sizes) {
  return std::accumulate(sizes.begin(), sizes.end(), int64_t(1), std::multiplies<>());
}

Result<ProductView> product_view(const Problem& problem) {
  ProductView view;
  PLANISH_RETURN_IF_ERROR(find_root(problem, view.root));
  const Stage& stage = problem.stages[size_t(view.root)];
  PLANISH_ASSIGN_OR_RETURN(view.kind, kind_of(stage.op));
  for (const kernel::Operand& operand : problem.operands)
    if (operand.present && !operand.value) PLANISH_RETURN_IF_ERROR(check_type(operand.type));
  if (!ir::is_float(stage.outputs[0].dtype)) return unsupported("a product of integers");
  for (size_t i = 0; i < problem.results.size(); ++i)
    if (problem.result_type(int(i)).shape != stage.outputs[0].shape ||
        problem.result_type(int(i)).layout != stage.outputs[0].layout)
      if (problem.stages.size() == 1 || problem.result_type(int(i)).shape != stage.outputs[0].shape)
        return unsupported("a result of another shape");
  if (is_convolution(view)) {
    // The root's layout is the region's result's: compilers set results only.
    Stage with_layout = stage;
    with_layout.outputs[0].layout = problem.result_type(0).layout;
    PLANISH_RETURN_IF_ERROR(read_convolution(problem, with_layout, view));
    return view;
  }
  if (view.kind == ProductKind::kMatMul) {
    read_matmul(problem, stage, view);
    return view;
  }
  const std::vector<int64_t> a = dims_of(problem.type_of(stage.inputs[0]));
  const std::vector<int64_t> out = dims_of(stage.outputs[0]);
  const bool trans_a = int_attr(stage, "transA", 0) != 0,
             trans_b = int_attr(stage, "transB", 0) != 0;
  view.rows = {out[0]};
  view.columns = {out[1]};
  view.depth = {a[trans_a ? 0 : 1]};
  view.depth_inner_a = !trans_a;
  view.depth_inner_b = trans_b;
  return view;
}

Coords operand_a(ElementEmitter& e, const ProductView& view, const Coords& batch, const Coords& row,
                 const Coords& depth, std::vector<std::string>& tests) {
  const Stage& stage = root_of(e, view);
  if (view.kind == ProductKind::kGemm)
    return view.depth_inner_a ? Coords{row[0], depth[0]} : Coords{depth[0], row[0]};
  if (view.kind == ProductKind::kMatMul) {
    if (e.type(stage.inputs[0]).rank() == 1) return {depth[0]};
    const MatmulParts parts = parts_of(batch, row);
    return matrix_coords(parts.batch, e.type(stage.inputs[0]).rank(), parts.row, depth[0]);
  }
  const Depth d = depth_of(view, depth);
  Coords out = {row[0], sum_coord(shifted(batch[0], 0, view.in_channels), d.channel)};
  for (size_t i = 0; i < view.in.size(); ++i) {
    if (view.disjoint) {
      out.push_back(row[i + 1]);
      continue;
    }
    const int64_t stride = view.window.strides[i], dilation = view.window.dilations[i];
    const int64_t pad = view.window.pads_begin[i];
    if (view.kind == ProductKind::kConv) {
      const Coord at = e.bind_coord(
          sum_coord(shifted(row[i + 1], -pad, stride), shifted(d.taps[i], 0, dilation)));
      const int64_t last = (view.rows[i + 1] - 1) * stride - pad + view.window.extent(int(i)) - 1;
      if (pad > 0) tests.push_back(cat(at.at, " >= 0"));
      if (last >= view.in[i]) tests.push_back(cat(at.at, " < ", view.in[i]));
      out.push_back(at);
      continue;
    }
    const std::string from =
        e.bind_index(cat(shifted(row[i + 1], pad).at, " - ", product_text(d.taps[i].at, dilation)));
    const Coord at = coord(e.bind_index(cat(from, " / ", stride)));
    tests.push_back(cat(from, " >= 0"));
    if (stride > 1) tests.push_back(cat(from, " % ", stride, " == 0"));
    tests.push_back(cat(at.at, " < ", view.in[i]));
    out.push_back(at);
  }
  return out;
}

Coords operand_b(ElementEmitter& e, const ProductView& view, const Coords& batch,
                 const Coords& depth, const Coords& column) {
  const Stage& stage = root_of(e, view);
  if (view.kind == ProductKind::kGemm)
    return view.depth_inner_b ? Coords{column[0], depth[0]} : Coords{depth[0], column[0]};
  if (view.kind == ProductKind::kMatMul) {
    const int rank = e.type(stage.inputs[1]).rank();
    if (rank == 1) return {depth[0]};
    // With one matrix for all, the leading dims are ones.
    Coords all = batch;
    while (int(all.size()) < rank - 2) all.insert(all.begin(), Coord{});
    return matrix_coords(all, rank, depth[0], column[0]);
  }
  const Depth d = depth_of(view, depth);
  const bool transposed = view.kind == ProductKind::kConvTranspose;
  Coords out;
  if (transposed)
    out = {sum_coord(shifted(batch[0], 0, view.in_channels), d.channel), column[0]};
  else
    out = {sum_coord(shifted(batch[0], 0, view.out_channels), column[0]), d.channel};
  const Coords taps = view.disjoint ? Coords(column.begin() + 1, column.end()) : d.taps;
  out.insert(out.end(), taps.begin(), taps.end());
  return out;
}

Coords result_coords(ElementEmitter& e, const ProductView& view, const Coords& batch,
                     const Coords& row, const Coords& column) {
  const Stage& stage = root_of(e, view);
  if (view.kind == ProductKind::kGemm) return {row[0], column[0]};
  if (view.kind == ProductKind::kMatMul) {
    const MatmulParts parts = parts_of(batch, row);
    Coords out = parts.batch;
    if (e.type(stage.inputs[0]).rank() > 1) out.push_back(parts.row);
    if (e.type(stage.inputs[1]).rank() > 1) out.push_back(column[0]);
    return out;
  }
  Coords out = {row[0], sum_coord(shifted(batch[0], 0, view.out_channels), column[0])};
  for (size_t i = 0; i < view.in.size(); ++i) {
    if (!view.disjoint)
      out.push_back(row[i + 1]);
    else
      out.push_back(sum_coord(shifted(row[i + 1], 0, view.window.kernel[i]), column[i + 1]));
  }
  return out;
}

}  // namespace planish::cuda
