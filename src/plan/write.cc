// Puts the encoded parts into file order: header, section table, metadata, sections, each of the
// latter two on a 64-byte boundary. File and memory get the same pieces from one function.
#include "base/atomic_file.h"
#include "base/text.h"
#include "plan/encode.h"
#include "plan/format.h"
#include "plan/plan_file.h"

namespace planish::plan {
namespace {

// What stands before the metadata.
struct Front {
  FileHeader header = {};
  std::vector<SectionEntry> table;
};

Front front_of(const Encoded& encoded) {
  Front front;
  FileHeader& header = front.header;
  std::memcpy(header.magic, kMagic.data(), kMagic.size());
  header.major = kFormatMajor;
  header.minor = kFormatMinor;
  header.table_offset = sizeof(FileHeader);
  header.section_count = encoded.sections.size();
  header.metadata_offset =
      align_up(header.table_offset + header.section_count * sizeof(SectionEntry));
  header.metadata_bytes = encoded.metadata.size();
  header.metadata_hash =
      hash64(std::as_bytes(std::span(encoded.metadata.data(), encoded.metadata.size())));
  uint64_t end = header.metadata_offset + header.metadata_bytes;
  for (const Encoded::Section& section : encoded.sections) {
    front.table.push_back({align_up(end), section.bytes.size(), section.hash});
    end = front.table.back().offset + front.table.back().bytes;
  }
  header.file_bytes = end;
  header.header_hash = header_hash(header, front.table);
  return front;
}

// Calls put(span) with every piece of the file in order; the first error ends it.
template <class Put>
Status put_file(const Encoded& encoded, Put&& put) {
  const Front front = front_of(encoded);
  static constexpr std::byte kZeros[kSectionAlignment] = {};
  uint64_t at = 0;
  const auto put_at = [&](uint64_t offset, std::span<const std::byte> bytes) -> Status {
    PLANISH_RETURN_IF_ERROR(put(std::span(kZeros).first(offset - at)));
    at = offset + bytes.size();
    return put(bytes);
  };
  PLANISH_RETURN_IF_ERROR(put_at(0, std::as_bytes(std::span(&front.header, 1))));
  PLANISH_RETURN_IF_ERROR(
      put_at(front.header.table_offset, std::as_bytes(std::span(front.table))));
  PLANISH_RETURN_IF_ERROR(
      put_at(front.header.metadata_offset,
             std::as_bytes(std::span(encoded.metadata.data(), encoded.metadata.size()))));
  for (size_t i = 0; i < front.table.size(); ++i)
    PLANISH_RETURN_IF_ERROR(put_at(front.table[i].offset, encoded.sections[i].bytes));
  return ok_status();
}

Status write_file(const Encoded& encoded, const std::string& path) {
  PLANISH_ASSIGN_OR_RETURN(AtomicFile file, AtomicFile::create(path));
  PLANISH_RETURN_IF_ERROR(
      put_file(encoded, [&](std::span<const std::byte> piece) { return file.write(piece); }));
  return file.commit();
}

std::vector<std::byte> to_bytes(const Encoded& encoded) {
  std::vector<std::byte> out;
  out.reserve(front_of(encoded).header.file_bytes);
  const Status status = put_file(encoded, [&](std::span<const std::byte> piece) {
    out.insert(out.end(), piece.begin(), piece.end());
    return ok_status();
  });
  PLANISH_CHECK(status.ok(), "memory takes every piece");
  return out;
}

Result<Encoded> checked_and_encoded(const Plan& plan) {
  // What we made ourselves breaks no rule: if it does, the message is for us.
  if (Status s = verify(plan.program); !s.ok())
    return internal_error(cat("the program to be saved breaks a rule: ", s.message()));
  return encode(plan);
}

}  // namespace

Result<std::vector<std::byte>> serialize(const Plan& plan) {
  PLANISH_ASSIGN_OR_RETURN(const Encoded encoded, checked_and_encoded(plan));
  return to_bytes(encoded);
}

Status write_plan(const Plan& plan, const std::string& path) {
  PLANISH_ASSIGN_OR_RETURN(const Encoded encoded, checked_and_encoded(plan));
  return write_file(encoded, path);
}

EncodedPlan::EncodedPlan(Plan plan) : plan_(std::move(plan)) {}
EncodedPlan::~EncodedPlan() = default;

Result<std::shared_ptr<const EncodedPlan>> EncodedPlan::create(Plan plan) {
  std::shared_ptr<EncodedPlan> file(new EncodedPlan(std::move(plan)));
  PLANISH_ASSIGN_OR_RETURN(Encoded encoded, checked_and_encoded(file->plan_));
  file->bytes_ = front_of(encoded).header.file_bytes;
  file->encoded_ = std::make_unique<const Encoded>(std::move(encoded));
  return std::shared_ptr<const EncodedPlan>(std::move(file));
}

Status EncodedPlan::write(const std::string& path) const { return write_file(*encoded_, path); }
std::vector<std::byte> EncodedPlan::to_memory() const { return to_bytes(*encoded_); }

}  // namespace planish::plan
