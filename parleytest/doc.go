// Package parleytest helps to test with parley. For authors of drivers it has
// [TestStore] and [TestBroker]: the promises that every outbox store and every
// broker keeps, one subtest each, run alike against the in-memory ones and real
// servers. For users it runs single messages through a router ([Deliver]) and reads
// back what was published ([Published]).
//
// Only tests import it.
package parleytest
