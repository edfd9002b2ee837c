// Package service turns one settings file, the environment and flags into a running
// service: store, broker, outbox, relay and consumer, and the commands of its binary.
//
//	func main() {
//		service.Main(func(s *service.Service) error {
//			parley.On(s.Router, contracts.UserRenamed, onUserRenamed)
//			return nil
//		})
//	}
//
// The binary then has the commands run, consumer, relay, migrate, check, routes,
// topology and more; `mysvc help` lists them. Every setting can be given in the
// file (parley.yaml), as an environment variable (PARLEY_BROKER_URL) or as a flag
// (--broker-url); flags go before the environment, and that goes before the file.
package service
