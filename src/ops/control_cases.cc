// Cases of If, Loop and Scan: what data decide (branches, trip counts, sizes), loops that do not run,
// values captured over several levels, carried values that change their size, empty stacks.
#include "base/text.h"
#include "ops/case_builder.h"

namespace planish::ops {
namespace {

// A body from its text; shapes are what inference makes of them.
ir::Attribute body(std::string_view text) {
  auto graph = ir::parse(cat("graph \"\" {", text, "}"));
  PLANISH_CHECK(graph.ok(), graph.status().to_string());
  return ir::GraphPtr(std::move(*graph));
}

InputCase flag(double value) { return given(DataType::kBool, {}, {value}); }
InputCase any_flag() { return random(DataType::kBool, {}, 0, 1); }
InputCase number(double value) { return given(DataType::kI64, {}, {value}); }
InputCase any_number(double low, double high) { return random(DataType::kI64, {}, low, high); }
InputCase list(std::vector<double> values) {
  const auto count = int64_t(values.size());
  return given(DataType::kF32, {count}, std::move(values));
}

constexpr std::string_view kRelu = "input %a: f32[2] %b: f32[] = Relu(%a) output %b";
constexpr std::string_view kNegated = "input %a: f32[2] %b: f32[] = Neg(%a) output %b";

void add_if(CaseList& cases) {
  const ir::Attributes simple = {{"then_branch", body(kRelu)}, {"else_branch", body(kNegated)}};
  const InputCase x = list({3, -2});
  cases.push_back(known_case("If", "then", {flag(1), x, x}, {{3, 0}}, simple));
  cases.push_back(known_case("If", "else", {flag(0), x, x}, {{-3, 2}}, simple));
  cases.push_back(known_case("If", "rank_1_condition", {given(DataType::kBool, {1}, {1}), x, x},
                             {{3, 0}}, simple));
  InputCase known = flag(0);
  known.constant = true;
  cases.push_back(known_case("If", "known_condition", {known, x, x}, {{-3, 2}}, simple));
  cases.push_back(make_case("If", "weights", {any_flag(), random({3, 4}), random({3, 2})},
                            {{"then_branch", body(R"(
    input %a: f32[3, 4]
    const %w: f32[4, 2] = {0.5, -0.25, 1, 0.75, -1, 0.5, 0.125, 0.25}
    %b: f32[] = MatMul(%a, %w) %c: f32[] = Tanh(%b) output %c)")},
                             {"else_branch", body("input %a: f32[3, 2] %b: f32[] = Exp(%a) output %b")}}));
  cases.push_back(make_case("If", "two_outputs", {any_flag(), random({2, 3}), random({2, 3})},
                            {{"then_branch", body(R"(
    input %a: f32[2, 3] %b: f32[] = Relu(%a) %c: f32[] = Exp(%b) output %c, %b)")},
                             {"else_branch", body("input %a: f32[2, 3] %b: f32[] = Neg(%a) output %a, %b")}},
                            2));
  // Rows that are there in one branch only: the size is the data's.
  cases.push_back(known_case("If", "sizes_differ", {flag(1), given(DataType::kF32, {2, 2}, {1, 2, 3, 4}),
                                                    given(DataType::kF32, {1, 2}, {5, 6})},
                             {{1, 2, 3, 4}},
                             {{"then_branch", body("input %a: f32[2, 2] output %a")},
                              {"else_branch", body("input %a: f32[1, 2] %b: f32[] = Neg(%a) output %b")}}));
  cases.push_back(known_case("If", "nested", {flag(0), x, flag(1), x},
                             {{3, 0}},
                             {{"then_branch", body(kNegated)},
                              {"else_branch", body(R"(
    input %c: bool[] input %x: f32[2]
    %y: f32[] = If(%c, %x, %x) {
      then_branch = graph "" { input %a: f32[2] %b: f32[] = Relu(%a) output %b },
      else_branch = graph "" { input %a: f32[2] %b: f32[] = Exp(%a) output %b }}
    output %y)")}}));
  cases.push_back(known_case("If", "captures_nothing", {flag(0)}, {{7, 8}},
                             {{"then_branch", body("const %a: i64[2] = {5, 6} output %a")},
                              {"else_branch", body("const %a: i64[2] = {7, 8} output %a")}}));
  cases.push_back(known_case("If", "empty", {flag(1), random({0, 3}), random({2, 3})}, {{}},
                             {{"then_branch", body("input %a: f32[0, 3] %b: f32[] = Relu(%a) output %b")},
                              {"else_branch", body("input %a: f32[2, 3] %b: f32[] = Neg(%a) output %b")}}));
}

// Carries s + i and scans it.
constexpr std::string_view kCounting = R"(
    input %i: i64[] input %go: bool[] input %s: f32[]
    %f: f32[] = Cast(%i) {to = f32} %t: f32[] = Add(%s, %f) output %go, %t, %t)";
// Carries the rows with the captured row behind them.
constexpr std::string_view kGrowing = R"(
    symbol R [0, *] input %i: i64[] input %go: bool[] input %rows: f32[R, 2] input %row: f32[1, 2]
    %more: f32[] = Concat(%rows, %row) {axis = 0} %r: f32[] = Sin(%row) output %go, %more, %r)";
// s = tanh(s w + x) with weights from outside; scans s.
constexpr std::string_view kRecurrent = R"(
    input %i: i64[] input %go: bool[] input %s: f32[2, 3] input %x: f32[2, 3] input %w: f32[3, 3]
    %a: f32[] = MatMul(%s, %w) %b: f32[] = Add(%a, %x) %c: f32[] = Tanh(%b) output %go, %c, %c)";

ir::Attributes loop(std::string_view text, int64_t carried) {
  return {{"body", body(text)}, {"carried", integer(carried)}};
}

void add_loop_ends(CaseList& cases) {
  const ir::Attributes counting = loop(kCounting, 1);
  const InputCase one = given(DataType::kF32, {}, {1});
  cases.push_back(known_case("Loop", "counted", {number(4), absent(), one}, {{7}, {1, 2, 4, 7}}, counting));
  cases.push_back(known_case("Loop", "no_iterations", {number(0), absent(), one}, {{1}, {}}, counting));
  cases.push_back(known_case("Loop", "negative_trips", {number(-3), absent(), one}, {{1}, {}}, counting));
  cases.push_back(known_case("Loop", "condition_false_at_first", {number(4), flag(0), one}, {{1}, {}},
                             counting));
  InputCase five = number(5);
  five.constant = true;
  cases.push_back(known_case("Loop", "known_trips", {five, absent(), one}, {{11}, {1, 2, 4, 7, 11}},
                             counting));
  cases.push_back(make_case("Loop", "trips_of_data", {any_number(0, 5), any_flag(), random({})}, counting, 2));
  // Ends when the carried sum is beyond a limit from outside.
  cases.push_back(known_case("Loop", "condition_of_data",
                             {absent(), absent(), one, given(DataType::kF32, {}, {40})},
                             {{64}, {1, 2, 4, 8, 16, 32}}, loop(R"(
    input %i: i64[] input %go: bool[] input %s: f32[] input %limit: f32[]
    %t: f32[] = Add(%s, %s) %on: bool[] = Less(%t, %limit) output %on, %t, %s)", 1)));
}

void add_loop_bodies(CaseList& cases) {
  cases.push_back(make_case("Loop", "recurrent", {any_number(1, 4), absent(), random({2, 3}), random({2, 3}), random({3, 3})},
                            loop(kRecurrent, 1), 2));
  const InputCase rows = given(DataType::kF32, {1, 2}, {1, 2}), row = given(DataType::kF32, {1, 2}, {0, 0});
  cases.push_back(known_case("Loop", "grows", {number(2), absent(), rows, row},
                             {{1, 2, 0, 0, 0, 0}, {0, 0, 0, 0}}, loop(kGrowing, 1)));
  cases.push_back(known_case("Loop", "grows_not_at_all", {number(0), absent(), rows, row}, {{1, 2}, {}},
                             loop(kGrowing, 1)));
  cases.push_back(known_case("Loop", "shrinks", {number(3), absent(), list({1, 2, 3, 4, 5})}, {{4, 5}, {1, 2, 3}},
                             loop(R"(
    symbol R [0, *] input %i: i64[] input %go: bool[] input %s: f32[R]
    const %zero: i64[1] = {0} const %one: i64[1] = {1} const %end: i64[1] = {1000}
    %head: f32[] = Slice(%s, %zero, %one) %tail: f32[] = Slice(%s, %one, %end) output %go, %tail, %head)",
                                  1)));
  // Nothing says how large an element of the stack would have been: its dims are 0.
  cases.push_back(known_case("Loop", "stacks_nothing_of_unknown_size", {number(0), absent(), list({1, 2})},
                             {{1, 2}, {}}, loop(R"(
    symbol R [0, *] input %i: i64[] input %go: bool[] input %s: f32[R]
    %twice: f32[] = Concat(%s, %s) {axis = 0} output %go, %twice, %twice)", 1)));
  cases.push_back(known_case("Loop", "empty_elements", {number(3), absent(), random({2, 0})}, {{}, {}}, loop(R"(
    input %i: i64[] input %go: bool[] input %s: f32[2, 0]
    %t: f32[] = Neg(%s) output %go, %t, %t)", 1)));
  // What is carried changes places: the next values must not be written over the last.
  cases.push_back(known_case("Loop", "swaps", {number(6), absent(), number(0), number(1)}, {{8}, {13}, {0, 1, 1, 2, 3, 5}},
                             loop(R"(
    input %i: i64[] input %go: bool[] input %a: i64[] input %b: i64[]
    %c: i64[] = Add(%a, %b) output %go, %b, %c, %a)", 2)));
  cases.push_back(known_case("Loop", "gives_what_it_took", {number(2), absent(), list({1, 2}), list({3, 4})},
                             {{1, 2}, {3, 4, 3, 4}}, loop(R"(
    input %i: i64[] input %go: bool[] input %s: f32[2] input %outer: f32[2] output %go, %s, %outer)", 1)));
  // Only scans: no carried value.
  cases.push_back(make_case("Loop", "carries_nothing", {any_number(1, 4), absent(), random({2, 3})}, loop(R"(
    input %i: i64[] input %go: bool[] input %x: f32[2, 3]
    %f: f32[] = Cast(%i) {to = f32} %t: f32[] = Mul(%x, %f) output %go, %t)", 0)));
}

void add_loop_nests(CaseList& cases) {
  // The inner loop runs i times; both read the same value from outside of both.
  cases.push_back(known_case("Loop", "in_a_loop", {number(4), absent(), list({1, 1}), list({0.5, 2})},
                             {{4, 13}, {1, 1, 1.5, 3, 2.5, 7, 4, 13}}, loop(R"(
    input %i: i64[] input %go: bool[] input %s: f32[2] input %x: f32[2]
    %t: f32[] = Loop(%i, _, %s, %x) { carried = 1, body = graph "" {
      input %j: i64[] input %on: bool[] input %a: f32[2] input %b: f32[2]
      %c: f32[] = Add(%a, %b) output %on, %c }}
    output %go, %t, %t)", 1)));
  cases.push_back(known_case("Loop", "branch_inside", {number(4), absent(), list({1, -1})}, {{7, -1}}, loop(R"(
    input %i: i64[] input %go: bool[] input %s: f32[2]
    const %two: i64[] = {2} const %zero: i64[] = {0}
    %m: i64[] = Mod(%i, %two) {fmod = 0} %even: bool[] = Equal(%m, %zero)
    %t: f32[] = If(%even, %s, %s) {
      then_branch = graph "" { input %a: f32[2] %b: f32[] = Add(%a, %a) output %b },
      else_branch = graph "" { input %a: f32[2] const %one: f32[] = {1} %b: f32[] = Add(%a, %one) output %b }}
    output %go, %t)", 1)));
  cases.push_back(make_case("Loop", "scan_inside", {any_number(1, 3), absent(), random({3}), random({4, 3})}, loop(R"(
    input %i: i64[] input %go: bool[] input %s: f32[3] input %rows: f32[4, 3]
    %last: f32[], %all: f32[] = Scan(%s, %rows) { states = 1, num_scan_inputs = 1, body = graph "" {
      input %a: f32[3] input %b: f32[3]
      const %half: f32[] = {0.5} %c: f32[] = Mul(%a, %half) %d: f32[] = Add(%c, %b) output %d, %c }}
    output %go, %last, %all)", 1), 2));
}

ir::Attributes scan(std::string_view text, int64_t states, int64_t scanned, ir::Attributes more = {}) {
  more["body"] = body(text);
  more["states"] = integer(states);
  more["num_scan_inputs"] = integer(scanned);
  return more;
}

constexpr std::string_view kSum =
    "input %s: f32[] input %x: f32[] %t: f32[] = Add(%s, %x) output %t, %t";

void add_scan(CaseList& cases) {
  const InputCase zero = given(DataType::kF32, {}, {0}), values = list({1, 2, 3});
  cases.push_back(known_case("Scan", "sums", {zero, values}, {{6}, {1, 3, 6}}, scan(kSum, 1, 1)));
  cases.push_back(known_case("Scan", "from_the_end", {zero, values}, {{6}, {3, 5, 6}},
                             scan(kSum, 1, 1, {{"scan_input_directions", ints({1})}})));
  cases.push_back(known_case("Scan", "last_one_first", {zero, values}, {{6}, {6, 3, 1}},
                             scan(kSum, 1, 1, {{"scan_output_directions", ints({1})}})));
  cases.push_back(known_case("Scan", "empty", {zero, random({0})}, {{0}, {}}, scan(kSum, 1, 1)));
  cases.push_back(known_case("Scan", "axes",
                             {given(DataType::kF32, {2}, {0, 0}), given(DataType::kF32, {2, 3}, {1, 2, 3, 4, 5, 6})},
                             {{6, 15}, {1, 3, 6, 4, 9, 15}},
                             scan("input %s: f32[2] input %x: f32[2] %t: f32[] = Add(%s, %x) output %t, %t", 1, 1,
                                  {{"scan_input_axes", ints({1})}, {"scan_output_axes", ints({-1})}})));
  cases.push_back(known_case("Scan", "two_inputs_without_state",
                             {values, given(DataType::kF32, {2, 3}, {1, 2, 3, 4, 5, 6})}, {{1, 4, 4, 10, 9, 18}},
                             scan("input %x: f32[] input %y: f32[2] %z: f32[] = Mul(%x, %y) output %z", 0, 2,
                                  {{"scan_input_axes", ints({0, -1})}})));
  cases.push_back(make_case("Scan", "recurrent", {random({2, 3}), random({4, 2, 3}), random({3, 3})}, scan(R"(
    input %s: f32[2, 3] input %x: f32[2, 3] input %w: f32[3, 3]
    %a: f32[] = MatMul(%s, %w) %b: f32[] = Add(%a, %x) %c: f32[] = Tanh(%b) output %c, %c, %x)", 1, 1), 3));
  cases.push_back(make_case("Scan", "in_a_scan", {random({3}), random({2, 4, 3}), random({3})}, scan(R"(
    input %s: f32[3] input %rows: f32[4, 3] input %w: f32[3]
    %last: f32[], %all: f32[] = Scan(%s, %rows, %w) { states = 1, num_scan_inputs = 1, body = graph "" {
      input %a: f32[3] input %b: f32[3] input %u: f32[3]
      %c: f32[] = Mul(%a, %u) %d: f32[] = Add(%c, %b) output %d, %c }}
    output %last, %all)", 1, 1), 2));
  const InputCase starts = list({0, 10}), batch = given(DataType::kF32, {2, 3}, {1, 2, 3, 4, 5, 6});
  cases.push_back(known_case("ScanBatch", "all_steps", {absent(), starts, batch}, {{6, 25}, {1, 3, 6, 14, 19, 25}},
                             scan(kSum, 1, 1)));
  cases.push_back(known_case("ScanBatch", "lengths", {given(DataType::kI64, {2}, {2, 0}), starts, batch},
                             {{3, 10}, {1, 3, 0, 0, 0, 0}}, scan(kSum, 1, 1)));
  cases.push_back(known_case("ScanBatch", "from_the_end", {given(DataType::kI64, {2}, {2, 3}), starts, batch},
                             {{3, 25}, {2, 3, 0, 16, 21, 25}},
                             scan(kSum, 1, 1, {{"scan_input_directions", ints({1})}})));
  cases.push_back(make_case("ScanBatch", "rows", {absent(), random({2, 3}), random({2, 4, 3})}, scan(R"(
    input %s: f32[3] input %x: f32[3]
    %a: f32[] = Sub(%s, %x) %b: f32[] = Sin(%a) output %b, %a)", 1, 1), 2));
}

}  // namespace

CaseList control_cases() {
  CaseList cases;
  add_if(cases);
  add_loop_ends(cases);
  add_loop_bodies(cases);
  add_loop_nests(cases);
  add_scan(cases);
  return cases;
}

}  // namespace planish::ops
