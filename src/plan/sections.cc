#include "plan/sections.h"

#include <algorithm>
#include <new>

#include "base/text.h"
#include "base/thread_team.h"

namespace planish::plan {

Status Source::read_at(uint64_t offset, std::span<std::byte> to) const {
  if (offset > size() || to.size() > size() - offset)
    return data_loss(
        cat("bytes ", offset, " to ", offset + to.size(), " are behind the end at ", size()));
  if (file) return file->read_at(int64_t(offset), to);
  if (!to.empty()) std::memcpy(to.data(), memory.data() + offset, to.size());
  return ok_status();
}

Result<Sections> Sections::create(Source source, std::vector<SectionEntry> table,
                                  uint64_t metadata_end, const ReadOptions& options) {
  uint64_t end = metadata_end;
  for (size_t i = 0; i < table.size(); ++i) {
    const SectionEntry& entry = table[i];
    const auto fault = [&](std::string_view what) {
      return data_loss(
          cat("section ", i, " (", entry.bytes, " bytes at ", entry.offset, ") ", what));
    };
    if (entry.bytes == 0) return fault("is empty");
    if (entry.offset % kSectionAlignment) return fault("is not aligned to 64 bytes");
    if (entry.offset < end) return fault(cat("begins before the end of its predecessor at ", end));
    if (entry.offset > source.size() || entry.bytes > source.size() - entry.offset)
      return fault(cat("is behind the file's end at ", source.size()));
    end = entry.offset + entry.bytes;
  }
  Sections sections;
  sections.source_ = std::move(source);
  sections.copies_.resize(table.size());
  sections.table_ = std::move(table);
  sections.check_hashes_ = options.check_weights;
  sections.copy_all_ = options.copy_weights;
  sections.threads_ = std::max(options.threads, 1);
  return sections;
}

Status Sections::wrong_hash(size_t i) const {
  return data_loss(cat("section ", i, " (", table_[i].bytes, " bytes at ", table_[i].offset,
                       ") is damaged: its bytes do not have the hash ", to_string(table_[i].hash)));
}

Status Sections::load_copy(size_t i) {
  if (copies_[i]) return ok_status();
  const size_t bytes = table_[i].bytes;
  auto* data = static_cast<std::byte*>(
      ::operator new(bytes, std::align_val_t(kSectionAlignment), std::nothrow));
  if (!data) return resource_exhausted(cat("no memory for the ", bytes, " bytes of section ", i));
  copies_[i] = std::shared_ptr<const std::byte>(data, [](const std::byte* p) {
    ::operator delete(const_cast<std::byte*>(p), std::align_val_t(kSectionAlignment));
  });
  return source_.read_at(table_[i].offset, {data, bytes});
}

Status Sections::check(size_t i) {
  if (copy_all_) PLANISH_RETURN_IF_ERROR(load_copy(i));
  if (!check_hashes_) return ok_status();
  const SectionEntry& entry = table_[i];
  if (copies_[i] || !source_.file) {
    const std::byte* data = copies_[i] ? copies_[i].get() : source_.memory.data() + entry.offset;
    return hash128(std::span(data, entry.bytes)) == entry.hash ? ok_status() : wrong_hash(i);
  }
  // Stays in the second-level cache between read and hash.
  std::vector<std::byte> buffer(size_t(std::min<uint64_t>(entry.bytes, uint64_t(1) << 18)));
  Hasher hasher;
  for (uint64_t done = 0; done < entry.bytes;) {
    const auto piece =
        std::span(buffer).first(size_t(std::min<uint64_t>(buffer.size(), entry.bytes - done)));
    PLANISH_RETURN_IF_ERROR(source_.read_at(entry.offset + done, piece));
    hasher.add(piece);
    done += piece.size();
  }
  return hasher.hash128() == entry.hash ? ok_status() : wrong_hash(i);
}

Status Sections::check() {
  uint64_t bytes = 0;
  for (const SectionEntry& entry : table_) bytes += entry.bytes;
  constexpr uint64_t kWorthAThread = uint64_t(4) << 20;
  const int threads = int(std::clamp<uint64_t>(bytes / kWorthAThread, 1, uint64_t(threads_)));
  std::vector<Status> status(table_.size());
  ThreadTeam team(threads, "planish-load");
  team.parallel_for(
      int64_t(table_.size()),
      [&](int64_t begin, int64_t end, int) {
        for (int64_t i = begin; i < end; ++i) {
          try {
            status[size_t(i)] = check(size_t(i));
          } catch (const std::bad_alloc&) {
            status[size_t(i)] = resource_exhausted("no memory to check the plan's sections");
          }
        }
      },
      1);
  for (Status& s : status) PLANISH_RETURN_IF_ERROR(std::move(s));
  return ok_status();
}

Result<ir::Tensor> Sections::tensor(size_t i, ir::DataType dtype, std::vector<int64_t> dims) {
  const int64_t expected = ir::bytes_of(dtype, ir::element_count(dims));
  if (uint64_t(expected) != table_[i].bytes)
    return data_loss(cat("section ", i, " has ", table_[i].bytes, " bytes, expected ", expected,
                         " for ", name_of(dtype), bracketed(dims)));
  const std::byte* at = nullptr;
  std::shared_ptr<const void> owner;
  if (!copies_[i]) {
    if (source_.file) {
      at = source_.file->data().data() + table_[i].offset;
      owner = source_.file;
    } else if (source_.owner) {
      at = source_.memory.data() + table_[i].offset;
      owner = source_.owner;
    }
    // Tensors promise 64-byte alignment; a caller's buffer may not have it.
    if (!at || reinterpret_cast<uintptr_t>(at) % kSectionAlignment)
      PLANISH_RETURN_IF_ERROR(load_copy(i));
  }
  if (copies_[i]) {
    at = copies_[i].get();
    owner = copies_[i];
  }
  return ir::Tensor::view(dtype, std::move(dims), at, std::move(owner));
}

Result<std::vector<std::byte>> Sections::copy(size_t i) const {
  std::vector<std::byte> out(table_[i].bytes);
  PLANISH_RETURN_IF_ERROR(source_.read_at(table_[i].offset, out));
  return out;
}

}  // namespace planish::plan
