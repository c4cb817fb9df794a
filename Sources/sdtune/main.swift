import Foundation
import Kernels
import Recipes
import StableDiffusion
import Training
import Layers
let args = CommandLine.arguments
var recipe = try JSONDecoder().decode(Recipe.self, from: Data(contentsOf: URL(filePath: args[1])))
if args.count > 2 { recipe.training.steps = Int(args[2])! }
if args.count > 3 { recipe.training.learningRate = Double(args[3])! }
if args.count > 4 { recipe.clustering.bits = Int(args[4])! }
if args.count > 6 { recipe.clustering.hardShare = Double(args[5])!; recipe.clustering.polishShare = Double(args[6])! }
if args.count > 8 { recipe.clustering.temperature.start = Double(args[7])!; recipe.clustering.temperature.end = Double(args[8])! }
if args.count > 9 { recipe.clustering.gradient = .init(rawValue: args[9])! }
if args.count > 10 { recipe.training.polishLearningRate = Double(args[10])! }
recipe.evaluation.pictures = 64
let inputs = try RunInputs(recipe, folder: URL(filePath: args[1]).deletingLastPathComponent())
let trainer = Trainer(recipe, inputs)
let evaluation = DenoisingEvaluation(inputs.validation, inputs.validationStates, inputs.schedule, timesteps: recipe.evaluation.timesteps)
let t0 = Date()
let ref = try evaluation.predictions(batch: 64, inputs.unet.denoiser)
let base = evaluation.quality(ref, reference: nil).epsilonMSE
print("fp32", base, Date().timeIntervalSince(t0))
func show(_ label: String, _ hard: HardWeights, _ lossPTQ: Double?) throws -> Double {
  let unet = try UNet(hard.store(origin: label), inputs.unet.configuration)
  let q = evaluation.quality(try evaluation.predictions(batch: 64, unet.denoiser), reference: ref)
  let loss = q.epsilonMSE - base
  print(label, q.epsilonMSE, "above", loss, "share", lossPTQ.map { loss / $0 } ?? 1, "psnr", q.psnr ?? 0)
  return loss
}
let ptq = try show("ptq", HardWeights(postTraining: inputs.weights, recipe.clustering), nil)
var state = try RunState(inputs.weights, recipe)
let t1 = Date()
var cl = 0.0
var last = TrainingPhase.hard
while state.step < recipe.training.steps {
  let r = try trainer.step(&state)
  cl += r.clusteringSeconds
  if state.step % 25 == 0 || state.step == 1 {
    print(state.step, r.phase.name, r.loss.loss, "hard", try trainer.hardLoss(state), "norm", r.loss.gradientNorm, "s", r.seconds, "clust", r.clusteringSeconds)
  }
}
let el = Date().timeIntervalSince(t1)
print("seconds", el, "per step", el / Double(max(1, recipe.training.steps)), "clustering", cl / el)
_ = try show("tuned", HardWeights(state, recipe.clustering), ptq)
