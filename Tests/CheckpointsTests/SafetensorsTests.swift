import Foundation
import Testing

import Checkpoints
import Kernels

@Suite struct SafetensorsTests {
  @Test func real() throws {
    let t = Date()
    let file = try SafetensorsFile(path: "/work/shared/models/emoji-sd/unet/diffusion_pytorch_model.safetensors")
    print(file.names.count, Date().timeIntervalSince(t))
    let t2 = Date()
    var n = 0
    for name in file.names { n += try file.floats(name).count }
    print(n, Date().timeIntervalSince(t2))
  }
}
