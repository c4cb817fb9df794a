import Foundation

/// Path of a committed file or folder; `Fixtures/make_fixtures.py` says how they came about.
func fixture(_ name: String) -> String {
  Bundle.module.resourcePath! + "/Fixtures/" + name
}
