// SuppressedScores -> f32[1, 8, 900]
// grid 8 1 1, block 256, tactic 
struct Box { double y1, x1, y2, x2; };
DEV Box box_of(const float* p) {
  const double a = p[0], b = p[1], c = p[2], d = p[3];
  Box box;
  box.y1 = a < c ? a : c; box.x1 = b < d ? b : d; box.y2 = a < c ? c : a; box.x2 = b < d ? d : b;
  return box;
}
DEV double area(const Box& b) { return (b.y2 - b.y1) * (b.x2 - b.x1); }
DEV bool overlap(const Box& a, const Box& b) {
  const double height = (a.y2 < b.y2 ? a.y2 : b.y2) - (a.y1 > b.y1 ? a.y1 : b.y1);
  const double width = (a.x2 < b.x2 ? a.x2 : b.x2) - (a.x1 > b.x1 ? a.x1 : b.x1);
  if (!(height > 0 && width > 0)) return false;
  const double shared = height * width, first = area(a), second = area(b), united = first + second - shared;
  return first > 0 && second > 0 && united > 0 && shared / united > __longlong_as_double(4602678819172646912ll);
}
extern "C" __global__ void __launch_bounds__(256) suppressed_scores_900(const float* x0, const float* x1, float* y0) {
  __shared__ float scores[1024];
  __shared__ u16 numbers[1024];
  __shared__ u8 struck[1024];
  __shared__ int found;
  grid_wait();
  grid_launch();
  const int c = blockIdx.x, n = blockIdx.y;
  const float* own = x1 + ((i64)n * 8 + c) * 900;
  const float* boxes = x0 + (i64)n * 3600;
  float* out = y0 + ((i64)n * 8 + c) * 900;
  if (threadIdx.x == 0) found = 0;
  __syncthreads();
  for (int i = threadIdx.x; i < 900; i += 256) {
    const float score = own[i];
    out[i] = 0;
    if (score == score && (double)score > __longlong_as_double(4598175219545276416ll)) {
      const int slot = atomicAdd(&found, 1);
      scores[slot] = score;
      numbers[slot] = (u16)i;
      struck[slot] = 0;
    }
  }
  __syncthreads();
  const int all = found;
  int slots = 2;
  while (slots < all) slots *= 2;
  for (int i = all + threadIdx.x; i < slots; i += 256) { scores[i] = __uint_as_float(0xff800000u); numbers[i] = 0xffff; struck[i] = 1; }
  __syncthreads();
  for (int size = 2; size <= slots; size *= 2)
    for (int step = size / 2; step > 0; step /= 2) {
      for (int i = threadIdx.x; i < slots; i += 256) {
        const int j = i ^ step;
        if (j > i) {
          const float a = scores[i], b = scores[j];
          const u16 na = numbers[i], nb = numbers[j];
          const bool behind = a < b || (a == b && na > nb);
          if (behind == ((i & size) == 0)) { scores[i] = b; scores[j] = a; numbers[i] = nb; numbers[j] = na; }
        }
      }
      __syncthreads();
    }
  int kept = 0;
  for (int i = 0; i < all && kept < 100; ++i) {
    if (struck[i]) continue;
    ++kept;
    const Box best = box_of(boxes + numbers[i] * 4);
    if (threadIdx.x == 0) out[numbers[i]] = scores[i];
    for (int j = i + 1 + threadIdx.x; j < all; j += 256)
      if (!struck[j] && overlap(best, box_of(boxes + numbers[j] * 4))) struck[j] = 1;
    __syncthreads();
  }
}
