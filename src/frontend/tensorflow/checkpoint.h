// Checkpoint: the variables of a checkpoint in TensorFlow's bundle format (PREFIX.index with
// PREFIX.data-00000-of-00001 and so on), as TF1's Saver, TF2's Checkpoint and SavedModels write it.
#pragma once
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/limits.h"
#include "base/mapped_file.h"
#include "frontend/tensorflow/wire.h"
#include "ir/tensor.h"

namespace planish::frontend::tensorflow {

class Checkpoint {
 public:
  // Reads the index; shards are opened when first needed.
  static Result<Checkpoint> open(const std::string& prefix, const Limits& limits);

  const std::string& prefix() const { return prefix_; }
  bool has(std::string_view key) const { return entries_.find(key) != entries_.end(); }
  std::vector<std::string> keys() const;
  // The whole variable, put together from its slices where it was saved in parts; its CRC-32C is
  // checked. kNotFound, kDataLoss, kUnsupported for strings and variants.
  Result<ir::Tensor> read(std::string_view key) const;
  // Type and shape as the index tells them, nothing of the value read.
  Result<ir::TensorType> type(std::string_view key) const;
  // The key of a variable by the name that it had in the program: checkpoints of TF2 call variables by
  // their place among the objects that hold them. Empty: unknown.
  // A name that several of them had is none.
  std::string key_of(const std::string& full_name) const;
  // By the number of its object, as a SavedModel's functions name what they capture.
  std::string key_of_object(int64_t object) const;

 private:
  Checkpoint() = default;
  Result<std::shared_ptr<const MappedFile>> shard(int64_t index) const;
  Result<ir::Tensor> read_entry(std::string_view key) const;
  Result<ir::Tensor> read_whole(const BundleEntryDesc& entry) const;
  Result<ir::Tensor> read_slices(std::string_view key, const BundleEntryDesc& entry) const;
  Result<std::string> read_text(std::string_view key) const;
  Status read_objects();

  std::string prefix_;
  Limits limits_;
  int64_t shard_count_ = 0;
  std::map<std::string, std::string, std::less<>> entries_;  // serialized BundleEntryProtos
  std::map<std::string, std::string> keys_by_name_;  // of the object graph; empty: ambiguous
  std::map<int64_t, std::string> keys_by_object_;
  mutable std::map<int64_t, std::shared_ptr<const MappedFile>> shards_;
};

}  // namespace planish::frontend::tensorflow
