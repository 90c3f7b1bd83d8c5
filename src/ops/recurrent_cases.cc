// Cases of RNN, GRU and LSTM: directions, lengths, layouts, clip, peepholes.
#include "ops/case_builder.h"

namespace planish::ops {
namespace {

void add_recurrent(CaseList& cases) {
  struct Row {
    const char* op;
    int64_t gates;
    int outputs;
  };
  for (const Row& row : {Row{"RNN", 1, 2}, Row{"GRU", 3, 2}, Row{"LSTM", 4, 3}}) {
    for (const char* direction : {"forward", "reverse", "bidirectional"}) {
      const int64_t n = std::string(direction) == "bidirectional" ? 2 : 1;
      const int64_t hidden = 5, rows = row.gates * hidden;
      std::vector<InputCase> inputs = {random({7, 3, 4}), random({n, rows, 4}),
                                       random({n, rows, hidden}), random({n, 2 * rows})};
      const ir::Attributes attrs = {{"direction", text(direction)}};
      cases.push_back(make_case(row.op, direction, inputs, attrs, row.outputs));
      inputs.push_back(given(DataType::kI32, {3}, {7, 2, 4}));
      inputs.push_back(random({n, 3, hidden}));
      cases.push_back(make_case(row.op, std::string(direction) + "_lengths", inputs, attrs,
                                row.outputs));
    }
    cases.push_back(make_case(row.op, "batch_first",
                              {random({3, 6, 2}), random({1, row.gates * 4, 2}),
                               random({1, row.gates * 4, 4})},
                              {{"layout", integer(1)}, {"clip", real(0.5)}}, row.outputs));
  }
  cases.push_back(make_case("GRU", "linear_before_reset",
                            {random({4, 2, 3}), random({1, 12, 3}), random({1, 12, 4}),
                             random({1, 24})},
                            {{"linear_before_reset", integer(1)}}, 2));
  cases.push_back(make_case("LSTM", "peepholes",
                            {random({4, 2, 3}), random({1, 16, 3}), random({1, 16, 4}),
                             random({1, 32}), absent(), random({1, 2, 4}), random({1, 2, 4}),
                             random({1, 12})},
                            {}, 3));
}

}  // namespace

CaseList recurrent_cases() {
  CaseList cases;
  add_recurrent(cases);
  return cases;
}

}  // namespace planish::ops
