import CKernels
import Kernels
import Testing

@Suite struct ProductLibraryTests {
  @Test func productsUseTheKernelsOfThisProcessor() {
    _ = ProductLibrary.isReady
    // What OpenBLAS falls back to on processors that it does not know.
    #expect(ProductLibrary.kernels != "Prescott" || sd_processor_level() < 3)
  }
}
