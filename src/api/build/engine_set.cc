// EngineSet: lookup and bookkeeping under one lock, building and running outside of it.
//
// An entry is shared: an engine that is evicted while it runs lives until that run has ended. What
// cannot be built is remembered (bounded), so that a request that falls back does so quickly.
#include "planish/engine_set.h"

#include <chrono>
#include <future>
#include <list>
#include <mutex>

#include "api/build/network_impl.h"
#include "api/build/shape_range.h"
#include "api/runtime/convert.h"
#include "base/text.h"

namespace planish::v1 {
namespace {

constexpr size_t kMaxFailedShapes = 64;   // remembered; the oldest is forgotten
constexpr size_t kMaxRefusalTexts = 32;   // told apart in the statistics
constexpr size_t kMaxIdleContexts = 16;   // kept per engine

using Clock = std::chrono::steady_clock;
double us_since(Clock::time_point begin) {
  return std::chrono::duration<double, std::micro>(Clock::now() - begin).count();
}

InputDims dims_of(const std::vector<Tensor>& inputs) {
  InputDims dims;
  for (const Tensor& input : inputs) dims.push_back(input.dims());
  return dims;
}

struct Entry {
  EngineRecord record;
  std::vector<int> input_index;  // of the engine, per input of the set; -1: not read
  double most_elements;          // that its range's inputs have
  int64_t bytes = 0;
  std::mutex mutex;
  std::vector<std::unique_ptr<Context>> idle;

  explicit Entry(EngineRecord made)
      : record(std::move(made)), most_elements(api::most_elements(record.range)) {}

  Result<std::unique_ptr<Context>> take_context(const std::optional<HostParallelFor>& host) {
    {
      std::lock_guard lock(mutex);
      if (!idle.empty()) {
        auto context = std::move(idle.back());
        idle.pop_back();
        return context;
      }
    }
    ContextOptions options;
    options.parallel_for = host;
    PLANISH_API_ASSIGN_OR_RETURN(Context made, Context::create(record.engine, options));
    return std::make_unique<Context>(std::move(made));
  }
  void give_back(std::unique_ptr<Context> context) {
    std::lock_guard lock(mutex);
    if (idle.size() < kMaxIdleContexts) idle.push_back(std::move(context));
  }
};
using EntryPtr = std::shared_ptr<Entry>;

}  // namespace

struct EngineSet::Impl {
  EngineSetOptions options;
  mutable std::mutex mutex;
  std::list<EntryPtr> entries;  // the one used last in front
  std::map<InputDims, std::shared_future<Result<EntryPtr>>> building;
  std::list<std::pair<InputDims, Status>> failed;
  EngineSetStatistics statistics;

  // Null: none covers the dims.
  EntryPtr find(const InputDims& dims) {
    auto best = entries.end();
    for (auto at = entries.begin(); at != entries.end(); ++at)
      if (covers((*at)->record.range, dims) &&
          (best == entries.end() || (*at)->most_elements < (*best)->most_elements))
        best = at;
    if (best == entries.end()) return nullptr;
    entries.splice(entries.begin(), entries, best);
    return entries.front();
  }

  void insert(EntryPtr entry) {
    statistics.bytes += entry->bytes;
    entries.push_front(std::move(entry));
    while (int(entries.size()) > options.max_engines ||
           (options.max_bytes > 0 && statistics.bytes > options.max_bytes && entries.size() > 1)) {
      statistics.bytes -= entries.back()->bytes;
      entries.pop_back();
      ++statistics.evictions;
    }
    statistics.engines = int64_t(entries.size());
  }

  Status refuse(const Status& status) {
    std::lock_guard lock(mutex);
    std::string text = status.to_string();
    if (statistics.refusals.size() >= kMaxRefusalTexts && !statistics.refusals.count(text))
      text = "other reasons";
    ++statistics.refusals[text];
    return status;
  }

  Result<EntryPtr> make_entry(EngineRecord record) const;
  Result<EntryPtr> build(const ShapeRange& range, const Source& source,
                         const std::string& decisions);
  Result<EntryPtr> entry_for(const InputDims& dims, const Source& source);
};

Result<EntryPtr> EngineSet::Impl::make_entry(EngineRecord record) const {
  auto entry = std::make_shared<Entry>(std::move(record));
  const Engine& engine = entry->record.engine;
  for (const std::string& name : options.inputs)
    entry->input_index.push_back(engine.input_index(name));
  InputDims largest(engine.inputs().size());
  for (const TensorDesc& input : engine.inputs()) {
    const auto found = std::find(options.inputs.begin(), options.inputs.end(), input.name);
    if (found == options.inputs.end())
      return Status(Code::kInvalidArgument, cat("the engine's input '", input.name,
                                                "' is none of ", join(options.inputs)));
    largest[size_t(engine.input_index(input.name))] =
        entry->record.range.max[size_t(found - options.inputs.begin())];
  }
  PLANISH_API_ASSIGN_OR_RETURN(const MemoryReport memory, engine.memory(largest));
  entry->bytes = memory.weight_bytes + memory.packed_bytes + memory.arena_bytes;
  return entry;
}

Result<EntryPtr> EngineSet::Impl::build(const ShapeRange& wanted, const Source& source,
                                        const std::string& decisions) {
  const auto begin = Clock::now();
  PLANISH_API_ASSIGN_OR_RETURN(api::RangedNetwork made,
                               api::network_for(wanted, options.inputs, options.share_batches,
                                                source));
  BuildOptions build_options = options.build;
  build_options.shapes.clear();
  build_options.profiles = {made.profile};
  build_options.decisions = decisions;
  made.network.set_metadata(api::kRangeKey, api::to_json(made.range));
  PLANISH_API_ASSIGN_OR_RETURN(Plan plan, v1::build(made.network, build_options));
  PLANISH_API_ASSIGN_OR_RETURN(Engine engine, plan.engine(options.engine));
  auto entry = make_entry({made.range, std::move(engine), std::make_shared<Plan>(std::move(plan))});
  if (!entry.ok()) return entry.status();
  std::lock_guard lock(mutex);
  ++statistics.builds;
  statistics.build_ms += us_since(begin) / 1000;
  insert(*entry);
  return entry;
}

Result<EntryPtr> EngineSet::Impl::entry_for(const InputDims& dims, const Source& source) {
  std::promise<Result<EntryPtr>> promise;
  std::shared_future<Result<EntryPtr>> other;
  {
    std::lock_guard lock(mutex);
    if (EntryPtr entry = find(dims)) {
      ++statistics.hits;
      return entry;
    }
    for (const auto& [shapes, status] : failed)
      if (shapes == dims) return status;
    if (!options.allow_build)
      return Status(Code::kFailedPrecondition,
                    cat("no engine serves the shapes ", api::to_string(dims),
                        " and none may be built"));
    const auto found = building.find(dims);
    if (found != building.end()) other = found->second;
    else building.emplace(dims, promise.get_future().share());
  }
  if (other.valid()) {
    Result<EntryPtr> made = other.get();
    std::lock_guard lock(mutex);
    if (made.ok()) ++statistics.hits;
    return made;
  }
  Result<EntryPtr> made = api::guarded([&] { return build({dims, dims}, source, {}); });
  {
    std::lock_guard lock(mutex);
    building.erase(dims);
    if (!made.ok()) {
      failed.emplace_front(dims, made.status());
      if (failed.size() > kMaxFailedShapes) failed.pop_back();
    }
  }
  promise.set_value(made);
  return made;
}

EngineSet::EngineSet(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
EngineSet::EngineSet(EngineSet&&) noexcept = default;
EngineSet& EngineSet::operator=(EngineSet&&) noexcept = default;
EngineSet::~EngineSet() = default;

Result<EngineSet> EngineSet::create(const EngineSetOptions& options) {
  return api::guarded([&]() -> Result<EngineSet> {
    if (options.max_engines < 1)
      return Status(Code::kInvalidArgument,
                    cat("max_engines: got ", options.max_engines, ", expected at least 1"));
    if (options.max_bytes < 0)
      return Status(Code::kInvalidArgument,
                    cat("max_bytes: got ", options.max_bytes, ", expected 0 (no cap) or more"));
    auto impl = std::make_unique<Impl>();
    impl->options = options;
    return EngineSet(std::move(impl));
  });
}

Status EngineSet::add(const Engine& engine, std::optional<ShapeRange> range) {
  return api::guarded([&]() -> Status {
    if (!range) {
      PLANISH_API_ASSIGN_OR_RETURN(range, api::range_of(engine, impl_->options.inputs));
    }
    PLANISH_API_ASSIGN_OR_RETURN(EntryPtr entry,
                                 impl_->make_entry({*range, engine, nullptr}));
    std::lock_guard lock(impl_->mutex);
    for (const EntryPtr& other : impl_->entries)
      if (other->record.range == entry->record.range) return {};
    ++impl_->statistics.loads;
    impl_->insert(std::move(entry));
    return {};
  });
}

Status EngineSet::prepare(const ShapeRange& range, const Source& source,
                          const std::string& decisions) {
  return api::guarded([&]() -> Status {
    {
      std::lock_guard lock(impl_->mutex);
      for (const EntryPtr& entry : impl_->entries)
        if (covers(entry->record.range, range.min) && entry->record.range.max == range.max)
          return {};
    }
    return impl_->build(range, source, decisions).status();
  });
}

Status EngineSet::run(const std::vector<Tensor>& inputs, const Source& source,
                      const Context::OutputAllocator& allocator, const Take& take) {
  return api::guarded([&]() -> Status {
    if (inputs.size() != impl_->options.inputs.size())
      return impl_->refuse(Status(Code::kInvalidArgument,
                                  cat("got ", inputs.size(), " inputs, expected ",
                                      impl_->options.inputs.size())));
    auto found = impl_->entry_for(dims_of(inputs), source);
    if (!found.ok()) return impl_->refuse(found.status());
    Entry& entry = **found;
    const auto begin = Clock::now();
    auto taken = entry.take_context(impl_->options.parallel_for);
    if (!taken.ok()) return impl_->refuse(taken.status());
    Context& context = **taken;
    Status status = [&]() -> Status {
      PLANISH_API_RETURN_IF_ERROR(context.set_output_allocator(allocator));
      for (size_t i = 0; i < inputs.size(); ++i) {
        if (entry.input_index[i] < 0) continue;
        PLANISH_API_RETURN_IF_ERROR(
            context.set_input(entry.input_index[i], inputs[i].data(), inputs[i].dims()));
      }
      PLANISH_API_RETURN_IF_ERROR(context.run());
      for (size_t i = 0; i < entry.record.engine.outputs().size(); ++i) {
        PLANISH_API_ASSIGN_OR_RETURN(const Tensor output, context.output(int(i)));
        take(int(i), output);
      }
      return {};
    }();
    entry.give_back(std::move(*taken));
    if (!status.ok()) return impl_->refuse(status);
    std::lock_guard lock(impl_->mutex);
    impl_->statistics.run_us += us_since(begin);
    return {};
  });
}

std::vector<EngineRecord> EngineSet::records() const {
  std::lock_guard lock(impl_->mutex);
  std::vector<EngineRecord> records;
  for (const auto& entry : impl_->entries) records.push_back(entry->record);
  return records;
}

EngineSetStatistics EngineSet::statistics() const {
  std::lock_guard lock(impl_->mutex);
  return impl_->statistics;
}

}  // namespace planish::v1
