// Differentiable k-means of vectors: attention of each vector over a few centroids,
//
//     a_ij = softmax_j(-|x_i - c_j|² · inverse)
//
// never stored: each pass computes it anew. Sums over vectors are double precision over blocks of single.
#pragma once
#include <stddef.h>

typedef struct {
  const float *x;          // [count][dimension]
  const float *centroids;  // [k][dimension], k at most 256, dimension at most 8
  ptrdiff_t count;
  int k, dimension;
  float inverse;           // 1 / temperature
} sd_vectors;

/// sum_j += Σ_i a_ij, moment_j += Σ_i a_ij (x_i - c_j).
void sd_vectors_moments(sd_vectors s, double *sum, double *moment);
/// y_i = Σ_j a_ij target_j.
void sd_vectors_mix(sd_vectors s, const float *targets, float *y);

/// With σ_ij = a_ij (p_ij - Σ_m a_im p_im) and q_ij = 2 (x_i - c_j) · inverse, one iteration's pullback:
///
///     p_ij = slope_j · (x_i - target_j)
///     dx_i += Σ_j a_ij slope_j - Σ_j σ_ij q_ij,   centroid_j += Σ_i σ_ij q_ij
void sd_vectors_pullback_iteration(sd_vectors s, const float *targets, const float *slopes, float *dx,
                                   double *centroid);
/// and the read-out's, whose part that goes straight to a vector is no longer than `bound` times its `dy`; returns how
/// many were shortened:
///
///     p_ij = dy_i · target_j
///     dx_i = -Σ_j σ_ij q_ij,   target_j += Σ_i a_ij dy_i,   centroid_j += Σ_i σ_ij q_ij
ptrdiff_t sd_vectors_pullback_readout(sd_vectors s, const float *targets, const float *dy, float bound, float *dx,
                                      double *target, double *centroid);
