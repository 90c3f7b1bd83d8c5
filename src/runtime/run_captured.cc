// What a context does on a device that captures: runs of steps as graphs, the wait behind them, and
// whose steps an error belongs to.
#include <algorithm>

#include "base/text.h"
#include "runtime/context.h"

namespace planish::runtime {
namespace {

constexpr size_t kMaxCaptures = 16;

}  // namespace

// An error of a kernel shows when the host waits: of all steps that were enqueued, it may be any.
Status ExecutionContext::finish_enqueued() {
  const Status status = stream_->synchronize();
  pending_ = false;
  if (status.ok()) return status;
  return status.at(cat("one of ", describe_steps(0, int(engine_->program().steps.size())),
                       ", enqueued together; a run with a profiler names the step"));
}

bool ExecutionContext::stays_on_device() const {
  return std::all_of(inputs_.begin(), inputs_.end(), [](const InputBinding& input) {
           return input.space == ir::MemorySpace::kDevice;
         }) && std::all_of(outputs_.begin(), outputs_.end(), [](const OutputBinding& output) {
           return output.bound == ir::MemorySpace::kDevice;
         });
}

// "step 3 (cuda.pointwise) from 'relu'", "steps 3 to 7 from 'relu' to 'add'".
std::string ExecutionContext::describe_steps(int first, int end) const {
  const std::vector<plan::Step>& steps = engine_->program().steps;
  if (first >= end) return "no step";
  const plan::Step& one = steps[size_t(first)];
  if (end - first == 1)
    return cat("step ", first, " (", one.kernel, ") from '", join(one.sources), "'");
  return cat("steps ", first, " to ", end - 1, " from '", join(one.sources), "' to '",
             join(steps[size_t(end) - 1].sources), "'");
}

// A step alone, replayed on the buffers of the run: launching it once takes longer than most run.
Result<double> ExecutionContext::replayed_us(const BoundStep& bound,
                                             const Phase& phase) {
  const kernel::RunArgs args{operand_refs_, result_refs_,
                             arenas_[size_t(phase.index)]->data() + bound.workspace_offset,
                             team_.get(), nullptr};
  PLANISH_ASSIGN_OR_RETURN(
      std::vector<double> samples,
      engine_->device().time_us(*bound.launchable, std::span(&args, 1), 3));
  std::sort(samples.begin(), samples.end());
  return samples[samples.size() / 2];
}

// Everything that a captured run of steps reads or writes lies at fixed distances from these.
std::vector<const void*> ExecutionContext::addresses(int phase) const {
  std::vector<const void*> out;
  for (int i = 0; i <= phase; ++i) out.push_back(arenas_[size_t(i)]->data());
  for (const InputBinding& input : inputs_) out.push_back(input.place);
  for (const OutputBinding& output : outputs_) out.push_back(output.place);
  return out;
}

Status ExecutionContext::run_captured(const std::shared_ptr<const Phase>& phase, size_t first,
                                      size_t end, Binding& binding,
                                      const RunOptions& options) {
  pending_ = true;
  std::vector<const void*> wanted = addresses(phase->index);
  for (auto it = captures_.begin(); it != captures_.end(); ++it) {
    if (it->phase != phase || it->first != first || it->addresses != wanted) continue;
    captures_.splice(captures_.begin(), captures_, it);
    return launch_captured(*it, int(end));
  }
  for (size_t s = first; s < end; ++s)
    while (int(side_streams_.size()) < launch_of(phase->first_step + int(s)).stream) {
      PLANISH_ASSIGN_OR_RETURN(auto stream, engine_->device().create_stream());
      side_streams_.push_back(std::move(stream));
    }
  PLANISH_RETURN_IF_ERROR(stream_->begin_capture());
  const Status status = capture_steps(*phase, first, end, binding, options);
  auto graph = stream_->end_capture();  // also when a step failed: the stream must come back
  PLANISH_RETURN_IF_ERROR(status);
  if (!graph.ok()) return graph.status().at("capturing the run's steps");
  captures_.push_front({phase, first, std::move(wanted), std::move(*graph)});
  PLANISH_RETURN_IF_ERROR(launch_captured(captures_.front(), int(end)));
  if (captures_.size() <= kMaxCaptures) return ok_status();
  PLANISH_RETURN_IF_ERROR(prepare_to_free());
  captures_.pop_back();
  return ok_status();
}

const plan::Launch& ExecutionContext::launch_of(int step) const {
  return launches_.empty() ? engine_->program().steps[size_t(step)].launch : launches_[size_t(step)];
}

// Streams leave the context's at the beginning and come back to it at the end; between, events of single
// steps order them. A step behind several others starts when they have ended: programmatic launch knows
// one step in front.
Status ExecutionContext::capture_steps(const Phase& phase, size_t first, size_t end, Binding& binding,
                                       const RunOptions& options) {
  backend::Device& device = engine_->device();
  const int begin = phase.first_step + int(first), count = int(end - first);
  std::vector<bool> awaited(end - first);  // by a step of another stream
  for (int i = 0; i < count; ++i)
    for (const int w : launch_of(begin + i).waits)
      if (w >= begin) awaited[size_t(w - begin)] = true;
  std::vector<std::unique_ptr<backend::Event>> ended(end - first);
  std::vector<bool> forked(plan::kMaxStreams, false);
  std::unique_ptr<backend::Event> fork;
  const auto record = [&](backend::Stream& stream, std::unique_ptr<backend::Event>& event) -> Status {
    PLANISH_ASSIGN_OR_RETURN(event, device.create_event());
    return stream.record(*event);
  };
  if (!side_streams_.empty()) PLANISH_RETURN_IF_ERROR(record(*stream_, fork));
  for (int i = 0; i < count; ++i) {
    const plan::Launch& launch = launch_of(begin + i);
    backend::Stream* stream =
        launch.stream == 0 ? stream_.get() : side_streams_[size_t(launch.stream) - 1].get();
    bool after_end = !launch.programmatic;
    if (launch.stream != 0 && !forked[size_t(launch.stream)]) {
      PLANISH_RETURN_IF_ERROR(stream->wait(*fork));
      forked[size_t(launch.stream)] = after_end = true;
    }
    for (const int w : launch.waits) {
      if (w < begin) continue;  // ended before the capture began
      PLANISH_RETURN_IF_ERROR(stream->wait(*ended[size_t(w - begin)]));
      after_end = true;
    }
    const Status status = run_step(phase.steps[first + size_t(i)], phase, binding, options,
                                   {stream->handle(), after_end});
    if (!status.ok()) return status.at(describe_steps(begin + i, begin + i + 1));
    if (awaited[size_t(i)]) PLANISH_RETURN_IF_ERROR(record(*stream, ended[size_t(i)]));
  }
  for (size_t number = 1; number < forked.size(); ++number) {
    if (!forked[number]) continue;
    std::unique_ptr<backend::Event> joined;
    PLANISH_RETURN_IF_ERROR(record(*side_streams_[number - 1], joined));
    PLANISH_RETURN_IF_ERROR(stream_->wait(*joined));
  }
  return ok_status();
}

Status ExecutionContext::launch_captured(const Capture& capture, int end) {
  const Status status = capture.graph->launch(stream_->handle());
  if (status.ok()) return status;
  const int before = capture.phase->first_step;
  return status.at(describe_steps(before + int(capture.first), before + end));
}

}  // namespace planish::runtime
