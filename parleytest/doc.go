// Package parleytest helps to test code that uses parley.
//
// For users it runs single messages through a router ([Deliver]), also through handlers in a transaction ([Harness]), and reads
// what was published ([Published]).
//
// For authors of drivers it has conformance suites: [TestStore] for outbox stores, [TestFailures] for tables of
// failed deliveries, [TestOperations] for groups of failed deliveries, the action log and pauses, [TestBroker] and
// [TestConsumer] for brokers. Each promise is one subtest. The in-memory drivers and the real servers run the same suites.
//
// Only tests import this package.
package parleytest
