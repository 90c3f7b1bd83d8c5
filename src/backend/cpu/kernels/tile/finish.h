// The part of an epilogue that follows the register tile: post functions and zeros in the channel
// padding.
#pragma once

#include <cstdint>

#include "backend/cpu/kernels/epilogue.h"

namespace planish::cpu {

// Floats per channel block that one call should see at least: calls cost time, L1 is small.
constexpr int64_t kFinishFloats = 1024;

struct TileFinish {
  const Epilogue* epilogue = nullptr;
  int width = 0;  // V
  int tail = 0;   // channels in the last block; 0: full

  // rows pixels of j channel blocks, plane floats apart, the first at output; dense is its place in
  // the dense output.
  void run(float* output, int64_t plane, int64_t dense, int64_t rows, int j,
           bool has_last_block) const {
    if (epilogue->post != nullptr) {
      for (int b = 0; b < j; b++) {
        epilogue->post(epilogue->post_context, output + b * plane, dense + b * plane, rows * width);
      }
    }
    if (tail != 0 && has_last_block && epilogue->moves_zero()) {
      float* block = output + (j - 1) * plane;
      for (int64_t r = 0; r < rows; r++) {
        for (int c = tail; c < width; c++) block[r * width + c] = 0;
      }
    }
  }
};

}  // namespace planish::cpu
