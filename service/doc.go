// Package service opens and runs what the settings describe: database, broker, outbox, relay and consumer.
//
//	loaded, err := settings.Load(nil)
//	...
//	s, err := service.Open(loaded, nil)
//	...
//	parley.On(s.Router, contracts.UserRenamed, onUserRenamed)
//	err = s.Run(ctx, service.PartRelay|service.PartConsumer)
//
// Most programs call command.Main of package command instead, which does this and gives the binary its commands. Package settings
// lists the settings. This package has no command line.
//
// To build on it: Service.Add runs a runner beside relay and consumer. Service.HandleHTTP serves a handler at the address of the
// health checks. Service.Pgx and Service.DB return the connection pools. Config takes pools and a broker that the program opened.
package service
