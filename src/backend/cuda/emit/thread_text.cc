#include "backend/cuda/emit/thread_text.h"

#include "base/text.h"

namespace planish::cuda {

const char kPackText[] =
    "template <class T, int N> struct alignas(sizeof(T) * N) Pack { T v[N]; };\n";

Coords split_number(const std::string& number, std::span<const int64_t> sizes, int width,
                    const std::string& index_type, const std::string& prefix,
                    std::string& statements) {
  Coords out(sizes.size());
  // Dims of one element take no part; the outermost that does needs no remainder, the innermost has the
  // vectors.
  size_t outermost = 0, innermost = sizes.size();
  while (outermost < sizes.size() && sizes[outermost] == 1) ++outermost;
  while (innermost > outermost + 1 && sizes[innermost - 1] == 1) --innermost;
  std::string rest = number;
  for (size_t d = innermost; d-- > outermost;) {
    const bool last = d + 1 == innermost;
    const int64_t size = last ? sizes[d] / width : sizes[d];
    std::string at = "0";
    if (size > 1) {
      at = cat(prefix, d);
      const std::string value = d == outermost ? rest : cat(rest, " % ", size);
      statements += cat("  const ", index_type, ' ', at, " = ", value, ";\n");
      if (d > outermost) {
        const std::string next = cat(prefix, "above", d);
        statements += cat("  const ", index_type, ' ', next, " = ", rest, " / ", size, ";\n");
        rest = next;
      }
    }
    out[d] = coord(at, at == "0" ? 0 : 1);
    if (last && width > 1) out[d] = {product_text(at, width), 1, at == "0" ? 0 : width};
  }
  return out;
}

}  // namespace planish::cuda
