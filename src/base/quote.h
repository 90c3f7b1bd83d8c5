// Names from a model file, made safe for one line of a message: quoted, control characters and
// invalid UTF-8 escaped as \xNN, long ones cut in the middle.
#pragma once
#include <string>
#include <string_view>

namespace planish {

std::string quoted(std::string_view name);
// Well-formed UTF-8 without control characters?
bool is_clean_text(std::string_view text);

}  // namespace planish
