internal import Kernels
internal import MIL

/// Window positions along one spatial axis, shared by convolution and pooling.
struct Window: Sendable {
  let size, kernel, stride, dilation: Int
  let before, after: Int
  let output: Int

  /// - Parameter ceiling: whether a last, partly covered window counts.
  init(
    size: Int, kernel: Int, stride: Int, dilation: Int, padding: (before: Int, after: Int),
    ceiling: Bool = false, _ call: Call
  ) throws(MILError) {
    self.size = size
    self.kernel = kernel
    self.stride = stride
    self.dilation = dilation
    (before, after) = padding
    let free = size + before + after - dilation * (kernel - 1) - 1
    guard free >= 0 else {
      throw call.refuse("x", "at least \(dilation * (kernel - 1) + 1) pixels", "\(size)")
    }
    let all = (ceiling ? (free + stride - 1) / stride : free / stride) + 1
    // A window that begins behind the pixels would see padding alone.
    output = ceiling && before + after > 0 && (all - 1) * stride >= size + before ? all - 1 : all
  }

  /// Reads `strides`, `pad_type`, `pad` and `dilations` for every spatial axis.
  static func windows(
    _ call: Call, sizes: [Int], kernels: [Int], ceiling: Bool = false
  ) throws(MILError) -> [Window] {
    let rank = sizes.count
    let ones = [Int](repeating: 1, count: rank)
    let strides = try positive("strides", call, rank, ones)
    let dilations = try positive("dilations", call, rank, ones)
    guard kernels.allSatisfy({ $0 > 0 }) else {
      throw call.refuse("x", "a kernel of at least one pixel", "\(kernels)")
    }
    let custom = try call.integers("pad", or: [Int](repeating: 0, count: 2 * rank))
    guard custom.count == 2 * rank, custom.allSatisfy({ $0 >= 0 }) else {
      throw call.refuse("pad", "\(2 * rank) numbers of 0 or more", "\(custom)")
    }
    var windows: [Window] = []
    for axis in 0..<rank {
      let padding: (Int, Int)
      switch try call.text("pad_type", or: "valid") {
      case "valid": padding = (0, 0)
      case "custom": padding = (custom[2 * axis], custom[2 * axis + 1])
      case let type where type == "same" || type == "same_lower":
        let output = (sizes[axis] + strides[axis] - 1) / strides[axis]
        let reach = (output - 1) * strides[axis] + dilations[axis] * (kernels[axis] - 1) + 1
        let total = max(0, reach - sizes[axis])
        padding =
          type == "same" ? (total / 2, total - total / 2) : (total - total / 2, total / 2)
      case let type:
        throw call.refuse("pad_type", "valid, custom, same or same_lower", "'\(type)'")
      }
      windows.append(
        try Window(
          size: sizes[axis], kernel: kernels[axis], stride: strides[axis],
          dilation: dilations[axis], padding: padding, ceiling: ceiling, call))
    }
    return windows
  }

  private static func positive(
    _ name: String, _ call: Call, _ rank: Int, _ standard: [Int]
  ) throws(MILError) -> [Int] {
    let values = try call.integers(name, or: standard)
    guard values.count == rank, values.allSatisfy({ $0 > 0 }) else {
      throw call.refuse(name, "\(rank) numbers of 1 or more", "\(values)")
    }
    return values
  }
}

/// Cross-correlation over one or two spatial axes.
struct Convolution: MILOperation {
  static let kinds = [
    OperationKind(
      "conv",
      [
        .required("x", .floats), .required("weight", .floats), .optional("bias", .floats),
        .optional("strides", .integers), .optional("pad_type", .text), .optional("pad", .integers),
        .optional("dilations", .integers), .optional("groups", .integers),
      ], Convolution.self)
  ]

  let results: [TensorType]
  private let geometry: PlanarConvolution

  init(_ call: Call) throws(MILError) {
    let x = try call.shape("x")
    let weight = try call.shape("weight")
    guard x.count == 3 || x.count == 4 else {
      throw call.refuse("x", "one or two spatial axes", "\(x)")
    }
    guard weight.count == x.count else {
      throw call.refuse("weight", "\(x.count) axes", "\(weight)")
    }
    let groups = try call.integer("groups", or: 1)
    guard groups > 0, x[1] % groups == 0, weight[0] % groups == 0, weight[1] == x[1] / groups else {
      throw call.refuse("weight", "channels that go with \(x) in \(groups) groups", "\(weight)")
    }
    if call.has("bias"), try call.shape("bias") != [weight[0]] {
      throw call.refuse("bias", "[\(weight[0])]", "\(try call.shape("bias"))")
    }
    let windows = try Window.windows(
      call, sizes: Array(x[2...]), kernels: Array(weight[2...]))
    results = [
      TensorType(try call.type("x"), [x[0], weight[0]] + windows.map(\.output))
    ]
    // One spatial axis is an image of one row.
    let row = try Window(
      size: 1, kernel: 1, stride: 1, dilation: 1, padding: (0, 0), call)
    let (high, wide) = windows.count == 2 ? (windows[0], windows[1]) : (row, windows[0])
    var geometry = PlanarConvolution(
      batch: x[0], inputs: x[1], height: high.size, width: wide.size, outputs: weight[0],
      kernel: (high.kernel, wide.kernel), outHeight: high.output, outWidth: wide.output)
    geometry.stride = (high.stride, wide.stride)
    geometry.dilation = (high.dilation, wide.dilation)
    geometry.padding = (high.before, wide.before)
    geometry.groups = groups
    self.geometry = geometry
  }

  func run(_ call: Call) throws(MILError) -> [RuntimeValue] {
    let x = try call.value("x")
    guard let floats = x.floats, let weight = try call.value("weight").constant else {
      throw call.refuse("x", "floats", "\(x.type)")
    }
    let bias = call.has("bias") ? try call.value("bias").floats : nil
    let y = geometry(floats, weight: weight.elements, bias: bias)
    return [RuntimeValue(x.type, results[0].shape ?? [], y)]
  }
}

/// Means and maxima of windows.
struct Pooling: MILOperation {
  static let kinds = ["avg_pool", "max_pool"].map {
    OperationKind(
      $0,
      [
        .required("x", .floats), .required("kernel_sizes", .integers),
        .optional("strides", .integers), .required("pad_type", .text),
        .optional("pad", .integers), .optional("exclude_padding_from_average", .boolean),
        .optional("ceil_mode", .boolean),
      ], Pooling.self)
  }

  let results: [TensorType]
  private let windows: [Window]
  private let excludesPadding: Bool

  init(_ call: Call) throws(MILError) {
    let x = try call.shape("x")
    guard x.count == 3 || x.count == 4 else {
      throw call.refuse("x", "one or two spatial axes", "\(x)")
    }
    let kernels = try call.integers("kernel_sizes")
    guard kernels.count == x.count - 2, kernels.allSatisfy({ $0 <= 1024 }) else {
      throw call.refuse("kernel_sizes", "\(x.count - 2) sizes up to 1024", "\(kernels)")
    }
    windows = try Window.windows(
      call, sizes: Array(x[2...]), kernels: kernels, ceiling: call.boolean("ceil_mode", or: false))
    excludesPadding = try call.boolean("exclude_padding_from_average", or: false)
    results = [TensorType(try call.type("x"), Array(x[..<2]) + windows.map(\.output))]
  }

  func run(_ call: Call) throws(MILError) -> [RuntimeValue] {
    let x = try call.value("x")
    guard let floats = x.floats else { throw call.refuse("x", "floats", "\(x.type)") }
    let plane = x.shape[2...].reduce(1, *)
    let out = windows.reduce(1) { $0 * $1.output }
    let planes = x.shape[0] * x.shape[1]
    let maximum = call.operation == "max_pool"
    let y = Buffer(count: planes * out) { y in
      floats.withSpan { x in
        for index in 0..<planes * out {
          let (channel, position) = index.quotientAndRemainder(dividingBy: out)
          var (sum, peak, count, inside) = (Float(0), -Float.infinity, 0, 0)
          forEachPixel(position) { pixel in
            count += 1
            guard let pixel else { return }
            inside += 1
            sum += x[channel * plane + pixel]
            peak = max(peak, x[channel * plane + pixel])
          }
          y[index] = maximum ? peak : sum / Float(excludesPadding ? max(1, inside) : max(1, count))
        }
      }
    }
    return [RuntimeValue(x.type, results[0].shape ?? [], y)]
  }

  /// Calls `body` with the pixels below one window, `nil` for padding; what lies beyond the padding is not there at all.
  private func forEachPixel(_ position: Int, _ body: (Int?) -> Void) {
    let wide = windows[windows.count - 1]
    let (row, column) = position.quotientAndRemainder(dividingBy: wide.output)
    for y in 0..<(windows.count == 2 ? windows[0].kernel : 1) {
      let at = windows.count == 2 ? row * windows[0].stride + y - windows[0].before : 0
      for x in 0..<wide.kernel {
        let pixel = column * wide.stride + x - wide.before
        guard pixel < wide.size + wide.after, windows.count == 1 || at < windows[0].size + windows[0].after else {
          continue
        }
        let inside =
          pixel >= 0 && pixel < wide.size && at >= 0
          && at < (windows.count == 2 ? windows[0].size : 1)
        body(inside ? at * wide.size + pixel : nil)
      }
    }
  }
}
