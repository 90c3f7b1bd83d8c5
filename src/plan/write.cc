// Puts the encoded parts into file order: header, section table, metadata, sections, each of the
// latter two on a 64-byte boundary. File and memory get the same pieces from one function.
#include "base/atomic_file.h"
#include "base/text.h"
#include "plan/encode.h"
#include "plan/format.h"
#include "plan/plan_file.h"

namespace planish::plan {
namespace {

// Calls put(span) with every piece of the file in order; the first error ends it.
template <class Put>
Status put_file(const Encoded& encoded, Put&& put) {
  FileHeader header = {};
  std::memcpy(header.magic, kMagic.data(), kMagic.size());
  header.major = kFormatMajor;
  header.minor = kFormatMinor;
  header.table_offset = sizeof(FileHeader);
  header.section_count = encoded.sections.size();
  header.metadata_offset =
      align_up(header.table_offset + header.section_count * sizeof(SectionEntry));
  header.metadata_bytes = encoded.metadata.size();
  const auto metadata = std::as_bytes(std::span(encoded.metadata.data(), encoded.metadata.size()));
  header.metadata_hash = hash64(metadata);

  std::vector<SectionEntry> table;
  uint64_t end = header.metadata_offset + header.metadata_bytes;
  for (const Encoded::Section& section : encoded.sections) {
    table.push_back({align_up(end), section.bytes.size(), section.hash});
    end = table.back().offset + table.back().bytes;
  }
  header.file_bytes = end;
  header.header_hash = header_hash(header, table);

  static constexpr std::byte kZeros[kSectionAlignment] = {};
  uint64_t at = 0;
  const auto put_at = [&](uint64_t offset, std::span<const std::byte> bytes) -> Status {
    PLANISH_RETURN_IF_ERROR(put(std::span(kZeros).first(offset - at)));
    at = offset + bytes.size();
    return put(bytes);
  };
  PLANISH_RETURN_IF_ERROR(put_at(0, std::as_bytes(std::span(&header, 1))));
  PLANISH_RETURN_IF_ERROR(put_at(header.table_offset, std::as_bytes(std::span(table))));
  PLANISH_RETURN_IF_ERROR(put_at(header.metadata_offset, metadata));
  for (size_t i = 0; i < table.size(); ++i)
    PLANISH_RETURN_IF_ERROR(put_at(table[i].offset, encoded.sections[i].bytes));
  return ok_status();
}

Result<Encoded> checked_and_encoded(const Plan& plan) {
  // What we made ourselves breaks no rule: if it does, the message is for us.
  if (Status s = verify(plan.program); !s.ok())
    return internal_error(cat("the program to be saved breaks a rule: ", s.message()));
  return encode(plan);
}

}  // namespace

Result<std::vector<std::byte>> serialize(const Plan& plan) {
  PLANISH_ASSIGN_OR_RETURN(Encoded encoded, checked_and_encoded(plan));
  std::vector<std::byte> out;
  size_t bytes = sizeof(FileHeader) + encoded.metadata.size() + 2 * kSectionAlignment;
  for (const auto& s : encoded.sections)
    bytes += s.bytes.size() + sizeof(SectionEntry) + kSectionAlignment;
  out.reserve(bytes);
  PLANISH_RETURN_IF_ERROR(put_file(encoded, [&](std::span<const std::byte> piece) {
    out.insert(out.end(), piece.begin(), piece.end());
    return ok_status();
  }));
  return out;
}

Status write_plan(const Plan& plan, const std::string& path) {
  PLANISH_ASSIGN_OR_RETURN(Encoded encoded, checked_and_encoded(plan));
  PLANISH_ASSIGN_OR_RETURN(AtomicFile file, AtomicFile::create(path));
  PLANISH_RETURN_IF_ERROR(
      put_file(encoded, [&](std::span<const std::byte> piece) { return file.write(piece); }));
  return file.commit();
}

}  // namespace planish::plan
