// The convolution layers of the networks that the benchmarks time, with how often each occurs.
#pragma once

#include <string>
#include <vector>

#include "backend/cpu/kernels/conv_problem.h"

namespace planish::cpu {

struct BenchLayer {
  ConvProblem problem;
  int times = 1;

  std::string name() const {
    const ConvProblem& p = problem;
    return std::to_string(p.in_height) + " " + std::to_string(p.kernel_height) + "x" +
           std::to_string(p.kernel_width) +
           (p.stride_height > 1 ? "/" + std::to_string(p.stride_height) : "") + " " +
           std::to_string(p.in_channels) + "->" + std::to_string(p.out_channels);
  }
};

inline BenchLayer layer(int64_t size, int64_t kernel, int64_t stride, int64_t in, int64_t out,
                        int times) {
  BenchLayer l;
  ConvProblem& p = l.problem;
  p.in_channels = in;
  p.out_channels = out;
  p.in_height = p.in_width = size;
  p.kernel_height = p.kernel_width = kernel;
  p.stride_height = p.stride_width = stride;
  p.pad_top = p.pad_left = p.pad_bottom = p.pad_right = kernel / 2;
  p.planar_input = in == 3;
  l.times = times;
  return l;
}

inline std::vector<BenchLayer> resnet50_layers() {
  return {
      layer(224, 7, 2, 3, 64, 1),    layer(56, 1, 1, 64, 64, 1),     layer(56, 3, 1, 64, 64, 3),
      layer(56, 1, 1, 64, 256, 4),   layer(56, 1, 1, 256, 64, 2),    layer(56, 1, 1, 256, 128, 1),
      layer(56, 3, 2, 128, 128, 1),  layer(56, 1, 2, 256, 512, 1),   layer(28, 1, 1, 128, 512, 4),
      layer(28, 1, 1, 512, 128, 3),  layer(28, 3, 1, 128, 128, 3),   layer(28, 1, 1, 512, 256, 1),
      layer(28, 3, 2, 256, 256, 1),  layer(28, 1, 2, 512, 1024, 1),  layer(14, 1, 1, 256, 1024, 6),
      layer(14, 1, 1, 1024, 256, 5), layer(14, 3, 1, 256, 256, 5),   layer(14, 1, 1, 1024, 512, 1),
      layer(14, 3, 2, 512, 512, 1),  layer(14, 1, 2, 1024, 2048, 1), layer(7, 1, 1, 512, 2048, 3),
      layer(7, 1, 1, 2048, 512, 2),  layer(7, 3, 1, 512, 512, 2)};
}

inline std::vector<BenchLayer> vgg16_layers() {
  return {
      layer(224, 3, 1, 3, 64, 1),    layer(224, 3, 1, 64, 64, 1),  layer(112, 3, 1, 64, 128, 1),
      layer(112, 3, 1, 128, 128, 1), layer(56, 3, 1, 128, 256, 1), layer(56, 3, 1, 256, 256, 2),
      layer(28, 3, 1, 256, 512, 1),  layer(28, 3, 1, 512, 512, 2), layer(14, 3, 1, 512, 512, 3)};
}

inline std::vector<BenchLayer> mobilenet_v2_pointwise_layers() {
  return {layer(224, 3, 2, 3, 32, 1),  layer(112, 1, 1, 32, 16, 1), layer(112, 1, 1, 16, 96, 1),
          layer(56, 1, 1, 96, 24, 1),  layer(56, 1, 1, 24, 144, 2), layer(28, 1, 1, 144, 32, 1),
          layer(28, 1, 1, 32, 192, 3), layer(14, 1, 1, 192, 64, 1), layer(14, 1, 1, 64, 384, 4),
          layer(14, 1, 1, 384, 96, 1), layer(14, 1, 1, 96, 576, 3), layer(7, 1, 1, 576, 160, 1),
          layer(7, 1, 1, 160, 960, 3), layer(7, 1, 1, 960, 320, 1), layer(7, 1, 1, 320, 1280, 1)};
}

}  // namespace planish::cpu
