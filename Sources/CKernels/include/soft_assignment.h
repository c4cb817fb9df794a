// Differentiable k-means on a histogram: attention of ascending values over ascending centroids,
//
//     a_uj = softmax_j(-d(u, c_j) / temperature),   d = (u - c)² or |u - c|
//
// never stored: each pass recomputes it for 128 values at a time. Arithmetic inside a block is single or double
// precision relative to a centroid near the block, sums over blocks are double.
#pragma once
#include <stddef.h>

typedef struct {
  const double *values;     // [count], ascending
  const double *centroids;  // [k], ascending
  size_t count, k;
  double temperature;
  int absolute;             // distance |u - c| instead of (u - c)²
  int single_precision;
  double cutoff;            // centroids whose logit lies further below the best one are left out
  // coremltools' variant: attention no smaller than `floor`, `offset` taken off the distance to one centroid.
  double floor, offset;
  size_t offset_column;
} sd_attention;

/// Doubles that `scratch` must hold for `k` centroids.
size_t sd_attention_scratch(size_t k);

/// sum_j = Σ_u n_u a_uj, moment_j = Σ_u n_u a_uj (u - c_j), inertia = Σ_u n_u min_j d(u, c_j).
void sd_attention_moments(sd_attention attention, const double *masses, double *sum, double *moment, double *inertia,
                          double *scratch);
/// table_u = Σ_j a_uj targets_j.
void sd_attention_mix(sd_attention attention, const double *targets, double *table, double *scratch);

/// With σ_uj = a_uj (p_uj - Σ_m a_um p_um) and q_uj = d'(u - c_j) / temperature, one iteration's pullback:
///
///     p_uj = slopes_j (u - targets_j)
///     shared_u += Σ_j a_uj slopes_j - Σ_j σ_uj q_uj,   centroid_j = Σ_u n_u σ_uj q_uj
void sd_attention_pullback_iteration(sd_attention attention, const double *masses, const double *targets,
                                     const double *slopes, double *shared, double *centroid, double *scratch);
/// and the read-out's:
///
///     p_uj = targets_j
///     gain_u = -Σ_j σ_uj q_uj,   target_j = Σ_u G_u a_uj,   centroid_j = Σ_u G_u σ_uj q_uj
void sd_attention_pullback_readout(sd_attention attention, const double *gradients, const double *targets,
                                   double *gain, double *target, double *centroid, double *scratch);
/// The derivative of moment_j with respect to the attention's centroids, row-major `[k, k]`:
///
///     coupling_jm = Σ_u n_u (u - c_j) a_uj (δ_jm - a_um) q_um
void sd_attention_coupling(sd_attention attention, const double *masses, double *coupling, double *scratch);
