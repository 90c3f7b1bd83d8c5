// Patch: the input under the outputs that one thread makes in a sliding window over channels last:
// `strip` neighbouring outputs of each of `rows` rows, `width` channels of them. Every input vector is
// read once, row by row, the next row's loads in front of this one's arithmetic, and serves every output
// it lies under; a row of outputs is stored when it is complete. Depthwise convolutions and pools print
// what stands between.
#pragma once
#include <functional>

#include "backend/cuda/emit/emitted_kernel_def.h"
#include "backend/cuda/families/element/element_emitter.h"
#include "kernel/kernel_def.h"
#include "kernel/window.h"

namespace planish::cuda {

struct Share {
  int width = 1, strip = 1, rows = 1;
};
Share read_share(const kernel::Tactic& tactic);
kernel::Tactic write_share(const Share& share);

struct PatchGeometry {
  kernel::Window window;  // pads resolved
  int64_t batch = 1, channels = 1, in_height = 1, in_width = 1, out_height = 1, out_width = 1;
  int input = 0;          // operand number

  // Input rows (axis 0) or columns under so many outputs.
  int64_t taken(int axis, int outputs) const;
  // Rows of outputs whose sums are not complete at the same time.
  int64_t open_rows() const;
};

// Of a window over two spatial dims of operand `stage.inputs[0]`: its geometry, and that what follows and
// what is beside it can be printed. `kernel_dims`: of the weights, where no attribute has them.
Result<PatchGeometry> patch_geometry(const kernel::Problem& problem, const kernel::RootAndEpilogue& parts,
                                     std::span<const int64_t> kernel_dims = {});

// What KernelDefs on patches share: channels last everywhere, results whose pixels lie apart.
class PatchDef : public EmittedKernelDef {
 public:
  std::vector<kernel::LayoutChoice> layouts(const kernel::Problem& problem,
                                            const kernel::DeviceInfo& device) const override;
  bool takes_strided(const kernel::Problem& problem, bool result, int index) const override;
};

// Shares worth timing, best prediction first, at most 8. `held`: floats that a thread holds beside sums
// and inputs, per channel; `taps`: multiply-adds per output.
std::vector<kernel::Tactic> share_tactics(const kernel::Problem& problem, const PatchGeometry& geometry,
                                          const kernel::DeviceInfo& device, double held, double taps);
double predict_share_us(const kernel::Problem& problem, const PatchGeometry& geometry, const Share& share,
                        const kernel::DeviceInfo& device, double held, double taps);

class Patch {
 public:
  // `beyond`: what is read outside of the image, as it lies in memory.
  Patch(ElementEmitter& e, const PatchGeometry& geometry, const Share& share, std::string_view beyond);

  int64_t threads() const;
  // The thread's place: channels are known behind it.
  void locate();
  const std::string& channel() const { return place_[3].at; }
  const Coords& place() const { return place_; }
  // Waits for the inputs, then prints all rows: `add` for each row of inputs with the rows of outputs and
  // their taps that it feeds, `finish` for a complete row of outputs, which store() writes.
  using Feeds = std::vector<std::pair<int, int64_t>>;  // output, tap
  void walk(const std::function<void(int64_t row, const Feeds& rows)>& add,
            const std::function<void(int row)>& finish);
  // Output columns and taps that input column `at` feeds.
  Feeds column_feeds(int64_t at) const { return feeds(1, at, share_.strip); }
  int64_t columns() const { return geometry_.taken(1, share_.strip); }
  // A float of the input, bound to a name.
  std::string value(int64_t row, int64_t column, int lane);
  // Coordinates of an output of the thread.
  Coord row(int m) const { return shifted(place_[1], m, share_.rows); }
  Coord column(int s) const { return shifted(place_[2], s, share_.strip); }
  // Writes a row of outputs: name(column, lane) holds the root's value.
  void store(int m, const std::function<std::string(int s, int l)>& name);
  // The kernel around what was printed; `parameters` and `args` come first.
  EmittedKernel kernel(const std::string& entry, std::vector<std::string> parameters, std::vector<KernelArg> args);

 private:
  Feeds feeds(int axis, int64_t at, int outputs) const;
  void load_row(int64_t row);

  ElementEmitter& e_;
  const PatchGeometry& geometry_;
  const Share share_;
  const std::string beyond_;
  Coords place_;      // n, band of rows, strip, channel
  Coord top_, left_;  // of the input under the share
  std::string base_;  // position of that corner, outside of the image perhaps
};

}  // namespace planish::cuda
