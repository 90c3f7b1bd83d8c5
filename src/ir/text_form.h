// What the printer and the parser of the text form share. Private to src/ir.
#pragma once
#include <string>
#include <string_view>

namespace planish::ir {

// Characters of a name that needs no quotes.
inline bool is_name_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '.' || c == '/' || c == '-';
}
bool is_plain_name(std::string_view name);
// "..." with \" \\ \n \xHH escapes; other bytes (UTF-8) stay.
std::string quoted(std::string_view text);

}  // namespace planish::ir
