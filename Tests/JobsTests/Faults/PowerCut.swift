import Foundation

/// What a power cut leaves of a folder, from a journal of all that a program did to its files (`Tests/_Faults/faults.c`).
///
/// Bytes are sure to be there once their file was synchronized, names once their folder was. Of what was done since, any
/// part may have reached the disk, in any order: each write and each change of names is kept or dropped by chance.
struct PowerCut {
  /// What one operation does.
  struct Step {
    let kind: String
    let path: String
    let second: String
    let offset: Int
    let bytes: Data
  }

  private final class Node {
    /// Nil of a folder.
    var bytes: Data?
    /// Bytes on the disk.
    var sure = Data()
    var pending: [(offset: Int, bytes: Data?)] = []
    var names: [String: Node] = [:]
    /// Names on the disk.
    var sureNames: [String: Node] = [:]
    var changes: [[(name: String, node: Node?)]] = []

    init(bytes: Data?) { self.bytes = bytes }
  }

  private let folder: String
  private let root: Node

  /// - Parameter folder: all that is in it now is on the disk.
  init(_ folder: String) {
    self.folder = folder
    root = Self.node(folder)
  }

  private static func node(_ path: String) -> Node {
    guard let names = try? FileManager.default.contentsOfDirectory(atPath: path) else {
      let bytes = FileManager.default.contents(atPath: path) ?? Data()
      let node = Node(bytes: bytes)
      node.sure = bytes
      return node
    }
    let node = Node(bytes: nil)
    for name in names { node.names[name] = Self.node("\(path)/\(name)") }
    node.sureNames = node.names
    return node
  }

  static func steps(_ journal: Data) -> [Step] {
    var steps: [Step] = []
    var rest = journal[...]
    func line() -> String {
      let end = rest.firstIndex(of: UInt8(ascii: "\n")) ?? rest.endIndex
      defer { rest = rest[min(end + 1, rest.endIndex)...] }
      return String(decoding: rest[..<end], as: UTF8.self)
    }
    while !rest.isEmpty {
      let (kind, path, second) = (line(), line(), line())
      guard let offset = Int(line()), let count = Int(line()) else { break }
      steps.append(Step(kind: kind, path: path, second: second, offset: offset, bytes: Data(rest.prefix(count))))
      rest = rest.dropFirst(count)
    }
    return steps
  }

  private func find(_ path: String) -> (parent: Node, name: String)? {
    let parts = path.dropFirst(folder.count).split(separator: "/").map(String.init)
    guard let name = parts.last else { return nil }
    var node = root
    for part in parts.dropLast() {
      guard let next = node.names[part] else { return nil }
      node = next
    }
    return (node, name)
  }

  /// Does a step in memory.
  func take(_ step: Step) {
    guard let (parent, name) = find(step.path) else {
      if step.kind == "sync" { makeSure(root) }
      return
    }
    func change(_ changes: [(name: String, node: Node?)]) {
      for change in changes { parent.names[change.name] = change.node }
      parent.changes.append(changes)
    }
    let node = parent.names[name]
    switch step.kind {
    case "create": change([(name, Node(bytes: Data()))])
    case "mkdir": if node == nil { change([(name, Node(bytes: nil))]) }
    case "unlink", "rmdir": if node != nil { change([(name, nil)]) }
    case "empty", "truncate":
      guard let node else { return }
      let kept = node.bytes?.prefix(step.offset) ?? Data()
      node.bytes = kept + Data(count: step.offset - kept.count)
      node.pending.append((step.offset, nil))
    case "write":
      guard let node, let bytes = node.bytes else { return }
      node.bytes = Self.written(bytes, step.bytes, at: step.offset)
      node.pending.append((step.offset, step.bytes))
    case "sync": if let node { makeSure(node) }
    case "rename", "exchange":
      // All of the program's renamings stay in a folder.
      guard let node, let (other, target) = find(step.second), other === parent else { return }
      change([(target, node), (name, step.kind == "exchange" ? parent.names[target] : nil)])
    case "link":
      guard let (_, source) = find(step.second), let linked = parent.names[source] else { return }
      change([(name, linked)])
    default: break
    }
  }

  private func makeSure(_ node: Node) {
    if let bytes = node.bytes { node.sure = bytes } else { node.sureNames = node.names }
    (node.pending, node.changes) = ([], [])
  }

  private static func written(_ bytes: Data, _ piece: Data, at offset: Int) -> Data {
    var bytes = bytes
    if bytes.count < offset + piece.count { bytes += Data(count: offset + piece.count - bytes.count) }
    bytes.replaceSubrange(offset..<offset + piece.count, with: piece)
    return bytes
  }

  /// Makes a folder of what is on the disk.
  func write(to path: String, using generator: inout some RandomNumberGenerator) throws {
    try write(root, to: path, &generator)
  }

  private func write(_ node: Node, to path: String, _ generator: inout some RandomNumberGenerator) throws {
    // A disk may have kept nothing of late, nearly all, or any part.
    let share = [0.0, 0.5, 0.95].randomElement(using: &generator) ?? 0.0
    func isKept() -> Bool { Double.random(in: 0..<1, using: &generator) < share }
    guard node.bytes == nil else {
      var bytes = node.sure
      for write in node.pending where isKept() {
        if let piece = write.bytes {
          bytes = Self.written(bytes, piece, at: write.offset)
        } else {
          bytes = bytes.prefix(write.offset) + Data(count: max(0, write.offset - bytes.count))
        }
      }
      return try bytes.write(to: URL(filePath: path))
    }
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    var names = node.sureNames
    for change in node.changes where isKept() {
      for (name, node) in change { names[name] = node }
    }
    for (name, child) in names.sorted(by: { $0.key < $1.key }) { try write(child, to: "\(path)/\(name)", &generator) }
  }
}
