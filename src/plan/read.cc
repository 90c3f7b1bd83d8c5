// Opens a plan in the order in which trust grows: magic and version, the header's hash, the
// metadata's hash and structure, the sections, the program's rules.
#include <flatbuffers/flatbuffers.h>

#include "base/text.h"
#include "plan/decode.h"
#include "plan/plan_file.h"
#include "plan/plan_generated.h"
#include "plan/sections.h"

namespace planish::plan {
namespace {

constexpr uint64_t kMaxSections = uint64_t(1) << 22;

struct Opened {
  FileHeader header;
  std::vector<SectionEntry> table;
};

Result<Opened> open_header(const Source& source) {
  Opened out;
  FileHeader& header = out.header;
  const uint64_t size = source.size();
  char magic[8] = {};
  PLANISH_RETURN_IF_ERROR(source.read_at(
      0, std::as_writable_bytes(std::span(magic)).first(std::min<uint64_t>(size, 8))));
  if (size < 8 || std::string_view(magic, 8) != kMagic)
    return data_loss("is no plan: expected a file that planish build has written");
  if (size < 16) return data_loss(cat("is cut off after ", size, " bytes"));
  // The major version decides what everything behind it means.
  PLANISH_RETURN_IF_ERROR(
      source.read_at(0, std::as_writable_bytes(std::span(&header, 1)).first(16)));
  if (header.major != kFormatMajor)
    return Status(Code::kIncompatible,
                  cat("has plan format ", header.major, ".", header.minor, ", expected ",
                      kFormatMajor, ".x (this runtime writes ", kFormatMajor, ".", kFormatMinor,
                      "): build the plan again with this version"));
  if (size < sizeof(header)) return data_loss(cat("is cut off after ", size, " bytes"));
  PLANISH_RETURN_IF_ERROR(source.read_at(0, std::as_writable_bytes(std::span(&header, 1))));
  if (header.file_bytes != size)
    return data_loss(cat("has ", size, " bytes, expected ", header.file_bytes));
  if (header.section_count > kMaxSections)
    return data_loss(cat("has ", header.section_count, " sections, at most ", kMaxSections));
  if (header.table_offset < sizeof(header) || header.table_offset % 8 ||
      header.table_offset > size ||
      header.section_count > (size - header.table_offset) / sizeof(SectionEntry))
    return data_loss(cat("has a section table of ", header.section_count, " entries at ",
                         header.table_offset, ", behind the file's end"));
  out.table.resize(header.section_count);
  PLANISH_RETURN_IF_ERROR(
      source.read_at(header.table_offset, std::as_writable_bytes(std::span(out.table))));
  if (header_hash(header, out.table) != header.header_hash)
    return data_loss("has a damaged header or section table: the hash differs");
  return out;
}

// In 8-byte units, so that FlatBuffers' alignment holds.
using Metadata = std::vector<uint64_t>;

Result<Metadata> read_metadata(const Source& source, const Opened& opened,
                               const ReadOptions& options) {
  const FileHeader& header = opened.header;
  const uint64_t table_end = header.table_offset + header.section_count * sizeof(SectionEntry);
  if (header.metadata_offset < table_end || header.metadata_offset > source.size() ||
      header.metadata_bytes > source.size() - header.metadata_offset)
    return data_loss(cat("has metadata of ", header.metadata_bytes, " bytes at ",
                         header.metadata_offset, ", behind the end at ", source.size()));
  if (header.metadata_bytes > uint64_t(options.max_metadata_bytes) ||
      header.metadata_bytes >= FLATBUFFERS_MAX_BUFFER_SIZE)
    return resource_exhausted(cat("has metadata of ", header.metadata_bytes, " bytes, at most ",
                                  options.max_metadata_bytes,
                                  " (ReadOptions::max_metadata_bytes)"));
  Metadata metadata((header.metadata_bytes + 7) / 8);
  const auto bytes = std::as_writable_bytes(std::span(metadata)).first(header.metadata_bytes);
  PLANISH_RETURN_IF_ERROR(source.read_at(header.metadata_offset, bytes));
  if (hash64(bytes) != header.metadata_hash)
    return data_loss("has damaged metadata: the hash differs");
  // A table of ours takes at least eight bytes with the offset that leads to it, so more tables
  // than that are the same ones met again.
  flatbuffers::Verifier verifier(reinterpret_cast<const uint8_t*>(metadata.data()),
                                 header.metadata_bytes, 32,
                                 uint32_t(header.metadata_bytes / 8 + 8));
  if (!wire::VerifyPlanBuffer(verifier))
    return data_loss("has malformed metadata: it is no FlatBuffer of a plan");
  return metadata;
}

Result<Plan> read(Source source, const ReadOptions& options) {
  PLANISH_ASSIGN_OR_RETURN(Opened opened, open_header(source));
  PLANISH_ASSIGN_OR_RETURN(Metadata metadata, read_metadata(source, opened, options));
  const FileHeader header = opened.header;
  PLANISH_ASSIGN_OR_RETURN(
      Sections sections, Sections::create(source, std::move(opened.table),
                                          header.metadata_offset + header.metadata_bytes, options));
  PLANISH_RETURN_IF_ERROR(sections.check());
  PLANISH_ASSIGN_OR_RETURN(
      Plan plan, decode(*wire::GetPlan(metadata.data()), header.metadata_bytes, sections));
  PLANISH_RETURN_IF_ERROR(verify(plan.program));
  if (source.file) PLANISH_RETURN_IF_ERROR(source.file->check_unchanged());
  return plan;
}

}  // namespace

Result<Plan> read_plan(const std::string& path, const ReadOptions& options) {
  PLANISH_ASSIGN_OR_RETURN(auto file, MappedFile::open(path));
  auto plan = read({.file = file, .memory = {}, .owner = nullptr}, options);
  if (!plan.ok()) return plan.status().at(path);
  return plan;
}

Result<Plan> read_plan(std::span<const std::byte> bytes, std::shared_ptr<const void> owner,
                       const ReadOptions& options) {
  auto plan = read({.file = nullptr, .memory = bytes, .owner = std::move(owner)}, options);
  if (!plan.ok()) return plan.status().at("plan in memory");
  return plan;
}

}  // namespace planish::plan
