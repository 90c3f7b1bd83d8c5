#include "backend/cuda/testing/network_layers.h"

namespace planish::cuda {

std::vector<NetworkLayer> resnet50_layers(int64_t batch) {
  struct Row { const char* name; int64_t size, c, k, r, stride; bool residual, relu; int times; };
  const Row rows[] = {
      {"s1.a0", 56, 64, 64, 1, 1, false, true, 1}, {"s1.b", 56, 64, 64, 3, 1, false, true, 3},
      {"s1.ds", 56, 64, 256, 1, 1, false, false, 1}, {"s1.c", 56, 64, 256, 1, 1, true, true, 3},
      {"s1.a", 56, 256, 64, 1, 1, false, true, 2}, {"s2.a0", 56, 256, 128, 1, 1, false, true, 1},
      {"s2.b0", 56, 128, 128, 3, 2, false, true, 1}, {"s2.ds", 56, 256, 512, 1, 2, false, false, 1},
      {"s2.c", 28, 128, 512, 1, 1, true, true, 4}, {"s2.a", 28, 512, 128, 1, 1, false, true, 3},
      {"s2.b", 28, 128, 128, 3, 1, false, true, 3}, {"s3.a0", 28, 512, 256, 1, 1, false, true, 1},
      {"s3.b0", 28, 256, 256, 3, 2, false, true, 1}, {"s3.ds", 28, 512, 1024, 1, 2, false, false, 1},
      {"s3.c", 14, 256, 1024, 1, 1, true, true, 6}, {"s3.a", 14, 1024, 256, 1, 1, false, true, 5},
      {"s3.b", 14, 256, 256, 3, 1, false, true, 5}, {"s4.a0", 14, 1024, 512, 1, 1, false, true, 1},
      {"s4.b0", 14, 512, 512, 3, 2, false, true, 1}, {"s4.ds", 14, 1024, 2048, 1, 2, false, false, 1},
      {"s4.c", 7, 512, 2048, 1, 1, true, true, 3}, {"s4.a", 7, 2048, 512, 1, 1, false, true, 2},
      {"s4.b", 7, 512, 512, 3, 1, false, true, 2}};
  std::vector<NetworkLayer> out;
  for (const Row& l : rows)
    out.push_back({l.name,
                   {batch, l.c, l.size, l.size, l.k, l.r, l.r, l.stride, l.r / 2, l.r / 2, 1, 1,
                    {true, l.residual, l.relu ? Activation::kRelu : Activation::kNone}},
                   l.times});
  return out;
}

NetworkLayer resnet50_stem(int64_t batch) {
  return {"stem", {batch, 3, 224, 224, 64, 7, 7, 2, 3, 3, 1, 1, {true, false, Activation::kRelu}}, 1};
}

std::vector<NetworkLayer> vgg_layers(int64_t batch) {
  struct Row { const char* name; int64_t size, c, k; int times; };
  const Row rows[] = {{"c1.1", 224, 3, 64, 1}, {"c1.2", 224, 64, 64, 1}, {"c2.1", 112, 64, 128, 1},
                      {"c2.2", 112, 128, 128, 1}, {"c3.1", 56, 128, 256, 1}, {"c3.2", 56, 256, 256, 2},
                      {"c4.1", 28, 256, 512, 1}, {"c4.2", 28, 512, 512, 2}, {"c5", 14, 512, 512, 3}};
  std::vector<NetworkLayer> out;
  for (const Row& l : rows)
    out.push_back({l.name,
                   {batch, l.c, l.size, l.size, l.k, 3, 3, 1, 1, 1, 1, 1, {true, false, Activation::kRelu}},
                   l.times});
  return out;
}

}  // namespace planish::cuda
