// LayoutConvert -> f16[2, 40, 7, 9] perm(0,2,3,1)
// grid 8 1 1, block 32, tactic 
extern "C" __global__ void __launch_bounds__(256) tile_copy_f16(const u16* x0, u16* y0) {
  __shared__ u16 tile[32][33];
  const int x = threadIdx.x, y = threadIdx.y;
  int rest = blockIdx.x;
  i64 from = 0, to = 0;
  const int c2 = rest % 2 * 32;
  rest /= 2;
  from += (i64)c2 * 63;
  to += (i64)c2 * 1;
  const int c1 = rest % 2 * 32;
  rest /= 2;
  from += (i64)c1 * 1;
  to += (i64)c1 * 40;
  const int c0 = rest % 2;
  rest /= 2;
  from += (i64)c0 * 2520;
  to += (i64)c0 * 2520;
  grid_wait();
  grid_launch();
  #pragma unroll
  for (int r = 0; r < 32; r += 8)
    if (c1 + x < 63 && c2 + y + r < 40)
      tile[y + r][x] = x0[from + (i64)(y + r) * 63 + x];
  __syncthreads();
  #pragma unroll
  for (int r = 0; r < 32; r += 8)
    if (c1 + y + r < 63 && c2 + x < 40)
      y0[to + (i64)(y + r) * 40 + x] = tile[x][y + r];
}
