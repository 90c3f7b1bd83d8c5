#include "backend/cuda/emit/cubin.h"

#include <elf.h>

#include <cstring>
#include <string_view>

#include "base/text.h"

namespace planish::cuda {
namespace {

template <class T>
bool read(std::span<const std::byte> bytes, uint64_t at, T& out) {
  if (at > bytes.size() || bytes.size() - at < sizeof(T)) return false;
  std::memcpy(&out, bytes.data() + at, sizeof(T));
  return true;
}

void count_code(std::span<const std::byte> code, CubinCounts& counts) {
  for (uint64_t at = 0; at + 16 <= code.size(); at += 16) {
    uint64_t word = 0;
    read(code, at, word);
    ++counts.instructions;
    switch (word & 0xfff) {  // the opcode's field
      case 0x23c: case 0x237: ++counts.mma; break;
      case 0x9f0: case 0xdf0: case 0x9f1: case 0xdf1: case 0x9f3: case 0xdf3: ++counts.wgmma; break;
      default: break;
    }
  }
}

}  // namespace

Result<CubinCounts> count_instructions(std::span<const std::byte> cubin) {
  const auto damaged = [&] { return data_loss(cat("no cubin in ", cubin.size(), " bytes")); };
  Elf64_Ehdr header;
  if (!read(cubin, 0, header) || std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 ||
      header.e_shentsize != sizeof(Elf64_Shdr))
    return damaged();
  const auto section = [&](uint64_t i, Elf64_Shdr& out) {
    return read(cubin, header.e_shoff + i * sizeof(Elf64_Shdr), out) &&
           (out.sh_type == SHT_NOBITS ||
            (out.sh_offset <= cubin.size() && out.sh_size <= cubin.size() - out.sh_offset));
  };
  Elf64_Shdr names;
  if (!section(header.e_shstrndx, names)) return damaged();
  CubinCounts counts;
  for (uint64_t i = 0; i < header.e_shnum; ++i) {
    Elf64_Shdr one;
    if (!section(i, one)) return damaged();
    constexpr std::string_view kCode = ".text.";
    if (one.sh_type == SHT_NOBITS || one.sh_name > names.sh_size || names.sh_size - one.sh_name < kCode.size()) continue;
    if (std::memcmp(cubin.data() + names.sh_offset + one.sh_name, kCode.data(), kCode.size()) == 0)
      count_code(cubin.subspan(one.sh_offset, one.sh_size), counts);
  }
  if (counts.instructions == 0) return damaged();
  return counts;
}

}  // namespace planish::cuda
