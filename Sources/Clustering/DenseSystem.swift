/// Small dense linear systems, row-major `[n, n]`, double precision.
enum DenseSystem {
  /// Solves `a x = b` by Cholesky; `nil` if `a` is not safely positive definite. Reads the lower
  /// triangle.
  static func solvePositiveDefinite(_ a: [Double], _ b: [Double]) -> [Double]? {
    let n = b.count
    precondition(a.count == n * n, "DenseSystem: \(a.count) entries for \(n) unknowns")
    var l = a
    for j in 0..<n {
      let diagonal = l[j * n + j]
      var pivot = diagonal
      for m in 0..<j { pivot -= l[j * n + m] * l[j * n + m] }
      // Rounding leaves about 1e-13 of the diagonal where the exact pivot is zero.
      guard pivot > 1e-11 * diagonal, diagonal > 0 else { return nil }
      let root = pivot.squareRoot()
      l[j * n + j] = root
      for i in j + 1..<max(n, j + 1) {
        var value = l[i * n + j]
        for m in 0..<j { value -= l[i * n + m] * l[j * n + m] }
        l[i * n + j] = value / root
      }
    }
    var x = b
    for i in 0..<n {
      for m in 0..<i { x[i] -= l[i * n + m] * x[m] }
      x[i] /= l[i * n + i]
    }
    for i in (0..<n).reversed() {
      for m in i + 1..<max(n, i + 1) { x[i] -= l[m * n + i] * x[m] }
      x[i] /= l[i * n + i]
    }
    return x
  }

  /// Solves `a x = b` by elimination with row pivots; `nil` if `a` is singular.
  static func solve(_ a: [Double], _ b: [Double]) -> [Double]? {
    let n = b.count
    precondition(a.count == n * n, "DenseSystem: \(a.count) entries for \(n) unknowns")
    var a = a
    var x = b
    let largest = a.reduce(0) { max($0, abs($1)) }
    for j in 0..<n {
      let pivot = (j..<n).max { abs(a[$0 * n + j]) < abs(a[$1 * n + j]) }!
      guard abs(a[pivot * n + j]) > 1e-14 * largest else { return nil }
      if pivot != j {
        for m in 0..<n { a.swapAt(j * n + m, pivot * n + m) }
        x.swapAt(j, pivot)
      }
      for i in j + 1..<max(n, j + 1) {
        let factor = a[i * n + j] / a[j * n + j]
        if factor == 0 { continue }
        for m in j..<n { a[i * n + m] -= factor * a[j * n + m] }
        x[i] -= factor * x[j]
      }
    }
    for i in (0..<n).reversed() {
      for m in i + 1..<max(n, i + 1) { x[i] -= a[i * n + m] * x[m] }
      x[i] /= a[i * n + i]
    }
    return x
  }
}
