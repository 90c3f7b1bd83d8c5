#include "backend/cuda/testing/host/host_source.h"

#include <cctype>
#include <cstdlib>
#include <fstream>
#include <iterator>

#include "backend/cuda/emit/prelude.h"
#include "backend/cuda/testing/host/ptx_text.h"
#include "base/text.h"

namespace planish::cuda {
namespace {

bool has(const std::string& source, std::string_view what) { return source.find(what) != std::string::npos; }

// Threads that wait for each other need fibers.
bool meets(const std::string& source) {
  for (const std::string_view what : {"__sync", "_sync(", "barrier_", "load_four(", "wgmma_", "cluster_"})
    if (has(source, what)) return true;
  return false;
}

// `extern __shared__ ... T name[];` becomes a pointer to the block's memory.
void replace_dynamic_shared(std::string& source) {
  for (size_t at = source.find("extern __shared__"); at != std::string::npos; at = source.find("extern __shared__", at)) {
    const size_t end = source.find("[];", at), name = source.find_last_of(' ', end) + 1;
    size_t type = source.find(')', at);  // behind __align__(n)
    type = type == std::string::npos || type > name ? at + 17 : type + 1;
    const std::string of = source.substr(type, name - type);
    source.replace(at, end + 3 - at,
                   cat(of, "* const ", source.substr(name, end - name), " = (", of, "*)machine->dynamic_shared();"));
  }
}

}  // namespace

Status write_host_prelude(std::ostream& out) {
  PLANISH_ASSIGN_OR_RETURN(const std::string prelude, without_assembly(kPrelude));
  out << "#include \"backend/cuda/testing/host/builtins.inc\"\n#include \"backend/cuda/testing/host/ptx.inc\"\n" << prelude;
  return ok_status();
}

Status write_host_kernel(std::ostream& out, const std::string& text, const std::string& entry,
                         const std::string& unique) {
  const std::string_view prelude = kPrelude;
  if (text.rfind(prelude, 0) != 0)
    return internal_error(cat(entry, ": the source does not start with the prelude"));
  PLANISH_ASSIGN_OR_RETURN(std::string source, without_assembly(text.substr(prelude.size())));
  size_t at = source.find(cat(entry, "("));
  while (at != std::string::npos && at > 0 && (std::isalnum(static_cast<unsigned char>(source[at - 1])) || source[at - 1] == '_'))
    at = source.find(cat(entry, "("), at + 1);
  if (at == std::string::npos) return internal_error(cat(entry, " is not in its source"));
  source.replace(at, entry.size(), unique);
  const bool waits = meets(source);
  replace_dynamic_shared(source);
  const bool is_shared = has(source, "__shared__");
  const std::string section = cat("shared_", unique);
  out << "#define SHARED \"" << section << "\"\nnamespace n_" << unique << " {\n"
      << source << "\n}\n#undef SHARED\n#undef INFINITY_\n";
  if (is_shared) out << "extern char __start_" << section << "[], __stop_" << section << "[];\n";
  out << "extern \"C\" planish_host::HostKernel get_" << unique << "() {\n"
      << "  return {[](void** a) { call(n_" << unique << "::" << unique << ", a); }, parameters_of(n_" << unique
      << "::" << unique << "), ";
  if (is_shared) out << "__start_" << section << ", __stop_" << section;
  else out << "nullptr, nullptr";
  out << ", " << (waits ? "true" : "false") << "};\n}\n";
  return ok_status();
}

Status compile_on_host(const std::string& base) {
  const std::string command =
      cat(PLANISH_HOST_COMPILER " -std=c++17 -O0 -w -fno-strict-aliasing -shared -fPIC -I " PLANISH_SOURCE_FOLDER
          " -o ", base, ".so ", base, ".cc 2> ", base, ".log");
  if (std::system(command.c_str()) == 0) return ok_status();
  std::ifstream log(base + ".log");
  return internal_error(cat("the host's compiler refuses: ",
                            std::string(std::istreambuf_iterator<char>(log), {}).substr(0, 3000)));
}

}  // namespace planish::cuda
