// The convolutions of ResNet-50 and VGG-16 and -19 by shape, for tests and benches: each once, with the
// number of times that the network has it.
#pragma once
#include <string>
#include <vector>

#include "backend/cuda/testing/contraction_testing.h"

namespace planish::cuda {

struct NetworkLayer {
  std::string name;
  ConvCase conv;
  int times = 1;
};

// Without the first layer and the classifier; projections have no activation.
std::vector<NetworkLayer> resnet50_layers(int64_t batch);
NetworkLayer resnet50_stem(int64_t batch);
// VGG-16's; VGG-19 has the same shapes.
std::vector<NetworkLayer> vgg_layers(int64_t batch);

}  // namespace planish::cuda
