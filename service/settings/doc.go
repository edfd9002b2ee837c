// Package settings defines the settings of a service and reads them from a file, the environment and flags.
//
//	s, err := settings.Load(nil)
//
// Every setting can be given in the file (parley.yaml), as an environment variable (PARLEY_BROKER_URL) or as a flag
// (--broker-url). Flags override the environment, and the environment overrides the file.
//
// The package opens no connections; package service does.
package settings
