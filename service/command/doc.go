// Package command gives a service's binary its commands. Its function Main is the main function of a service:
//
//	func main() {
//		command.Main(func(s *service.Service) error {
//			parley.On(s.Router, contracts.UserRenamed, onUserRenamed)
//			return nil
//		})
//	}
//
// The binary then has the commands run, consumer, relay, migrate, check, routes,
// topology and more; `mysvc help` lists them. Every setting except secrets is also a flag; see package settings.
package command
