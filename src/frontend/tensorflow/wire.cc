// The reader of wire.h. Broken bytes and findings of its own are exceptions inside of this file (see
// message_reader.h); the read functions turn them into a Status with the path of the field that was
// being read ("graph_def.node[3].attr: ..."). No exception leaves this file.
#include "frontend/tensorflow/wire.h"

#include <cstring>

#include "base/quote.h"
#include "base/text.h"
#include "frontend/wire/message_reader.h"

namespace planish::frontend::tensorflow {
namespace {

using protozero::pbf_wire_type;
using wire::fail;
using wire::Fields;

class Reader : public wire::MessageReader {
 public:
  using MessageReader::MessageReader;

  void saved_model(std::string_view bytes, SavedModelDesc& out);
  void meta_graph(std::string_view bytes, MetaGraphDesc& out);
  void graph(std::string_view bytes, GraphDesc& out);
  void bundle_header(std::string_view bytes, BundleHeaderDesc& out);
  void bundle_entry(std::string_view bytes, BundleEntryDesc& out);
  void object_graph(std::string_view bytes, std::vector<SavedVariableDesc>& out);

 private:
  void saved_object(std::string_view bytes, int64_t number, std::vector<SavedVariableDesc>& out);
  void captures(std::string_view bytes, GraphDesc& out);
  void library(std::string_view bytes, GraphDesc& out);
  void function(std::string_view bytes, FunctionDesc& out);
  void op_signature(std::string_view bytes, FunctionDesc& out);
  void arg(std::string_view bytes, ArgDesc& out);
  void node(std::string_view bytes, NodeDesc& out);
  void attr(std::string_view bytes, AttrDesc& out);
  void attr_list(std::string_view bytes, AttrDesc& out);
  void function_ref(std::string_view bytes, FunctionRef& out);
  void tensor(std::string_view bytes, TensorDesc& out);
  void shape(std::string_view bytes, ShapeDesc& out);
  void signature(std::string_view bytes, SignatureDesc& out);
  void tensor_info(std::string_view bytes, TensorInfoDesc& out);
  void slice(std::string_view bytes, SliceDesc& out);

  // One entry of a map<string, message>: calls `value` with the message's bytes and its place.
  template <class Map, class Read>
  void entry(std::string_view bytes, Map& map, Read read) {
    std::string_view key, value;
    for (Fields f(bytes); f.next();) {
      if (f.tag() == 1) key = name(f.bytes());
      else if (f.tag() == 2) value = f.bytes();
      else f.skip();
    }
    auto [at, fresh] = map.try_emplace(key);
    if (!fresh) at->second = {};
    read(value, at->second);
  }

  NodeDesc& next_node(std::vector<NodeDesc>& nodes) {
    count_node();
    return nodes.emplace_back();
  }
};

void Reader::shape(std::string_view bytes, ShapeDesc& out) {
  for (Fields f(bytes); f.next();) {
    if (f.tag() == 2) {
      if (int64_t(out.dims.size()) >= limits_.max_rank)
        fail(resource_exhausted(
            cat("a shape has more dims than the limit max_rank (", limits_.max_rank, ")")));
      int64_t size = 0;
      for (Fields d(f.bytes()); d.next();) {
        if (d.tag() == 1) size = d.integer();
        else d.skip();
      }
      if (size < -1) fail(invalid_argument(cat("a shape has the dim ", size, ", expected -1 or more")));
      out.dims.push_back(size);
    } else if (f.tag() == 3) {
      out.unknown_rank = f.integer() != 0;
    } else {
      f.skip();
    }
  }
  if (out.unknown_rank && !out.dims.empty())
    fail(invalid_argument("a shape is said to be of unknown rank and has dims"));
}

void Reader::tensor(std::string_view bytes, TensorDesc& out) {
  using Kind = ValueChunk::Kind;
  for (Fields f(bytes); f.next();) {
    const int field = int(f.tag());
    switch (field) {
      case 1: out.dtype = f.integer(); break;
      case 2: shape(f.bytes(), out.shape); break;
      case 4: out.content = f.bytes(); break;
      case 5: case 9:  // 9: pairs of floats
        out.chunks.push_back({Kind::kFixed32, field, f.scalars(pbf_wire_type::fixed32)});
        break;
      case 6: out.chunks.push_back({Kind::kFixed64, field, f.scalars(pbf_wire_type::fixed64)}); break;
      case 7: case 10: case 11: case 13: case 16: case 17:
        out.chunks.push_back({Kind::kVarint, field, f.scalars(pbf_wire_type::varint)});
        break;
      case 8: out.chunks.push_back({Kind::kString, field, f.bytes()}); break;
      case 18: out.content = f.bytes(); break;  // float8_val: the bytes themselves
      default: f.skip();
    }
  }
}

void Reader::function_ref(std::string_view bytes, FunctionRef& out) {
  for (Fields f(bytes); f.next();) {
    if (f.tag() == 1) out.name = name(f.bytes());
    else f.skip();
  }
}

void append_varints(std::string_view bytes, std::vector<int64_t>& out) {
  const char* at = bytes.data();
  const char* end = at + bytes.size();
  while (at != end) out.push_back(int64_t(protozero::decode_varint(&at, end)));
}

void Reader::attr_list(std::string_view bytes, AttrDesc& out) {
  for (Fields f(bytes); f.next();) {
    switch (f.tag()) {
      case 2: out.strings.push_back(f.bytes()); break;
      case 3: case 5: case 6: append_varints(f.scalars(pbf_wire_type::varint), out.ints); break;
      case 4: {
        const std::string_view packed = f.scalars(pbf_wire_type::fixed32);
        if (packed.size() % 4 != 0) fail(data_loss("a list of floats does not take whole floats"));
        for (size_t k = 0; k < packed.size(); k += 4) {
          float value;
          std::memcpy(&value, packed.data() + k, 4);
          out.floats.push_back(double(value));
        }
        break;
      }
      case 7: shape(f.bytes(), out.shapes.emplace_back()); break;
      case 9: function_ref(f.bytes(), out.functions.emplace_back()); break;
      default: f.skip();
    }
  }
}

void Reader::attr(std::string_view bytes, AttrDesc& out) {
  using Kind = AttrDesc::Kind;
  for (Fields f(bytes); f.next();) {
    switch (f.tag()) {
      case 1: out.kind = Kind::kList; attr_list(f.bytes(), out); break;
      case 2: out.kind = Kind::kString; out.s = f.bytes(); break;
      case 3: out.kind = Kind::kInt; out.i = f.integer(); break;
      case 4: out.kind = Kind::kFloat; out.f = double(f.float32()); break;
      case 5: out.kind = Kind::kBool; out.i = f.integer() != 0; break;
      case 6: out.kind = Kind::kType; out.i = f.integer(); break;
      case 7: out.kind = Kind::kShape; shape(f.bytes(), out.shape); break;
      case 8:
        out.kind = Kind::kTensor;
        out.tensor = std::make_shared<TensorDesc>();
        tensor(f.bytes(), *out.tensor);
        break;
      case 9: out.kind = Kind::kPlaceholder; f.skip(); break;
      case 10:
        out.kind = Kind::kFunction;
        out.function = std::make_shared<FunctionRef>();
        function_ref(f.bytes(), *out.function);
        break;
      default: f.skip();
    }
  }
}

void Reader::node(std::string_view bytes, NodeDesc& out) {
  out.bytes = bytes;
  for (Fields f(bytes); f.next();) {
    switch (f.tag()) {
      case 1: out.name = name(f.bytes()); break;
      case 2: out.op = name(f.bytes()); break;
      case 3: out.inputs.push_back(name(f.bytes())); break;
      case 4: out.device = name(f.bytes()); break;
      case 5: {
        Step step(*this, "attr");
        entry(f.bytes(), out.attrs, [&](std::string_view v, AttrDesc& a) { attr(v, a); });
        break;
      }
      default: f.skip();
    }
  }
}

void Reader::arg(std::string_view bytes, ArgDesc& out) {
  for (Fields f(bytes); f.next();) {
    switch (f.tag()) {
      case 1: out.name = name(f.bytes()); break;
      case 3: out.type = f.integer(); break;
      case 5: out.number_attr = f.bytes(); break;
      case 6: out.type_list_attr = f.bytes(); break;
      default: f.skip();
    }
  }
}

void Reader::op_signature(std::string_view bytes, FunctionDesc& out) {
  for (Fields f(bytes); f.next();) {
    switch (f.tag()) {
      case 1: out.name = name(f.bytes()); break;
      case 2: arg(f.bytes(), out.inputs.emplace_back()); break;
      case 3: arg(f.bytes(), out.outputs.emplace_back()); break;
      default: f.skip();
    }
  }
}

void Reader::function(std::string_view bytes, FunctionDesc& out) {
  for (Fields f(bytes); f.next();) {
    switch (f.tag()) {
      case 1: op_signature(f.bytes(), out); break;
      case 3: {
        Step step(*this, "node_def", int64_t(out.nodes.size()));
        node(f.bytes(), next_node(out.nodes));
        break;
      }
      case 4: {
        std::string_view key, value;
        for (Fields e(f.bytes()); e.next();) {
          if (e.tag() == 1) key = name(e.bytes());
          else if (e.tag() == 2) value = name(e.bytes());
          else e.skip();
        }
        out.returns[key] = value;
        break;
      }
      default: f.skip();
    }
  }
}

void Reader::library(std::string_view bytes, GraphDesc& out) {
  for (Fields f(bytes); f.next();) {
    if (f.tag() != 1) {
      f.skip();
      continue;
    }
    if (int64_t(out.functions.size()) >= limits_.max_functions * 10)
      fail(resource_exhausted(cat("the library has more functions than ten times the limit "
                                  "max_functions (", limits_.max_functions, ")")));
    Step step(*this, "function", int64_t(out.functions.size()));
    function(f.bytes(), out.functions.emplace_back());
  }
}

void Reader::graph(std::string_view bytes, GraphDesc& out) {
  for (Fields f(bytes); f.next();) {
    switch (f.tag()) {
      case 1: {
        Step step(*this, "node", int64_t(out.nodes.size()));
        node(f.bytes(), next_node(out.nodes));
        break;
      }
      case 2: {
        Step step(*this, "library");
        out.library = f.bytes();
        library(out.library, out);
        break;
      }
      case 4:
        out.versions = f.bytes();
        for (Fields v(out.versions); v.next();) {
          if (v.tag() == 1) out.producer = v.integer();
          else v.skip();
        }
        break;
      default: f.skip();
    }
  }
}

void Reader::tensor_info(std::string_view bytes, TensorInfoDesc& out) {
  for (Fields f(bytes); f.next();) {
    switch (f.tag()) {
      case 1: out.name = name(f.bytes()); break;
      case 2: out.dtype = f.integer(); break;
      case 3: shape(f.bytes(), out.shape.emplace()); break;
      default: f.skip();
    }
  }
}

void Reader::signature(std::string_view bytes, SignatureDesc& out) {
  const auto info = [&](std::string_view v, TensorInfoDesc& t) { tensor_info(v, t); };
  for (Fields f(bytes); f.next();) {
    if (f.tag() == 1) entry(f.bytes(), out.inputs, info);
    else if (f.tag() == 2) entry(f.bytes(), out.outputs, info);
    else f.skip();
  }
}

void Reader::meta_graph(std::string_view bytes, MetaGraphDesc& out) {
  for (Fields f(bytes); f.next();) {
    switch (f.tag()) {
      case 1:
        for (Fields info(f.bytes()); info.next();) {
          if (info.tag() == 4) out.tags.push_back(name(info.bytes()));
          else if (info.tag() == 5) out.tensorflow_version = info.bytes();
          else info.skip();
        }
        break;
      case 2: {
        Step step(*this, "graph_def");
        graph(f.bytes(), out.graph);
        break;
      }
      case 5: {
        Step step(*this, "signature_def");
        entry(f.bytes(), out.signatures,
              [&](std::string_view v, SignatureDesc& s) { signature(v, s); });
        break;
      }
      case 7: {
        Step step(*this, "object_graph_def");
        captures(f.bytes(), out.graph);
        break;
      }
      default: f.skip();
    }
  }
}

void Reader::saved_model(std::string_view bytes, SavedModelDesc& out) {
  for (Fields f(bytes); f.next();) {
    if (f.tag() != 2) {
      f.skip();
      continue;
    }
    Step step(*this, "meta_graphs", int64_t(out.meta_graphs.size()));
    meta_graph(f.bytes(), out.meta_graphs.emplace_back());
  }
}

void Reader::bundle_header(std::string_view bytes, BundleHeaderDesc& out) {
  for (Fields f(bytes); f.next();) {
    if (f.tag() == 1) out.shard_count = f.integer();
    else if (f.tag() == 2) out.endianness = f.integer();
    else f.skip();
  }
}

void Reader::slice(std::string_view bytes, SliceDesc& out) {
  for (Fields f(bytes); f.next();) {
    if (f.tag() != 1) {
      f.skip();
      continue;
    }
    std::pair<int64_t, int64_t> extent{0, -1};
    for (Fields e(f.bytes()); e.next();) {
      if (e.tag() == 1) extent.first = e.integer();
      else if (e.tag() == 2) extent.second = e.integer();
      else e.skip();
    }
    if (int64_t(out.extents.size()) >= limits_.max_rank)
      fail(resource_exhausted("a slice has more extents than the limit max_rank"));
    out.extents.push_back(extent);
  }
}

void Reader::saved_object(std::string_view bytes, int64_t number,
                          std::vector<SavedVariableDesc>& out) {
  for (Fields f(bytes); f.next();) {
    if (f.tag() != 2) {
      f.skip();
      continue;
    }
    SavedVariableDesc& variable = out.emplace_back();
    variable.object = number;
    for (Fields attribute(f.bytes()); attribute.next();) {
      if (attribute.tag() == 2) variable.full_name = attribute.bytes();
      else if (attribute.tag() == 3) variable.key = attribute.bytes();
      else attribute.skip();
    }
  }
}
void Reader::object_graph(std::string_view bytes, std::vector<SavedVariableDesc>& out) {
  int64_t number = 0;
  for (Fields f(bytes); f.next();) {
    if (f.tag() == 1) saved_object(f.bytes(), number++, out);
    else f.skip();
  }
}

// Of a SavedObjectGraph: bound_inputs of its concrete functions.
void Reader::captures(std::string_view bytes, GraphDesc& out) {
  for (Fields f(bytes); f.next();) {
    if (f.tag() != 2) {
      f.skip();
      continue;
    }
    entry(f.bytes(), out.captures, [&](std::string_view function, std::vector<int64_t>& objects) {
      for (Fields one(function); one.next();) {
        if (one.tag() == 2) append_varints(one.scalars(pbf_wire_type::varint), objects);
        else one.skip();
      }
    });
  }
}

void Reader::bundle_entry(std::string_view bytes, BundleEntryDesc& out) {
  for (Fields f(bytes); f.next();) {
    switch (f.tag()) {
      case 1: out.dtype = f.integer(); break;
      case 2: shape(f.bytes(), out.shape); break;
      case 3: out.shard = f.integer(); break;
      case 4: out.offset = f.integer(); break;
      case 5: out.size = f.integer(); break;
      case 6: out.crc32c = f.fixed32(); break;
      case 7: slice(f.bytes(), out.slices.emplace_back()); break;
      default: f.skip();
    }
  }
}

template <class T, class Read>
Result<T> guarded(const Limits& limits, Read read) {
  Reader reader(limits);
  T out;
  PLANISH_RETURN_IF_ERROR(wire::guarded(reader, [&] { read(reader, out); }));
  return out;
}

}  // namespace

Result<GraphDesc> read_graph(std::string_view bytes, const Limits& limits) {
  return guarded<GraphDesc>(limits, [&](Reader& r, GraphDesc& out) { r.graph(bytes, out); });
}
Result<MetaGraphDesc> read_meta_graph(std::string_view bytes, const Limits& limits) {
  return guarded<MetaGraphDesc>(limits,
                                [&](Reader& r, MetaGraphDesc& out) { r.meta_graph(bytes, out); });
}
Result<SavedModelDesc> read_saved_model(std::string_view bytes, const Limits& limits) {
  return guarded<SavedModelDesc>(
      limits, [&](Reader& r, SavedModelDesc& out) { r.saved_model(bytes, out); });
}
Result<BundleHeaderDesc> read_bundle_header(std::string_view bytes) {
  return guarded<BundleHeaderDesc>(
      kDefaultLimits, [&](Reader& r, BundleHeaderDesc& out) { r.bundle_header(bytes, out); });
}
Result<BundleEntryDesc> read_bundle_entry(std::string_view bytes, const Limits& limits) {
  return guarded<BundleEntryDesc>(
      limits, [&](Reader& r, BundleEntryDesc& out) { r.bundle_entry(bytes, out); });
}
Result<std::vector<SavedVariableDesc>> read_object_graph(std::string_view bytes, const Limits& limits) {
  return guarded<std::vector<SavedVariableDesc>>(
      limits, [&](Reader& r, std::vector<SavedVariableDesc>& out) { r.object_graph(bytes, out); });
}

Result<std::vector<int64_t>> decode_varints(std::string_view bytes) {
  return guarded<std::vector<int64_t>>(
      kDefaultLimits, [&](Reader&, std::vector<int64_t>& out) { append_varints(bytes, out); });
}

}  // namespace planish::frontend::tensorflow
