#include "plan/reseal_testing.h"

#include "plan/format.h"
#include "plan/plan_generated.h"
#include "plan/program.h"

namespace planish::plan {
namespace {

void rebind(std::span<std::byte> metadata, std::span<const SectionEntry> table) {
  if (metadata.empty()) return;
  std::vector<uint64_t> aligned((metadata.size() + 7) / 8);
  std::memcpy(aligned.data(), metadata.data(), metadata.size());
  flatbuffers::Verifier verifier(reinterpret_cast<const uint8_t*>(aligned.data()), metadata.size());
  if (!wire::VerifyPlanBuffer(verifier)) return;
  wire::Plan* plan = wire::GetMutablePlan(aligned.data());
  auto* constants = plan->mutable_program()->mutable_constants();
  // Damaged tables may overlap: everything is read before anything is changed, also where a hash stands.
  std::vector<std::pair<const uint8_t*, uint64_t>> changes;
  for (uint32_t i = 0; constants && i < constants->size(); ++i) {
    wire::Constant* constant = constants->GetMutableObject(i);
    const wire::Tensor& tensor = *constant->tensor();
    const auto dtype = ir::parse_data_type(tensor.dtype()->string_view());
    std::vector<int64_t> dims;
    if (tensor.dims() && tensor.dims()->size() > 0) {
      dims.resize(tensor.dims()->size());
      std::memcpy(dims.data(), tensor.dims()->Data(), dims.size() * sizeof(int64_t));
    }
    Hash128 bytes;
    if (tensor.section() >= 0 && size_t(tensor.section()) < table.size())
      bytes = table[size_t(tensor.section())].hash;
    else if (tensor.bytes())
      bytes = hash128(std::as_bytes(std::span(tensor.bytes()->data(), tensor.bytes()->size())));
    else
      bytes = hash128("");
    const uint8_t* at = reinterpret_cast<const flatbuffers::Table*>(constant)->GetAddressOf(
        wire::Constant::VT_HASH);
    if (dtype && at) changes.emplace_back(at, content_hash(*dtype, dims, bytes));
  }
  for (const auto& [at, hash] : changes) std::memcpy(const_cast<uint8_t*>(at), &hash, sizeof(hash));
  std::memcpy(metadata.data(), aligned.data(), metadata.size());
}

}  // namespace

void reseal(std::vector<std::byte>& bytes) {
  FileHeader header;
  if (bytes.size() < sizeof(header)) return;
  std::memcpy(&header, bytes.data(), sizeof(header));
  header.file_bytes = bytes.size();
  const auto inside = [&](uint64_t offset, uint64_t size) {
    return offset <= bytes.size() && size <= bytes.size() - offset;
  };
  std::vector<SectionEntry> table;
  if (inside(header.table_offset, 0) &&
      header.section_count <= (bytes.size() - header.table_offset) / sizeof(SectionEntry)) {
    table.resize(header.section_count);
    if (!table.empty())
      std::memcpy(table.data(), bytes.data() + header.table_offset,
                  table.size() * sizeof(SectionEntry));
  }
  for (SectionEntry& entry : table)
    if (inside(entry.offset, entry.bytes))
      entry.hash = hash128(std::span(bytes).subspan(entry.offset, entry.bytes));
  if (inside(header.metadata_offset, header.metadata_bytes)) {
    const auto metadata = std::span(bytes).subspan(header.metadata_offset, header.metadata_bytes);
    rebind(metadata, table);
    header.metadata_hash = hash64(metadata);
  }
  header.header_hash = header_hash(header, table);
  if (!table.empty() && header.table_offset >= sizeof(header))
    std::memcpy(bytes.data() + header.table_offset, table.data(),
                table.size() * sizeof(SectionEntry));
  std::memcpy(bytes.data(), &header, sizeof(header));
}

}  // namespace planish::plan
