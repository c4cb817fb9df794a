#include "nearest_vector.h"
#include "clones.h"

SD_CLONES
void sd_nearest_vectors(const float *x, ptrdiff_t count, const float *table, int entries, int dimension,
                        uint8_t *nearest) {
  float columns[8][256];
  for (int j = 0; j < 256; j++)
    for (int e = 0; e < dimension; e++) columns[e][j] = j < entries ? table[j * dimension + e] : 0;
  const int padded = (entries + 15) / 16 * 16;
  for (ptrdiff_t i = 0; i < count; i++) {
    float distance[256];
    for (int j = 0; j < padded; j++) distance[j] = 0;
    for (int e = 0; e < dimension; e++) {
      const float value = x[i * dimension + e];
      for (int j = 0; j < padded; j++) {
        const float d = value - columns[e][j];
        distance[j] += d * d;
      }
    }
    int best = 0;
    for (int j = 1; j < entries; j++)
      if (distance[j] < distance[best]) best = j;
    nearest[i] = (uint8_t)best;
  }
}
