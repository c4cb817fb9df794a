package import Kernels

/// An operand that a gradient needs again: its elements, or a way to them.
package enum KeptOperand: Sendable {
  case elements(Buffer)
  case computed(@Sendable () -> Buffer, count: Int)

  var count: Int {
    switch self {
    case .elements(let buffer): buffer.count
    case .computed(_, let count): count
    }
  }

  var buffer: Buffer {
    switch self {
    case .elements(let buffer): buffer
    case .computed(let read, _): read()
    }
  }
}
