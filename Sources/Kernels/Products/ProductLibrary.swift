internal import CKernels
internal import COpenBLAS
internal import Foundation

/// OpenBLAS as our products need it: on one thread, with the kernels of this processor.
package enum ProductLibrary {
  /// Kernels that a product has been promised to find; touched before the first one.
  package static let isReady: Void = {
    chooseKernels()
    openblas_set_num_threads(1)
  }()

  /// The kernels in use: `SkylakeX`, `Haswell`, `Zen` and so on.
  package static var kernels: String { String(cString: openblas_get_corename()) }

  /// OpenBLAS falls back to kernels of 2004 on processors that are younger than it is: 0.3.21 does on Intel's Emerald
  /// Rapids, at an eighth of the rate. It chooses again when it is told what the processor has.
  ///
  /// What the user says with `OPENBLAS_CORETYPE` stands, and a library without a choice of kernels is left alone.
  private static func chooseKernels() {
    typealias Function = @convention(c) () -> Void
    let level = Int(sd_processor_level())
    guard kernels == "Prescott", level >= 3, getenv("OPENBLAS_CORETYPE") == nil,
      let quit = dlsym(nil, "gotoblas_dynamic_quit"), let start = dlsym(nil, "gotoblas_dynamic_init")
    else { return }
    setenv("OPENBLAS_CORETYPE", level >= 4 ? "SkylakeX" : "Haswell", 1)
    unsafeBitCast(quit, to: Function.self)()
    unsafeBitCast(start, to: Function.self)()
    unsetenv("OPENBLAS_CORETYPE")
  }
}
