import Kernels
import Testing

/// Every way to convolve against sums written out in double precision.
///
/// Bounds: the direct sums are those of a 32-bit product (2·10⁻⁶ of the largest element); Winograd's transforms multiply
/// by up to 8 and divide by up to 24, which costs about another digit.
@Suite struct ConvolutionTests {
  struct Case: Sendable, CustomStringConvertible {
    let geometry: ConvolutionGeometry
    let bound: Double
    let description: String

    init(_ name: String, _ geometry: ConvolutionGeometry, bound: Double) {
      self.geometry = geometry
      self.bound = bound
      description = name
    }
  }

  private static func same(
    _ batch: Int, _ height: Int, _ width: Int, _ inputs: Int, _ outputs: Int, stride: Int = 1
  ) -> ConvolutionGeometry {
    ConvolutionGeometry(
      batch: batch, height: height, width: width, inputs: inputs, outputs: outputs, kernelHeight: 3, kernelWidth: 3,
      stride: stride, top: 1, left: 1, bottom: 1, right: 1)
  }

  static let cases = [
    Case("winograd", same(1, 16, 20, 64, 80), bound: 2e-5),
    Case("winograd with ragged tiles", same(2, 17, 18, 64, 64), bound: 2e-5),
    Case("winograd, larger than the second cache", same(2, 32, 33, 320, 96), bound: 2e-5),
    Case("deep", same(1, 4, 4, 96, 64), bound: 2e-6),
    Case("deep with stride", same(2, 8, 8, 64, 64, stride: 2), bound: 2e-6),
    Case("by tiles of rows", same(1, 20, 20, 4, 20), bound: 2e-6),
    Case("by tiles of rows with stride", same(1, 21, 20, 8, 16, stride: 2), bound: 2e-6),
    Case("one pixel", ConvolutionGeometry(batch: 2, height: 5, width: 7, inputs: 24, outputs: 40), bound: 2e-6),
    // Weights of more than one piece.
    Case("deep, large", same(1, 4, 4, 256, 320), bound: 2e-6),
    Case(
      "few rows, large", ConvolutionGeometry(batch: 1, height: 6, width: 1, inputs: 700, outputs: 1300), bound: 2e-6),
    Case(
      "many rows, large", ConvolutionGeometry(batch: 1, height: 260, width: 1, inputs: 640, outputs: 900), bound: 2e-6),
  ]

  /// A weight in memory, and one that is made a part at a time.
  private func both(_ weight: Buffer) -> [WeightElements] {
    let memory = WeightElements(weight)
    return [memory, WeightElements(count: weight.count) { memory.copy($0, into: $1, at: $2) }]
  }

  /// Calls `body` with the places of every product: pixel of x, output position, tap.
  private func forEachTap(_ g: ConvolutionGeometry, _ body: (_ x: Int, _ y: Int, _ tap: Int) -> Void) {
    for image in 0..<g.batch {
      for position in 0..<g.outputHeight * g.outputWidth {
        for tap in 0..<g.kernelHeight * g.kernelWidth {
          let row = position / g.outputWidth * g.stride - g.top + tap / g.kernelWidth
          let column = position % g.outputWidth * g.stride - g.left + tap % g.kernelWidth
          guard (0..<g.height).contains(row), (0..<g.width).contains(column) else { continue }
          body(
            (image * g.height + row) * g.width + column, image * g.outputHeight * g.outputWidth + position, tap)
        }
      }
    }
  }

  @Test(arguments: cases) func forward(_ test: Case) {
    let g = test.geometry
    let taps = g.kernelHeight * g.kernelWidth
    let x = numbers(g.batch * g.height * g.width * g.inputs)
    let weight = numbers(g.outputs * g.inputs * taps, seed: 2)
    let bias = numbers(g.outputs, seed: 3)
    let rows = g.batch * g.outputHeight * g.outputWidth
    var expected = (0..<rows * g.outputs).map { Double(bias[$0 % g.outputs]) }
    forEachTap(g) { pixel, position, tap in
      for output in 0..<g.outputs {
        var sum = 0.0
        for input in 0..<g.inputs {
          sum += Double(x[pixel * g.inputs + input]) * Double(weight[(output * g.inputs + input) * taps + tap])
        }
        expected[position * g.outputs + output] += sum
      }
    }
    let y = Buffer(uninitialized: rows * g.outputs)
    for elements in both(weight) {
      Convolution.forward(x, weight: elements, bias: bias, into: y, g)
      #expect(relativeError(y, expected) < test.bound)
    }
  }

  @Test(arguments: cases) func gradients(_ test: Case) {
    let g = test.geometry
    let taps = g.kernelHeight * g.kernelWidth
    let x = numbers(g.batch * g.height * g.width * g.inputs)
    let weight = numbers(g.outputs * g.inputs * taps, seed: 2)
    let dy = numbers(g.batch * g.outputHeight * g.outputWidth * g.outputs, seed: 4)
    var dxExpected = [Double](repeating: 0, count: x.count)
    var dwExpected = [Double](repeating: 0, count: weight.count)
    forEachTap(g) { pixel, position, tap in
      for output in 0..<g.outputs {
        let gradient = Double(dy[position * g.outputs + output])
        for input in 0..<g.inputs {
          let at = (output * g.inputs + input) * taps + tap
          dxExpected[pixel * g.inputs + input] += gradient * Double(weight[at])
          dwExpected[at] += gradient * Double(x[pixel * g.inputs + input])
        }
      }
    }
    let dx = Buffer(uninitialized: x.count)
    for elements in both(weight) {
      Convolution.inputGradient(dy, weight: elements, into: dx, g)
      #expect(relativeError(dx, dxExpected) < test.bound)
    }
    let dw = Buffer(uninitialized: weight.count)
    Convolution.weightGradient(x, dy: dy, into: dw, g)
    #expect(relativeError(dw, dwExpected) < test.bound)
    let again = Buffer(uninitialized: weight.count)
    Convolution.weightGradient(x, dy: dy, into: again, g)
    #expect(dw.elements == again.elements)
  }

  /// Plane by plane as channels-last, from weights that are decoded in parts.
  @Test func planar() {
    let g = Self.same(2, 18, 16, 64, 96)
    let pixels = g.height * g.width
    let x = numbers(g.batch * pixels * g.inputs)
    let weight = numbers(g.outputs * g.inputs * 9, seed: 2)
    let bias = numbers(g.outputs, seed: 3)
    let expected = Buffer(uninitialized: g.batch * pixels * g.outputs)
    Convolution.forward(x, weight: WeightElements(weight), bias: bias, into: expected, g)
    func planar(_ x: Buffer, _ channels: Int) -> Buffer {
      Buffer(
        (0..<x.count).map { at in
          let (image, rest) = at.quotientAndRemainder(dividingBy: channels * pixels)
          return x[(image * pixels + rest % pixels) * channels + rest / pixels]
        })
    }
    var convolution = PlanarConvolution(
      batch: g.batch, inputs: g.inputs, height: g.height, width: g.width, outputs: g.outputs, kernel: (3, 3),
      outHeight: g.height, outWidth: g.width)
    convolution.padding = (1, 1)
    let y = convolution(planar(x, g.inputs), weight: both(weight)[1], bias: bias)
    #expect(relativeError(y, planar(expected, g.outputs).elements.map(Double.init)) < 1e-6)
  }

  /// A program may say so: there is nothing to sum.
  @Test func noInputs() {
    let convolution = PlanarConvolution(
      batch: 1, inputs: 0, height: 16, width: 16, outputs: 8, kernel: (1, 1), outHeight: 16, outWidth: 16)
    let bias = numbers(8)
    let y = convolution(Buffer([]), weight: WeightElements(Buffer([])), bias: bias)
    #expect((0..<8 * 256).allSatisfy { y[$0] == bias[$0 / 256] })
  }
}
