#include "backend/cuda/emit/ptxas_report.h"

#include <cctype>
#include <cstdlib>

namespace planish::cuda {
namespace {

// The number in front of `words`, added over all their occurrences.
int number_before(const std::string& log, const std::string& words) {
  int sum = 0;
  for (size_t at = log.find(words); at != std::string::npos; at = log.find(words, at + 1)) {
    size_t begin = at;
    while (begin > 0 && std::isdigit(static_cast<unsigned char>(log[begin - 1]))) --begin;
    sum += std::atoi(log.substr(begin, at - begin).c_str());
  }
  return sum;
}

}  // namespace

PtxasReport read_ptxas(const std::string& log) {
  PtxasReport report;
  const size_t used = log.find("Used ");
  if (used != std::string::npos) report.registers = std::atoi(log.c_str() + used + 5);
  report.stack_bytes = number_before(log, " bytes stack frame");
  report.spill_bytes =
      number_before(log, " bytes spill stores") + number_before(log, " bytes spill loads");
  report.serialized = log.find("serialized") != std::string::npos;
  return report;
}

}  // namespace planish::cuda
