// Package benchmarks compares parley with the raw client library: the same work, the same
// messages, the same servers, interleaved in one run, reported as ratios. It is a
// module of its own and is never released.
//
//	go test -run '^$' -bench . -benchtime 1x
//
// Each benchmark has several rounds. A round does the work once with each side, in
// alternating order, so that other load of the machine affects both. A ratio of 1
// means as fast as the raw client. Builds with the race detector leave the benchmarks out: it changes every figure.
package benchmarks
